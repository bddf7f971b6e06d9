//! The client's side of the handshake (RFC 26).

use alloc::sync::Arc;
use alloc::vec::Vec;

use zeroize::Zeroizing;

use super::cipher::{SharedKey, long_nonce};
use super::keys::{KEY_BYTES, KeyPair, PublicKey};
use super::session::Session;
use super::{CurveError, Random, len, nonce};
use crate::command::{Command, Metadata, put_command};
use crate::frame::ProtocolError;
use crate::mechanism::step::Step;

/// What a client has.
#[derive(Clone, Debug)]
pub struct ClientKeys {
    /// Its own permanent keys.
    pub own: KeyPair,
    /// The permanent key of the only server that it talks to.
    pub server: PublicKey,
}

/// One client's handshake.
#[derive(Debug)]
pub struct Client {
    keys: Arc<ClientKeys>,
    metadata: Metadata,
    random: Random,
    /// The keys of this connection.
    transient: KeyPair,
    state: State,
}

#[derive(Debug)]
enum State {
    Welcome,
    /// With the key for READY.
    Ready(SharedKey),
}

impl Client {
    /// A handshake that sends `metadata`.
    pub fn new(keys: Arc<ClientKeys>, metadata: Metadata, random: Random) -> Client {
        Client { keys, metadata, random, transient: KeyPair::generate(random), state: State::Welcome }
    }

    /// Sends HELLO.
    ///
    /// # Errors
    /// The server's key is of low order.
    pub(crate) fn start(&mut self, out: &mut Vec<u8>) -> Result<(), CurveError> {
        let key =
            SharedKey::between(self.transient.secret(), &self.keys.server).ok_or(CurveError::WeakKey)?;
        let counter = nonce::OF_HELLO.to_be_bytes();
        let mut data = Vec::with_capacity(len::HELLO - 6);
        data.extend_from_slice(&[1, 0]);
        data.extend_from_slice(&[0; 72]);
        data.extend_from_slice(self.transient.public().bytes());
        data.extend_from_slice(&counter);
        key.put_box(nonce::HELLO, &counter, &[0; 64], &mut data);
        put_command(out, "HELLO", &[&data]);
        Ok(())
    }

    pub(crate) fn receive(&mut self, body: &[u8], out: &mut Vec<u8>) -> Result<Step, ProtocolError> {
        if let Ok(Command::Error { reason }) = Command::parse(body) {
            return Ok(Step::Refused(reason.to_vec()));
        }
        match (&self.state, Command::split(body)) {
            (State::Welcome, Some((b"WELCOME", data))) => {
                let key = self.welcomed(data, out)?;
                self.state = State::Ready(key);
                Ok(Step::Continue)
            }
            (State::Ready(key), Some((b"READY", data))) => {
                let (metadata, last) = opened_ready(key, data)?;
                let session = Session::new(
                    key.derive(nonce::FROM_CLIENT),
                    nonce::OF_INITIATE,
                    key.derive(nonce::FROM_SERVER),
                    last,
                );
                Ok(Step::Sealed(Metadata::parse(&metadata)?, session))
            }
            (_, Some((b"HELLO", _))) => Err(ProtocolError::SameRole { servers: false }),
            _ => Err(ProtocolError::UnexpectedInHandshake),
        }
    }

    /// Answers WELCOME with INITIATE. Returns the key of the connection.
    fn welcomed(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<SharedKey, CurveError> {
        const NAME: &str = "WELCOME";
        if data.len() != len::WELCOME - 8 {
            return Err(CurveError::Malformed(NAME));
        }
        let (random, boxed) = data.split_first_chunk().ok_or(CurveError::Malformed(NAME))?;
        let (prefix, counter) = long_nonce(nonce::WELCOME, random);
        let ours = self.transient.secret();
        let key = SharedKey::between(ours, &self.keys.server).ok_or(CurveError::WeakKey)?;
        let plain = key.open_box(&prefix, &counter, boxed).ok_or(CurveError::Box(NAME))?;
        let (theirs, cookie) = plain.split_first_chunk::<KEY_BYTES>().ok_or(CurveError::Malformed(NAME))?;
        let theirs = PublicKey::from_bytes(*theirs);
        let shared = SharedKey::between(ours, &theirs).ok_or(CurveError::WeakKey)?;

        // The vouch: our permanent key says that the transient one is ours, to this server.
        let mut random = [0; 16];
        (self.random)(&mut random);
        let (prefix, counter) = long_nonce(nonce::VOUCH, &random);
        let vouched = SharedKey::between(self.keys.own.secret(), &theirs).ok_or(CurveError::WeakKey)?;
        let mut promise = Vec::with_capacity(2 * KEY_BYTES);
        promise.extend_from_slice(self.transient.public().bytes());
        promise.extend_from_slice(self.keys.server.bytes());
        let mut plain = Zeroizing::new(Vec::with_capacity(KEY_BYTES + len::VOUCH + self.metadata.wire_len()));
        plain.extend_from_slice(self.keys.own.public().bytes());
        plain.extend_from_slice(&random);
        vouched.put_box(&prefix, &counter, &promise, &mut plain);
        self.metadata.put(&mut plain);

        let counter = nonce::OF_INITIATE.to_be_bytes();
        let mut boxed = Vec::with_capacity(len::TAG + plain.len());
        shared.put_box(nonce::INITIATE, &counter, &plain, &mut boxed);
        put_command(out, "INITIATE", &[cookie, &counter, &boxed]);
        Ok(shared)
    }
}

/// The metadata of READY, and its counter.
fn opened_ready(key: &SharedKey, data: &[u8]) -> Result<(Zeroizing<Vec<u8>>, u64), CurveError> {
    const NAME: &str = "READY";
    if data.len() < len::READY_MIN - 6 {
        return Err(CurveError::Malformed(NAME));
    }
    let (counter, boxed) = data.split_first_chunk().ok_or(CurveError::Malformed(NAME))?;
    let metadata = key.open_box(nonce::READY, counter, boxed).ok_or(CurveError::Box(NAME))?;
    Ok((metadata, u64::from_be_bytes(*counter)))
}
