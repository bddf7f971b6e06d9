//! Questions of subscribers about subscriptions that are in force here, where a proxy asks its own publishers first. A shard
//! leaves them; the proxy takes them, and decides by [`Verdict::Upstream`](super::Verdict::Upstream).

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Waker;

use oncue_core::edges::Prefix;

use crate::op::Waiters;
use crate::permission::PeerKey;
use crate::sync::lock;

/// How many questions, and how many bytes of their prefixes, wait at most. Peers that ask and leave, again and again, could
/// fill the memory otherwise.
const WAITING_MAX: usize = 65_536;
const WAITING_BYTES_MAX: usize = 16 << 20;

/// The questions of one socket.
#[derive(Default)]
pub(crate) struct Questions {
    /// How many proxies ask: one that begins may do so before the one that it replaces has ended.
    relays: AtomicUsize,
    waiting: Mutex<Waiting>,
    pub(crate) waiters: Waiters,
}

#[derive(Default)]
struct Waiting {
    queue: VecDeque<(PeerKey, Prefix)>,
    bytes: usize,
}

impl Questions {
    /// Questions are asked upstream from now on.
    pub(crate) fn relay(&self) {
        self.relays.fetch_add(1, Ordering::SeqCst);
    }

    /// One that asked them ends. Returns whether it was the last one.
    pub(crate) fn end_relay(&self) -> bool {
        self.relays.fetch_sub(1, Ordering::SeqCst) == 1
    }

    /// Whether a question is asked upstream: if too many wait, it is answered here.
    pub(crate) fn are_relayed(&self) -> bool {
        self.relays.load(Ordering::SeqCst) > 0 && !lock(&self.waiting).is_full()
    }

    pub(crate) fn push(&self, peer: PeerKey, prefix: &[u8], wakes: &mut Vec<Waker>) {
        let mut waiting = lock(&self.waiting);
        waiting.bytes += prefix.len();
        waiting.queue.push_back((peer, prefix.into()));
        self.waiters.take(wakes);
    }

    pub(crate) fn pop(&self) -> Option<(PeerKey, Prefix)> {
        let mut waiting = lock(&self.waiting);
        let question = waiting.queue.pop_front()?;
        waiting.bytes -= question.1.len();
        Some(question)
    }
}

impl Waiting {
    fn is_full(&self) -> bool {
        self.queue.len() >= WAITING_MAX || self.bytes >= WAITING_BYTES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_questions_wait_and_few_bytes_of_them() {
        let peer = PeerKey { shard: 0, slot: 0, uid: 0 };
        for bytes in [1, 60_000] {
            let questions = Questions::default();
            assert!(!questions.are_relayed());
            questions.relay();
            let mut asked = 0;
            while questions.are_relayed() {
                questions.push(peer, &vec![b'x'; bytes], &mut Vec::new());
                asked += 1;
            }
            assert_eq!(asked, WAITING_MAX.min(WAITING_BYTES_MAX.div_ceil(bytes)));
            questions.pop();
            assert!(questions.are_relayed());
            while questions.pop().is_some() {}
            assert_eq!(lock(&questions.waiting).bytes, 0);
        }
    }

    #[test]
    fn a_proxy_that_ends_leaves_the_questions_to_the_one_that_has_begun() {
        let questions = Questions::default();
        questions.relay();
        questions.relay();
        assert!(!questions.end_relay());
        assert!(questions.are_relayed());
        assert!(questions.end_relay());
        assert!(!questions.are_relayed());
    }
}
