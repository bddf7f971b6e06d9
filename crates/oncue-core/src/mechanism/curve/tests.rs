//! Both sides of the handshake against each other, and against every change that a stranger can make to its bytes.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use std::cell::Cell;
use std::format;
use std::string::ToString;

use oncue_testing::for_seeds;

use super::*;
use crate::command::Metadata;
use crate::frame::{ProtocolError, parse_header};
use crate::mechanism::{Credentials, Step};

std::thread_local! {
    static COUNTER: Cell<u64> = const { Cell::new(1) };
}

/// Bytes that differ from call to call: enough for a test.
fn random(bytes: &mut [u8]) {
    for byte in bytes {
        let next =
            COUNTER.get().wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        COUNTER.set(next);
        *byte = (next >> 56) as u8;
    }
}

fn metadata(socket_type: &str) -> Metadata {
    let mut metadata = Metadata::new();
    metadata.add(b"Socket-Type", socket_type.as_bytes());
    metadata
}

/// A client and a server that know each other.
fn sides() -> (Client, Server, PublicKey) {
    let (own, server) = (KeyPair::generate(random), KeyPair::generate(random));
    let public = *own.public();
    let keys = ClientKeys { own, server: *server.public() };
    let client = Client::new(Arc::new(keys), metadata("SUB"), random);
    (client, Server::new(Arc::new(server), metadata("XPUB"), random), public)
}

/// The body of the only frame in `wire`, which is a command.
fn body(wire: &[u8]) -> Vec<u8> {
    let header = parse_header(wire).unwrap().unwrap();
    assert!(header.command());
    assert_eq!(header.frame_len(), wire.len() as u64);
    wire[header.header_len..].to_vec()
}

/// The four commands of a handshake, and the sessions of client and server.
fn handshake(client: &mut Client, server: &mut Server, key: PublicKey) -> ([Vec<u8>; 4], Session, Session) {
    let mut out = [const { Vec::new() }; 4];
    client.start(&mut out[0]).unwrap();
    let [hello, welcome, initiate, ready] = &mut out;
    assert!(matches!(server.receive(&body(hello), welcome).unwrap(), Step::Continue));
    assert!(matches!(client.receive(&body(welcome), initiate).unwrap(), Step::Continue));
    match server.receive(&body(initiate), ready).unwrap() {
        Step::Authenticate(credentials) => assert_eq!(credentials, Credentials::Curve(key)),
        other => panic!("{other:?}"),
    }
    assert!(ready.is_empty());
    let Step::Sealed(theirs, of_server) = server.accept(ready) else { panic!("it is accepted") };
    assert_eq!(theirs, metadata("SUB"));
    let Step::Sealed(theirs, of_client) = client.receive(&body(ready), &mut Vec::new()).unwrap() else {
        panic!("READY ends it")
    };
    assert_eq!(theirs, metadata("XPUB"));
    (out, of_client, of_server)
}

/// A sealed frame.
fn sealed(sealer: &mut Sealer, content: &[u8], more: bool, command: bool) -> Vec<u8> {
    let mut body = vec![0; MESSAGE_OVERHEAD_BYTES];
    body.extend_from_slice(content);
    sealer.seal(&mut body, more, command);
    body
}

#[test]
fn the_commands_have_the_lengths_of_the_rfc_and_frames_go_both_ways() {
    let (mut client, mut server, key) = sides();
    let (commands, mut of_client, mut of_server) = handshake(&mut client, &mut server, key);
    let metadata = "\u{b}Socket-Type".len() + 4 + "SUB".len();
    let bodies = commands.map(|command| body(&command).len());
    assert_eq!(bodies, [200, 168, 257 + metadata, 30 + metadata + 1]);
    for (content, more, command) in
        [(&b""[..], false, false), (b"\x09SUBSCRIBEa", false, true), (&[7; 70_000], true, false)]
    {
        let mut body = sealed(&mut of_client.sealer, content, more, command);
        assert_eq!(of_server.opener.open(&mut body), Ok((more, command)));
        assert_eq!(&body[MESSAGE_OVERHEAD_BYTES..], content);
        let mut body = sealed(&mut of_server.sealer, content, more, command);
        assert!(content.len() < 8 || !body.windows(content.len()).any(|part| part == content));
        assert_eq!(of_client.opener.open(&mut body), Ok((more, command)));
        assert_eq!(&body[MESSAGE_OVERHEAD_BYTES..], content);
    }
}

/// A box that `crypto_box_easy` of libsodium 1.0.20 made: secret keys of 32 bytes 1 and 2, the nonce `CurveZMQMESSAGEC`, 3.
#[test]
fn a_box_of_libsodium_is_read_and_written() {
    const PUBLIC: &str = "ce8d3ad1ccb633ec7b70c17814a5c76ecd029685050d344745ba05870e587d59";
    const BOX: &str = concat!(
        "393cc2ab36768733af24a11b1ceb5d8f3ea68f5da1931c9b06ad585b77067b7a895e52d102857f65021b058f87fbeaec",
        "c514fc5ac30d638d2ee0b4a17ac089bb0c1c0f80e0ea2580445f1074a15a05f91b0ff303fc8b38d5f084e44b",
    );
    const PLAIN: &[u8] = b"a value that only one peer may read, longer than one block of the key stream";
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let (one, two) = (SecretKey::from_bytes([1; 32]), SecretKey::from_bytes([2; 32]));
    assert_eq!(hex(two.public().bytes()), PUBLIC);
    let mut boxed = Vec::new();
    let counter = 3_u64.to_be_bytes();
    let key = cipher::SharedKey::between(&one, &two.public()).unwrap();
    key.put_box(nonce::FROM_CLIENT, &counter, PLAIN, &mut boxed);
    assert_eq!(hex(&boxed), BOX);
    let key = cipher::SharedKey::between(&two, &one.public()).unwrap();
    assert_eq!(&**key.open_box(nonce::FROM_CLIENT, &counter, &boxed).unwrap(), PLAIN);
}

#[test]
fn replayed_reordered_and_changed_messages_are_refused() {
    let (mut client, mut server, key) = sides();
    let (_, mut of_client, mut of_server) = handshake(&mut client, &mut server, key);
    let first = sealed(&mut of_client.sealer, b"1", false, false);
    let second = sealed(&mut of_client.sealer, b"2", false, false);
    let opener = &mut of_server.opener;
    assert!(opener.open(&mut second.clone()).is_ok());
    assert_eq!(opener.open(&mut second.clone()), Err(CurveError::Nonce));
    assert_eq!(opener.open(&mut first.clone()), Err(CurveError::Nonce));
    let third = sealed(&mut of_client.sealer, b"3", false, false);
    for at in 0..third.len() {
        let mut changed = third.clone();
        changed[at] ^= 0x40;
        let error = opener.open(&mut changed.clone()).unwrap_err();
        let expected = match at {
            0..8 => CurveError::Clear,
            // A counter that is larger is another nonce, one that is lower an old one.
            8..16 => error,
            _ => CurveError::Box("MESSAGE"),
        };
        assert_eq!(error, expected, "byte {at}");
    }
    for len in 0..third.len() {
        assert!(opener.open(&mut third[..len].to_vec()).is_err());
    }
    // What was refused has changed nothing: gaps are allowed, until they are refused.
    assert!(opener.open(&mut third.clone()).is_ok());
    opener.refuse_gaps();
    let next: Vec<_> = (0..3).map(|_| sealed(&mut of_client.sealer, b"n", false, false)).collect();
    assert!(opener.open(&mut next[0].clone()).is_ok());
    assert_eq!(opener.open(&mut next[2].clone()), Err(CurveError::Nonce));
    assert!(opener.open(&mut next[1].clone()).is_ok());
}

#[test]
fn a_counter_is_used_again_only_if_its_frame_was_taken_back() {
    let (mut client, mut server, key) = sides();
    let (_, mut of_client, mut of_server) = handshake(&mut client, &mut server, key);
    let sent = sealed(&mut of_client.sealer, b"sent", false, false);
    let unsent = sealed(&mut of_client.sealer, b"unsent", false, false);
    of_client.sealer.take_back(1);
    let instead = sealed(&mut of_client.sealer, b"instead", false, false);
    assert_eq!(unsent[8..16], instead[8..16]);
    for mut body in [sent, instead] {
        of_server.opener.open(&mut body).unwrap();
    }
}

#[test]
fn no_change_of_a_command_is_accepted() {
    for_seeds(60, |rng| {
        let (mut client, mut server, key) = sides();
        let (commands, ..) = handshake(&mut client, &mut server, key);
        // The same handshake once more, with one command changed by one bit, cut, or grown.
        let (which, kind) = (rng.below(4) as usize, rng.below(3));
        let (mut client, mut server, _) = sides();
        let mut commands_again = [const { Vec::new() }; 4];
        drop(commands);
        let change = |command: &mut Vec<u8>, rng: &mut oncue_testing::Rng| {
            let mut changed = body(command);
            match kind {
                0 => {
                    let at = rng.below(changed.len() as u64) as usize;
                    changed[at] ^= 1 << rng.below(8);
                }
                1 => changed.truncate(rng.below(changed.len() as u64) as usize),
                _ => changed.push(rng.below(256) as u8),
            }
            changed
        };
        client.start(&mut commands_again[0]).unwrap();
        let mut out = Vec::new();
        let first = if which == 0 { change(&mut commands_again[0], rng) } else { body(&commands_again[0]) };
        let answered = server.receive(&first, &mut out);
        if which == 0 {
            return assert!(answered.is_err(), "HELLO");
        }
        let welcome = if which == 1 { change(&mut out, rng) } else { body(&out) };
        out.clear();
        let answered = client.receive(&welcome, &mut out);
        if which == 1 {
            return assert!(answered.is_err(), "WELCOME");
        }
        let initiate = if which == 2 { change(&mut out, rng) } else { body(&out) };
        out.clear();
        let answered = server.receive(&initiate, &mut out);
        if which == 2 {
            return assert!(answered.is_err(), "INITIATE");
        }
        drop(server.accept(&mut out));
        assert!(client.receive(&change(&mut out, rng), &mut Vec::new()).is_err(), "READY");
    });
}

#[test]
fn a_cookie_is_good_for_one_connection_alone() {
    let (mut client, mut server, _) = sides();
    let mut other = Server::new(server.keys(), metadata("XPUB"), random);
    let (mut hello, mut welcome, mut initiate) = (Vec::new(), Vec::new(), Vec::new());
    client.start(&mut hello).unwrap();
    server.receive(&body(&hello), &mut welcome).unwrap();
    client.receive(&body(&welcome), &mut initiate).unwrap();
    // The same HELLO on another connection is answered; its cookie is another one.
    other.receive(&body(&hello), &mut Vec::new()).unwrap();
    let error = other.receive(&body(&initiate), &mut Vec::new()).unwrap_err();
    assert_eq!(error, ProtocolError::Curve(CurveError::Cookie));
    // A second HELLO has no place.
    let error = server.receive(&body(&hello), &mut Vec::new()).unwrap_err();
    assert_eq!(error, ProtocolError::UnexpectedInHandshake);
}

#[test]
fn a_client_with_another_servers_key_is_told_apart() {
    let (_, mut server, _) = sides();
    let keys = ClientKeys { own: KeyPair::generate(random), server: *KeyPair::generate(random).public() };
    let mut client = Client::new(Arc::new(keys), metadata("SUB"), random);
    let mut hello = Vec::new();
    client.start(&mut hello).unwrap();
    let error = server.receive(&body(&hello), &mut Vec::new()).unwrap_err();
    assert_eq!(error, ProtocolError::Curve(CurveError::Box("HELLO")));
    assert!(error.to_string().contains("another server key"));
}

#[test]
fn keys_of_low_order_are_refused() {
    let mut one = [0; KEY_BYTES];
    one[0] = 1;
    for weak in [[0; KEY_BYTES], one] {
        let keys = ClientKeys { own: KeyPair::generate(random), server: PublicKey::from_bytes(weak) };
        let mut client = Client::new(Arc::new(keys), metadata("SUB"), random);
        assert_eq!(client.start(&mut Vec::new()), Err(CurveError::WeakKey));
        let (mut client, mut server, _) = sides();
        let mut hello = Vec::new();
        client.start(&mut hello).unwrap();
        let mut hello = body(&hello);
        hello[80..112].copy_from_slice(&weak);
        let error = server.receive(&hello, &mut Vec::new()).unwrap_err();
        assert_eq!(error, ProtocolError::Curve(CurveError::WeakKey));
    }
}

#[test]
fn another_version_is_named() {
    let (mut client, mut server, _) = sides();
    let mut hello = Vec::new();
    client.start(&mut hello).unwrap();
    let mut hello = body(&hello);
    hello[6..8].copy_from_slice(&[1, 1]);
    let error = server.receive(&hello, &mut Vec::new()).unwrap_err();
    assert_eq!(error, ProtocolError::Curve(CurveError::Version { major: 1, minor: 1 }));
}

#[test]
fn a_refused_client_gets_a_status_of_zap() {
    let (mut client, mut server, _) = sides();
    let (mut hello, mut welcome, mut initiate, mut error) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    client.start(&mut hello).unwrap();
    server.receive(&body(&hello), &mut welcome).unwrap();
    client.receive(&body(&welcome), &mut initiate).unwrap();
    server.receive(&body(&initiate), &mut Vec::new()).unwrap();
    server.refuse("400", &mut error);
    assert_eq!(error, b"\x04\x0a\x05ERROR\x03400");
    match client.receive(&body(&error), &mut Vec::new()).unwrap() {
        Step::Refused(reason) => assert_eq!(reason, b"400"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn no_secret_is_printed() {
    let (mut client, mut server, key) = sides();
    let pair = KeyPair::generate(random);
    let secret = pair.secret().to_z85();
    let text = format!("{pair:?} {client:?} {:?}", pair.secret());
    assert!(!text.contains(secret.as_str()));
    let (_, of_client, _) = handshake(&mut client, &mut server, key);
    for text in [format!("{of_client:?}"), format!("{server:?}"), text] {
        assert!(text.contains("SharedKey") || text.contains("hidden"), "{text}");
    }
}

#[test]
fn certificates_are_read_as_other_programs_write_them() {
    let pair = KeyPair::generate(random);
    let (public, secret) = (pair.public().to_string(), pair.secret().to_z85());
    let of_pyzmq = format!(
        "#   ****  Generated on 2026-01-01 00:00:00.000000 by pyzmq  ****\n#   ZeroMQ CURVE **Secret** Certificate\n\n\
         metadata\ncurve\n    public-key = \"{public}\"\n    secret-key = \"{}\"\n",
        *secret
    );
    let of_czmq = format!(
        "#   ZeroMQ CURVE Public Certificate\r\nmetadata\r\n    name = \"eve\"\r\ncurve\r\n    public-key = \"{public}\"  # ours\r\n"
    );
    let bare = format!("public-key={public}");
    let read = Certificate::parse(&of_pyzmq).unwrap();
    assert_eq!(read.pair().unwrap().secret().bytes(), pair.secret().bytes());
    let read = Certificate::parse(&of_czmq).unwrap();
    assert_eq!((read.public, read.secret.is_none()), (*pair.public(), true));
    assert_eq!(read.metadata, [(String::from("name"), String::from("eve"))]);
    assert_eq!(Certificate::parse(&bare).unwrap().public, *pair.public());
    // What this side writes comes back; the public file has no secret.
    let ours = Certificate {
        metadata: vec![("name".into(), "a \"b\"\nc".into())],
        ..Certificate::parse(&of_pyzmq).unwrap()
    };
    let again = Certificate::parse(&ours.write("by a test", true)).unwrap();
    assert_eq!((again.public, again.metadata), (ours.public, vec![("name".into(), "a bc".into())]));
    assert!(again.secret.is_some());
    assert!(!ours.write("by a test", false).contains(secret.as_str()));
    assert!(Certificate::parse(&ours.write("by a test", false)).unwrap().secret.is_none());
}

#[test]
fn a_property_is_written_so_that_it_is_read_again_whatever_its_name_is() {
    let pair = KeyPair::generate(random);
    let names = ["# a", "a = b", " c\u{1} ", "curve", "=", "\"#d", ""];
    let metadata = names.map(|name| (String::from(name), String::from("v = #1")));
    let ours = Certificate { public: *pair.public(), secret: None, metadata: metadata.into() };
    let again = Certificate::parse(&ours.write("a test", false)).unwrap();
    let found: Vec<_> = again.metadata.iter().map(|(name, value)| (&name[..], &value[..])).collect();
    let expected = ["a", "a  b", "c", "curve", "", "d", ""].map(|name| (name, "v = #1"));
    assert_eq!(found, expected);
    let stable = Certificate::parse(&again.write("", false)).unwrap();
    assert_eq!(stable.metadata, again.metadata);
}

#[test]
fn what_is_wrong_with_a_certificate_is_named() {
    let (one, other) = (KeyPair::generate(random), KeyPair::generate(random));
    let parse = |text: &str| Certificate::parse(text).unwrap_err().to_string();
    assert_eq!(parse(""), "there is no `public-key` in a section `curve`");
    assert_eq!(
        parse("curve\n  public-key = \"abc\""),
        "`public-key` in line 2: a key has 40 characters (Z85), this text has 3"
    );
    let mixed =
        format!("curve\n public-key = \"{}\"\n secret-key = \"{}\"", one.public(), *other.secret().to_z85());
    assert_eq!(parse(&mixed), "`public-key` is not the key of `secret-key`");
    for_seeds(200, |rng| {
        // Any text is refused or read, and never panics.
        let words =
            ["curve", "\n", "metadata", "public-key", "=", "\"", "'", " ", "#", "\u{e9}", "secret-key"];
        let text: String =
            (0..rng.below(20)).map(|_| words[rng.below(words.len() as u64) as usize]).collect();
        drop(Certificate::parse(&text));
    });
}
