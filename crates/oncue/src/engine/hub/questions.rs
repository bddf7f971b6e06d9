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

/// How many questions wait at most. Peers that ask and leave, again and again, could fill the memory otherwise.
const WAITING_MAX: usize = 65_536;

/// The questions of one socket.
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

    /// Whether a question is asked upstream: if too many wait, it is answered here.
    pub(crate) fn are_relayed(&self) -> bool {
        self.relayed.load(Ordering::SeqCst) && lock(&self.queue).len() < WAITING_MAX
    }

    pub(crate) fn push(&self, peer: PeerKey, prefix: &[u8], wakes: &mut Vec<Waker>) {
        lock(&self.queue).push_back((peer, prefix.into()));
        self.waiters.take(wakes);
    }

    pub(crate) fn pop(&self) -> Option<(PeerKey, Prefix)> {
        lock(&self.queue).pop_front()
    }
}
