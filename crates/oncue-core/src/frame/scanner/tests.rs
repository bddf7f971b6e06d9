//! The scanner against a parser of whole streams, and against hostile streams.

use alloc::vec;
use alloc::vec::Vec;

use super::super::{COMMAND, MORE, frames, put_frame, put_header, put_message};
use super::*;
use oncue_testing::{Rng, for_seeds};

const NO_LIMIT: u64 = u64::MAX;

/// An item of a stream, by value.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Item {
    Message(Vec<u8>),
    Command(Vec<u8>),
    CommandInside(Vec<u8>),
}

fn put_command(out: &mut Vec<u8>, body: &[u8]) {
    put_header(out, COMMAND, body.len() as u64);
    out.extend_from_slice(body);
}

/// A random stream, and its items.
fn random_stream(rng: &mut Rng) -> (Vec<u8>, Vec<Item>) {
    let (mut wire, mut items) = (Vec::new(), Vec::new());
    for _ in 0..rng.below(30) {
        if rng.one_in(5) {
            let body = random_body(rng);
            put_command(&mut wire, &body);
            items.push(Item::Command(body));
            continue;
        }
        let mut message = Vec::new();
        let frames = if rng.one_in(3) { 1 + rng.below(6) } else { 1 };
        for frame in 0..frames {
            while frame > 0 && rng.one_in(3) {
                let body = random_body(rng);
                put_command(&mut wire, &body);
                items.push(Item::CommandInside(body));
            }
            let body = random_body(rng);
            put_frame(&mut wire, &body, frame + 1 < frames);
            put_frame(&mut message, &body, frame + 1 < frames);
        }
        items.push(Item::Message(message));
    }
    (wire, items)
}

fn random_body(rng: &mut Rng) -> Vec<u8> {
    let len = rng.body_len();
    rng.bytes(len)
}

/// Feeds `stream` in random pieces to both scan functions, and collects the items.
fn scan_in_pieces(
    rng: &mut Rng,
    scanner: &mut Scanner,
    mut stream: &[u8],
) -> (Vec<Item>, Result<(), ProtocolError>) {
    let (mut buf, mut items) = (Vec::new(), Vec::new());
    let piece_max = if rng.one_in(4) { 3 } else { 3000 };
    while !stream.is_empty() {
        let (piece, rest) = stream.split_at(1 + rng.below(piece_max.min(stream.len())));
        buf.extend_from_slice(piece);
        stream = rest;
        if let Err(fault) = scan_all(rng, scanner, &mut buf, &mut items) {
            return (items, Err(fault));
        }
    }
    (items, Ok(()))
}

fn scan_all(
    rng: &mut Rng,
    scanner: &mut Scanner,
    buf: &mut Vec<u8>,
    items: &mut Vec<Item>,
) -> Result<(), ProtocolError> {
    loop {
        if rng.one_in(2) {
            let messages_max = rng.below(8);
            let mut messages = 0;
            let batch = scanner.scan_messages(buf, messages_max, |start, end| {
                items.push(Item::Message(buf[start..end].to_vec()));
                messages += 1;
            });
            assert_eq!(batch.messages, messages);
            buf.drain(..batch.consumed);
            match batch.stop {
                Stop::Incomplete { need_min } => {
                    check_need(scanner, need_min, buf);
                    return Ok(());
                }
                Stop::Command => {}
                Stop::Enough => assert_eq!(messages, messages_max),
                Stop::Error(fault) => return Err(fault),
            }
        }
        match scanner.next(buf)? {
            Scan::Incomplete { need_min } => {
                check_need(scanner, need_min, buf);
                return Ok(());
            }
            Scan::Message { len, wire_len } => {
                items.push(Item::Message(buf[..len].to_vec()));
                buf.drain(..wire_len);
            }
            Scan::Command { len, body } => {
                items.push(Item::Command(buf[body].to_vec()));
                buf.drain(..len);
            }
            Scan::CommandInside { body } => items.push(Item::CommandInside(buf[body].to_vec())),
        }
    }
}

fn check_need(scanner: &Scanner, need_min: usize, buf: &[u8]) {
    assert!(need_min > buf.len(), "{need_min} bytes are there already");
    assert!(need_min <= scanner.buffer_bytes_max());
}

#[test]
fn streams_are_cut_alike_however_they_arrive() {
    for_seeds(3000, |rng| {
        let (stream, items) = random_stream(rng);
        let mut scanner = Scanner::new(Version::V3_1, NO_LIMIT);
        let (scanned, result) = scan_in_pieces(rng, &mut scanner, &stream);
        assert_eq!(result, Ok(()));
        assert_eq!(scanned, items);
    });
}

#[test]
fn what_lies_before_damage_is_cut_the_same() {
    for_seeds(3000, |rng| {
        let (mut stream, _) = random_stream(rng);
        rng.damage(&mut stream);
        let limit = 100 + rng.below(5000) as u64;
        let whole = {
            let (mut buf, mut items) = (stream.clone(), Vec::new());
            let mut scanner = Scanner::new(Version::V3_1, limit);
            let fault = loop {
                match scanner.next(&mut buf) {
                    Ok(Scan::Message { len, wire_len }) => {
                        assert!(len as u64 <= limit);
                        items.push(Item::Message(buf[..len].to_vec()));
                        buf.drain(..wire_len);
                    }
                    Ok(Scan::Command { len, body }) => {
                        items.push(Item::Command(buf[body].to_vec()));
                        buf.drain(..len);
                    }
                    Ok(Scan::CommandInside { body }) => items.push(Item::CommandInside(buf[body].to_vec())),
                    Ok(Scan::Incomplete { .. }) => break Ok(()),
                    Err(fault) => break Err(fault),
                }
            };
            (items, fault)
        };
        let mut scanner = Scanner::new(Version::V3_1, limit);
        assert_eq!(scan_in_pieces(rng, &mut scanner, &stream), whole);
    });
}

#[test]
fn random_bytes_do_no_harm() {
    for_seeds(5000, |rng| {
        let len = rng.below(300);
        let mut bytes = rng.bytes(len);
        // Mostly valid flags, so that the scan gets beyond the first byte.
        bytes.iter_mut().for_each(|byte| *byte &= if len % 2 == 0 { 0x07 } else { 0xff });
        let version = [Version::V2_0, Version::V3_0, Version::V3_1][rng.below(3)];
        let mut scanner = Scanner::new(version, rng.below(600) as u64);
        let (items, _) = scan_in_pieces(rng, &mut scanner, &bytes);
        for item in &items {
            if let Item::Message(wire) = item {
                assert!(frames(wire).map(|body| body.len() + 2).sum::<usize>() <= wire.len());
            }
            assert!(version.has_commands() || matches!(item, Item::Message(_)));
        }
    });
}

#[test]
fn a_message_that_trickles_in_is_not_scanned_again() {
    // If each call scanned from the start, this would take 10^11 steps.
    let mut scanner = Scanner::new(Version::V3_1, NO_LIMIT);
    let mut buf = Vec::new();
    for i in 0..500_000 {
        buf.extend_from_slice(&[MORE, 0]);
        if i % 2 == 0 {
            assert_eq!(scanner.next(&mut buf), Ok(Scan::Incomplete { need_min: buf.len() + 2 }));
        } else {
            let batch = scanner.scan_messages(&buf, 1, |_, _| unreachable!());
            let stop = Stop::Incomplete { need_min: buf.len() + 2 };
            assert_eq!(batch, Batch { consumed: 0, messages: 0, stop });
        }
    }
    buf.extend_from_slice(&[0, 0]);
    let batch = scanner.scan_messages(&buf, 1, |start, end| assert_eq!((start, end), (0, buf.len())));
    assert_eq!(batch, Batch { consumed: buf.len(), messages: 1, stop: Stop::Enough });
}

#[test]
fn commands_inside_are_squeezed_out() {
    let mut buf = b"\x01\x01a\x04\x05\x04PONG\x01\x01b\x04\x01?\x00\x01c\x00\x01d".to_vec();
    let mut scanner = Scanner::new(Version::V3_0, NO_LIMIT);
    assert_eq!(scanner.next(&mut buf), Ok(Scan::CommandInside { body: 5..10 }));
    assert_eq!(buf[5..10], *b"\x04PONG");
    assert_eq!(scanner.scan_messages(&buf, 9, |_, _| unreachable!()).stop, Stop::Command);
    assert_eq!(scanner.next(&mut buf), Ok(Scan::CommandInside { body: 15..16 }));
    assert_eq!(buf[15..16], *b"?");
    assert_eq!(scanner.next(&mut buf), Ok(Scan::Message { len: 9, wire_len: 19 }));
    assert_eq!(buf[..9], *b"\x01\x01a\x01\x01b\x00\x01c");
    buf.drain(..19);
    assert_eq!(scanner.next(&mut buf), Ok(Scan::Message { len: 3, wire_len: 3 }));
}

#[test]
fn a_message_beyond_the_limit_is_refused_on_its_header() {
    let mut two_frames = Vec::new();
    put_message(&mut two_frames, [vec![1; 10], vec![2; 300]]);
    let len = two_frames.len() as u64;
    let mut scanner = Scanner::new(Version::V3_1, len);
    assert!(matches!(scanner.next(&mut two_frames.clone()), Ok(Scan::Message { .. })));
    let fault = ProtocolError::MessageTooLong { bytes: len, max: len - 1 };
    let mut scanner = Scanner::new(Version::V3_1, len - 1);
    assert_eq!(scanner.next(&mut two_frames.clone()[..12 + 9]), Err(fault));
    let mut scanner = Scanner::new(Version::V3_1, len - 1);
    assert_eq!(
        scanner.scan_messages(&two_frames[..12 + 9], 1, |_, _| unreachable!()).stop,
        Stop::Error(fault)
    );
    // The limit holds for the short frames of the fast path too.
    let mut scanner = Scanner::new(Version::V3_1, 6);
    let batch =
        scanner.scan_messages(b"\x00\x04abcd\x00\x05", 9, |start, end| assert_eq!((start, end), (0, 6)));
    let fault = ProtocolError::MessageTooLong { bytes: 7, max: 6 };
    assert_eq!(batch, Batch { consumed: 6, messages: 1, stop: Stop::Error(fault) });
}

#[test]
fn the_largest_announcement_is_compared_without_overflow() {
    let mut buf = b"\x01\x01a\x02\x7f\xff\xff\xff\xff\xff\xff\xff".to_vec();
    let fault = Scanner::new(Version::V3_1, u64::MAX).next(&mut buf);
    assert!(matches!(fault, Err(ProtocolError::MessageTooLong { .. })), "{fault:?}");
}

#[test]
fn commands_keep_their_limits() {
    let next = |version, bytes: &[u8]| Scanner::new(version, NO_LIMIT).next(&mut bytes.to_vec());
    assert_eq!(next(Version::V2_0, b"\x04\x05\x04PONG"), Err(ProtocolError::CommandFromVersion2));
    assert_eq!(next(Version::V3_0, b"\x05\x05"), Err(ProtocolError::CommandWithMore));
    let header = |len: u64| [&[0x06][..], &len.to_be_bytes()].concat();
    let longest = COMMAND_BYTES_MAX as usize;
    assert_eq!(
        next(Version::V3_1, &header(COMMAND_BYTES_MAX)),
        Ok(Scan::Incomplete { need_min: 9 + longest })
    );
    let fault = ProtocolError::CommandTooLong { bytes: COMMAND_BYTES_MAX + 1, max: COMMAND_BYTES_MAX };
    assert_eq!(next(Version::V3_1, &header(COMMAND_BYTES_MAX + 1)), Err(fault));
}

#[test]
fn commands_without_end_inside_a_message_are_refused() {
    let mut scanner = Scanner::new(Version::V3_1, 10);
    let mut buf = b"\x01\x00".to_vec();
    let fault = loop {
        put_command(&mut buf, &[b'x'; 200]);
        match scanner.next(&mut buf) {
            Ok(step) => assert!(matches!(step, Scan::CommandInside { .. })),
            Err(fault) => break fault,
        }
    };
    let max = 2 * COMMAND_BYTES_MAX;
    assert_eq!(fault, ProtocolError::CommandsInsideTooLong { max });
    assert!(buf.len() as u64 <= max + 300 && max < COMMANDS_INSIDE_BYTES_MAX);
}

#[test]
fn longer_commands_can_be_allowed() {
    let allowed = COMMAND_BYTES_MAX + 100;
    let header = |len: u64| [&[0x06][..], &len.to_be_bytes()].concat();
    let next = |len| {
        let mut scanner = Scanner::new(Version::V3_1, 10).with_command_bytes_max(allowed);
        assert!(scanner.buffer_bytes_max() as u64 >= allowed + 9);
        scanner.next(&mut header(len))
    };
    assert_eq!(next(allowed), Ok(Scan::Incomplete { need_min: 9 + allowed as usize }));
    let fault = ProtocolError::CommandTooLong { bytes: allowed + 1, max: allowed };
    assert_eq!(next(allowed + 1), Err(fault));
}
