//! The demand events that one watcher has not read yet, in bounded memory. Not how it waits for them.
#[cfg(test)]
mod tests;

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::borrow::Borrow;
use core::fmt;
use core::ops::Deref;

use hashbrown::HashTable;

use crate::topic::index::PrefixHash;

/// Up to this number pending edges are kept exactly as they happened.
pub const EDGES_EXACT_MAX: usize = 65_536;
/// Up to this sum of the lengths of their prefixes, in bytes, pending edges are kept exactly as they happened.
pub const EDGES_EXACT_BYTES_MAX: usize = 4 << 20;

/// A prefix that is shared, and cheap to clone.
///
/// Shown as text, with every byte that is not printable UTF-8, and the backslash, as `\xNN`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix(Arc<[u8]>);

impl Deref for Prefix {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Prefix {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Borrow<[u8]> for Prefix {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl From<&[u8]> for Prefix {
    fn from(bytes: &[u8]) -> Prefix {
        Prefix(bytes.into())
    }
}

impl From<Vec<u8>> for Prefix {
    fn from(bytes: Vec<u8>) -> Prefix {
        Prefix(bytes.into())
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        escape(f, &self.0, &['\\'])
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        escape(f, &self.0, &['\\', '"'])?;
        f.write_str("\"")
    }
}

fn escape(f: &mut fmt::Formatter<'_>, bytes: &[u8], special: &[char]) -> fmt::Result {
    let hex = |f: &mut fmt::Formatter<'_>, bytes: &[u8]| {
        bytes.iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))
    };
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() || special.contains(&c) {
                hex(f, c.encode_utf8(&mut [0; 4]).as_bytes())?;
            } else {
                write!(f, "{c}")?;
            }
        }
        hex(f, chunk.invalid())?;
    }
    Ok(())
}

/// A demand event: a prefix got its first peer, or lost its last one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Edge {
    /// The prefix.
    pub prefix: Prefix,
    /// Whether it is wanted from now on.
    pub wanted: bool,
}

/// The edges that a watcher has not read.
///
/// They come out exactly as they went in while fewer than [`EDGES_EXACT_MAX`] are pending, and less than
/// [`EDGES_EXACT_BYTES_MAX`] of their prefixes. From then on, until half of both is read, they are netted out: of each
/// prefix an even number of pending edges vanishes, as the watcher knows the outcome already, and of an odd number the
/// last one stays. So what the watcher learns stays true, and the memory is bounded by the prefixes in force and those
/// that it was told to be in force, however long it does not read and whatever strangers do meanwhile.
pub struct Edges {
    hash: PrefixHash,
    /// `None` where an edge was netted out.
    pending: VecDeque<Option<Edge>>,
    /// How many of `pending` are edges, and the bytes of their prefixes.
    count: usize,
    bytes: usize,
    /// The number of the first one in `pending`.
    first: u64,
    /// While edges are netted out, the numbers of all that are pending, by prefix.
    netting: Option<HashTable<u64>>,
    exact: Exact,
}

/// What is kept exactly.
#[derive(Clone, Copy)]
struct Exact {
    edges_max: usize,
    bytes_max: usize,
}

impl Edges {
    /// No pending edges. `seed` keys a hash: it should be random, and unknown to the peers.
    pub fn new(seed: u64) -> Edges {
        let exact = Exact { edges_max: EDGES_EXACT_MAX, bytes_max: EDGES_EXACT_BYTES_MAX };
        let hash = PrefixHash::new(seed);
        Edges { hash, pending: VecDeque::new(), count: 0, bytes: 0, first: 0, netting: None, exact }
    }

    /// Appends an edge. The edges of one prefix must alternate: anything else is a broken invariant, and panics when
    /// it is noticed.
    pub fn push(&mut self, prefix: Prefix, wanted: bool) {
        if self.netting.is_none()
            && (self.count >= self.exact.edges_max || self.bytes >= self.exact.bytes_max)
        {
            self.net_out();
        }
        self.append(Edge { prefix, wanted });
        self.close_gaps();
    }

    /// The oldest pending edge.
    pub fn pop(&mut self) -> Option<Edge> {
        let edge = loop {
            let (number, next) = (self.first, self.pending.pop_front()?);
            self.first += 1;
            if let Some(edge) = next {
                if let Some(netting) = &mut self.netting
                    && let Ok(entry) = netting.find_entry(self.hash.hash(&edge.prefix), |&at| at == number)
                {
                    entry.remove();
                }
                break edge;
            }
        };
        self.count -= 1;
        self.bytes -= edge.prefix.len();
        if self.count <= self.exact.edges_max / 2 && self.bytes <= self.exact.bytes_max / 2 {
            self.netting = None;
        }
        self.shrink();
        Some(edge)
    }

    /// How many edges are pending.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether the watcher has read everything.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Nets out what is pending, and from now on what comes.
    fn net_out(&mut self) {
        self.netting = Some(HashTable::new());
        let pending = core::mem::take(&mut self.pending);
        (self.count, self.bytes) = (0, 0);
        for edge in pending.into_iter().flatten() {
            self.append(edge);
        }
    }

    /// Appends an edge, or takes its partner away.
    fn append(&mut self, edge: Edge) {
        let Edges { hash, pending, first, netting, count, bytes, .. } = self;
        if let Some(netting) = netting {
            let key = hash.hash(&edge.prefix);
            if let Ok(entry) = netting.find_entry(key, |&at| *prefix_at(pending, *first, at) == edge.prefix) {
                let (number, _) = entry.remove();
                let partner = pending[(number - *first) as usize].take().expect("only edges have numbers");
                assert_ne!(partner.wanted, edge.wanted, "the edges of {} alternate", edge.prefix);
                *count -= 1;
                *bytes -= partner.prefix.len();
                return;
            }
            let number = *first + pending.len() as u64;
            netting.insert_unique(key, number, |&at| hash.hash(prefix_at(pending, *first, at)));
        }
        *count += 1;
        *bytes += edge.prefix.len();
        pending.push_back(Some(edge));
    }

    /// Moves what is pending together once most of it has been netted out.
    fn close_gaps(&mut self) {
        if self.count == 0 {
            self.first += self.pending.len() as u64;
            self.pending.clear();
            self.netting = None;
        } else if self.pending.len() > 2 * self.count.max(self.exact.edges_max) {
            self.net_out();
        }
        self.shrink();
    }

    /// A burst of edges must not be paid for ever after.
    fn shrink(&mut self) {
        if self.pending.capacity() > 4 * self.pending.len().max(self.exact.edges_max) {
            self.pending.shrink_to(2 * self.pending.len().max(self.exact.edges_max));
        }
    }
}

/// The prefix of the pending edge of this number.
fn prefix_at(pending: &VecDeque<Option<Edge>>, first: u64, number: u64) -> &Prefix {
    &pending[(number - first) as usize].as_ref().expect("only edges have numbers").prefix
}
