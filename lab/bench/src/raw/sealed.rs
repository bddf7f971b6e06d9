//! A CURVE client (RFC 26) without a socket library. The handshake and what is sent are sealed by oncue-core; of what is received only
//! the beginning is deciphered, at the cost of one block of Salsa20 for a message of any size.

use std::cell::Cell;
use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;

use curve25519_dalek::MontgomeryPoint;
use oncue_core::command::Metadata;
use oncue_core::frame::parse_header;
use oncue_core::mechanism::curve::{ClientKeys, KEY_BYTES, MESSAGE_OVERHEAD_BYTES, PublicKey, Sealer};
use oncue_core::mechanism::{Mechanism, Security, Step};
use salsa20::cipher::consts::U10;
use salsa20::cipher::{KeyIvInit, StreamCipher};
use salsa20::{Salsa20, hsalsa};

use super::wire;
use crate::Outcome;
use crate::frame::mix;
use crate::keys;
use crate::measure::now_nanos;

/// In the body of a MESSAGE, behind its name: a counter, and the box.
const COUNTER: std::ops::Range<usize> = 8..16;
/// The tag of a box is in front of it, and takes the first bytes of the key stream.
const TAG_BYTES: usize = 16;
const TAG_KEY_BYTES: usize = 32;

/// The keys of one connection.
pub struct Sealed {
    sealer: Sealer,
    key: [u8; KEY_BYTES],
}

thread_local! {
    /// The last 32 random bytes that were drawn: the secret key of a connection in its handshake.
    static DRAWN: Cell<[u8; KEY_BYTES]> = const { Cell::new([0; KEY_BYTES]) };
}

/// Numbers that differ from connection to connection; nobody is to be kept from guessing them.
fn random(bytes: &mut [u8]) {
    let start = now_nanos();
    for (number, bytes) in (start..).zip(bytes.chunks_mut(8)) {
        bytes.copy_from_slice(&mix(number).to_le_bytes()[..bytes.len()]);
    }
    if let Ok(key) = <[u8; KEY_BYTES]>::try_from(&*bytes) {
        DRAWN.set(key);
    }
}

/// Does the handshake as a peer of this socket type. Returns also whether the other side understands SUBSCRIBE commands.
pub fn shake_hands(stream: &mut TcpStream, socket_type: &str) -> Outcome<(Sealed, bool)> {
    let commands = wire::greet(stream, b"CURVE")?;
    let server = *keys::server().public();
    let keys = ClientKeys { own: keys::client(), server };
    let mut metadata = Metadata::new();
    metadata.add(b"Socket-Type", socket_type.as_bytes());
    let mut mechanism = Mechanism::new(&Security::CurveClient(Arc::new(keys), random), metadata);
    let secret = DRAWN.get();

    let mut out = Vec::new();
    mechanism.start(&mut out)?;
    stream.write_all(&out)?;
    let (_, welcome) = wire::read_frame(stream)?;
    out.clear();
    mechanism.receive(&welcome, &mut out)?;
    stream.write_all(&out)?;
    let (_, ready) = wire::read_frame(stream)?;
    let Step::Sealed(_, session) = mechanism.receive(&ready, &mut Vec::new())? else {
        return Err("the publisher has refused the handshake".into());
    };

    // The publisher's key of this connection is what the WELCOME begins with.
    let (nonce, boxed) = welcome[8..].split_at(16);
    let prefix: [u8; 16] = [b"WELCOME-", &nonce[..8]].concat().try_into().expect("16 bytes");
    let (mut theirs, at) = ([0; KEY_BYTES], TAG_BYTES);
    theirs.copy_from_slice(&boxed[at..at + KEY_BYTES]);
    decipher(&hash(&shared(&secret, &server), &prefix), &nonce[8..], &mut theirs);
    let key = hash(&shared(&secret, &PublicKey::from_bytes(theirs)), b"CurveZMQMESSAGES");
    Ok((Sealed { sealer: session.sealer, key }, commands))
}

impl Sealed {
    /// Seals frames whose bodies are short.
    pub fn seal_short(&mut self, mut frames: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        while let Some(header) = parse_header(frames).expect("our own frames") {
            let (content, rest) = frames[header.header_len..].split_at(header.body_len as usize);
            frames = rest;
            let body = out.len() + wire::header_bytes(MESSAGE_OVERHEAD_BYTES + content.len());
            wire::put_header(MESSAGE_OVERHEAD_BYTES + content.len(), &mut out);
            out.resize(body + MESSAGE_OVERHEAD_BYTES, 0);
            out.extend_from_slice(content);
            self.sealer.seal(&mut out[body..], false, header.command());
        }
        out
    }

    /// The sequence number of a message without a topic, with its header.
    pub fn seq(&self, message: &[u8]) -> Option<u64> {
        let body = &message[parse_header(message).ok()??.header_len..];
        let mut start: [u8; 9] = body.get(MESSAGE_OVERHEAD_BYTES - 1..)?.get(..9)?.try_into().ok()?;
        decipher(&self.key, &body[COUNTER], &mut start);
        let (flags, seq) = start.split_first_chunk::<1>()?;
        (*flags == [0]).then(|| u64::from_le_bytes(seq.try_into().expect("8 bytes")))
    }
}

fn shared(secret: &[u8; KEY_BYTES], public: &PublicKey) -> [u8; KEY_BYTES] {
    let point = MontgomeryPoint(*public.bytes()).mul_clamped(*secret);
    hash(&point.to_bytes(), &[0; 16])
}

fn hash(key: &[u8; KEY_BYTES], input: &[u8; 16]) -> [u8; KEY_BYTES] {
    hsalsa::<U10>(&(*key).into(), &(*input).into()).into()
}

/// Deciphers the beginning of what is in a box, without looking at its tag.
fn decipher(key: &[u8; KEY_BYTES], counter: &[u8], start: &mut [u8]) {
    let counter: [u8; 8] = counter.try_into().expect("8 bytes");
    let mut stream = Salsa20::new(&(*key).into(), &counter.into());
    stream.apply_keystream(&mut [0; TAG_KEY_BYTES]);
    stream.apply_keystream(start);
}
