//! CURVE (RFC 26) as another program would write it, on another implementation of its boxes. It has genuine keys, and says
//! what the script has it say. What our side must make of it is predicted here.

use crypto_box::aead::Aead;
use crypto_box::{PublicKey, SalsaBox, SecretKey};
use oncue_core::command::Metadata;
use oncue_core::connection::SocketType;
use oncue_core::frame::parse_header;
use oncue_core::mechanism::Credentials;
use oncue_core::mechanism::curve::{MESSAGE_OVERHEAD_BYTES, NAME};

use crate::handshake::{self, Side, greeting, put_command, repeat_random};
use crate::script::Script;

type Nonce = [u8; 24];

fn short_nonce(prefix: &[u8; 16], counter: [u8; 8]) -> Nonce {
    [&prefix[..], &counter].concat().try_into().unwrap()
}

fn long_nonce(prefix: &[u8; 8], random: [u8; 16]) -> Nonce {
    [&prefix[..], &random].concat().try_into().unwrap()
}

/// A box between two keys.
struct Boxed(SalsaBox);

impl Boxed {
    fn new(ours: &SecretKey, theirs: &[u8]) -> Boxed {
        Boxed(SalsaBox::new(&PublicKey::from_slice(theirs).unwrap(), ours))
    }

    fn seal(&self, nonce: Nonce, plain: &[u8]) -> Vec<u8> {
        self.0.encrypt(&nonce.into(), plain).unwrap()
    }

    fn open(&self, nonce: Nonce, sealed: &[u8]) -> Option<Vec<u8>> {
        self.0.decrypt(&nonce.into(), sealed).ok()
    }
}

fn public(secret: &SecretKey) -> [u8; 32] {
    *secret.public_key().as_bytes()
}

/// The bodies of the commands in a stream; an incomplete one at the end is left out.
pub fn bodies(mut stream: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while let Ok(Some(header)) = parse_header(stream) {
        let Some(body) = stream.get(header.header_len..header.frame_len() as usize) else { break };
        found.push(body);
        stream = &stream[header.frame_len() as usize..];
    }
    found
}

/// The data of the only new command in `out`, which has this name.
fn data<'a>(out: &'a [u8], name: &str) -> &'a [u8] {
    let found = bodies(out);
    let [body] = found[..] else { panic!("{} commands, not one {name}", found.len()) };
    let (len, rest) = body.split_first().unwrap();
    assert_eq!(&rest[..usize::from(*len)], name.as_bytes());
    &rest[usize::from(*len)..]
}

/// Metadata: mostly genuine, else any bytes.
fn metadata_of(script: &mut Script<'_>, socket_type: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    match script.byte() % 4 {
        0 | 1 => handshake::metadata(socket_type).put(&mut bytes),
        2 => {
            handshake::metadata(socket_type).put(&mut bytes);
            bytes.extend_from_slice(script.bytes(40));
        }
        _ => bytes.extend_from_slice(script.bytes(200)),
    }
    bytes
}

/// Changes some bytes; mostly none. Returns whether it did.
fn changed(script: &mut Script<'_>, bytes: &mut Vec<u8>) -> bool {
    let before = bytes.clone();
    let at = script.below_wide(bytes.len() + 1);
    match script.byte() {
        200..220 if at < bytes.len() => bytes[at] ^= 1 << (script.byte() & 7),
        220..230 => bytes.truncate(at),
        230..240 => bytes.insert(at, script.byte()),
        240.. => bytes.extend_from_slice(script.bytes(9)),
        _ => {}
    }
    *bytes != before
}

/// The keys of the hostile client that our server may meet: its own ones are genuine.
struct Client {
    permanent: SecretKey,
    transient: SecretKey,
}

/// A client that is not ours meets our server. What it says is right but for what the script has it change.
pub fn foreign_client(script: &mut Script<'_>) {
    repeat_random();
    let server_key = *handshake::server_keys().public().bytes();
    let keys = Client { permanent: [7; 32].into(), transient: script.array().into() };
    let mut side = Side::new(handshake::curve_server(), SocketType::XPub, script.byte() != 255);
    side.receive(&greeting(NAME, false));
    let mut genuine = true;

    let counter: [u8; 8] = script.array();
    let mut zeros = vec![0; 64];
    genuine &= !changed(script, &mut zeros);
    let mut hello = [&[1, 0][..], &[0; 72], &public(&keys.transient), &counter].concat();
    hello.extend(
        Boxed::new(&keys.transient, &server_key).seal(short_nonce(b"CurveZMQHELLO---", counter), &zeros),
    );
    genuine &= !changed(script, &mut hello);
    let before = side.outcome.out.len();
    let mut wire = Vec::new();
    put_command(&mut wire, "HELLO", &[&hello]);
    side.receive(&wire);
    if side.is_over() {
        return assert!(!genuine, "{:?}", side.outcome.end);
    }
    // A changed key of which the ignored bit is another one still gets an answer.
    let welcome = data(&side.outcome.out[before..], "WELCOME").to_vec();
    let nonce = long_nonce(b"WELCOME-", welcome[..16].try_into().unwrap());
    let opened =
        Boxed::new(&keys.transient, &server_key).open(nonce, &welcome[16..]).expect("a box for this client");
    assert_eq!(opened.len(), 32 + 96);
    let shared = Boxed::new(&keys.transient, &opened[..32]);

    let metadata = metadata_of(script, "SUB");
    let mut promise = [public(&keys.transient), server_key].concat();
    genuine &= !changed(script, &mut promise);
    // By default the client vouches with the key that it shows.
    let vouching = if script.byte() == 255 { [9; 32].into() } else { keys.permanent.clone() };
    genuine &= vouching.to_bytes() == keys.permanent.to_bytes();
    let random: [u8; 16] = script.array();
    let vouch = Boxed::new(&vouching, &opened[..32]).seal(long_nonce(b"VOUCH---", random), &promise);
    let plain = [&public(&keys.permanent)[..], &random, &vouch, &metadata].concat();
    let counter: [u8; 8] = script.array();
    let mut initiate = [&opened[32..], &counter].concat();
    initiate.extend(shared.seal(short_nonce(b"CurveZMQINITIATE", counter), &plain));
    genuine &= !changed(script, &mut initiate);
    let before = side.outcome.out.len();
    wire.clear();
    put_command(&mut wire, "INITIATE", &[&initiate]);
    side.receive(&wire);
    let parsed = Metadata::parse(&metadata);
    // A promise of another length has another box, which is not at its place.
    if !genuine || parsed.is_err() {
        return assert!(side.outcome.asked.is_empty() && !side.is_done(), "nobody has proved who it is");
    }
    let expected = oncue_core::mechanism::curve::PublicKey::from_bytes(public(&keys.permanent));
    assert_eq!(side.outcome.asked, [Credentials::Curve(expected)]);
    let Some(Ok(peer)) = side.outcome.end.as_ref().map(Option::as_ref).transpose() else {
        return assert!(!side.accepts || side.outcome.end.is_err());
    };
    for (name, value) in parsed.unwrap().iter() {
        let known = name.eq_ignore_ascii_case(b"Socket-Type") || name.eq_ignore_ascii_case(b"Identity");
        assert!(known || peer.properties.iter().any(|(n, v)| n.eq_ignore_ascii_case(name) && v == value));
    }
    let ready = data(&side.outcome.out[before..], "READY").to_vec();
    let nonce = short_nonce(b"CurveZMQREADY---", ready[..8].try_into().unwrap());
    let told = shared.open(nonce, &ready[8..]).expect("READY is for this client");
    let mut ours = Vec::new();
    handshake::metadata("XPUB").put(&mut ours);
    assert_eq!(told, ours);
    // Frames: only counters beyond that of INITIATE are new.
    let mut session = side.session.take().expect("it is encrypted");
    let last = u64::from_be_bytes(counter);
    let counter: u64 = if script.flag() { u64::from_be_bytes(script.array()) } else { last.wrapping_add(1) };
    let flags = script.byte();
    let content = [&[flags][..], script.bytes(50)].concat();
    let sealed = shared.seal(short_nonce(b"CurveZMQMESSAGEC", counter.to_be_bytes()), &content);
    let mut body = [&b"\x07MESSAGE"[..], &counter.to_be_bytes(), &sealed].concat();
    let untouched = !changed(script, &mut body);
    let result = session.opener.open(&mut body);
    assert_eq!(result.is_ok(), untouched && counter > last, "{result:?}");
    if let Ok(found) = result {
        assert_eq!(
            (found, &body[MESSAGE_OVERHEAD_BYTES..]),
            ((flags & 1 != 0, flags & 2 != 0), &content[1..])
        );
    }
}

/// A server that is not ours meets our client.
pub fn foreign_server(script: &mut Script<'_>) {
    repeat_random();
    let permanent: SecretKey = [2; 32].into();
    let transient: SecretKey = script.array().into();
    let client_key = *handshake::client_keys().public().bytes();
    let mut side = Side::new(handshake::curve_client(), SocketType::Sub, true);
    side.receive(&greeting(NAME, true));
    // Behind its greeting.
    let hello = data(&side.outcome.out[64..], "HELLO").to_vec();
    assert_eq!(hello.len(), 194);
    let theirs = hello[74..106].to_vec();
    let zeros = Boxed::new(&permanent, &theirs)
        .open(short_nonce(b"CurveZMQHELLO---", hello[106..114].try_into().unwrap()), &hello[114..])
        .expect("HELLO is for this server");
    assert_eq!(zeros, [0; 64]);

    let mut genuine = true;
    let mut shown = public(&transient).to_vec();
    let mut weak = false;
    match script.byte() {
        250 => (shown, weak) = (vec![0; 32], true),
        251 => {
            (shown, weak) = (vec![0; 32], true);
            shown[0] = 1;
        }
        _ => {}
    }
    let cookie: [u8; 96] = script.array();
    let mut plain = [&shown[..], &cookie].concat();
    genuine &= !changed(script, &mut plain);
    let random: [u8; 16] = script.array();
    let mut welcome = random.to_vec();
    welcome.extend(Boxed::new(&permanent, &theirs).seal(long_nonce(b"WELCOME-", random), &plain));
    genuine &= !changed(script, &mut welcome);
    let before = side.outcome.out.len();
    let mut wire = Vec::new();
    put_command(&mut wire, "WELCOME", &[&welcome]);
    side.receive(&wire);
    if weak {
        return assert!(side.outcome.end.is_err());
    }
    if side.is_over() {
        return assert!(!genuine, "{:?}", side.outcome.end);
    }
    let initiate = data(&side.outcome.out[before..], "INITIATE").to_vec();
    // What was in the box comes back, whatever it is. Of a changed key nobody has the secret.
    if plain[..32] != public(&transient) {
        assert!(!genuine);
        return;
    }
    assert_eq!(initiate[..96], plain[32..]);
    let shared = Boxed::new(&transient, &theirs);
    let counter: [u8; 8] = initiate[96..104].try_into().unwrap();
    let opened =
        shared.open(short_nonce(b"CurveZMQINITIATE", counter), &initiate[104..]).expect("a box for us");
    assert_eq!(opened[..32], client_key);
    let nonce = long_nonce(b"VOUCH---", opened[32..48].try_into().unwrap());
    let promise = Boxed::new(&transient, &client_key).open(nonce, &opened[48..128]).expect("a vouch for us");
    assert_eq!(promise, [&theirs[..], &public(&permanent)].concat());
    let mut ours = Vec::new();
    handshake::metadata("SUB").put(&mut ours);
    assert_eq!(opened[128..], ours);

    let metadata = metadata_of(script, "XPUB");
    let counter: [u8; 8] = script.array();
    let mut ready = counter.to_vec();
    ready.extend(shared.seal(short_nonce(b"CurveZMQREADY---", counter), &metadata));
    let untouched = !changed(script, &mut ready);
    wire.clear();
    put_command(&mut wire, "READY", &[&ready]);
    side.receive(&wire);
    if !untouched || Metadata::parse(&metadata).is_err() {
        return assert!(side.outcome.end.is_err());
    }
    // The socket type may be missing or wrong; everything else is right.
    assert!(side.session.is_some() || side.outcome.end.is_err());
    let mut genuine_metadata = Vec::new();
    handshake::metadata("XPUB").put(&mut genuine_metadata);
    assert!(side.is_done() || metadata != genuine_metadata, "{:?}", side.outcome.end);
}

/// Our client and our server, between whom a third one changes what the script says. A side goes on only if what it got of
/// the mechanism is what the other one sent.
pub fn tampered_exchange(script: &mut Script<'_>) {
    repeat_random();
    let mut sides = [
        Side::new(handshake::curve_client(), SocketType::Sub, true),
        Side::new(handshake::curve_server(), SocketType::XPub, script.byte() != 255),
    ];
    // What was passed on of each side's bytes; what arrived at the other one.
    let (mut passed, mut arrived) = ([0, 0], [Vec::new(), Vec::new()]);
    let mut touched = false;
    for _ in 0..20 {
        for from in [0, 1] {
            let mut flight = sides[from].outcome.out[passed[from]..].to_vec();
            passed[from] += flight.len();
            // A flight that is not touched costs one byte of the script.
            while !flight.is_empty() && script.byte() & 0x80 != 0 {
                let before = flight.clone();
                let at = script.below_wide(flight.len());
                match script.byte() % 6 {
                    0 => flight[at] ^= 1 << (script.byte() & 7),
                    1 => flight[at] = script.byte(),
                    2 => flight.truncate(at),
                    3 => drop(flight.splice(at..at, script.bytes(8).iter().copied())),
                    // Something that was sent before, again.
                    4 => {
                        let old = &arrived[from];
                        let start = script.below_wide(old.len() + 1);
                        flight.splice(at..at, old[start..].iter().copied());
                    }
                    _ => drop(flight.drain(..at)),
                }
                touched |= flight != before;
                if flight.is_empty() {
                    break;
                }
            }
            arrived[from].extend_from_slice(&flight);
            sides[1 - from].receive(&flight);
        }
    }
    for (from, to) in [(0, 1), (1, 0)] {
        let same = |count: usize| {
            let of = |stream: &'_ [u8]| -> Vec<Vec<u8>> {
                bodies(stream.get(64..).unwrap_or_default())
                    .into_iter()
                    .take(count)
                    .map(<[u8]>::to_vec)
                    .collect()
            };
            let (sent, got) = (of(&sides[from].outcome.out), of(&arrived[from]));
            assert_eq!(got.len(), count);
            sent == got
        };
        // HELLO and INITIATE, or WELCOME and READY.
        if !sides[to].outcome.asked.is_empty() || sides[to].is_done() {
            assert!(same(2), "a side has taken what the other one did not send");
        }
    }
    let [client, server] = &mut sides;
    if !touched && server.accepts {
        assert!(client.is_done() && server.is_done());
    }
    if let (Some(of_client), Some(of_server)) = (&mut client.session, &mut server.session) {
        let mut body = [&[0; MESSAGE_OVERHEAD_BYTES][..], b"content"].concat();
        of_client.sealer.seal(&mut body, true, false);
        assert_eq!(of_server.opener.open(&mut body), Ok((true, false)));
        assert_eq!(&body[MESSAGE_OVERHEAD_BYTES..], b"content");
    }
}
