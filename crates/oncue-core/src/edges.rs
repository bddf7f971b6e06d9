//! The events that one watcher has not read yet, in bounded memory: of demand, or of each peer. How it waits for them is not known here.
mod edge;
mod fifo;
mod queue;
#[cfg(test)]
mod tests;

pub use edge::{Edge, Prefix, Subject};
use fifo::Fifo;
use queue::Queue;

use crate::topic::index::{PrefixHash, Tables};

/// Up to this number, pending edges are kept exactly as they happened.
pub const EDGES_EXACT_MAX: usize = 65_536;
/// Up to this sum of the lengths of their prefixes in bytes, pending edges are kept exactly as they happened.
pub const EDGES_EXACT_BYTES_MAX: usize = 4 << 20;
/// How many pending edges are examined for each new one, and how many bytes of its prefix add one more.
const NET_STEPS: usize = 64;
const BYTES_PER_NET_STEP: usize = 64;

/// The edges that a watcher has not read.
///
/// All edges are delivered in order while fewer than [`EDGES_EXACT_MAX`] are pending, with prefixes of less than
/// [`EDGES_EXACT_BYTES_MAX`] in all. From then on, until half of both is read, they are netted: an even number of pending
/// edges of one prefix is dropped, as the watcher already knows the outcome, and of an odd number the last one is kept. So
/// what the watcher learns stays true, and the memory is bounded by the prefixes in force and those reported as in force,
/// however long the watcher does not read and whatever the peers do meanwhile.
///
/// Each operation is short, however many edges are pending: they are netted in small steps as others arrive, and until that
/// is done a few more than the limit are pending.
///
/// With a [`Subject`] the same holds for each (subject, prefix). Repeated edges are kept only while all are kept exactly.
pub struct Edges<S = ()> {
    hash: PrefixHash,
    /// Those that were examined for netting: at most one for each (subject, prefix), found by `table`. All others are newer.
    examined: Queue<S>,
    table: Tables,
    /// Those that were not examined.
    fresh: Fifo<Edge<S>>,
    /// The sum of the lengths of the pending prefixes.
    bytes: usize,
    /// Whether edges are examined as others arrive.
    netting: bool,
    exact: Exact,
}

/// The limits, which tests lower.
#[derive(Clone, Copy)]
struct Exact {
    edges_max: usize,
    bytes_max: usize,
    net_steps: usize,
}

impl<S: Subject> Edges<S> {
    /// No pending edges. `seed` keys a hash: it should be random and secret.
    pub fn new(seed: u64) -> Edges<S> {
        let exact =
            Exact { edges_max: EDGES_EXACT_MAX, bytes_max: EDGES_EXACT_BYTES_MAX, net_steps: NET_STEPS };
        let (hash, table) = (PrefixHash::new(seed), Tables::new());
        Edges { hash, examined: Queue::new(), table, fresh: Fifo::new(), bytes: 0, netting: false, exact }
    }

    /// Appends an edge. The edges of one prefix and subject must alternate.
    ///
    /// # Panics
    /// When they do not, and it is noticed.
    pub fn push(&mut self, subject: S, prefix: Prefix, wanted: bool) {
        let steps = self.exact.net_steps + prefix.len() / BYTES_PER_NET_STEP;
        self.netting |= self.is_full();
        self.append(Edge { subject, prefix, wanted, repeated: false });
        if self.netting {
            let _ = (0..steps).all(|_| self.net_one());
            self.netting = !self.is_empty();
        }
    }

    /// Appends a repeated edge: the subject has asked again for what it has. Dropped unless all edges are kept exactly.
    pub fn repeat(&mut self, subject: S, prefix: Prefix) {
        if !self.is_full() && !self.netting {
            self.append(Edge { subject, prefix, wanted: true, repeated: true });
        }
    }

    fn is_full(&self) -> bool {
        self.len() >= self.exact.edges_max || self.bytes >= self.exact.bytes_max
    }

    fn append(&mut self, edge: Edge<S>) {
        self.bytes += edge.prefix.len();
        self.fresh.push(edge);
    }

    /// Removes and returns the oldest pending edge.
    pub fn pop(&mut self) -> Option<Edge<S>> {
        let edge = match self.examined.oldest() {
            Some(at) => self.remove_examined(at),
            None => self.fresh.pop()?,
        };
        self.bytes -= edge.prefix.len();
        if self.netting && self.len() <= self.exact.edges_max / 2 && self.bytes <= self.exact.bytes_max / 2 {
            self.netting = false;
        }
        Some(edge)
    }

    /// How many edges were moved to make room for others since the last call. Each costs a fraction of a push.
    pub fn take_moved(&mut self) -> u64 {
        self.table.take_moved()
    }

    /// How many edges are pending.
    pub fn len(&self) -> usize {
        self.examined.len() + self.fresh.len()
    }

    /// Whether the watcher has read everything.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Examines the next edge: if it has a partner, both are dropped. Returns whether there was an edge to examine.
    fn net_one(&mut self) -> bool {
        let Some(edge) = self.fresh.pop() else { return false };
        let len = edge.prefix.len();
        if edge.repeated {
            self.bytes -= len;
            return true;
        }
        let Edges { hash, examined, table, .. } = self;
        let hash = hash.hash_of_pair(edge.subject.number(), &edge.prefix);
        let same = |other: &Edge<S>| other.subject == edge.subject && other.prefix == edge.prefix;
        if let Some(partner) = table.find(hash, |other| same(&examined.slot(other).edge)) {
            let known = &examined.slot(partner).edge;
            assert_ne!(known.wanted, edge.wanted, "the edges of {} alternate", edge.prefix);
            self.bytes -= 2 * len;
            self.remove_examined(partner);
        } else {
            table.make_room(hash, examined.len() + 1, &|other| examined.slot(other).hash);
            table.insert(hash, examined.push(edge, hash));
        }
        true
    }

    /// Removes an edge that was examined.
    fn remove_examined(&mut self, at: u32) -> Edge<S> {
        let Edges { examined, table, .. } = self;
        let (hash, last) = (examined.slot(at).hash, examined.last());
        table.remove(hash, at, examined.len(), &|other| examined.slot(other).hash);
        if last != at {
            table.renumber(examined.slot(last).hash, last, at);
        }
        let edge = examined.remove(at);
        if examined.len() == 0 {
            *table = Tables::new();
        }
        edge
    }
}
