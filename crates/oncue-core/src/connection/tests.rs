//! Handshakes against literal bytes of other implementations, against each other, and against noise.

use alloc::format;
use alloc::string::ToString;
use alloc::vec;

use super::*;
use crate::command::PROPERTIES_MAX;
use oncue_testing::{Rng, for_seeds};

/// All bytes that a SUB of libzmq sends at 3.1.
fn greeting_3(minor: u8, mechanism: &str) -> Vec<u8> {
    let mut wire = b"\xff\0\0\0\0\0\0\0\x01\x7f\x03".to_vec();
    wire.push(minor);
    wire.extend_from_slice(mechanism.as_bytes());
    wire.resize(64, 0);
    wire
}

const READY_SUB: &[u8] = b"\x04\x19\x05READY\x0bSocket-Type\0\0\0\x03SUB";
const READY_XPUB: &[u8] = b"\x04\x1a\x05READY\x0bSocket-Type\0\0\0\x04XPUB";

fn handshake(socket_type: SocketType) -> (Handshake, Vec<u8>) {
    let mut handshake = Handshake::new(HandshakeConfig::new(socket_type));
    let mut out = vec![];
    handshake.start(&mut out);
    (handshake, out)
}

/// The peer, and the bytes after the handshake.
type Outcome = Result<(PeerInfo, Vec<u8>), HandshakeError>;

/// Passes `bytes` one at a time; returns all that was sent, and how the handshake ended.
fn feed(socket_type: SocketType, bytes: &[u8]) -> (Vec<u8>, Outcome) {
    let (mut handshake, mut out) = handshake(socket_type);
    let mut pending = vec![];
    for (i, byte) in bytes.iter().enumerate() {
        pending.push(*byte);
        match handshake.receive(&pending, &mut out) {
            Ok(Progress { consumed, news: News::NeedsMore }) => drop(pending.drain(..consumed)),
            Ok(Progress { consumed, news }) => {
                let peer = news.peer().expect("NULL asks nobody");
                pending.drain(..consumed);
                pending.extend_from_slice(&bytes[i + 1..]);
                return (out, Ok((peer, pending)));
            }
            Err(fault) => return (out, Err(fault)),
        }
    }
    panic!("the handshake did not end");
}

#[test]
fn version_3_1_with_3_1() {
    let bytes = [&greeting_3(1, "NULL")[..], READY_SUB, b"\x04\x0b\x09SUBSCRIBEA"].concat();
    let (out, done) = feed(SocketType::XPub, &bytes);
    assert_eq!(out, [&greeting_3(1, "NULL")[..], READY_XPUB].concat());
    let (peer, rest) = done.unwrap();
    let socket_type = SocketType::Sub;
    let expected =
        PeerInfo { version: Version::V3_1, socket_type, identity: vec![], properties: Metadata::new() };
    assert_eq!(peer, expected);
    assert_eq!(rest, b"\x04\x0b\x09SUBSCRIBEA");
}

#[test]
fn version_3_1_with_3_0() {
    let bytes = [&greeting_3(0, "NULL")[..], READY_SUB, b"\x00\x02\x01A"].concat();
    let (out, done) = feed(SocketType::XPub, &bytes);
    assert_eq!(out, [&greeting_3(1, "NULL")[..], READY_XPUB].concat());
    let (peer, rest) = done.unwrap();
    assert_eq!((peer.version, peer.socket_type), (Version::V3_0, SocketType::Sub));
    assert_eq!(rest, b"\x00\x02\x01A");
}

#[test]
fn version_3_1_with_2_0() {
    let bytes = b"\xff\0\0\0\0\0\0\0\x01\x7f\x01\x02\x00\x03abc\x00\x02\x01A";
    let (mut handshake, mut out) = handshake(SocketType::XPub);
    let progress = handshake.receive(bytes, &mut out).unwrap();
    // A 2.0 peer receives our greeting only up to the major version, then what 2.0 requires: PUB and an identity.
    assert_eq!(out, b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\x01\x00\x00");
    let (socket_type, properties) = (SocketType::Sub, Metadata::new());
    let peer = PeerInfo { version: Version::V2_0, socket_type, identity: b"abc".to_vec(), properties };
    assert_eq!((progress.consumed, progress.news.peer()), (bytes.len() - 4, Some(peer.clone())));
    let (out_again, done) = feed(SocketType::XPub, bytes);
    assert_eq!(out_again, out);
    assert_eq!(done, Ok((peer, b"\x00\x02\x01A".to_vec())));
}

#[test]
fn our_identity_and_properties_are_told() {
    let mut config = HandshakeConfig::new(SocketType::Sub);
    config.identity = b"me".to_vec();
    config.properties = vec![("X-Own".to_string(), b"1".to_vec())];
    let run = |bytes: &[u8]| {
        let (mut handshake, mut out) = (Handshake::new(config.clone()), vec![]);
        handshake.receive(bytes, &mut out).unwrap();
        out
    };
    let ready = b"\x04\x33\x05READY\x0bSocket-Type\0\0\0\x03SUB\x08Identity\0\0\0\x02me\x05X-Own\0\0\0\x011";
    assert!(run(&greeting_3(1, "NULL")).ends_with(ready));
    assert!(run(b"\xff\0\0\0\0\0\0\0\x01\x7f\x01").ends_with(b"\x02\x00\x02me"));
}

/// The two sides of a connection, and the bytes in transit.
struct Side {
    handshake: Handshake,
    out: Vec<u8>,
    pending: Vec<u8>,
    peer: Option<PeerInfo>,
}

impl Side {
    fn new(socket_type: SocketType, name: &str) -> Side {
        let mut config = HandshakeConfig::new(socket_type);
        config.identity = name.as_bytes().to_vec();
        config.properties = vec![(format!("X-{name}"), vec![b'v'; 300])];
        let (mut handshake, mut out) = (Handshake::new(config), vec![]);
        handshake.start(&mut out);
        Side { handshake, out, pending: vec![], peer: None }
    }

    fn receive(&mut self, bytes: impl Iterator<Item = u8>) -> Result<(), HandshakeError> {
        self.pending.extend(bytes);
        let progress = self.handshake.receive(&self.pending, &mut self.out)?;
        self.pending.drain(..progress.consumed);
        let peer = progress.news.peer();
        if peer.is_some() {
            assert!(self.peer.is_none());
            self.peer = peer;
            self.out.extend_from_slice(b"traffic");
        }
        Ok(())
    }
}

/// Transfers bytes between two sides, in random pieces, until both have received all.
fn connect(rng: &mut Rng, sides: &mut [Side; 2]) -> Result<(), HandshakeError> {
    let piece_max = if rng.one_in(2) { 4 } else { 500 };
    while sides.iter().any(|side| !side.out.is_empty()) {
        let [a, b] = &mut *sides;
        let (from, to) = if rng.one_in(2) { (a, b) } else { (b, a) };
        let len = rng.below(piece_max + 1).min(from.out.len());
        to.receive(from.out.drain(..len))?;
    }
    Ok(())
}

#[test]
fn our_own_sockets_agree_or_refuse() {
    for_seeds(100, |rng| {
        for ours in SocketType::ALL {
            for theirs in SocketType::ALL {
                let mut sides = [Side::new(ours, "a"), Side::new(theirs, "b")];
                let result = connect(rng, &mut sides);
                if ours.publishes() == theirs.publishes() {
                    let fault = result.unwrap_err();
                    assert!(matches!(fault, HandshakeError::SocketType { .. }), "{ours} {theirs}: {fault}");
                    continue;
                }
                assert_eq!(result, Ok(()), "{ours} {theirs}");
                for (side, (expected, name)) in sides.iter().zip([(theirs, "b"), (ours, "a")]) {
                    let peer = side.peer.as_ref().unwrap();
                    assert_eq!((peer.version, peer.socket_type), (Version::V3_1, expected));
                    assert_eq!(peer.identity, name.as_bytes());
                    let property = (format!("X-{name}").into_bytes(), vec![b'v'; 300]);
                    let properties =
                        peer.properties.iter().map(|(name, value)| (name.to_vec(), value.to_vec()));
                    assert_eq!(properties.collect::<Vec<_>>(), [property]);
                    assert_eq!(side.pending, b"traffic");
                }
            }
        }
    });
}

#[test]
fn sockets_that_do_not_fit_are_told_and_named() {
    let ready = |name: &str| {
        let mut metadata = Metadata::new();
        metadata.add(b"socket-type", name.as_bytes());
        let mut wire = greeting_3(1, "NULL");
        crate::command::put_ready(&mut wire, &metadata);
        wire
    };
    let (out, fault) = feed(SocketType::Pub, &ready("REQ"));
    assert!(out.ends_with(b"\x04\x2c\x05ERROR\x25Socket-Type:-PUB-does-not-talk-to-REQ"));
    let says = |ours, theirs: &str| feed(ours, &ready(theirs)).1.unwrap_err().to_string();
    assert_eq!(
        fault.unwrap_err().to_string(),
        "the peer's socket type is REQ; ours is PUB, which talks to SUB and XSUB only"
    );
    assert_eq!(
        says(SocketType::XSub, "SUB"),
        "the peer's socket type is SUB; ours is XSUB, which talks to PUB and XPUB only"
    );
    assert!(says(SocketType::Sub, "pub").contains("is \"pub\";"));
    assert!(says(SocketType::Sub, "\n23456789012345678").contains("is \"\\n234567890123456\";"));
}

#[test]
fn a_2_0_peer_that_does_not_fit_is_named_and_told_nothing() {
    let run = |number| feed(SocketType::Pub, &[&b"\xff\0\0\0\0\0\0\0\x01\x7f\x01"[..], &[number]].concat());
    for (number, name) in [(1, "PUB"), (9, "XPUB"), (3, "REQ"), (0, "PAIR"), (11, "number 11")] {
        let (out, fault) = run(number);
        assert!(out.ends_with(b"\x01\x00\x00"), "{}", out.escape_ascii());
        let says = format!("the peer's socket type is {name}; ours is PUB, which talks to SUB and XSUB only");
        assert_eq!(fault.unwrap_err().to_string(), says);
    }
}

#[test]
fn a_2_0_peer_may_be_xsub() {
    let (_, done) = feed(SocketType::Pub, b"\xff\0\0\0\0\0\0\0\x01\x7f\x01\x0a\x00\x00");
    assert_eq!(done.unwrap().0.socket_type, SocketType::XSub);
}

#[test]
fn a_peer_that_names_no_socket_type_is_the_plain_counterpart() {
    let bytes = [&greeting_3(0, "NULL")[..], b"\x04\x06\x05READY"].concat();
    let socket_type = |ours| feed(ours, &bytes).1.unwrap().0.socket_type;
    assert_eq!(socket_type(SocketType::XPub), SocketType::Sub);
    assert_eq!(socket_type(SocketType::XSub), SocketType::Pub);
}

#[test]
fn other_mechanisms_are_named() {
    let (out, fault) = feed(SocketType::Pub, &greeting_3(1, "CURVE"));
    assert_eq!(out, greeting_3(1, "NULL"));
    assert_eq!(
        fault.unwrap_err().to_string(),
        "the peer requires the security mechanism \"CURVE\", this side \"NULL\"; both must use the same"
    );
}

#[test]
fn a_refusal_is_passed_on() {
    let bytes = [&greeting_3(1, "NULL")[..], b"\x04\x0a\x05ERROR\x03no\n"].concat();
    let fault = feed(SocketType::Pub, &bytes).1.unwrap_err();
    assert_eq!(fault, HandshakeError::Refused(b"no\n".to_vec()));
    assert_eq!(fault.to_string(), "the peer refused the connection: \"no\\n\"");
}

#[test]
fn faults_end_the_handshake_and_are_named() {
    let after_greeting = |bytes: &[u8]| {
        let bytes = [&greeting_3(1, "NULL")[..], bytes].concat();
        match feed(SocketType::XPub, &bytes).1 {
            Err(HandshakeError::Protocol(fault)) => fault,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(after_greeting(b"\x00\x02"), ProtocolError::UnexpectedInHandshake);
    assert_eq!(after_greeting(b"\x04\x07\x04PING\0\0"), ProtocolError::UnexpectedInHandshake);
    assert_eq!(after_greeting(b"\x04\x03\x05REA"), ProtocolError::CommandMalformed(""));
    assert_eq!(after_greeting(b"\x04\x07\x05READYx"), ProtocolError::MetadataMalformed);
    assert_eq!(after_greeting(b"\x05\x06"), ProtocolError::CommandWithMore);
    assert_eq!(after_greeting(b"\x08"), ProtocolError::ReservedFlags(8));
    let too_long = ProtocolError::CommandTooLong { bytes: 65537, max: 65536 };
    assert_eq!(after_greeting(b"\x06\0\0\0\0\0\x01\0\x01"), too_long);
    let mut metadata = Metadata::new();
    metadata.add(IDENTITY, &[1; 256]);
    let mut ready = vec![];
    crate::command::put_ready(&mut ready, &metadata);
    assert_eq!(after_greeting(&ready), ProtocolError::IdentityTooLong);

    let identity_2 = |bytes: &[u8]| {
        let bytes = [&b"\xff\0\0\0\0\0\0\0\x01\x7f\x01\x02"[..], bytes].concat();
        feed(SocketType::XPub, &bytes).1.unwrap_err()
    };
    assert_eq!(identity_2(b"\x01\x00"), ProtocolError::UnexpectedInHandshake.into());
    assert_eq!(identity_2(b"\x04\x00"), ProtocolError::UnexpectedInHandshake.into());
    assert_eq!(identity_2(b"\x02\0\0\0\0\0\0\x01\0"), ProtocolError::IdentityTooLong.into());
    assert_eq!(feed(SocketType::Pub, b"\x01\x00").1.unwrap_err(), ProtocolError::Version1.into());
}

#[test]
fn a_peer_that_leaves_early_is_told_apart_by_how_far_it_got() {
    let (mut handshake, mut out) = handshake(SocketType::Pub);
    let greeting = greeting_3(1, "NULL");
    assert_eq!(handshake.receive(&greeting[..63], &mut out).unwrap().consumed, 11);
    let says = handshake.closed_by_peer().to_string();
    assert_eq!(
        says,
        "the peer closed the connection before its greeting was complete; perhaps it is not a ZeroMQ socket"
    );
    handshake.receive(&greeting[11..], &mut out).unwrap();
    let says = handshake.closed_by_peer().to_string();
    assert!(says.ends_with("perhaps its socket does not talk to PUB"), "{says}");
}

#[test]
fn nothing_is_taken_once_it_is_over() {
    let (mut handshake, mut out) = handshake(SocketType::XPub);
    let bytes = [&greeting_3(1, "NULL")[..], READY_SUB].concat();
    assert!(handshake.receive(&bytes, &mut out).unwrap().news.peer().is_some());
    let sent = out.len();
    assert_eq!(takes(&mut handshake, &bytes), 0);
    assert_eq!(out.len(), sent);
}

#[test]
fn noise_costs_no_more_than_a_connection() {
    for_seeds(20_000, |rng| {
        let mut bytes = match rng.below(4) {
            0 => b"\xff\0\0\0\0\0\0\0\x01\x7f\x01\x02\x00\x03abc".to_vec(),
            1 => rng.bytes(100),
            minor => [&greeting_3(minor as u8 - 2, "NULL")[..], READY_SUB].concat(),
        };
        rng.damage(&mut bytes);
        let tail = rng.below(200);
        bytes.extend(rng.bytes(tail));
        let (mut handshake, mut out) = handshake(SocketType::XPub);
        let mut pending = vec![];
        while !bytes.is_empty() {
            pending.extend(bytes.drain(..1 + rng.below(bytes.len())));
            match handshake.receive(&pending, &mut out) {
                Ok(Progress { news: News::NeedsMore, consumed }) => drop(pending.drain(..consumed)),
                _ => break,
            }
            assert!(pending.len() <= HANDSHAKE_UNCONSUMED_BYTES_MAX);
        }
        assert!(out.len() <= 64 + READY_XPUB.len() + 300);
    });
}

#[test]
fn what_a_handshake_leaves_to_its_caller_is_bounded() {
    let (mut handshake, mut out) = handshake(SocketType::XPub);
    let mut pending = [&greeting_3(1, "NULL")[..], b"\x06\0\0\0\0\0\x01\0\0\x05READY"].concat();
    pending.resize(64 + HANDSHAKE_UNCONSUMED_BYTES_MAX - 1, 0);
    assert_eq!(takes(&mut handshake, &pending), 64);
    pending.drain(..64);
    pending.push(0);
    assert_eq!(handshake.receive(&pending, &mut out).unwrap_err(), ProtocolError::MetadataMalformed.into());
}

#[test]
fn configurations_are_checked() {
    let check = |change: &dyn Fn(&mut HandshakeConfig)| {
        let mut config = HandshakeConfig::new(SocketType::Pub);
        change(&mut config);
        config.check()
    };
    let property = |name: &str, len| (name.to_string(), vec![0; len]);
    let fault = |change: &dyn Fn(&mut HandshakeConfig)| check(change).unwrap_err();
    assert_eq!(check(&|_| ()), Ok(()));
    assert!(fault(&|config| config.identity = vec![1; 256]).contains("longer than 255"));
    for name in ["", "a b"] {
        assert!(fault(&|config| config.properties = vec![property(name, 1)]).contains("is not 1 to 255"));
    }
    for name in ["socket-type", "IDENTITY"] {
        assert!(fault(&|config| config.properties = vec![property(name, 1)]).contains("of their own"));
    }
    let twice = || vec![property("X-a", 1), property("x-A", 1)];
    assert!(fault(&|config| config.properties = twice()).contains("the same name"));
    assert!(fault(&|config| config.properties = vec![property("X-a", 1 << 20)]).contains("32 KiB"));
    let many = || vec![property("X-a", 0); READY_PROPERTIES_MAX + 1];
    assert!(fault(&|config| config.properties = many()).contains("more than 64"));
    // A configuration that passes the check is accepted by our own side as a peer.
    let largest = |config: &mut HandshakeConfig| {
        config.identity = vec![1; IDENTITY_BYTES_MAX];
        let name = |i| format!("X-{i:03}");
        config.properties = (0..READY_PROPERTIES_MAX).map(|i| property(&name(i), 507)).collect();
    };
    assert_eq!(check(&largest), Ok(()));
    let mut config = HandshakeConfig::new(SocketType::Pub);
    largest(&mut config);
    let metadata = config.metadata();
    assert!(metadata.wire_len() + 6 <= COMMAND_BYTES_MAX as usize);
    assert!(metadata.iter().count() <= PROPERTIES_MAX);
}

#[test]
#[should_panic(expected = "the identity is longer than 255 bytes")]
fn a_wrong_configuration_is_not_silently_used() {
    let mut config = HandshakeConfig::new(SocketType::Pub);
    config.identity = vec![1; 256];
    Handshake::new(config);
}

#[test]
fn a_broken_protocol_is_the_source_of_a_failed_handshake() {
    use core::error::Error;
    let fault = HandshakeError::from(ProtocolError::IdentityTooLong);
    let source = fault.source().and_then(|source| source.downcast_ref());
    assert_eq!(source, Some(&ProtocolError::IdentityTooLong));
    assert!(HandshakeError::Refused(b"no".to_vec()).source().is_none());
}

/// A SUB that tells its socket type only after the peer.
fn ready_last() -> (Handshake, Vec<u8>) {
    let mut config = HandshakeConfig::new(SocketType::Sub);
    config.ready_last = true;
    let mut handshake = Handshake::new(config);
    let mut out = vec![];
    handshake.start(&mut out);
    (handshake, out)
}

#[test]
fn ready_comes_last_if_it_is_to() {
    let ready_sub = [&greeting_3(1, "NULL")[..], READY_SUB].concat();
    let (mut handshake, mut out) = ready_last();
    handshake.receive(&greeting_3(1, "NULL"), &mut out).unwrap();
    assert_eq!(out, greeting_3(1, "NULL"));
    let progress = handshake.receive(READY_XPUB, &mut out).unwrap();
    assert_eq!(progress.news.peer().map(|peer| peer.socket_type), Some(SocketType::XPub));
    assert_eq!(out, ready_sub);
    handshake.send_ready(&mut out).unwrap();
    assert_eq!(out, ready_sub, "once");

    // A peer that waits too.
    let (mut handshake, mut out) = ready_last();
    handshake.receive(&greeting_3(1, "NULL"), &mut out).unwrap();
    handshake.send_ready(&mut out).unwrap();
    handshake.send_ready(&mut out).unwrap();
    assert_eq!(out, ready_sub);
    assert!(handshake.receive(READY_XPUB, &mut out).unwrap().news.peer().is_some());
    assert_eq!(out, ready_sub);

    // A slow peer: the wait is over before its greeting has come.
    let (mut handshake, mut out) = ready_last();
    handshake.send_ready(&mut out).unwrap();
    handshake.receive(&greeting_3(1, "NULL"), &mut out).unwrap();
    assert_eq!(out, ready_sub);
}

#[test]
fn a_peer_that_does_not_fit_gets_an_error_and_no_ready_if_that_comes_last() {
    let (mut handshake, mut out) = ready_last();
    handshake.receive(&greeting_3(1, "NULL"), &mut out).unwrap();
    let fault = handshake.receive(b"\x04\x19\x05READY\x0bSocket-Type\0\0\0\x03REP", &mut out).unwrap_err();
    assert_eq!(fault, HandshakeError::SocketType { peer: PeerType::Known("REP"), ours: SocketType::Sub });
    let mut expected = greeting_3(1, "NULL");
    put_error(&mut expected, &fault.reason_for_peer());
    assert_eq!(out, expected);
}

/// How many bytes a handshake takes that is not over with them.
fn takes(handshake: &mut Handshake, bytes: &[u8]) -> usize {
    let progress = handshake.receive(bytes, &mut Vec::new()).unwrap();
    assert!(matches!(progress.news, News::NeedsMore));
    progress.consumed
}
