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

    /// Asks the publishers, and passes their answers on; `bell` is rung when there are more. What the questions are about
    /// must have been subscribed to.
    pub(super) fn pass(&mut self, bell: &Waker) {
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
        while asked.len() < ASKED_MAX
            && let Some((peer, prefix)) = backend.questions.pop()
        {
            let (key, confirmation) = frontend.confirm(prefix.clone(), 0);
            // It is never answered before a shard has asked, which rings.
            let _ = confirmation.poll(bell);
            asked.push(Asked { key, confirmation, peer, prefix });
        }
    }
}

impl Drop for Questions<'_> {
    fn drop(&mut self) {
        let Questions { frontend, backend, asked } = self;
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
