//! Questions of subscribers about subscriptions that are in force here, where a proxy asks its own publishers first. A shard
//! leaves them; the proxy takes them, and decides by [`Verdict::Upstream`](super::Verdict::Upstream).

use std::collections::VecDeque;
use std::sync::Mutex;
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
    waiting: Mutex<Waiting>,
    pub(crate) waiters: Waiters,
}

#[derive(Default)]
struct Waiting {
    /// How many proxies ask: one that begins may do so before the one that it replaces has ended.
    relays: usize,
    queue: VecDeque<(PeerKey, Prefix)>,
    bytes: usize,
}

impl Questions {
    /// Questions are asked upstream from now on.
    pub(crate) fn relay(&self) {
        lock(&self.waiting).relays += 1;
    }

    /// One that asked them ends. Returns whether it was the last one: then none is left here from now on.
    pub(crate) fn end_relay(&self) -> bool {
        let mut waiting = lock(&self.waiting);
        waiting.relays -= 1;
        waiting.relays == 0
    }

    /// Whether a question is asked upstream: if too many wait, it is answered here.
    pub(crate) fn are_relayed(&self) -> bool {
        lock(&self.waiting).takes()
    }

    /// Leaves a question to the proxies. Returns false if it is to be answered here: the last one may have ended since
    /// [`are_relayed`](Self::are_relayed), and nobody would take it.
    pub(crate) fn push(&self, peer: PeerKey, prefix: &[u8], wakes: &mut Vec<Waker>) -> bool {
        let mut waiting = lock(&self.waiting);
        if !waiting.takes() {
            return false;
        }
        waiting.bytes += prefix.len();
        waiting.queue.push_back((peer, prefix.into()));
        self.waiters.take(wakes);
        true
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        lock(&self.waiting).queue.len()
    }

    pub(crate) fn pop(&self) -> Option<(PeerKey, Prefix)> {
        let mut waiting = lock(&self.waiting);
        let question = waiting.queue.pop_front()?;
        waiting.bytes -= question.1.len();
        Some(question)
    }
}

impl Waiting {
    fn takes(&self) -> bool {
        self.relays > 0 && self.queue.len() < WAITING_MAX && self.bytes < WAITING_BYTES_MAX
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
                assert!(questions.push(peer, &vec![b'x'; bytes], &mut Vec::new()));
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
        let peer = PeerKey { shard: 0, slot: 0, uid: 0 };
        assert!(questions.push(peer, b"a", &mut Vec::new()));
        assert!(questions.end_relay());
        assert!(!questions.push(peer, b"b", &mut Vec::new()), "nobody would take it");
        assert_eq!(questions.pop(), Some((peer, Prefix::from("a"))));
        assert_eq!(questions.pop(), None);
    }
}
