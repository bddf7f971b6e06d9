//! Two coats over streams that take and give a few bytes at a time: what goes in comes out, frame by frame.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use oncue_core::frame::ProtocolError;
use oncue_core::frame::{self, MORE, put_header};
use oncue_core::mechanism::curve::{CurveError, Session};
use oncue_testing::{Rng, for_seeds};

use crate::buffer::READ_BYTES;
use crate::engine::wire::link::Link;
use crate::net::Stream;
use crate::stage::coat::{Loop, sessions};

const FRAME_MAX: u64 = 1 << 20;

/// A link that reads what it writes.
fn looped() -> Link<Loop> {
    let (of_client, of_server) = sessions();
    let mut link = Link::new(Loop::default());
    link.put_on(Session { sealer: of_client.sealer, opener: of_server.opener }, 0, FRAME_MAX);
    link
}

fn stream(link: &mut Link<Loop>) -> &mut Loop {
    link.stream_for_tests()
}

fn random_frame(rng: &mut Rng) -> Vec<u8> {
    let len = match rng.below(20) {
        0 => rng.below(200_000),
        1 => rng.below(70_000),
        2..6 => rng.below(600),
        _ => rng.below(40),
    };
    let flags = [0, MORE, frame::COMMAND][rng.below(3) as usize];
    let mut wire = Vec::new();
    put_header(&mut wire, flags, len);
    wire.extend((0..len).map(|_| rng.below(256) as u8));
    wire
}

/// Writes all of `bytes`, in slices of random lengths, and reads in between.
fn write_all(link: &mut Link<Loop>, bytes: &[u8], rng: &mut Rng, got: &mut Vec<u8>) {
    let mut at = 0;
    while at < bytes.len() {
        let mut slices = Vec::new();
        let mut from = at;
        while from < bytes.len() && slices.len() < 8 {
            let max = if rng.below(2) == 0 { 20 } else { 200_000 };
            let to = bytes.len().min(from + 1 + rng.below(max) as usize);
            slices.push(IoSlice::new(&bytes[from..to]));
            from = to;
        }
        let most = if rng.below(2) == 0 { 100 } else { 200_000 };
        stream(link).takes = rng.below(most) as usize;
        match link.write(&slices) {
            Ok(n) => at += n,
            Err(e) => assert_eq!(e.kind(), io::ErrorKind::WouldBlock),
        }
        if rng.below(3) == 0 {
            stream(link).gives = rng.below(100_000) as usize;
            read_some(link, rng, got);
        }
    }
}

fn read_some(link: &mut Link<Loop>, rng: &mut Rng, got: &mut Vec<u8>) {
    loop {
        let room = if rng.below(4) == 0 { 1 + rng.below(50) as usize } else { READ_BYTES };
        let mut buffer = Vec::with_capacity(room);
        match link.read(&mut buffer) {
            Ok(n) => {
                assert_eq!(n, buffer.len());
                got.extend_from_slice(&buffer);
            }
            Err(e) => return assert_eq!(e.kind(), io::ErrorKind::WouldBlock, "{e}"),
        }
    }
}

#[test]
fn what_goes_in_comes_out_whatever_the_stream_takes_and_gives() {
    for_seeds(12, |rng| {
        let (mut link, mut sent, mut got) = (looped(), Vec::new(), Vec::new());
        for _ in 0..rng.below(30) {
            let frames: Vec<u8> = (0..1 + rng.below(40)).flat_map(|_| random_frame(rng)).collect();
            write_all(&mut link, &frames, rng, &mut got);
            sent.extend_from_slice(&frames);
        }
        stream(&mut link).gives = usize::MAX;
        read_some(&mut link, rng, &mut got);
        assert!(sent == got, "{} bytes in, {} out", sent.len(), got.len());
        assert_eq!(link.held_bytes(), 0);
    });
}

/// What counts as written has left, and of what does not count another frame may be sent in its place, unless a byte of it
/// counts: the queue above relies on both.
#[test]
fn a_frame_that_does_not_count_as_written_can_be_replaced() {
    for_seeds(40, |rng| {
        let (mut link, mut expected, mut got) = (looped(), Vec::new(), Vec::new());
        let mut queue: VecDeque<(Vec<u8>, usize)> = VecDeque::new();
        for _ in 0..60 {
            for _ in 0..rng.below(30) {
                queue.push_back((random_frame(rng), 0));
            }
            // The oldest that are not begun give way, as a queue has it.
            let begun = usize::from(queue.front().is_some_and(|(_, at)| *at > 0));
            for _ in 0..rng.below(5) {
                queue.remove(begun);
            }
            stream(&mut link).takes = rng.below(50_000) as usize;
            let slices: Vec<_> = queue.iter().map(|(frame, at)| IoSlice::new(&frame[*at..])).collect();
            let mut n = link.write(&slices).unwrap_or(0);
            while let Some((frame, at)) = queue.front_mut() {
                let step = n.min(frame.len() - *at);
                (*at, n) = (*at + step, n - step);
                if *at < frame.len() {
                    break;
                }
                expected.extend_from_slice(frame);
                queue.pop_front();
            }
            // Everything that counts is on the stream.
            stream(&mut link).gives = usize::MAX;
            read_some(&mut link, rng, &mut got);
            assert!(got.starts_with(&expected) || expected.starts_with(&got));
            assert!(got.len() >= expected.len(), "{} of {} bytes that count", got.len(), expected.len());
        }
    });
}

#[test]
fn bytes_that_were_queued_before_pass_in_clear() {
    let (of_client, _) = sessions();
    let mut link = Link::new(Loop::default());
    link.put_on(of_client, 5, FRAME_MAX);
    stream(&mut link).takes = 3;
    assert_eq!(link.write(&[IoSlice::new(b"READY"), IoSlice::new(b"\0\x01a")]).unwrap(), 3);
    stream(&mut link).takes = usize::MAX;
    assert_eq!(link.write(&[IoSlice::new(b"DY\0\x01a")]).unwrap(), 2);
    assert_eq!(link.write(&[IoSlice::new(b"\0\x01a")]).unwrap(), 3);
    let wire: Vec<u8> = stream(&mut link).bytes.iter().copied().collect();
    assert!(wire.starts_with(b"READY\0\x22\x07MESSAGE"));
    assert_eq!(wire.len(), 5 + 2 + 34);
}

/// The peer's fault, of a read.
fn fault(link: &mut Link<Loop>) -> ProtocolError {
    let error = link.read(&mut Vec::with_capacity(READ_BYTES)).unwrap_err();
    *error.get_ref().and_then(|inner| inner.downcast_ref::<ProtocolError>()).expect("the peer's fault")
}

#[test]
fn what_was_changed_or_is_in_clear_or_too_long_is_the_peers_fault() {
    let written = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut link = looped();
        stream(&mut link).takes = usize::MAX;
        stream(&mut link).gives = usize::MAX;
        link.write(&[IoSlice::new(b"\0\x05hello")]).unwrap();
        let mut wire: Vec<u8> = stream(&mut link).bytes.drain(..).collect();
        change(&mut wire);
        stream(&mut link).bytes = wire.into();
        fault(&mut link)
    };
    assert_eq!(written(&|wire| wire[30] ^= 1), CurveError::Box("MESSAGE").into());
    assert_eq!(written(&|wire| *wire = b"\0\x05hello".to_vec()), CurveError::Clear.into());
    assert_eq!(written(&|wire| *wire = [b"\0\x28", &[7; 40][..]].concat()), CurveError::Clear.into());
    assert_eq!(written(&|wire| wire[0] = 0x10), ProtocolError::ReservedFlags(0x10));
    let long = |wire: &mut Vec<u8>| {
        *wire = vec![frame::LONG];
        wire.extend_from_slice(&(FRAME_MAX + 34).to_be_bytes());
    };
    assert_eq!(written(&long), ProtocolError::MessageTooLong { bytes: FRAME_MAX + 1, max: FRAME_MAX });
}

#[test]
fn a_large_frame_takes_memory_as_it_arrives() {
    let mut link = looped();
    let mut wire = vec![0; 4];
    wire[0] = frame::LONG;
    wire.truncate(1);
    wire.extend_from_slice(&FRAME_MAX.to_be_bytes());
    wire.extend_from_slice(&[0; 1000]);
    stream(&mut link).bytes = wire.into();
    stream(&mut link).gives = usize::MAX;
    let mut buffer = Vec::with_capacity(READ_BYTES);
    assert_eq!(link.read(&mut buffer).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    assert_eq!((link.held_bytes(), buffer.len()), (1009, 0));
    assert!(link.take_sign_of_life() && !link.take_sign_of_life());
}
