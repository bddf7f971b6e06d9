//! One side of a handshake, played against literal bytes.

use std::cell::Cell;
use std::sync::Arc;

use oncue_core::command::Metadata;
use oncue_core::connection::{
    HANDSHAKE_UNCONSUMED_BYTES_MAX, Handshake, HandshakeConfig, HandshakeError, News, PeerInfo, SocketType,
};
use oncue_core::frame::{COMMAND, put_header};
use oncue_core::greeting::{self, MechanismName};
use oncue_core::mechanism::curve::{ClientKeys, KeyPair, SecretKey, Session};
use oncue_core::mechanism::{Credentials, Security};

thread_local! {
    static RANDOM: Cell<u64> = const { Cell::new(0) };
}

/// Random bytes that a run can repeat; [`repeat_random`] begins them anew.
pub fn random(bytes: &mut [u8]) {
    for byte in bytes {
        // SplitMix64.
        let seed = RANDOM.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
        RANDOM.set(seed);
        let state = (seed ^ (seed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        *byte = (state >> 40) as u8;
    }
}

pub fn repeat_random() {
    RANDOM.set(1);
}

/// The permanent keys of the server and of the client.
pub fn server_keys() -> KeyPair {
    KeyPair::from(SecretKey::from_bytes([2; 32]))
}

pub fn client_keys() -> KeyPair {
    KeyPair::from(SecretKey::from_bytes([3; 32]))
}

pub fn curve_server() -> Security {
    Security::CurveServer(Arc::new(server_keys()), random)
}

pub fn curve_client() -> Security {
    let keys = ClientKeys { own: client_keys(), server: *server_keys().public() };
    Security::CurveClient(Arc::new(keys), random)
}

/// Appends a command.
pub fn put_command(out: &mut Vec<u8>, name: &str, data: &[&[u8]]) {
    let data = data.concat();
    put_header(out, COMMAND, (1 + name.len() + data.len()) as u64);
    out.push(name.len() as u8);
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(&data);
}

/// A greeting of ZMTP 3.1.
pub fn greeting(mechanism: MechanismName, as_server: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    greeting::put_first_part(&mut bytes);
    greeting::put_rest(&mut bytes, mechanism, as_server);
    bytes
}

pub fn metadata(socket_type: &str) -> Metadata {
    let mut metadata = Metadata::new();
    metadata.add(b"Socket-Type", socket_type.as_bytes());
    metadata
}

/// What has become of one handshake.
#[derive(Debug, PartialEq)]
pub struct Outcome {
    /// Who was asked about.
    pub asked: Vec<Credentials>,
    pub end: Result<Option<PeerInfo>, HandshakeError>,
    /// The bytes sent, and how many were consumed.
    pub out: Vec<u8>,
    pub consumed: usize,
}

/// One side of a handshake.
pub struct Side {
    pub handshake: Handshake,
    pub accepts: bool,
    pub outcome: Outcome,
    pub session: Option<Session>,
    received: Vec<u8>,
    refused: bool,
}

impl Side {
    pub fn new(security: Security, socket_type: SocketType, accepts: bool) -> Side {
        let mut handshake = Handshake::new(HandshakeConfig { security, ..HandshakeConfig::new(socket_type) });
        let mut out = Vec::new();
        handshake.start(&mut out);
        let outcome = Outcome { asked: Vec::new(), end: Ok(None), out, consumed: 0 };
        Side { handshake, accepts, outcome, session: None, received: Vec::new(), refused: false }
    }

    pub fn is_over(&self) -> bool {
        self.refused || !matches!(self.outcome.end, Ok(None))
    }

    pub fn is_done(&self) -> bool {
        matches!(self.outcome.end, Ok(Some(_)))
    }

    /// Takes bytes of the peer.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.received.extend_from_slice(bytes);
        while !self.is_over() {
            let Outcome { asked, end, out, consumed } = &mut self.outcome;
            let progress = match self.handshake.receive(&self.received[*consumed..], out) {
                Ok(progress) => progress,
                Err(fault) => {
                    assert!(!fault.to_string().is_empty());
                    *end = Err(fault);
                    return;
                }
            };
            *consumed += progress.consumed;
            let established = match progress.news {
                News::NeedsMore => {
                    assert!(self.received.len() - *consumed <= HANDSHAKE_UNCONSUMED_BYTES_MAX);
                    return;
                }
                News::Done(established) => Some(established),
                News::Asks(credentials) => {
                    asked.push(credentials);
                    // Nothing happens until somebody decides.
                    let more = self.handshake.receive(&self.received[*consumed..], out).unwrap();
                    assert!(more.consumed == 0 && matches!(more.news, News::NeedsMore));
                    if !self.accepts {
                        self.handshake.refuse("400", out);
                        self.refused = true;
                        return;
                    }
                    match self.handshake.accept(out) {
                        Ok(established) => established,
                        Err(fault) => {
                            *end = Err(fault);
                            return;
                        }
                    }
                }
            };
            if let Some(established) = established {
                self.session = established.session;
                *end = Ok(Some(established.peer));
            }
        }
    }
}

/// Plays a handshake against `bytes` that arrive in pieces.
pub fn play(
    security: Security,
    socket_type: SocketType,
    accepts: bool,
    bytes: &[u8],
    piece_len: usize,
) -> Outcome {
    repeat_random();
    let mut side = Side::new(security, socket_type, accepts);
    for piece in bytes.chunks(piece_len) {
        side.receive(piece);
        if side.is_over() {
            break;
        }
    }
    side.outcome
}

/// Plays it against the bytes as a whole and in pieces: the outcome must be the same, and the answers short.
pub fn play_both(
    security: Security,
    socket_type: SocketType,
    accepts: bool,
    bytes: &[u8],
    piece_len: usize,
) -> Outcome {
    let whole = play(security.clone(), socket_type, accepts, bytes, usize::MAX);
    let pieces = play(security, socket_type, accepts, bytes, piece_len);
    // If the first byte is not that of a ZMTP greeting, the error may report fewer of the received bytes.
    if bytes.first() == Some(&0xff) {
        assert_eq!((&whole.end, &whole.asked, &whole.out), (&pieces.end, &pieces.asked, &pieces.out));
        // A fault may be found before the preceding parts were counted.
        assert!(whole.end.is_err() || whole.consumed == pieces.consumed);
    }
    assert!(whole.out.len() < 1000, "{}", whole.out.len());
    assert!(whole.asked.len() <= 1 && (accepts || whole.asked.is_empty() || whole.end == Ok(None)));
    whole
}
