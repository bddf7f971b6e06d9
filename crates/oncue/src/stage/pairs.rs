//! What a publisher is told of each of its peers, checked at each step.

use std::collections::{BTreeMap, BTreeSet};

use crate::{PeerKey, Prefix, SubscriptionEvent, SubscriptionWatch, XPub};

/// The pairs of peer and prefix, according to the events.
#[derive(Default)]
pub(crate) struct Pairs {
    pub(crate) held: BTreeSet<(PeerKey, Prefix)>,
    /// Requests that are not decided, as far as it is told: that a request was decided is not.
    pub(crate) asked: BTreeSet<(PeerKey, Prefix)>,
}

impl Pairs {
    /// An event. It must not contradict the earlier ones.
    pub(crate) fn take(&mut self, event: &SubscriptionEvent) {
        let pair = (event.peer().key, event.prefix().clone());
        match event {
            SubscriptionEvent::Subscribed { .. } => {
                assert!(self.held.insert(pair.clone()), "{pair:?} was held already");
            }
            SubscriptionEvent::Unsubscribed { .. } => {
                assert!(self.held.remove(&pair), "{pair:?} was not held")
            }
            SubscriptionEvent::Repeated { .. } => assert!(self.held.contains(&pair), "{pair:?} was not held"),
            SubscriptionEvent::Requested { .. } => _ = self.asked.insert(pair),
            SubscriptionEvent::Withdrawn { .. } => {
                assert!(self.asked.remove(&pair), "{pair:?} was not asked")
            }
        }
    }

    /// How many peers hold each prefix.
    pub(crate) fn peers(&self) -> BTreeMap<Prefix, u32> {
        let mut peers = BTreeMap::new();
        self.held.iter().for_each(|(_, prefix)| *peers.entry(prefix.clone()).or_default() += 1);
        peers
    }
}

/// A watch of each peer, and what it has told.
pub(crate) struct PairWatch {
    watch: SubscriptionWatch,
    pub(crate) pairs: Pairs,
}

impl PairWatch {
    pub(crate) fn new(socket: &XPub) -> PairWatch {
        let watch = socket.subscriptions();
        let held = watch.snapshot().iter().map(|(peer, prefix)| (peer.key, prefix.clone()));
        let pairs = Pairs { held: held.collect(), asked: BTreeSet::new() };
        assert_eq!(pairs.held.len(), watch.snapshot().len(), "no pair twice");
        PairWatch { watch, pairs }
    }

    pub(crate) fn listen(&mut self) {
        while let Ok(Some(event)) = self.watch.try_next() {
            self.pairs.take(&event);
        }
    }

    /// Begins a new watch: its snapshot must be the state of the old one.
    pub(crate) fn anew(&mut self, socket: &XPub) {
        self.listen();
        let new = PairWatch::new(socket);
        assert_eq!(new.pairs.held, self.pairs.held, "a new watch starts where an old one has got to");
        *self = new;
    }
}
