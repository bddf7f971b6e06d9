//! The wire formats of the demand log. All numbers are big-endian; `varint` is LEB128: 7 bits per byte, the lowest first, bit 7 of
//! all bytes but the last one, at most 9 bytes.
//!
//! | heartbeat, 34 bytes | |
//! |---|---|
//! | version, `u8` | 1 |
//! | kind, `u8` | 1 |
//! | epoch, `u64` | of the site's process |
//! | sequence, `u64` | changes told since the epoch began |
//! | hash, `u64` | of the set after these changes: the sum of the hashes of its prefixes |
//! | count, `u64` | prefixes in the set |
//!
//! | delta | |
//! |---|---|
//! | version, `u8` | 1 |
//! | kind, `u8` | 2 |
//! | epoch, `u64` | |
//! | first, `u64` | the sequence number of the first change; those after it count on |
//! | one or more changes, to the end | `varint` with 2 x length + 1 (wanted) or + 0 (no longer), then the bytes of the prefix |
//!
//! | snapshot | |
//! |---|---|
//! | version, `u8` | 1 |
//! | kind, `u8` | 3 |
//! | epoch, sequence, hash, count | as in a heartbeat |
//! | the prefixes, to the end | `varint` with the length, then the bytes |

use alloc::vec::Vec;

use super::error::Malformed;
use super::hash::SetHash;

/// The version of all formats, the first byte of each payload.
pub const VERSION: u8 = 1;

const HEARTBEAT: u8 = 1;
const DELTA: u8 = 2;
const SNAPSHOT: u8 = 3;
pub(super) const BATCH: u8 = 4;

/// The bytes of an encoded heartbeat.
pub const HEARTBEAT_BYTES: usize = 34;

/// What a log has told so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// The process of the site.
    pub epoch: u64,
    /// How many changes it has told.
    pub sequence: u64,
    /// The hash of the set after them.
    pub hash: u64,
    /// How many prefixes the set has.
    pub count: u64,
}

impl Heartbeat {
    /// As bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEARTBEAT_BYTES);
        self.put(&mut out, HEARTBEAT);
        out
    }

    /// From bytes.
    ///
    /// # Errors
    /// [`Malformed`], also when bytes follow.
    pub fn decode(payload: &[u8]) -> Result<Heartbeat, Malformed> {
        let mut reader = Reader::new(payload, HEARTBEAT)?;
        let heartbeat = Heartbeat::read(&mut reader)?;
        if reader.is_at_end() { Ok(heartbeat) } else { Err(Malformed::Length) }
    }

    fn put(&self, out: &mut Vec<u8>, kind: u8) {
        out.extend_from_slice(&[VERSION, kind]);
        for number in [self.epoch, self.sequence, self.hash, self.count] {
            out.extend_from_slice(&number.to_be_bytes());
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Heartbeat, Malformed> {
        let [epoch, sequence, hash, count] =
            [reader.number()?, reader.number()?, reader.number()?, reader.number()?];
        Ok(Heartbeat { epoch, sequence, hash, count })
    }
}

/// One change of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change<'a> {
    /// The prefix.
    pub prefix: &'a [u8],
    /// Whether it is wanted from now on.
    pub wanted: bool,
}

/// Consecutive changes of a set.
#[derive(Clone, Copy, Debug)]
pub struct Delta<'a> {
    /// The process of the site.
    pub epoch: u64,
    /// The sequence number of the first change, from 1 on.
    pub first: u64,
    /// The sequence number of the last one.
    pub last: u64,
    changes: &'a [u8],
}

impl<'a> Delta<'a> {
    /// Checks all of it.
    ///
    /// # Errors
    /// [`Malformed`]
    pub fn decode(payload: &'a [u8]) -> Result<Delta<'a>, Malformed> {
        let mut reader = Reader::new(payload, DELTA)?;
        let (epoch, first) = (reader.number()?, reader.number()?);
        let changes = reader.rest;
        let mut count = 0;
        while !reader.is_at_end() {
            reader.change()?;
            count += 1;
        }
        if count == 0 {
            return Err(Malformed::Empty);
        }
        let last = first.checked_add(count - 1).filter(|_| first > 0).ok_or(Malformed::Sequence)?;
        Ok(Delta { epoch, first, last, changes })
    }

    /// The changes in order.
    pub fn changes(&self) -> impl Iterator<Item = Change<'a>> + use<'a> {
        let mut reader = Reader { rest: self.changes };
        core::iter::from_fn(move || reader.change().ok())
    }
}

/// Writes a delta.
pub(super) struct DeltaWriter {
    out: Vec<u8>,
}

impl DeltaWriter {
    pub(super) fn new(epoch: u64, first: u64) -> DeltaWriter {
        let mut out = Vec::from([VERSION, DELTA]);
        out.extend_from_slice(&epoch.to_be_bytes());
        out.extend_from_slice(&first.to_be_bytes());
        DeltaWriter { out }
    }

    pub(super) fn len(&self) -> usize {
        self.out.len()
    }

    pub(super) fn put(&mut self, change: Change<'_>) {
        put_varint(&mut self.out, 2 * change.prefix.len() as u64 + u64::from(change.wanted));
        self.out.extend_from_slice(change.prefix);
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.out
    }
}

/// The bytes of this change in a delta, at most.
pub(super) fn change_bytes_max(prefix: &[u8]) -> usize {
    VARINT_BYTES_MAX + prefix.len()
}

/// A whole set.
#[derive(Clone, Copy, Debug)]
pub struct Snapshot<'a> {
    /// Which set it is.
    pub head: Heartbeat,
    prefixes: &'a [u8],
}

impl<'a> Snapshot<'a> {
    /// Checks all of it, the hash too.
    ///
    /// # Errors
    /// [`Malformed`]
    pub fn decode(payload: &'a [u8]) -> Result<Snapshot<'a>, Malformed> {
        let mut reader = Reader::new(payload, SNAPSHOT)?;
        let head = Heartbeat::read(&mut reader)?;
        let prefixes = reader.rest;
        let (mut count, mut hash) = (0, SetHash::new());
        while !reader.is_at_end() {
            hash.change(reader.prefix()?, true);
            count += 1;
        }
        match () {
            () if count != head.count => Err(Malformed::Count),
            () if hash.sum() != head.hash => Err(Malformed::Hash),
            () => Ok(Snapshot { head, prefixes }),
        }
    }

    /// The prefixes, in no particular order. A set that does not lie has none twice.
    pub fn prefixes(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut reader = Reader { rest: self.prefixes };
        core::iter::from_fn(move || reader.prefix().ok())
    }

    /// As bytes. `prefixes` are those that `head` describes.
    pub(super) fn encode<'b>(head: Heartbeat, prefixes: impl Iterator<Item = &'b [u8]>) -> Vec<u8> {
        let mut out = Vec::new();
        head.put(&mut out, SNAPSHOT);
        for prefix in prefixes {
            put_varint(&mut out, prefix.len() as u64);
            out.extend_from_slice(prefix);
        }
        out
    }
}

const VARINT_BYTES_MAX: usize = 9;

fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// What is left to read of a payload.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// After version and kind.
    pub(super) fn new(payload: &'a [u8], expected: u8) -> Result<Reader<'a>, Malformed> {
        match *payload {
            [VERSION, found, ref rest @ ..] if found == expected => Ok(Reader { rest }),
            [VERSION, found, ..] => Err(Malformed::Kind { found, expected }),
            [VERSION] | [] => Err(Malformed::Short),
            [found, ..] => Err(Malformed::Version { found, known: VERSION }),
        }
    }

    /// What is left.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(super) fn of(rest: &'a [u8]) -> Reader<'a> {
        Reader { rest }
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (array, rest) = self.rest.split_first_chunk().ok_or(Malformed::Short)?;
        self.rest = rest;
        Ok(*array)
    }

    pub(super) fn number(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_be_bytes)
    }

    pub(super) fn take(&mut self, len: u64) -> Result<&'a [u8], Malformed> {
        let len = usize::try_from(len).map_err(|_| Malformed::Length)?;
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(Malformed::Length)?;
        self.rest = rest;
        Ok(taken)
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut number = 0;
        for at in 0..VARINT_BYTES_MAX as u32 {
            let [byte] = self.array()?;
            number |= u64::from(byte & 0x7f) << (7 * at);
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Malformed::Length)
    }

    fn prefix(&mut self) -> Result<&'a [u8], Malformed> {
        let len = self.varint()?;
        self.take(len)
    }

    fn change(&mut self) -> Result<Change<'a>, Malformed> {
        let head = self.varint()?;
        Ok(Change { prefix: self.take(head / 2)?, wanted: head & 1 == 1 })
    }
}
