//! The translation against a naive model: random frames, in random pieces, over a stream that takes and gives what it likes.

use std::collections::VecDeque;

use oncue_core::connection::SocketType;
use oncue_core::frame::{COMMAND, MORE, put_header};
use oncue_core::mechanism::null;
use oncue_core::websocket::{Opcode, put_control, put_masked};
use oncue_testing::Rng;

use super::*;
use crate::stage::web::Wire;

fn party() -> Party {
    Party { socket_type: SocketType::XPub, mechanism: null::NAME, as_server: false, frame_bytes_max: 1 << 20 }
}

/// A stream whose upgrade is done, and whose greetings have passed.
fn open(protocol: &Protocol, is_client: bool) -> Web<Wire> {
    let side = match is_client {
        true => {
            let host = crate::endpoint::Host::Name("h".into());
            Side::Client(
                Box::new(Call::new(party(), (&host, 1), ("/", false), Arc::default(), [0; 16])),
                true,
            )
        }
        false => Side::Server(Arc::new(Site::new(party(), "/", false, true, Arc::default()))),
    };
    let mut web = Web::new(Wire::default(), side, is_client);
    let mut greeting = Vec::with_capacity(64);
    web.open(protocol, &party(), &mut greeting);
    assert_eq!(greeting, protocol::greeting(&party()));
    assert_eq!(web.write(&[IoSlice::new(&greeting[..11]), IoSlice::new(&greeting[11..])]).unwrap(), 64);
    web
}

fn length(rng: &mut Rng) -> usize {
    let most = [1, 10, 130, 300, 70_000, 200_000][rng.below(6) as usize];
    rng.below(most) as usize
}

/// A frame as ZMTP and as ZWS have it: the former whole, the latter without its header and mask.
fn random_frame(rng: &mut Rng) -> (Vec<u8>, Vec<u8>) {
    let (zmtp, zws) = [(0, 0), (MORE, 1), (COMMAND, 2)][rng.below(3) as usize];
    let byte = rng.below(256) as u8;
    let body: Vec<u8> = (0..length(rng)).map(|i| byte.wrapping_add(i as u8)).collect();
    let mut frame = Vec::new();
    put_header(&mut frame, zmtp, body.len() as u64);
    frame.extend_from_slice(&body);
    (frame, [&[zws], &body[..]].concat())
}

#[test]
fn what_is_written_arrives_as_whole_frames_however_little_the_stream_takes() {
    for seed in 0..50 {
        let mut rng = Rng::new(seed);
        let is_client = rng.below(2) == 0;
        let null = Protocol { name: "", is_bare: false };
        let mut web = open(&null, is_client);
        let frames: Vec<_> = (0..1 + rng.below(40)).map(|_| random_frame(&mut rng)).collect();
        let wire: Vec<u8> = frames.iter().flat_map(|(frame, _)| frame.clone()).collect();
        let mut at = 0;
        while at < wire.len() {
            web.lower.takes = length(&mut rng);
            if rng.below(10) == 0 {
                web.outgoing.answer(b"ping".to_vec());
            }
            // The queue above gives the same bytes again, cut elsewhere.
            let end = wire.len().min(at + 1 + length(&mut rng));
            let middle = at + rng.below((end - at + 1) as u64) as usize;
            let slices =
                [IoSlice::new(&wire[at..middle]), IoSlice::new(&[]), IoSlice::new(&wire[middle..end])];
            match web.write(&slices) {
                Ok(n) => {
                    assert!(n > 0, "seed {seed}");
                    at += n;
                }
                Err(e) => assert_eq!(e.kind(), io::ErrorKind::WouldBlock, "seed {seed}"),
            }
            assert!(web.outgoing.held_bytes() <= 160, "seed {seed}");
        }
        web.lower.takes = usize::MAX;
        web.flush();
        let mut heard = Incoming::new(is_client, u64::MAX, None);
        let mut seen = Vec::new();
        for piece in web.lower.taken.chunks(1 + length(&mut rng)) {
            heard.take(piece, &mut seen).unwrap();
        }
        let mut shown = Vec::with_capacity(wire.len() + 1);
        heard.show(&mut shown);
        assert!(shown == wire, "seed {seed}: {} and {}", shown.len(), wire.len());
    }
}

#[test]
fn what_is_read_is_the_same_however_it_is_cut_and_whatever_room_there_is() {
    for seed in 0..50 {
        let mut rng = Rng::new(seed);
        let is_client = rng.below(2) == 0;
        // A client also takes a routing id where a command should come.
        let protocol = Protocol { name: "", is_bare: !is_client || rng.below(2) == 0 };
        let mut web = open(&protocol, is_client);
        let mask = (!is_client).then_some([9, 8, 7, 6]);
        let put = |opcode: u8, payload: &[u8], bytes: &mut VecDeque<u8>| {
            let mut frame = Vec::new();
            websocket_frame(&mut frame, opcode, payload, mask);
            bytes.extend(frame);
        };
        put(0x82, b"\0id", &mut web.lower.sent);
        let mut expected = protocol::ready(&party());
        for _ in 0..1 + rng.below(40) {
            let (zmtp, zws) = random_frame(&mut rng);
            expected.extend(zmtp);
            let middle = rng.below(zws.len() as u64 + 1) as usize;
            match rng.below(4) {
                0 => {
                    put(0x02, &zws[..middle], &mut web.lower.sent);
                    put(0x89, b"between", &mut web.lower.sent);
                    put(0x80, &zws[middle..], &mut web.lower.sent);
                }
                1 => {
                    put(0x8a, b"", &mut web.lower.sent);
                    put(0x82, &zws, &mut web.lower.sent);
                }
                _ => put(0x82, &zws, &mut web.lower.sent),
            }
        }
        let mut shown = Vec::new();
        loop {
            web.lower.gives = 1 + length(&mut rng);
            let mut buffer = Vec::with_capacity(1 + length(&mut rng));
            let room = buffer.capacity();
            match web.read(&mut buffer) {
                Ok(n) => assert!(n > 0 && n == buffer.len() && n <= room, "seed {seed}"),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => assert!(buffer.is_empty()),
                Err(e) => {
                    assert_eq!(e.kind(), io::ErrorKind::WouldBlock, "seed {seed}");
                    break;
                }
            }
            shown.extend(buffer);
        }
        assert!(shown == expected, "seed {seed}: {} and {}", shown.len(), expected.len());
    }
}

/// A frame whose first byte may be anything.
fn websocket_frame(out: &mut Vec<u8>, first: u8, payload: &[u8], mask: Option<[u8; 4]>) {
    let start = out.len();
    oncue_core::websocket::put_header(out, Opcode::Binary, payload.len() as u64, mask);
    out[start] = first;
    put_masked(out, payload, mask.unwrap_or_default(), 0);
}

#[test]
fn a_bare_peer_gets_no_command_but_the_pong_that_it_asked_for() {
    let bare = Protocol { name: "", is_bare: true };
    let mut web = open(&bare, false);
    web.lower.takes = usize::MAX;
    let mut wire = protocol::ready(&party());
    oncue_core::command::put_ping(&mut wire, 0, b"");
    put_header(&mut wire, 0, 1);
    wire.push(b'x');
    oncue_core::command::put_pong(&mut wire, b"c");
    oncue_core::command::put_error(&mut wire, "why");
    for byte in &wire {
        assert_eq!(web.write(&[IoSlice::new(&[*byte])]).unwrap(), 1);
    }
    web.shutdown_write();
    let mut expected = b"\x82\x01\0\x82\x02\0x\x82\x07\x02\x04PONGc".to_vec();
    put_control(&mut expected, Opcode::Close, b"\x03\xf0why", None);
    assert_eq!(web.lower.taken, expected);
}
