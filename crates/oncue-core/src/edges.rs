//! The demand events that one watcher has not read yet, in bounded memory. Not how it waits for them.
#[cfg(test)]
mod tests;

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::borrow::Borrow;
use core::fmt;
use core::ops::Deref;

use hashbrown::HashTable;

use crate::topic::index::PrefixHash;

/// Up to so many pending edges are kept exactly as they happened.
pub const EDGES_EXACT_MAX: usize = 65_536;

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
/// They come out exactly as they went in, until [`EDGES_EXACT_MAX`] are pending, or twice as many as the last
/// compaction left, whichever is more. Then they are netted out once: of each prefix an even number of pending edges
/// vanishes, as the watcher knows the outcome already, and of an odd number the last one stays. So what the watcher
/// learns stays true, and the memory is bounded by the prefixes in force and those it was told to be in force, however
/// long it does not read and whatever strangers do meanwhile.
pub struct Edges {
    hash: PrefixHash,
    pending: VecDeque<Edge>,
    /// At this many pending edges they are netted out.
    compact_at: usize,
}

impl Edges {
    /// No pending edges. `seed` keys a hash: it should be random, and unknown to the peers.
    pub fn new(seed: u64) -> Edges {
        Edges { hash: PrefixHash::new(seed), pending: VecDeque::new(), compact_at: EDGES_EXACT_MAX }
    }

    /// Appends an edge. The edges of one prefix must alternate: anything else is a broken invariant, and panics when
    /// it is noticed.
    pub fn push(&mut self, prefix: Prefix, wanted: bool) {
        if self.pending.len() >= self.compact_at {
            self.compact();
        }
        self.pending.push_back(Edge { prefix, wanted });
    }

    /// The oldest pending edge.
    pub fn pop(&mut self) -> Option<Edge> {
        let edge = self.pending.pop_front()?;
        if self.pending.is_empty() {
            self.compact_at = EDGES_EXACT_MAX;
            self.pending.shrink_to(EDGES_EXACT_MAX);
        }
        Some(edge)
    }

    /// How many edges are pending.
    pub fn len(&self) -> usize {
        self.pending.len()
    }

    /// Whether the watcher has read everything.
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    fn compact(&mut self) {
        let pending = self.pending.make_contiguous();
        let hash = |&at: &usize| self.hash.hash(&pending[at].prefix);
        // Where the edge without a partner is, for each prefix that has one.
        let mut single: HashTable<usize> = HashTable::new();
        let mut stays = vec![false; pending.len()];
        for (at, edge) in pending.iter().enumerate() {
            match single.find_entry(hash(&at), |&other| pending[other].prefix == edge.prefix) {
                Ok(entry) => {
                    let (partner, _) = entry.remove();
                    assert_ne!(
                        pending[partner].wanted, edge.wanted,
                        "the edges of {} alternate",
                        edge.prefix
                    );
                    stays[partner] = false;
                }
                Err(_) => {
                    single.insert_unique(hash(&at), at, hash);
                    stays[at] = true;
                }
            }
        }
        let mut stays = stays.into_iter();
        self.pending.retain(|_| stays.next() == Some(true));
        self.compact_at = EDGES_EXACT_MAX.max(2 * self.pending.len());
        self.pending.shrink_to(self.compact_at);
    }
}
