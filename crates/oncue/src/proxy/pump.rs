//! What a proxy does each time that it is woken: demand goes from the backend to the frontend, then messages, and then
//! the states of topics, from the frontend to the backend; messages of subscribers go the other way.
//!
//! It runs on I/O threads, between two turns, so each run is bounded: messages by the room in the outboxes, which the
//! shards make in their turns, and changes of demand and states by a number. What is left is done in another run, after
//! a turn.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::task::{Wake, Waker};
use std::time::Duration;

use oncue_core::command::State;
use oncue_core::edges::{Edge, Prefix};

use super::demand::Grace;
use super::questions::Questions;
use super::stats::Counters;
use crate::engine::Load;
use crate::engine::TopicState;
use crate::engine::hub::Hub;
use crate::engine::hub::announced::state_of;
use crate::engine::hub::connections::ConnectionWatch;
use crate::engine::hub::kept::LastValues;
use crate::engine::hub::watches::Watch;
use crate::error::ErrorKind;
use crate::op::Wait;
use crate::permission::Reason;
use crate::socket::Inner;
use crate::sync::{add_saturating, read_lock};

/// How many changes of demand, or states of topics, are passed on in one run.
const CHANGES_PER_RUN: usize = 4096;
/// How many received batches are passed on in one run.
const LOADS_PER_RUN: usize = 64;

/// Has a proxy between these woken after the next turn of a shard that serves one of them.
pub(super) fn wake_after_turn(hubs: [&Arc<Hub>; 2]) {
    hubs.iter().for_each(|hub| hub.set_alarm(Duration::ZERO));
}

/// What a proxy stands between.
pub(super) struct Ends {
    pub(super) frontend: Arc<Inner>,
    pub(super) backend: Arc<Inner>,
    pub(super) capture: Option<Arc<Inner>>,
    pub(super) keep_last: bool,
    /// What publishers say of prefixes is not passed on.
    pub(super) topics_only: bool,
    /// The changes of demand at the backend.
    pub(super) demand: Arc<Watch>,
    /// The connections of the frontend.
    pub(super) connections: Arc<ConnectionWatch>,
    pub(super) counters: Arc<Counters>,
}

impl Drop for Ends {
    fn drop(&mut self) {
        self.backend.hub.demand.unwatch(&self.demand);
        self.frontend.hub.connections.unwatch(&self.connections);
    }
}

/// What there may be to do.
const DOWN: u32 = 1;
const UP: u32 = 2;
const STATES: u32 = 4;
const DEMAND: u32 = 8;
const PUBLISHERS: u32 = 16;
const QUESTIONS: u32 = 32;
pub(super) const EVERYTHING: u32 = DOWN | UP | STATES | DEMAND | PUBLISHERS | QUESTIONS;

/// What there may be to do, by everything that wakes the proxy and by its owner.
pub(super) type Due = Arc<AtomicU32>;

/// Something that the proxy waits for: its waker says which work it brings.
struct Source<'a> {
    wait: Wait<'a>,
    bell: Waker,
    /// A bit of its own beside its work, to know that its waker was used.
    bit: u32,
}

/// The bits of sources are above those of work.
const SOURCES_SHIFT: u32 = 16;

struct Bell {
    due: Due,
    bits: u32,
    task: Waker,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.due.fetch_or(self.bits, SeqCst);
        self.task.wake_by_ref();
    }
}

/// Everything that a proxy waits for. A run looks only at what has rung, since most runs are for one message.
pub(super) struct Sources<'a>([Source<'a>; 10]);

impl<'a> Sources<'a> {
    /// The sources of a task.
    pub(super) fn of(ends: &'a Ends, due: &Due, task: &Waker) -> Sources<'a> {
        let (front, back) = (&ends.frontend.hub, &ends.backend.hub);
        let mut next = SOURCES_SHIFT;
        let sources = [
            (front.inbound.waiters.wait(), DOWN),
            (back.room.wait(), DOWN),
            (back.inbound.waiters.wait(), UP),
            (front.room.wait(), UP),
            (front.states.waiters.wait(), STATES),
            (ends.demand.waiters.wait(), DEMAND),
            (front.alarms.wait(), DEMAND),
            (back.alarms.wait(), DEMAND),
            (ends.connections.waiters.wait(), PUBLISHERS),
            (back.questions.waiters.wait(), QUESTIONS),
        ];
        Sources(sources.map(|(wait, work)| {
            let bit = 1 << next;
            next += 1;
            due.fetch_or(bit | work, SeqCst);
            let bell = Bell { due: due.clone(), bits: bit | work, task: task.clone() };
            Source { wait, bell: Waker::from(Arc::new(bell)), bit }
        }))
    }

    /// Takes what is due, and waits again for what has rung. What comes from here on is a reason to run again.
    pub(super) fn take(&mut self, due: &Due) -> u32 {
        let bits = due.swap(0, SeqCst);
        for source in self.0.iter_mut().filter(|source| bits & source.bit != 0) {
            source.wait.arm(&source.bell);
        }
        bits
    }

    /// What rings when publishers have answered.
    pub(super) fn answers(&self) -> &Waker {
        &self.0[self.0.len() - 1].bell
    }
}

/// What is on its way through a proxy.
pub(super) struct Pump<'a> {
    ends: &'a Ends,
    grace: Grace,
    /// The alarm that is set.
    alarm: Option<Duration>,
    /// Messages that found no room: towards subscribers, and towards publishers.
    down: Option<Load>,
    up: Option<Load>,
    questions: Questions<'a>,
}

impl<'a> Pump<'a> {
    pub(super) fn new(ends: &'a Ends, grace: Duration) -> Pump<'a> {
        let questions = Questions::new(&ends.frontend.hub, &ends.backend.hub);
        Pump { ends, grace: Grace::new(grace), alarm: None, down: None, up: None, questions }
    }

    /// Does what is due, up to a share; what is left is due again. Returns false when a socket is closed and nothing is
    /// left to pass on.
    pub(super) fn run(&mut self, bits: u32, paused: bool, due: &Due, answers: &Waker) -> bool {
        let is_due = |work: u32| bits & work != 0;
        let mut left = 0;
        if is_due(DEMAND) && self.pass_demand() {
            left |= DEMAND;
        }
        if !paused && is_due(DOWN) && self.pass_down() {
            left |= DOWN;
        }
        if !paused && is_due(UP) && self.pass_up() {
            left |= UP;
        }
        if is_due(STATES) && self.pass_states() {
            left |= STATES;
        }
        if is_due(QUESTIONS) {
            // Behind the subscriptions that they are about: those of the questions that wait now are in the watch's queue, though what
            // wakes for it may be due later. A question that comes meanwhile has its turn in the next run.
            let there = self.questions.waiting();
            if self.pass_demand() {
                left |= DEMAND;
            }
            if left & DEMAND != 0 || self.questions.pass(there, answers) {
                left |= QUESTIONS;
            }
        }
        if is_due(PUBLISHERS) {
            self.check_publishers();
        }
        if left != 0 {
            due.fetch_or(left, SeqCst);
            // After a turn, so that no other socket of the shard waits for this proxy.
            let Ends { frontend, backend, .. } = self.ends;
            wake_after_turn([&frontend.hub, &backend.hub]);
        }
        let (front, back) = (&self.ends.frontend.hub, &self.ends.backend.hub);
        !(back.is_closed() || front.is_closed() && left == 0 && (paused || self.down.is_none()))
    }

    /// Tells the frontend's publishers what the backend's subscribers want, and what they do not want any more.
    fn pass_demand(&mut self) -> bool {
        let now = self.ends.frontend.hub.now();
        let edges = self.ends.demand.pop_many(CHANGES_PER_RUN);
        let more = edges.len() == CHANGES_PER_RUN;
        let mut changes = Vec::with_capacity(edges.len());
        for Edge { prefix, wanted, .. } in edges {
            match wanted {
                true if self.grace.is_back(&prefix) => {}
                false if !self.grace.leaves(&prefix, now) => {}
                _ => changes.push((prefix, wanted)),
            }
        }
        while changes.len() < CHANGES_PER_RUN
            && let Some(prefix) = self.grace.over(now)
        {
            changes.push((prefix, false));
        }
        self.change(&changes);
        let next = self.grace.next_end();
        if next.is_some() && next != self.alarm {
            self.alarm = next;
            self.ends.frontend.hub.set_alarm(next.unwrap_or_default());
        }
        self.ends.counters.grace.store(self.grace.len() as u64, Relaxed);
        more || next.is_some_and(|end| end <= now)
    }

    fn change(&self, changes: &[(Prefix, bool)]) {
        if changes.is_empty() {
            return;
        }
        let Ends { frontend, backend, counters, .. } = self.ends;
        let each = || changes.iter().map(|(prefix, wanted)| (&prefix[..], *wanted));
        frontend.change_subscriptions(each(), |prefix, why| {
            counters.prefixes_refused.fetch_add(1, Relaxed);
            // It cannot be told if the prefix is too long for that.
            let _ = backend.hub.set_state(prefix, State::Rejected, &Reason::new(why.to_string()));
        });
        let gone = || each().filter(|(_, wanted)| !wanted);
        let cancelled = gone().count();
        counters.subscribed.fetch_add((changes.len() - cancelled) as u64, Relaxed);
        counters.unsubscribed.fetch_add(cancelled as u64, Relaxed);
        gone().for_each(|(prefix, _)| self.forget(prefix));
    }

    /// Forgets values and states that nobody upstream keeps up to date from now on.
    fn forget(&self, prefix: &[u8]) {
        let (front, back) = (&self.ends.frontend.hub, &self.ends.backend.hub);
        let forget =
            |kept: &LastValues| kept.retain_under(prefix, |topic, of| is_kept_up(front, topic, of.exact));
        forget(&back.last);
        forget(&back.states.published);
    }

    /// Messages of publishers, to the subscribers that want them.
    fn pass_down(&mut self) -> bool {
        let Ends { frontend, backend, capture, keep_last, counters, .. } = self.ends;
        for _ in 0..LOADS_PER_RUN {
            let next = || frontend.hub.inbound.pop_many().map(Load::from);
            let load = self.down.take().or_else(next);
            self.pass_missed();
            let Some(load) = load else { return false };
            let sent = match keep_last {
                // What is not wanted any more may still come: it would be kept, and nobody would bring a newer one.
                true => backend.hub.forward_and_keep(&load, &kept_up(&frontend.hub, &load), 0),
                false => backend.hub.forward(&load, frontend.hub.inbound.is_empty()),
            };
            if sent.is_err_and(|e| e.kind() == ErrorKind::Full) {
                counters.waits.fetch_add(1, Relaxed);
                self.down = Some(load);
                return false;
            }
            counters.down.count(&load);
            capture.iter().for_each(|capture| self.capture(&capture.hub, &load));
        }
        true
    }

    /// What publishers have dropped for the frontend: it is told to the backend's subscribers among the messages that follow.
    fn pass_missed(&self) {
        let Ends { frontend, backend, counters, .. } = self.ends;
        while let Some(missed) = frontend.hub.inbound.pop_missed() {
            let messages = missed.messages.saturating_add(missed.unseen);
            add_saturating(&counters.missed, messages);
            if messages > 0 {
                backend.hub.miss_upstream(messages);
            }
        }
    }

    /// Messages of subscribers, to all publishers. A SUB cannot send them.
    fn pass_up(&mut self) -> bool {
        let Ends { frontend, backend, capture, counters, .. } = self.ends;
        for _ in 0..LOADS_PER_RUN {
            let next = || backend.hub.inbound.pop_many().map(Load::from);
            let Some(load) = self.up.take().or_else(next) else { return false };
            if !frontend.hub.sends() {
                counters.up_dropped.fetch_add(load.messages, Relaxed);
                continue;
            }
            if frontend.hub.forward(&load, false).is_err_and(|e| e.kind() == ErrorKind::Full) {
                self.up = Some(load);
                return false;
            }
            counters.up.count(&load);
            capture.iter().for_each(|capture| self.capture(&capture.hub, &load));
        }
        true
    }

    fn capture(&self, capture: &Arc<Hub>, load: &Load) {
        if capture.forward(load, false).is_err() {
            self.ends.counters.capture_missed.fetch_add(load.messages, Relaxed);
        }
    }

    /// What publishers say about topics.
    fn pass_states(&mut self) -> bool {
        let Ends { frontend, backend, counters, topics_only, .. } = self.ends;
        for _ in 0..CHANGES_PER_RUN {
            let Some(TopicState { topic, state, text }) = frontend.hub.states.pop() else { return false };
            if *topics_only && state.is_of_prefix() {
                continue;
            }
            let wanted = is_kept_up(&frontend.hub, &topic, state.is_of_prefix());
            // Said before the last subscriber left: it would be kept, and nobody would correct it.
            if wanted && backend.hub.set_state(&topic, state, &Reason::new(text)).is_ok() {
                counters.states.fetch_add(1, Relaxed);
            }
        }
        true
    }

    /// Once no publisher is left, what was said to be active is stale, and kept values are forgotten: nobody vouches for
    /// them.
    fn check_publishers(&self) {
        let Ends { frontend, backend, connections, .. } = self.ends;
        let mut any = false;
        while connections.pop().is_some() {
            any = true;
        }
        if !any || frontend.hub.counters.peers.load(Relaxed) > 0 {
            return;
        }
        backend.hub.last.retain_under(b"", |_, _| false);
        let mut active = Vec::new();
        backend.hub.states.published.retain_under(b"", |topic, of| {
            if state_of(&of.value) == Some(State::Active) {
                active.push(topic.to_vec());
            }
            true
        });
        for topic in active {
            // Its length was checked when it was kept.
            let _ = backend.hub.set_state(&topic, State::Stale, &Reason::new("no publisher is connected"));
        }
    }

    /// The proxy ends: the frontend is not subscribed any more to what the proxy has subscribed to.
    pub(super) fn end(&mut self) {
        let backend = &self.ends.backend.hub;
        let mut prefixes: Vec<_> = self.grace.clear().collect();
        let changes: Vec<_> = {
            // No change while this is locked: with those that wait, what was told is what is wanted.
            let ledger = backend.demand.read();
            prefixes.extend(ledger.prefixes().map(|(prefix, _)| Prefix::from(prefix)));
            std::iter::from_fn(|| self.ends.demand.pop()).map(|edge| (edge.prefix, edge.wanted)).collect()
        };
        self.change(&changes);
        let all: Vec<_> = prefixes.into_iter().map(|prefix| (prefix, false)).collect();
        self.change(&all);
    }
}

/// The messages of a load of whose topics publishers go on to send newer ones.
fn kept_up(frontend: &Hub, load: &Load) -> Vec<(usize, Range<u32>)> {
    let subscriptions = read_lock(&frontend.subscriptions);
    load.wanted(subscriptions.decisive(), |topic| subscriptions.matches(topic))
}

/// Whether publishers go on to say what is so about a topic, or about exactly this prefix.
fn is_kept_up(frontend: &Hub, topic: &[u8], exact: bool) -> bool {
    let subscriptions = read_lock(&frontend.subscriptions);
    if exact { subscriptions.contains(topic) } else { subscriptions.matches(topic) }
}
