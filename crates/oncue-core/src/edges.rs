//! The events that one watcher has not read yet, in bounded memory: of demand, or of each peer. How it waits for them is not known here.
mod edge;
mod queue;
#[cfg(test)]
mod tests;

pub use edge::{Edge, Prefix, Subject};
use queue::{NONE, Queue};

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
    queue: Queue<S>,
    /// The sum of the lengths of the pending prefixes.
    bytes: usize,
    netting: Option<Netting>,
    /// How often netting was begun: the mark of the slots that are in its table.
    round: u32,
    exact: Exact,
}

/// The state of netting.
struct Netting {
    /// The edges that were examined, one per prefix.
    table: Tables,
    /// The oldest edge that was not examined. All newer ones were not examined either.
    next: u32,
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
        let hash = PrefixHash::new(seed);
        Edges { hash, queue: Queue::new(), bytes: 0, netting: None, round: 0, exact }
    }

    /// Appends an edge. The edges of one prefix and subject must alternate.
    ///
    /// # Panics
    /// When they do not, and it is noticed.
    pub fn push(&mut self, subject: S, prefix: Prefix, wanted: bool) {
        if self.is_full() && self.netting.is_none() {
            self.begin_netting();
        }
        let steps = self.exact.net_steps + prefix.len() / BYTES_PER_NET_STEP;
        self.append(Edge { subject, prefix, wanted, repeated: false });
        let _ = (0..steps).all(|_| self.net_one());
        if self.is_empty() {
            self.netting = None;
        }
    }

    /// Appends a repeated edge: the subject has asked again for what it has. Dropped unless all edges are kept exactly.
    pub fn repeat(&mut self, subject: S, prefix: Prefix) {
        if !self.is_full() && self.netting.is_none() {
            self.append(Edge { subject, prefix, wanted: true, repeated: true });
        }
    }

    fn is_full(&self) -> bool {
        self.queue.len() >= self.exact.edges_max || self.bytes >= self.exact.bytes_max
    }

    fn append(&mut self, edge: Edge<S>) {
        self.bytes += edge.prefix.len();
        let at = self.queue.push(edge);
        if let Some(netting) = &mut self.netting
            && netting.next == NONE
        {
            netting.next = at;
        }
    }

    /// Removes and returns the oldest pending edge.
    pub fn pop(&mut self) -> Option<Edge<S>> {
        let at = self.queue.oldest();
        if at == NONE {
            return None;
        }
        if let Some(netting) = self.netting.as_mut().filter(|netting| netting.next == at) {
            netting.next = self.queue.newer(at);
        }
        let edge = self.remove(at);
        if self.queue.len() <= self.exact.edges_max / 2 && self.bytes <= self.exact.bytes_max / 2 {
            self.netting = None;
        }
        Some(edge)
    }

    /// How many edges were moved to make room for others since the last call. Each costs a fraction of a push.
    pub fn take_moved(&mut self) -> u64 {
        self.netting.as_mut().map_or(0, |netting| netting.table.take_moved())
    }

    /// How many edges are pending.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether the watcher has read everything.
    pub fn is_empty(&self) -> bool {
        self.queue.len() == 0
    }

    /// Begins to net the pending edges, as others arrive.
    fn begin_netting(&mut self) {
        self.round += 1;
        self.netting = Some(Netting { table: Tables::new(), next: self.queue.oldest() });
    }

    /// Examines the next edge: if it has a partner, both are dropped. Returns whether there was an edge to examine.
    fn net_one(&mut self) -> bool {
        let Edges { hash, queue, netting, .. } = self;
        let Some(Netting { table, next }) = netting else { return false };
        let at = *next;
        if at == NONE {
            return false;
        }
        *next = queue.newer(at);
        let edge = &queue.slot(at).edge;
        if edge.repeated {
            self.remove(at);
            return true;
        }
        let hash = hash.hash_of_pair(edge.subject.number(), &edge.prefix);
        let same = |other: &Edge<S>| other.subject == edge.subject && other.prefix == edge.prefix;
        if let Some(partner) = table.find(hash, |other| same(&queue.slot(other).edge)) {
            let known = &queue.slot(partner).edge;
            assert_ne!(known.wanted, edge.wanted, "the edges of {} alternate", edge.prefix);
            // In this order, no removal gives one the number of the other.
            self.remove(at.max(partner));
            self.remove(at.min(partner));
        } else {
            table.make_room(hash, queue.len(), |other| queue.slot(other).hash);
            table.insert(hash, at);
            let slot = queue.slot_mut(at);
            (slot.hash, slot.mark) = (hash, self.round);
        }
        true
    }

    /// Removes an edge from the queue, and from the table if it is there.
    fn remove(&mut self, at: u32) -> Edge<S> {
        let Edges { queue, netting, round, .. } = self;
        if let Some(Netting { table, next }) = netting {
            let (slot, last) = (queue.slot(at), queue.last());
            if slot.mark == *round {
                table.remove(slot.hash, at, queue.len(), |other| queue.slot(other).hash);
            }
            if last != at && queue.slot(last).mark == *round {
                table.renumber(queue.slot(last).hash, last, at);
            }
            if *next == last {
                *next = at;
            }
        }
        let edge = self.queue.remove(at);
        self.bytes -= edge.prefix.len();
        edge
    }
}
