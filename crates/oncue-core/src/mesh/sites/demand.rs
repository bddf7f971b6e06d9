//! What another site wants, as far as it is within its quota. Sequence numbers are not known here.

use alloc::vec::Vec;

use super::quotas::Quotas;
use crate::edges::Prefix;
use crate::mesh::codec::{Change, Snapshot};
use crate::mesh::hash::SetHash;
use crate::topic::index::PrefixMap;

/// The prefixes in force, and the size and the hash of the set that the site claims. What is beyond the quota is only counted:
/// since a site tells each change once, a prefix that it gives up and that is not in force was refused.
pub(super) struct Demand {
    seed: u64,
    force: PrefixMap<()>,
    /// The bytes of the prefixes in force.
    bytes: usize,
    /// How many prefixes the site claims.
    claimed: u64,
    /// How many of these are longer than a prefix may be.
    too_long: u64,
    hash: SetHash,
}

/// What became of a prefix that is wanted.
enum Taken {
    /// It is in force from now on.
    New,
    /// It was in force. Only said if there is room.
    Known,
    /// There is no room.
    Refused,
}

/// A change that contradicts what the site has said before.
pub(super) struct Contradiction;

impl Demand {
    pub(super) fn new(seed: u64) -> Demand {
        Demand { seed, force: PrefixMap::new(seed), bytes: 0, claimed: 0, too_long: 0, hash: SetHash::new() }
    }

    /// Nothing is claimed.
    pub(super) fn clear(&mut self) {
        *self = Demand::new(self.seed);
    }

    /// How many prefixes are in force.
    pub(super) fn len(&self) -> usize {
        self.force.len()
    }

    /// How many prefixes the site claims, and the hash of all of them.
    pub(super) fn claimed(&self) -> (u64, u64) {
        (self.claimed, self.hash.sum())
    }

    /// How many prefixes are claimed and not in force.
    pub(super) fn refused(&self) -> u64 {
        self.claimed.saturating_sub(self.force.len() as u64)
    }

    /// Whether a prefix that was refused may be in force from now on: there is room, and one is missing for no other reason.
    pub(super) fn may_grow(&self, quotas: &Quotas) -> bool {
        self.refused() > self.too_long
            && self.force.len() < quotas.prefixes
            && self.bytes < quotas.prefix_bytes
    }

    pub(super) fn prefixes(&self) -> impl Iterator<Item = &[u8]> {
        self.force.iter().map(|(_, prefix, ())| prefix)
    }

    /// The allocated memory, in bytes.
    pub(super) fn allocated_bytes(&self) -> usize {
        self.force.allocated_bytes()
    }

    /// Applies a change, and notes what it changes in force.
    pub(super) fn change(
        &mut self,
        change: Change<'_>,
        quotas: &Quotas,
        edges: &mut Vec<(Prefix, bool)>,
    ) -> Result<(), Contradiction> {
        let Change { prefix, wanted } = change;
        if wanted {
            match self.take(prefix, quotas) {
                Taken::New => edges.push((prefix.into(), true)),
                Taken::Refused if self.force.find(prefix).is_none() => {}
                Taken::Known | Taken::Refused => return Err(Contradiction),
            }
        } else if let Some(id) = self.force.find(prefix) {
            self.force.remove_id(id);
            self.bytes -= prefix.len();
            edges.push((prefix.into(), false));
        } else if self.refused() == 0 {
            return Err(Contradiction);
        }
        self.claim(prefix, wanted, quotas);
        Ok(())
    }

    /// Becomes what the snapshot says, and notes the difference: what ends, then what begins.
    pub(super) fn replace(
        &mut self,
        snapshot: &Snapshot<'_>,
        quotas: &Quotas,
        edges: &mut Vec<(Prefix, bool)>,
    ) {
        let mut new = Demand::new(self.seed);
        // What is in force has precedence, so that a site beyond its quota does not have its prefixes exchanged at random.
        let keeps = |prefix: &[u8]| self.force.find(prefix).is_some();
        for prefix in snapshot.prefixes() {
            new.claim(prefix, true, quotas);
            if keeps(prefix) {
                new.take(prefix, quotas);
            }
        }
        if new.force.len() < self.force.len() {
            let ended = self.prefixes().filter(|prefix| new.force.find(prefix).is_none());
            edges.extend(ended.map(|prefix| (prefix.into(), false)));
        }
        for prefix in snapshot.prefixes().filter(|prefix| !keeps(prefix)) {
            if matches!(new.take(prefix, quotas), Taken::New) {
                edges.push((prefix.into(), true));
            }
        }
        *self = new;
    }

    /// Counts a prefix among those that the site claims.
    fn claim(&mut self, prefix: &[u8], wanted: bool, quotas: &Quotas) {
        let one = |count: u64| if wanted { count.saturating_add(1) } else { count.saturating_sub(1) };
        self.claimed = one(self.claimed);
        if prefix.len() > quotas.prefix_len {
            self.too_long = one(self.too_long);
        }
        self.hash.change(prefix, wanted);
    }

    /// Puts a prefix in force if there is room.
    fn take(&mut self, prefix: &[u8], quotas: &Quotas) -> Taken {
        let fits = prefix.len() <= quotas.prefix_len
            && self.force.len() < quotas.prefixes
            && prefix.len() <= quotas.prefix_bytes.saturating_sub(self.bytes);
        if !fits {
            return Taken::Refused;
        }
        match self.force.get_or_insert_with(prefix, || ()) {
            Ok((_, true)) => {
                self.bytes += prefix.len();
                Taken::New
            }
            Ok((_, false)) => Taken::Known,
            Err(_) => Taken::Refused,
        }
    }
}
