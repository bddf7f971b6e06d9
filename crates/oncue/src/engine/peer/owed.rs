//! The last values that a peer is owed: those of what it newly wants, sent as its queue has room for them.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::atomic::Ordering;
use std::time::Duration;

use oncue_core::ledger::PeerId;

use crate::engine::hub::kept::{Asking, Cursor, Fresh, PORTION};
use crate::engine::peer::end::End;
use crate::engine::peer::outgoing::{Outgoing, count_missed};
use crate::engine::wire::chunk::Run;
use crate::engine::wire::gather::Gather;
use crate::net::Stream;

/// With more new prefixes than this, the values do not wait for room: what does not fit is missed.
const PREFIXES_MAX: usize = 4096;
/// How many bytes of topics may pass a peer while values wait for it. Beyond it the values do not wait for room.
const PASSED_BYTES_MAX: usize = 1 << 20;
/// How often the store is searched for one peer in one turn. A fast reader must not keep a shard from its other peers.
const PASSES_PER_TURN: u32 = 4;
/// The cost of such a topic besides its length, in bytes.
const PASSED_OVERHEAD_BYTES: usize = 64;

/// The values that one peer is owed.
#[derive(Default)]
pub(crate) struct Owed {
    /// The values of these prefixes are being sent, in the order of their topics.
    current: Fresh,
    at: Cursor,
    /// The values of these follow.
    next: Fresh,
    /// Topics of which newer messages were sent meanwhile.
    passed: BTreeSet<Vec<u8>>,
    passed_bytes: usize,
    /// How often the store was searched, until it is counted.
    passes: u32,
}

/// The receiver of the values.
pub(crate) struct Payee<'a, S> {
    pub(crate) peer: PeerId,
    pub(crate) out: &'a mut Outgoing<S>,
    pub(crate) now: Duration,
}

impl Owed {
    pub(crate) fn is_empty(&self) -> bool {
        self.current.is_empty()
    }

    /// The peer newly wants these prefixes: sends what is kept of them as far as there is room, the rest later.
    pub(crate) fn add<S: Stream>(&mut self, fresh: Fresh, to: &mut Payee<'_, S>) -> Result<(), End> {
        match self.is_empty() {
            true => self.current = fresh,
            false => self.next.extend(fresh),
        }
        self.pay(to)?;
        if self.current.len() + self.next.len() > PREFIXES_MAX {
            self.settle(to)?;
        }
        Ok(())
    }

    /// Sends what there is room for, up to a share; the rest follows in the next turn.
    pub(crate) fn pay<S: Stream>(&mut self, to: &mut Payee<'_, S>) -> Result<(), End> {
        self.send(to, false)
    }

    /// How often the store was searched since the last call.
    pub(crate) fn take_passes(&mut self) -> u32 {
        std::mem::take(&mut self.passes)
    }

    /// Sends what fits below the marks; the rest is missed.
    fn settle<S: Stream>(&mut self, to: &mut Payee<'_, S>) -> Result<(), End> {
        self.send(to, true)
    }

    fn send<S: Stream>(&mut self, to: &mut Payee<'_, S>, all: bool) -> Result<(), End> {
        let (mut full, until) = (false, self.passes.saturating_add(PASSES_PER_TURN));
        while !self.is_empty() && (all || self.passes < until) {
            let Some(portion) = (if all { Some(PORTION) } else { to.out.room_for_values() }) else { break };
            let (mut gather, mut messages) = (Gather::default(), 0);
            self.passes = self.passes.saturating_add(1);
            let Owed { current, at, next, passed, .. } = self;
            let asking = Asking { peer: to.peer, prefixes: current, later: next, passed, now: to.now };
            let hub = &to.out.hub;
            // The locks are released before anything is written.
            let done = hub.last.pass(&hub.demand.read(), &asking, at, portion, |value| {
                messages += 1;
                if !full {
                    gather.add_message(value);
                }
            });
            let missed = match full {
                true => {
                    count_missed(hub, messages);
                    to.out.missed += messages;
                    messages
                }
                false => to.out.offer_values(&gather.finish(), all)?,
            };
            // A message that a newer one of its topic has replaced is missed as well, and says nothing about room.
            full |= missed > 0 && to.out.lacks_room(false);
            to.out.hub.last.offered.fetch_add(messages.saturating_sub(missed), Ordering::Relaxed);
            if done {
                self.turn();
            }
        }
        Ok(())
    }

    /// The current prefixes are done.
    fn turn(&mut self) {
        self.current = std::mem::take(&mut self.next);
        self.at = Cursor::default();
        if self.is_empty() {
            *self = Owed { passes: self.passes, ..Owed::default() };
        }
    }

    /// The peer is about to cancel a prefix. A value that it has got by that prefix, and is owed by another one, would
    /// come twice; in that case nothing waits any longer.
    pub(crate) fn cancel<S: Stream>(&mut self, prefix: &[u8], to: &mut Payee<'_, S>) -> Result<(), End> {
        if self.is_empty() {
            return Ok(());
        }
        if touches_others(&self.current, prefix) || touches_others(&self.next, prefix) {
            return self.settle(to);
        }
        self.current.remove(prefix);
        self.next.remove(prefix);
        // If they are wanted again, they are new again.
        let passed = self.passed.range::<[u8], _>((Bound::Included(prefix), Bound::Unbounded));
        let passed: Vec<_> = passed.take_while(|topic| topic.starts_with(prefix)).cloned().collect();
        for topic in passed {
            self.passed_bytes -= topic.len() + PASSED_OVERHEAD_BYTES;
            self.passed.remove(&topic);
        }
        if self.current.is_empty() {
            self.turn();
        }
        Ok(())
    }

    /// Messages are about to be sent: no older value of their topics may follow them.
    pub(crate) fn pass<S: Stream>(&mut self, runs: &[Run], to: &mut Payee<'_, S>) -> Result<(), End> {
        {
            let ledger = to.out.hub.demand.read();
            for topic in runs.iter().flat_map(Run::topics) {
                let mut owed = false;
                ledger.for_each_prefix_of(to.peer, topic, |prefix| {
                    owed |= self.current.contains_key(prefix) || self.next.contains_key(prefix);
                });
                if owed && !self.passed.contains(topic) {
                    self.passed_bytes += topic.len() + PASSED_OVERHEAD_BYTES;
                    self.passed.insert(topic.to_vec());
                }
                if self.passed_bytes > PASSED_BYTES_MAX {
                    break;
                }
            }
        }
        if self.passed_bytes > PASSED_BYTES_MAX {
            return self.settle(to);
        }
        Ok(())
    }
}

/// Whether another of these prefixes begins with this one, or is a beginning of it.
fn touches_others(prefixes: &Fresh, prefix: &[u8]) -> bool {
    let mut below = prefixes.range::<[u8], _>((Bound::Excluded(prefix), Bound::Unbounded));
    if below.next().is_some_and(|(other, _)| other.starts_with(prefix)) {
        return true;
    }
    // The preceding prefix is a beginning of this one, or shares at most as much with it as a beginning has; the
    // search goes on there.
    let mut end = Bound::Excluded(prefix);
    while let Some((other, _)) = prefixes.range::<[u8], _>((Bound::Unbounded, end)).next_back() {
        if prefix.starts_with(other) {
            return true;
        }
        let common = other.iter().zip(prefix).take_while(|(a, b)| a == b).count();
        end = Bound::Included(&prefix[..common]);
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use oncue_testing::for_seeds;

    #[test]
    fn prefixes_that_touch_another_are_found() {
        for_seeds(300, |rng| {
            let mut word = || (0..rng.below(5)).map(|_| b'a' + rng.below(3) as u8).collect::<Vec<_>>();
            let prefixes: Fresh = (0..6).map(|_| (word(), (0, 0))).collect();
            for _ in 0..20 {
                let one = word();
                let touches =
                    |other: &&Vec<u8>| **other != one && (other.starts_with(&one) || one.starts_with(other));
                assert_eq!(touches_others(&prefixes, &one), prefixes.keys().any(|other| touches(&other)));
            }
        });
    }
}
