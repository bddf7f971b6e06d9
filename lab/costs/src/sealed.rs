//! The other side of an encrypted connection: a raw peer, with the handshake and the sealing of oncue-core.

use std::sync::Arc;

use oncue::curve::{KEY_BYTES, KeyPair, SecretKey};
use oncue_core::command::Metadata;
use oncue_core::frame::put_header;
use oncue_core::mechanism::curve::{ClientKeys, MESSAGE_OVERHEAD_BYTES, Sealer, Session};
use oncue_core::mechanism::{Mechanism, Security, Step};

use crate::raw::{GREETING, Peer, wire_bytes};

/// The keys of the server, whichever side that is.
pub(crate) fn server() -> KeyPair {
    KeyPair::from(SecretKey::from_bytes([1; KEY_BYTES]))
}

/// Those of the client.
pub(crate) fn client() -> KeyPair {
    KeyPair::from(SecretKey::from_bytes([2; KEY_BYTES]))
}

/// How many bytes a message of one frame of `len` bytes takes on the wire.
pub(crate) const fn sealed_bytes(len: usize) -> usize {
    wire_bytes(MESSAGE_OVERHEAD_BYTES + len)
}

/// A peer that is the client, and subscribes to everything.
pub(crate) fn subscriber() -> Peer {
    let keys = ClientKeys { own: client(), server: *server().public() };
    let (mut peer, mut sealer) =
        shake_hands(Peer::connect(), &Security::CurveClient(Arc::new(keys), fill), "SUB");
    let mut wire = Vec::new();
    put_sealed(&mut sealer, b"\x09SUBSCRIBE", true, &mut wire);
    peer.write(&wire);
    peer
}

/// What a peer that is the server, and publishes, is to begin with.
pub(crate) fn publisher(peer: Peer) -> (Peer, Sealer) {
    shake_hands(peer, &Security::CurveServer(Arc::new(server()), fill), "PUB")
}

/// Appends one frame, sealed.
pub(crate) fn put_sealed(sealer: &mut Sealer, content: &[u8], is_command: bool, wire: &mut Vec<u8>) {
    put_header(wire, 0, (MESSAGE_OVERHEAD_BYTES + content.len()) as u64);
    let body = wire.len();
    wire.resize(body + MESSAGE_OVERHEAD_BYTES, 0);
    wire.extend_from_slice(content);
    sealer.seal(&mut wire[body..], false, is_command);
}

/// Every run draws the same keys.
fn fill(bytes: &mut [u8]) {
    bytes.fill(3);
}

fn shake_hands(mut peer: Peer, security: &Security, socket_type: &str) -> (Peer, Sealer) {
    let mut greeting = *GREETING;
    greeting[12..32].copy_from_slice(b"CURVE\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    peer.write(&greeting);
    peer.read(GREETING.len());
    let mut metadata = Metadata::new();
    metadata.add(b"Socket-Type", socket_type.as_bytes());
    let mut mechanism = Mechanism::new(security, metadata);
    let mut out = Vec::new();
    mechanism.start(&mut out).expect("good keys");
    loop {
        peer.write(&out);
        out.clear();
        let body = peer.read_command();
        let mut step = mechanism.receive(&body, &mut out).expect("the peer keeps to the protocol");
        if let Step::Authenticate(_) = step {
            step = mechanism.accept(&mut out);
        }
        if let Step::Sealed(_, Session { sealer, .. }) = step {
            peer.write(&out);
            return (peer, sealer);
        }
    }
}
