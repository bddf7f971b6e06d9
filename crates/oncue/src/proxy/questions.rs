//! The questions of subscribers whether their subscriptions are in force: answered when the publishers of the frontend
//! have answered the same.

use std::sync::Arc;
use std::task::Waker;

use oncue_core::edges::Prefix;

use crate::engine::hub::Hub;
use crate::engine::{Confirmation, Verdict};
use crate::permission::PeerKey;

/// How many are asked at a time; the others wait at the backend.
const ASKED_MAX: usize = 256;

/// The questions that the publishers have not answered yet.
pub(super) struct Questions<'a> {
    frontend: &'a Arc<Hub>,
    backend: &'a Arc<Hub>,
    asked: Vec<Asked>,
}

struct Asked {
    key: usize,
    confirmation: Arc<Confirmation>,
    peer: PeerKey,
    prefix: Prefix,
}

impl<'a> Questions<'a> {
    /// From now on the backend's questions come here.
    pub(super) fn new(frontend: &'a Arc<Hub>, backend: &'a Arc<Hub>) -> Questions<'a> {
        backend.questions.relay();
        Questions { frontend, backend, asked: Vec::new() }
    }

    /// How many wait to be asked.
    pub(super) fn waiting(&self) -> usize {
        self.backend.questions.len()
    }

    /// Asks the publishers the first `most` questions, and passes their answers on; `bell` is rung when there are more. What
    /// these questions are about must have been subscribed to. Returns whether others wait that may be asked.
    pub(super) fn pass(&mut self, most: usize, bell: &Waker) -> bool {
        let Questions { frontend, backend, asked } = self;
        asked.retain(|asked| match asked.confirmation.poll(bell) {
            None => true,
            Some(confirmed) => {
                frontend.confirmations.close(asked.key);
                let in_force = confirmed.refused == 0 || confirmed.refused < confirmed.publishers();
                backend.decide(asked.peer, &asked.prefix, Verdict::Upstream { in_force });
                false
            }
        });
        let mut left = most;
        while asked.len() < ASKED_MAX
            && left > 0
            && let Some((peer, prefix)) = backend.questions.pop()
        {
            left -= 1;
            let (key, confirmation) = frontend.confirm(prefix.clone(), 0);
            if confirmation.poll(bell).is_some() {
                // The shards of other threads were faster, and there was no bell that they could have rung.
                bell.wake_by_ref();
            }
            asked.push(Asked { key, confirmation, peer, prefix });
        }
        asked.len() < ASKED_MAX && backend.questions.len() > 0
    }
}

impl Drop for Questions<'_> {
    fn drop(&mut self) {
        let Questions { frontend, backend, asked } = self;
        // From then on none comes.
        let last = backend.questions.end_relay();
        for Asked { key, peer, prefix, .. } in asked.drain(..) {
            frontend.confirmations.close(key);
            backend.decide(peer, &prefix, Verdict::Upstream { in_force: true });
        }
        while last && let Some((peer, prefix)) = backend.questions.pop() {
            backend.decide(peer, &prefix, Verdict::Upstream { in_force: true });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::Wake;
    use std::time::Duration;

    use oncue_core::connection::SocketType;

    use super::*;
    use crate::Options;
    use crate::engine::hub::inbox::flow::Resume;
    use crate::engine::hub::kept::Keeping;
    use crate::engine::{Direct, Note, Port};
    use crate::op::{Place, wake_all};
    use crate::sync::lock;

    /// A shard without publishers, on a thread that is always faster than the one that leaves it a note.
    #[derive(Default)]
    struct Fast {
        decided: Mutex<Vec<(PeerKey, Vec<u8>)>>,
    }

    impl Resume for Fast {
        fn resume(&self, _slot: usize, _uid: u64) {}
    }

    impl Port for Fast {
        fn mail(&self, note: Note) {
            match note {
                Note::Confirm { confirmation, .. } => {
                    let mut wakes = Vec::new();
                    confirmation.shard_asked(&mut wakes);
                    wake_all(wakes);
                }
                Note::Verdict { peer, prefix, .. } => lock(&self.decided).push((peer, prefix)),
                _ => {}
            }
        }

        fn send_now(&self, _hub: &Arc<Hub>, _message: &Direct<'_>, _last: Option<&Keeping>) -> bool {
            false
        }

        fn place(self: Arc<Self>) -> Option<Arc<dyn Place>> {
            None
        }
    }

    #[derive(Default)]
    struct Rings(AtomicBool);

    impl Wake for Rings {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_question_is_answered_though_its_answer_is_there_before_anything_waits_for_it() {
        let shard = Arc::<Fast>::default();
        let hub = |socket_type| {
            let ports: Vec<Arc<dyn Port>> = vec![shard.clone()];
            Hub::new(0, socket_type, Options::new(), ports, 1, Arc::new(|| Duration::ZERO))
        };
        let (frontend, backend) = (hub(SocketType::XSub), hub(SocketType::XPub));
        let mut questions = Questions::new(&frontend, &backend);
        let peer = PeerKey { shard: 0, slot: 0, uid: 7 };
        assert!(backend.questions.push(peer, b"a", &mut Vec::new()));
        let rings = Arc::<Rings>::default();
        let bell = Waker::from(rings.clone());
        questions.pass(usize::MAX, &bell);
        while rings.0.swap(false, Ordering::SeqCst) {
            questions.pass(usize::MAX, &bell);
        }
        assert_eq!(*lock(&shard.decided), [(peer, b"a".to_vec())]);
        drop(questions);
        assert!(!backend.questions.push(peer, b"b", &mut Vec::new()), "nobody would ask it");
        assert_eq!(lock(&shard.decided).len(), 1);
    }
}
