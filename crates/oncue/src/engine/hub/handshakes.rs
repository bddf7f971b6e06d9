//! The handshakes in flight on the accepted connections of a socket, and which of them gives way when they are too many.
//!
//! A new connection is never refused for that: a stranger that opens connections and says nothing would lock out everybody
//! else. The origin with the most handshakes in flight loses its oldest one. A handshake of a normal peer lasts for a few round trips, so it
//! is never the oldest for long; and a stranger from another address does not touch it at all.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use crate::account::Origin;
use crate::permission::PeerKey;

/// A handshake in flight: later ones have higher numbers, until these begin again after 4 billion. Never 0.
pub(crate) type Turn = u32;

/// The handshakes in flight.
#[derive(Default)]
pub(crate) struct Handshakes {
    by_origin: HashMap<Origin, BTreeMap<Turn, PeerKey>>,
    /// The origins by how many they have; of several with as many, that of the oldest handshake comes last.
    ranks: BTreeMap<(usize, Reverse<Turn>), Origin>,
    count: u32,
    last: Turn,
}

fn rank(of_origin: &BTreeMap<Turn, PeerKey>) -> Option<(usize, Reverse<Turn>)> {
    of_origin.first_key_value().map(|(turn, _)| (of_origin.len(), Reverse(*turn)))
}

impl Handshakes {
    /// A handshake begins.
    pub(crate) fn begin(&mut self, origin: Origin, peer: PeerKey) -> Turn {
        self.last = self.last.wrapping_add(1).max(1);
        self.count += 1;
        self.edit(origin, |of_origin, turn| _ = of_origin.insert(turn, peer));
        self.last
    }

    /// A handshake ends, in whatever way. Without effect on one that has given way.
    pub(crate) fn end(&mut self, origin: Origin, turn: Turn) {
        let mut known = false;
        self.edit(origin, |of_origin, _| known = of_origin.remove(&turn).is_some());
        self.count -= u32::from(known);
    }

    /// If more than `max` are in flight, takes out the one that gives way.
    pub(crate) fn give_way(&mut self, max: u32) -> Option<PeerKey> {
        if self.count <= max {
            return None;
        }
        let (_, &greediest) = self.ranks.last_key_value()?;
        let mut oldest = None;
        self.edit(greediest, |of_origin, _| oldest = of_origin.pop_first());
        self.count -= 1;
        oldest.map(|(_, peer)| peer)
    }

    fn edit(&mut self, origin: Origin, change: impl FnOnce(&mut BTreeMap<Turn, PeerKey>, Turn)) {
        let of_origin = self.by_origin.entry(origin).or_default();
        if let Some(rank) = rank(of_origin) {
            self.ranks.remove(&rank);
        }
        change(of_origin, self.last);
        match rank(of_origin) {
            Some(rank) => _ = self.ranks.insert(rank, origin),
            None => _ = self.by_origin.remove(&origin),
        }
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.by_origin.is_empty() && self.ranks.is_empty() && self.count == 0
    }
}

#[cfg(test)]
mod tests {
    use oncue_testing::Rng;

    use super::*;

    fn peer(uid: u64) -> PeerKey {
        PeerKey { shard: 0, slot: 0, uid }
    }

    fn origin(n: u64) -> Origin {
        Origin::Uid((n as u32).to_ne_bytes())
    }

    #[test]
    fn the_oldest_of_the_greediest_origin_gives_way_and_all_others_stay() {
        for seed in 0..50 {
            let mut rng = Rng::new(seed);
            let max = 1 + rng.below(8) as u32;
            let mut handshakes = Handshakes::default();
            // (origin, turn, peer), the oldest first.
            let mut model: Vec<(u64, Turn, PeerKey)> = Vec::new();
            for uid in 0..300 {
                if rng.below(3) == 0 && !model.is_empty() {
                    let (of, turn, _) = model.remove(rng.below(model.len() as u64) as usize);
                    handshakes.end(origin(of), turn);
                    handshakes.end(origin(of), turn);
                    continue;
                }
                let of = rng.below(4);
                model.push((of, handshakes.begin(origin(of), peer(uid)), peer(uid)));
                let count = |of: u64| model.iter().filter(|(other, ..)| *other == of).count();
                let most = (0..4).map(count).max().unwrap();
                let oldest = model.iter().position(|(of, ..)| count(*of) == most).unwrap();
                let expected = (model.len() as u32 > max).then(|| model.remove(oldest).2);
                assert_eq!(handshakes.give_way(max), expected, "seed {seed}");
            }
            for (of, turn, _) in model {
                handshakes.end(origin(of), turn);
            }
            assert!(handshakes.is_empty());
        }
    }
}
