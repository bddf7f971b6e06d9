//! The watches of one socket's demand, each with a queue of its own.

use std::sync::{Arc, Mutex};
use std::task::Waker;

use oncue_core::edges::{Edges, Prefix};

use crate::op::Waiters;
use crate::sync::lock;

/// A queue of demand events for one reader.
pub(crate) struct Watch {
    edges: Mutex<Edges>,
    pub(crate) waiters: Arc<Waiters>,
}

/// The watches of one socket. Each stays until it is ended.
#[derive(Default)]
pub(crate) struct Watches {
    all: Vec<Arc<Watch>>,
}

impl Watch {
    /// The next event: a prefix, and whether it is wanted now.
    pub(crate) fn pop(&self) -> Option<(Prefix, bool)> {
        lock(&self.edges).pop().map(|edge| (edge.prefix, edge.wanted))
    }

    /// Queues what is wanted when the watch begins.
    pub(crate) fn start(&self, wanted: impl Iterator<Item = Prefix>) {
        let mut edges = lock(&self.edges);
        wanted.for_each(|prefix| edges.push(prefix, true));
    }
}

impl Watches {
    /// Begins a watch; `waiters` wait for its events. `seed` keys its hashes.
    pub(crate) fn begin(&mut self, seed: u64, waiters: Arc<Waiters>) -> Arc<Watch> {
        let watch = Arc::new(Watch { edges: Mutex::new(Edges::new(seed)), waiters });
        self.all.push(watch.clone());
        watch
    }

    pub(crate) fn end(&mut self, watch: &Watch) {
        self.all.retain(|other| !std::ptr::eq(&**other, watch));
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Watch>> {
        self.all.iter()
    }

    /// Queues an event in all watches. Returns how many events were moved to make room for it.
    pub(crate) fn tell(&self, prefix: &[u8], wanted: bool, wakes: &mut Vec<Waker>) -> u64 {
        if self.all.is_empty() {
            return 0;
        }
        let prefix = Prefix::from(prefix);
        let mut moved = 0;
        for watch in self.iter() {
            let mut edges = lock(&watch.edges);
            edges.push(prefix.clone(), wanted);
            moved += edges.take_moved();
            drop(edges);
            watch.waiters.take(wakes);
        }
        moved
    }
}
