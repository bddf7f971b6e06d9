//! Questions of subscribers about subscriptions that are in force here, where a proxy asks its own publishers first. A shard
//! leaves them; the proxy takes them, and decides by [`Verdict::Upstream`](super::Verdict::Upstream).

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;

use oncue_core::edges::Prefix;

use crate::op::Waiters;
use crate::permission::PeerKey;
use crate::sync::lock;

/// The questions of one socket. They are bounded: a peer has at most 1,024 that are answered later.
#[derive(Default)]
pub(crate) struct Questions {
    relayed: AtomicBool,
    queue: Mutex<VecDeque<(PeerKey, Prefix)>>,
    pub(crate) waiters: Waiters,
}

impl Questions {
    /// Whether questions are asked upstream from now on.
    pub(crate) fn relay(&self, relayed: bool) {
        self.relayed.store(relayed, Ordering::SeqCst);
    }

    pub(crate) fn are_relayed(&self) -> bool {
        self.relayed.load(Ordering::SeqCst)
    }

    pub(crate) fn push(&self, peer: PeerKey, prefix: &[u8], wakes: &mut Vec<Waker>) {
        lock(&self.queue).push_back((peer, prefix.into()));
        self.waiters.take(wakes);
    }

    pub(crate) fn pop(&self) -> Option<(PeerKey, Prefix)> {
        lock(&self.queue).pop_front()
    }
}
