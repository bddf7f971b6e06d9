//! The server's side of the handshake (RFC 26). Before INITIATE it keeps nothing that a stranger has sent: what it needs of
//! HELLO comes back in the cookie, which only this connection's key opens.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use zeroize::Zeroizing;

use super::cipher::{SharedKey, long_nonce};
use super::keys::{KEY_BYTES, KeyPair, PublicKey, SecretKey};
use super::session::Session;
use super::{CurveError, Random, len, nonce};
use crate::command::{Command, Metadata, put_command, put_error};
use crate::frame::ProtocolError;
use crate::mechanism::step::{Credentials, Step};

/// One handshake of a server.
#[derive(Debug)]
pub struct Server {
    keys: Arc<KeyPair>,
    metadata: Metadata,
    random: Random,
    state: State,
}

#[derive(Debug)]
enum State {
    Hello,
    /// With the key of the cookie.
    Initiate(SharedKey),
    /// Somebody decides about the client.
    Decision(Box<Pending>),
    Over,
}

/// A client that has proved who it is.
#[derive(Debug)]
struct Pending {
    shared: SharedKey,
    /// The counter of its INITIATE.
    last: u64,
    metadata: Metadata,
}

impl Server {
    /// A handshake that sends `metadata`.
    pub fn new(keys: Arc<KeyPair>, metadata: Metadata, random: Random) -> Server {
        Server { keys, metadata, random, state: State::Hello }
    }

    #[cfg(test)]
    pub(super) fn keys(&self) -> Arc<KeyPair> {
        self.keys.clone()
    }

    pub(crate) fn receive(&mut self, body: &[u8], out: &mut Vec<u8>) -> Result<Step, ProtocolError> {
        if let Ok(Command::Error { reason }) = Command::parse(body) {
            return Ok(Step::Refused(reason.to_vec()));
        }
        match (&self.state, Command::split(body)) {
            (State::Hello, Some((b"HELLO", data))) => {
                let cookie_key = self.greeted(data, out)?;
                self.state = State::Initiate(cookie_key);
                Ok(Step::Continue)
            }
            (State::Initiate(key), Some((b"INITIATE", data))) => {
                let (client, pending) = self.initiated(key, data)?;
                self.state = State::Decision(Box::new(pending));
                Ok(Step::Authenticate(Credentials::Curve(client)))
            }
            _ => Err(ProtocolError::UnexpectedInHandshake),
        }
    }

    /// Answers HELLO with WELCOME. Returns the key of the cookie in it.
    fn greeted(&self, data: &[u8], out: &mut Vec<u8>) -> Result<SharedKey, CurveError> {
        const NAME: &str = "HELLO";
        let (&[major, minor], rest) = data.split_first_chunk().ok_or(CurveError::Malformed(NAME))?;
        if data.len() != len::HELLO - 6 {
            return Err(CurveError::Malformed(NAME));
        }
        if (major, minor) != (1, 0) {
            return Err(CurveError::Version { major, minor });
        }
        let (padding, rest) = rest.split_first_chunk::<72>().ok_or(CurveError::Malformed(NAME))?;
        let (theirs, rest) = rest.split_first_chunk::<KEY_BYTES>().ok_or(CurveError::Malformed(NAME))?;
        let (counter, boxed) = rest.split_first_chunk::<8>().ok_or(CurveError::Malformed(NAME))?;
        if padding.iter().any(|&byte| byte != 0) {
            return Err(CurveError::Malformed(NAME));
        }
        let theirs = PublicKey::from_bytes(*theirs);
        let key = SharedKey::between(self.keys.secret(), &theirs).ok_or(CurveError::WeakKey)?;
        let zeros = key.open_box(nonce::HELLO, counter, boxed).ok_or(CurveError::Box(NAME))?;
        if zeros.iter().any(|&byte| byte != 0) {
            return Err(CurveError::Malformed(NAME));
        }

        let transient = KeyPair::generate(self.random);
        let cookie_key = SharedKey::random(self.random);
        let mut random = [0; 16];
        (self.random)(&mut random);
        let (prefix, counter) = long_nonce(nonce::COOKIE, &random);
        let mut secrets = Zeroizing::new(Vec::with_capacity(2 * KEY_BYTES));
        secrets.extend_from_slice(theirs.bytes());
        secrets.extend_from_slice(transient.secret().bytes());
        let mut plain = Zeroizing::new(Vec::with_capacity(KEY_BYTES + len::COOKIE));
        plain.extend_from_slice(transient.public().bytes());
        plain.extend_from_slice(&random);
        cookie_key.put_box(&prefix, &counter, &secrets, &mut plain);

        (self.random)(&mut random);
        let (prefix, counter) = long_nonce(nonce::WELCOME, &random);
        let mut boxed = Vec::with_capacity(len::TAG + plain.len());
        key.put_box(&prefix, &counter, &plain, &mut boxed);
        put_command(out, "WELCOME", &[&random, &boxed]);
        Ok(cookie_key)
    }

    /// Checks INITIATE: the cookie, and the vouch of the client's permanent key, which is returned.
    fn initiated(&self, cookie_key: &SharedKey, data: &[u8]) -> Result<(PublicKey, Pending), ProtocolError> {
        const NAME: &str = "INITIATE";
        const MALFORMED: CurveError = CurveError::Malformed(NAME);
        if data.len() < len::INITIATE_MIN - 9 {
            return Err(MALFORMED.into());
        }
        let (random, rest) = data.split_first_chunk().ok_or(MALFORMED)?;
        let (cookie, rest) = rest.split_at_checked(len::COOKIE - 16).ok_or(MALFORMED)?;
        let (counter, boxed) = rest.split_first_chunk::<8>().ok_or(MALFORMED)?;
        let (prefix, cookie_counter) = long_nonce(nonce::COOKIE, random);
        let secrets = cookie_key.open_box(&prefix, &cookie_counter, cookie).ok_or(CurveError::Cookie)?;
        let (theirs, ours) = secrets.split_first_chunk::<KEY_BYTES>().ok_or(CurveError::Cookie)?;
        let theirs = PublicKey::from_bytes(*theirs);
        let ours = SecretKey::from_bytes(*ours.first_chunk().ok_or(CurveError::Cookie)?);

        let shared = SharedKey::between(&ours, &theirs).ok_or(CurveError::WeakKey)?;
        let plain = shared.open_box(nonce::INITIATE, counter, boxed).ok_or(CurveError::Box(NAME))?;
        let (client, rest) = plain.split_first_chunk::<KEY_BYTES>().ok_or(MALFORMED)?;
        let (random, rest) = rest.split_first_chunk().ok_or(MALFORMED)?;
        let (vouch, metadata) = rest.split_at_checked(len::VOUCH - 16).ok_or(MALFORMED)?;
        let client = PublicKey::from_bytes(*client);
        let (prefix, vouch_counter) = long_nonce(nonce::VOUCH, random);
        let vouched = SharedKey::between(&ours, &client).ok_or(CurveError::WeakKey)?;
        let promise = vouched.open_box(&prefix, &vouch_counter, vouch).ok_or(CurveError::Vouch)?;
        if promise[..KEY_BYTES] != theirs.bytes()[..]
            || promise[KEY_BYTES..] != self.keys.public().bytes()[..]
        {
            return Err(CurveError::Vouch.into());
        }
        let metadata = Metadata::parse(metadata)?;
        Ok((client, Pending { shared, last: u64::from_be_bytes(*counter), metadata }))
    }

    /// The client is accepted: sends READY.
    pub(crate) fn accept(&mut self, out: &mut Vec<u8>) -> Step {
        let State::Decision(pending) = core::mem::replace(&mut self.state, State::Over) else {
            return Step::Continue;
        };
        let Pending { shared, last, metadata } = *pending;
        let counter = nonce::OF_READY.to_be_bytes();
        let (mut plain, mut boxed) = (Vec::new(), Vec::new());
        self.metadata.put(&mut plain);
        shared.put_box(nonce::READY, &counter, &plain, &mut boxed);
        put_command(out, "READY", &[&counter, &boxed]);
        let session = Session::new(
            shared.derive(nonce::FROM_SERVER),
            nonce::OF_READY,
            shared.derive(nonce::FROM_CLIENT),
            last,
        );
        Step::Sealed(metadata, session)
    }

    /// The client is refused: sends ERROR with a status code of ZAP (RFC 27), as libzmq does.
    pub(crate) fn refuse(&mut self, status: &str, out: &mut Vec<u8>) {
        self.state = State::Over;
        put_error(out, status);
    }
}
