//! The topics of all catalogues: found by name with a hash, and by how they begin in their order. A catalogue is long, and
//! mostly a peer subscribes to one topic of it: then the order is not searched.

use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use core::ops::Bound;

use hashbrown::HashTable;

use crate::topic::index::PrefixHash;

pub(super) struct Catalogue<O> {
    /// Keyed: a topic of a catalogue is known, but peers choose what is looked up.
    hash: PrefixHash,
    topics: HashTable<Listing<O>>,
    /// The same topics.
    order: BTreeSet<Arc<[u8]>>,
}

/// A topic that is listed.
struct Listing<O> {
    topic: Arc<[u8]>,
    /// The route that serves the topic, not always one that lists it.
    owner: O,
    /// How many routes list it.
    routes: usize,
    /// Whether others begin with it. They follow it in the order, so its successor decides.
    begins_others: bool,
}

impl<O: Copy> Catalogue<O> {
    /// `seed` keys the hash.
    pub(super) fn new(seed: u64) -> Catalogue<O> {
        Catalogue { hash: PrefixHash::new(seed), topics: HashTable::new(), order: BTreeSet::new() }
    }

    /// How many topics there are.
    pub(super) fn len(&self) -> usize {
        self.topics.len()
    }

    pub(super) fn contains(&self, topic: &[u8]) -> bool {
        self.find(topic).is_some()
    }

    /// The route that serves a topic, if it is listed.
    pub(super) fn owner(&self, topic: &[u8]) -> Option<O> {
        self.find(topic).map(|listing| listing.owner)
    }

    /// How many routes list a topic.
    pub(super) fn routes_of(&self, topic: &[u8]) -> usize {
        self.find(topic).map_or(0, |listing| listing.routes)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<[u8]>> {
        self.order.iter()
    }

    /// The topics that begin with `prefix` in their order, and the routes that serve them.
    pub(super) fn beginning_with(&self, prefix: &[u8]) -> impl Iterator<Item = (&Arc<[u8]>, O)> {
        let alone = self.find(prefix).filter(|listing| !listing.begins_others);
        let others = match alone {
            Some(_) => None,
            None => Some(self.order.range::<[u8], _>((Bound::Included(prefix), Bound::Unbounded))),
        };
        let others = others.into_iter().flatten().take_while(move |topic| topic.starts_with(prefix));
        let others = others.filter_map(|topic| Some((topic, self.owner(topic)?)));
        alone.map(|listing| (&listing.topic, listing.owner)).into_iter().chain(others)
    }

    /// A route lists a topic, which `owner` serves. To be [linked](Self::link) afterwards.
    pub(super) fn add(&mut self, topic: &Arc<[u8]>, owner: O) {
        let hash = self.hash.hash(topic);
        if let Some(listing) = self.topics.find_mut(hash, |listing| listing.topic == *topic) {
            listing.routes += 1;
            return;
        }
        let listing = Listing { topic: topic.clone(), owner, routes: 1, begins_others: false };
        let Catalogue { hash: key, topics, order } = self;
        topics.insert_unique(hash, listing, |other| key.hash(&other.topic));
        order.insert(topic.clone());
    }

    /// A route lists a topic no more. To be [linked](Self::link) afterwards.
    pub(super) fn remove(&mut self, topic: &[u8]) {
        let hash = self.hash.hash(topic);
        let Ok(mut entry) = self.topics.find_entry(hash, |listing| *listing.topic == *topic) else { return };
        entry.get_mut().routes -= 1;
        if entry.get().routes == 0 {
            entry.remove();
            self.order.remove(topic);
        }
    }

    /// Notes who begins with whom, after all topics have been added.
    pub(super) fn link_all(&mut self) {
        let Catalogue { hash: key, topics, order } = self;
        for (topic, next) in order.iter().zip(order.iter().skip(1)) {
            if next.starts_with(topic)
                && let Some(listing) = topics.find_mut(key.hash(topic), |other| other.topic == *topic)
            {
                listing.begins_others = true;
            }
        }
    }

    /// The same, where this topic has come or gone; once for each such topic, after the last of them. Only topics whose
    /// successor has changed are concerned: the topic, and the one before it.
    pub(super) fn link(&mut self, topic: &[u8]) {
        let before = self.order.range::<[u8], _>((Bound::Unbounded, Bound::Excluded(topic))).next_back();
        for concerned in [self.order.get(topic), before].into_iter().flatten() {
            let after = (Bound::Excluded(&**concerned), Bound::Unbounded);
            let next = self.order.range::<[u8], _>(after).next();
            let begins_others = next.is_some_and(|next| next.starts_with(concerned));
            let same = |listing: &Listing<O>| listing.topic == *concerned;
            if let Some(listing) = self.topics.find_mut(self.hash.hash(concerned), same) {
                listing.begins_others = begins_others;
            }
        }
    }

    fn find(&self, topic: &[u8]) -> Option<&Listing<O>> {
        self.topics.find(self.hash.hash(topic), |listing| *listing.topic == *topic)
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;
    use alloc::vec::Vec;

    use oncue_testing::Rng;

    use super::*;

    #[test]
    fn what_begins_with_a_prefix_is_found_whatever_came_and_went() {
        let owner = 7;
        for seed in 0..300 {
            let mut random = Rng::new(seed);
            let mut catalogue = Catalogue::new(seed);
            // How many routes list each topic.
            let mut naive: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
            let text = |random: &mut Rng| -> Vec<u8> {
                (0..random.below(5)).map(|_| b"ab"[random.below(2)]).collect()
            };
            for round in 0..20 {
                let mut changed = Vec::new();
                for _ in 0..random.below(6) {
                    let topic: Arc<[u8]> = text(&mut random).into();
                    let routes = naive.entry(topic.to_vec()).or_default();
                    if random.one_in(2) {
                        catalogue.add(&topic, owner);
                        *routes += 1;
                    } else if *routes > 0 {
                        catalogue.remove(&topic);
                        *routes -= 1;
                    }
                    changed.push(topic);
                }
                naive.retain(|_, routes| *routes > 0);
                match round {
                    0 => catalogue.link_all(),
                    _ => changed.iter().for_each(|topic| catalogue.link(topic)),
                }
                assert_eq!((catalogue.len(), catalogue.iter().count()), (naive.len(), naive.len()));
                for _ in 0..20 {
                    let prefix = text(&mut random);
                    let expected: Vec<&[u8]> =
                        naive.keys().map(Vec::as_slice).filter(|topic| topic.starts_with(&prefix)).collect();
                    let found = catalogue.beginning_with(&prefix).map(|(topic, _)| &**topic);
                    assert_eq!(found.collect::<Vec<_>>(), expected, "seed {seed}, {prefix:?}");
                    let routes = naive.get(&prefix).copied().unwrap_or_default();
                    assert_eq!(catalogue.routes_of(&prefix), routes, "seed {seed}");
                    assert_eq!(catalogue.contains(&prefix), routes > 0, "seed {seed}");
                    assert_eq!(catalogue.owner(&prefix), (routes > 0).then_some(owner), "seed {seed}");
                }
            }
        }
    }

    #[test]
    fn a_topic_that_begins_no_other_is_found_without_the_order() {
        let owner = 7;
        let mut catalogue = Catalogue::new(7);
        for topic in ["a/1", "a/10", "a/2", "b"] {
            catalogue.add(&Arc::from(topic.as_bytes()), owner);
        }
        catalogue.link_all();
        let alone = |catalogue: &Catalogue<u32>, topic: &str| {
            !catalogue.find(topic.as_bytes()).expect("it is listed").begins_others
        };
        assert_eq!(
            ["a/1", "a/10", "a/2", "b"].map(|topic| alone(&catalogue, topic)),
            [false, true, true, true]
        );
        catalogue.remove(b"a/10");
        catalogue.link(b"a/10");
        assert!(alone(&catalogue, "a/1"), "what it began with is alone again");
    }
}
