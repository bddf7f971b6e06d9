//! The stream of an established connection, scanned as a whole and in pieces: with equal results, and within its bounds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oncue_core::frame::{ProtocolError, Scan, Scanner, Stop, Version, frames, message_len, topic};

#[derive(Debug, PartialEq, Eq)]
enum Item {
    Message(Vec<u8>),
    Command(Vec<u8>),
    CommandInside(Vec<u8>),
}

fn message(wire: &[u8]) -> Item {
    assert_eq!(message_len(wire), wire.len());
    assert_eq!(frames(wire).next(), Some(topic(wire)));
    assert!(frames(wire).map(|body| body.len() + 2).sum::<usize>() <= wire.len());
    Item::Message(wire.to_vec())
}

/// Scans all complete items in `buf`; `Ok` when it needs more bytes.
fn cut(
    scanner: &mut Scanner,
    batches: bool,
    buf: &mut Vec<u8>,
    items: &mut Vec<Item>,
) -> Result<(), ProtocolError> {
    loop {
        if batches {
            let batch = scanner.scan_messages(buf, 3, |start, end| items.push(message(&buf[start..end])));
            buf.drain(..batch.consumed);
            match batch.stop {
                Stop::Enough => continue,
                Stop::Command => {}
                Stop::Error(fault) => return Err(fault),
                Stop::Incomplete { need_min } => {
                    assert!(need_min > buf.len() && need_min <= scanner.buffer_bytes_max());
                    return Ok(());
                }
            }
        }
        match scanner.next(buf)? {
            Scan::Message { len, wire_len } => {
                items.push(message(&buf[..len]));
                buf.drain(..wire_len);
            }
            Scan::Command { len, body } => {
                items.push(Item::Command(buf[body].to_vec()));
                buf.drain(..len);
            }
            Scan::CommandInside { body } => items.push(Item::CommandInside(buf[body].to_vec())),
            Scan::Incomplete { need_min } => {
                assert!(need_min > buf.len() && need_min <= scanner.buffer_bytes_max());
                return Ok(());
            }
        }
    }
}

fn run(
    version: Version,
    batches: bool,
    bytes: &[u8],
    piece_len: usize,
) -> (Vec<Item>, Result<(), ProtocolError>) {
    let mut scanner = Scanner::new(version, 2000);
    let (mut buf, mut items) = (Vec::new(), Vec::new());
    for piece in bytes.chunks(piece_len) {
        buf.extend_from_slice(piece);
        if let Err(fault) = cut(&mut scanner, batches, &mut buf, &mut items) {
            return (items, Err(fault));
        }
    }
    (items, Ok(()))
}

fuzz_target!(|data: &[u8]| {
    let Some((&choice, bytes)) = data.split_first() else { return };
    let version = [Version::V2_0, Version::V3_0, Version::V3_1][usize::from(choice % 3)];
    let whole = run(version, false, bytes, usize::MAX);
    assert_eq!(whole, run(version, true, bytes, usize::MAX));
    assert_eq!(whole, run(version, choice & 0x80 != 0, bytes, 1 + usize::from(choice >> 4 & 7)));
});
