//! Which publishers have a subscription in force: the operations that wait for it, and what each publisher has said. A
//! shard asks its publishers (`Note::Confirm`), and tells here what they answer and which of them leave.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Waker;

use oncue_core::command::Standing;
use oncue_core::edges::Prefix;
use slab::Slab;

use crate::permission::PeerKey;
use crate::sync::lock;

/// What the publishers say about a subscription ([`Sub::subscribe`](crate::Sub::subscribe)): how many there are of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Confirmed {
    /// They have it in force: what they send from now on reaches this socket.
    pub in_force: usize,
    /// They have read it, and cannot say more: publishers of ZMTP 3.1 that are not of this library. libzmq takes it at one of
    /// its user's next calls of the socket, mostly within a millisecond: a message sent at once may not arrive.
    pub received: usize,
    /// They do not have it in force: they rejected or revoked it.
    pub refused: usize,
    /// They were told, and cannot say anything: publishers below ZMTP 3.1.
    pub unknown: usize,
    /// They have it, and have not decided about it ([`Admission::Defer`](crate::Admission::Defer)).
    pub deferred: usize,
    /// They have not answered.
    pub unanswered: usize,
}

impl Confirmed {
    /// How many publishers there are.
    pub fn publishers(&self) -> usize {
        self.in_force + self.received + self.refused + self.unknown + self.deferred + self.unanswered
    }

    /// Whether each publisher has said what it can say.
    pub fn is_complete(&self) -> bool {
        self.deferred == 0 && self.unanswered == 0
    }
}

/// What one publisher has said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// Nothing yet.
    Nothing,
    /// It has read the subscription.
    Received,
    /// It cannot say anything.
    Unknown,
    Standing(Standing),
}

/// The confirmations of one socket that are waited for.
#[derive(Default)]
pub(crate) struct Confirmations {
    open: Mutex<Slab<Arc<Confirmation>>>,
    /// Whether there are any, to be read without the lock.
    any: AtomicBool,
    number: AtomicU64,
}

/// One operation that waits until publishers have a subscription in force.
pub(crate) struct Confirmation {
    /// The number of the question to the publishers.
    pub(crate) number: u64,
    pub(crate) prefix: Prefix,
    /// It waits until at least this number of publishers were asked, and asks those that connect meanwhile.
    publishers_min: usize,
    tally: Mutex<Tally>,
}

struct Tally {
    /// The shards that have not asked their publishers yet.
    shards: usize,
    said: HashMap<PeerKey, Said>,
    /// This socket has cancelled the subscription.
    cancelled: bool,
    waker: Option<Waker>,
}

impl Confirmations {
    /// Whether any are waited for.
    pub(crate) fn are_open(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }

    /// Begins to wait until publishers have a subscription in force. Each of this number of shards is about to ask. Returns
    /// its key for [`close`](Self::close), too.
    pub(crate) fn begin(
        &self,
        prefix: Prefix,
        publishers_min: usize,
        shards: usize,
    ) -> (usize, Arc<Confirmation>) {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let tally = Tally { shards, said: HashMap::new(), cancelled: false, waker: None };
        let confirmation =
            Arc::new(Confirmation { number, prefix, publishers_min, tally: Mutex::new(tally) });
        let mut open = lock(&self.open);
        let key = open.insert(confirmation.clone());
        self.any.store(true, Ordering::Release);
        (key, confirmation)
    }

    /// Those that are waited for.
    pub(crate) fn open(&self) -> Vec<Arc<Confirmation>> {
        match self.are_open() {
            true => lock(&self.open).iter().map(|(_, confirmation)| confirmation.clone()).collect(),
            false => Vec::new(),
        }
    }

    /// A publisher has left: it counts no more. Returns those that wait for more publishers now.
    pub(crate) fn left(&self, publisher: PeerKey, wakes: &mut Vec<Waker>) -> Vec<Arc<Confirmation>> {
        let mut open = self.open();
        open.retain(|confirmation| confirmation.left(publisher, wakes) && confirmation.wants_more());
        open
    }

    /// This socket has cancelled a subscription.
    pub(crate) fn cancelled(&self, prefix: &[u8], wakes: &mut Vec<Waker>) {
        let of_prefix = self.open().into_iter().filter(|confirmation| confirmation.prefix[..] == *prefix);
        of_prefix.for_each(|confirmation| {
            confirmation.change(wakes, |tally| tally.cancelled = true);
        });
    }

    /// Wakes all that wait.
    pub(crate) fn wake(&self, wakes: &mut Vec<Waker>) {
        wakes.extend(self.open().iter().filter_map(|confirmation| lock(&confirmation.tally).waker.take()));
    }

    /// Nobody waits for it any more.
    pub(crate) fn close(&self, key: usize) {
        let mut open = lock(&self.open);
        let closed = open.remove(key);
        self.any.store(!open.is_empty(), Ordering::Release);
        drop(open);
        // A waker is the user's code.
        drop(closed);
    }
}

impl Confirmation {
    /// A publisher is about to be asked, or cannot be asked. Returns false if it was asked before.
    pub(crate) fn asked(&self, publisher: PeerKey, said: Said) -> bool {
        let mut tally = lock(&self.tally);
        let new = !tally.said.contains_key(&publisher);
        if new {
            tally.said.insert(publisher, said);
        }
        new
    }

    /// This number of shards is about to ask once more.
    pub(crate) fn asks_again(&self, shards: usize) {
        lock(&self.tally).shards += shards;
    }

    /// A publisher has answered.
    pub(crate) fn answered(&self, publisher: PeerKey, said: Said, wakes: &mut Vec<Waker>) {
        self.change(wakes, |tally| {
            // It may have left.
            if let Some(known) = tally.said.get_mut(&publisher) {
                *known = said;
            }
        });
    }

    /// Returns whether the publisher had been asked.
    fn left(&self, publisher: PeerKey, wakes: &mut Vec<Waker>) -> bool {
        let mut asked = false;
        self.change(wakes, |tally| asked = tally.said.remove(&publisher).is_some());
        asked
    }

    /// A shard has asked all of its publishers.
    pub(crate) fn shard_asked(&self, wakes: &mut Vec<Waker>) {
        self.change(wakes, |tally| tally.shards -= 1);
    }

    /// Whether publishers that connect from now on are asked too. All of them: of those that were asked, some may leave.
    pub(crate) fn wants_more(&self) -> bool {
        self.publishers_min > 0
    }

    fn change(&self, wakes: &mut Vec<Waker>, change: impl FnOnce(&mut Tally)) {
        let mut tally = lock(&self.tally);
        change(&mut tally);
        if self.is_done(&tally) {
            wakes.extend(tally.waker.take());
        }
    }

    fn is_done(&self, tally: &Tally) -> bool {
        let asked = tally.shards == 0 && tally.said.len() >= self.publishers_min;
        tally.cancelled || asked && tally.so_far().is_complete()
    }

    /// What was said so far.
    pub(crate) fn so_far(&self) -> Confirmed {
        lock(&self.tally).so_far()
    }

    /// The result, once all have answered; until then the waker is kept, and called when that may be so.
    pub(crate) fn poll(&self, waker: &Waker) -> Option<Confirmed> {
        let mut waker = Some(waker.clone());
        let mut tally = lock(&self.tally);
        let done = self.is_done(&tally).then(|| tally.so_far());
        if done.is_none() {
            std::mem::swap(&mut tally.waker, &mut waker);
        }
        drop(tally);
        // The one before is dropped while nothing is locked.
        drop(waker);
        done
    }
}

impl Tally {
    fn so_far(&self) -> Confirmed {
        let mut confirmed = Confirmed::default();
        for said in self.said.values() {
            *match said {
                Said::Nothing => &mut confirmed.unanswered,
                Said::Received => &mut confirmed.received,
                Said::Unknown => &mut confirmed.unknown,
                Said::Standing(Standing::InForce) => &mut confirmed.in_force,
                Said::Standing(Standing::Deferred) => &mut confirmed.deferred,
                Said::Standing(Standing::Absent) => &mut confirmed.refused,
            } += 1;
        }
        confirmed
    }
}
