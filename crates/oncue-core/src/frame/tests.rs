//! Frames against literal bytes, and encoding against decoding.

use alloc::vec;
use alloc::vec::Vec;

use super::*;
use oncue_testing::for_seeds;

fn message(frames: &[&[u8]]) -> Vec<u8> {
    let mut wire = Vec::new();
    assert_eq!(put_message(&mut wire, frames), frames.len());
    wire
}

#[test]
fn messages_are_encoded_as_the_rfc_draws_them() {
    assert_eq!(message(&[b"hi"]), b"\x00\x02hi");
    assert_eq!(message(&[b""]), b"\x00\x00");
    assert_eq!(message(&[b"a", b"", b"c"]), b"\x01\x01a\x01\x00\x00\x01c");
    assert_eq!(message(&[]), b"");
    let long = message(&[&[7; 256], &[8; 255]]);
    assert_eq!(long[..9], [0x03, 0, 0, 0, 0, 0, 0, 1, 0]);
    assert_eq!(long[9..9 + 256], [7; 256]);
    assert_eq!(long[9 + 256..9 + 256 + 2], [0x00, 255]);
    assert_eq!((header_len(255), header_len(256)), (2, 9));
}

#[test]
fn a_header_is_read_from_exactly_its_bytes() {
    let long = [0x06, 0, 0, 0, 0, 0, 1, 2, 3];
    for end in 0..long.len() {
        assert_eq!(parse_header(&long[..end]), Ok(None), "{end} bytes");
    }
    let header = parse_header(&long).unwrap().unwrap();
    assert_eq!(header, Header { flags: COMMAND | LONG, header_len: 9, body_len: 0x010203 });
    assert_eq!(header.frame_len(), 9 + 0x010203);
    assert!(header.command() && !header.more());
    assert_eq!(parse_header(&[0x01]), Ok(None));
    assert_eq!(parse_header(&[0x01, 5]), Ok(Some(Header { flags: MORE, header_len: 2, body_len: 5 })));
}

#[test]
fn headers_no_peer_may_send_are_refused() {
    for bit in 3..8 {
        assert_eq!(parse_header(&[1 << bit]), Err(ProtocolError::ReservedFlags(1 << bit)));
    }
    let limit = |first| [2, first, 255, 255, 255, 255, 255, 255, 255];
    assert_eq!(parse_header(&limit(0x7f)).unwrap().unwrap().body_len, i64::MAX as u64);
    assert_eq!(parse_header(&limit(0x80)), Err(ProtocolError::FrameTooLong));
}

#[test]
fn a_message_is_taken_apart_as_it_was_put_together() {
    for_seeds(500, |rng| {
        let bodies: Vec<Vec<u8>> = (0..1 + rng.below(5))
            .map(|_| {
                let len = rng.body_len();
                rng.bytes(len)
            })
            .collect();
        let mut wire = Vec::new();
        put_message(&mut wire, &bodies);
        let len = wire.len();
        let after = rng.below(20);
        wire.extend(rng.bytes(after));
        assert_eq!(message_len(&wire), len);
        assert_eq!(topic(&wire), bodies[0]);
        assert!(frames(&wire).eq(&bodies));
    });
}

#[test]
fn a_long_header_on_a_short_body_is_understood() {
    let wire = [0x03, 0, 0, 0, 0, 0, 0, 0, 1, b'a', 0x02, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(topic(&wire), b"a");
    assert!(frames(&wire).eq([b"a".as_slice(), b""]));
    assert_eq!(message_len(&wire), wire.len());
}

#[test]
fn frames_end_for_good() {
    let wire = message(&[b"a"]);
    let mut frames = frames(&wire);
    assert_eq!(frames.next(), Some(b"a".as_slice()));
    assert_eq!((frames.next(), frames.next()), (None, None));
}

#[test]
fn put_header_sets_the_length_bit_itself() {
    let mut out = vec![];
    put_header(&mut out, COMMAND | LONG, 3);
    put_header(&mut out, MORE, 1 << 40);
    assert_eq!(out, [0x04, 3, 0x03, 0, 0, 1, 0, 0, 0, 0, 0]);
}
