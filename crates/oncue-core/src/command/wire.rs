//! The parts that all commands consist of.

use alloc::vec::Vec;

use crate::frame::{COMMAND, put_header};

/// Appends a command frame: a name of less than 256 bytes, and its data in parts.
pub(crate) fn put_command(out: &mut Vec<u8>, name: &str, data: &[&[u8]]) {
    let data_len: usize = data.iter().map(|part| part.len()).sum();
    put_header(out, COMMAND, (1 + name.len() + data_len) as u64);
    out.push(name.len() as u8);
    out.extend_from_slice(name.as_bytes());
    for part in data {
        out.extend_from_slice(part);
    }
}

/// Splits off a string with a length byte in front: (string, rest). `None` when it is incomplete.
pub(crate) fn split_short(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&len, rest) = bytes.split_first()?;
    rest.split_at_checked(usize::from(len))
}
