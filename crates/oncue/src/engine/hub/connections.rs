//! The watches of one socket's connections, each with a queue of its own.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Waker;

use crate::connection::{Cause, ConnectionEvent, ConnectionEventKind};
use crate::op::Waiters;
use crate::sync::lock;

/// How many events wait in one watch at most. What a stranger adds to one of them is an ERROR's text of 255 bytes, so this
/// bounds the bytes too.
pub(crate) const EVENTS_MAX: usize = 1024;

/// What an event is about: a listener or dialer, or a peer that came by a listener; each by its shard and its uid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Subject {
    Link(u16, u64),
    Peer(u16, u64),
}

/// The watches of one socket's connections.
#[derive(Default)]
pub(crate) struct Connections {
    /// How many there are: while it is 0, no event is made.
    count: AtomicUsize,
    watches: Mutex<Vec<Arc<ConnectionWatch>>>,
}

/// A queue of events for one reader.
pub(crate) struct ConnectionWatch {
    state: Mutex<State>,
    pub(crate) waiters: Waiters,
}

#[derive(Default)]
struct State {
    events: VecDeque<(Subject, ConnectionEvent)>,
    /// By dialer, until it is connected: the same cause is told once.
    failing: HashMap<Subject, Told>,
    missed: u64,
}

impl Connections {
    /// Whether anybody watches: only then an event is made.
    #[inline]
    pub(crate) fn are_watched(&self) -> bool {
        self.count.load(Ordering::Acquire) > 0
    }

    pub(crate) fn watch(&self) -> Arc<ConnectionWatch> {
        let watch = Arc::new(ConnectionWatch { state: Mutex::default(), waiters: Waiters::default() });
        let mut watches = lock(&self.watches);
        watches.push(watch.clone());
        self.count.store(watches.len(), Ordering::Release);
        watch
    }

    pub(crate) fn unwatch(&self, watch: &ConnectionWatch) {
        let mut watches = lock(&self.watches);
        watches.retain(|other| !std::ptr::eq(&**other, watch));
        self.count.store(watches.len(), Ordering::Release);
    }

    /// Queues an event in all watches.
    pub(crate) fn tell(&self, subject: Subject, event: &ConnectionEvent, wakes: &mut Vec<Waker>) {
        for watch in &*lock(&self.watches) {
            lock(&watch.state).push(subject, event);
            watch.waiters.take(wakes);
        }
    }

    /// The socket is closed: readers get its end.
    pub(crate) fn wake(&self, wakes: &mut Vec<Waker>) {
        lock(&self.watches).iter().for_each(|watch| watch.waiters.take(wakes));
    }
}

impl ConnectionWatch {
    pub(crate) fn pop(&self) -> Option<ConnectionEvent> {
        lock(&self.state).events.pop_front().map(|(_, event)| event)
    }

    /// How many events were left out to keep the bound.
    pub(crate) fn missed(&self) -> u64 {
        lock(&self.state).missed
    }
}

/// The causes that were told of an endpoint since it was connected last.
#[derive(Default)]
struct Told {
    failed: Option<Cause>,
    waited: Option<Cause>,
}

impl Told {
    /// Whether this cause of a failure, or of a wait, was told already.
    fn has(&self, cause: &Cause, waiting: bool) -> bool {
        let waited = self.waited.iter().filter(|_| waiting);
        self.failed.iter().chain(waited).any(|before| cause.repeats(before))
    }
}

impl State {
    fn push(&mut self, subject: Subject, event: &ConnectionEvent) {
        match &event.kind {
            ConnectionEventKind::Failed { cause, retry_after, .. } => {
                let told = self.failing.entry(subject).or_default();
                if told.has(cause, false) && retry_after.is_some() {
                    return;
                }
                told.failed = Some(cause.clone());
            }
            ConnectionEventKind::Waiting { cause } => {
                let told = self.failing.entry(subject).or_default();
                if told.has(cause, true) {
                    return;
                }
                told.waited = Some(cause.clone());
            }
            ConnectionEventKind::Connected { .. } | ConnectionEventKind::Stopped => {
                self.failing.remove(&subject);
            }
            _ => {}
        }
        if self.events.len() >= EVENTS_MAX && !self.make_room(subject) {
            return;
        }
        self.events.push_back((subject, event.clone()));
    }

    /// Leaves out an event that waits, so that there is room for one about `subject`. Returns false if that one is to be
    /// left out as well: both cancel out.
    fn make_room(&mut self, subject: Subject) -> bool {
        let place = |about: &dyn Fn(&Subject) -> bool| self.events.iter().position(|(of, _)| about(of));
        let own = place(&|of| *of == subject);
        let (at, cancels) = match own {
            // A peer's first event is that it came, its last one that it is gone.
            Some(at) => (at, matches!(subject, Subject::Peer(..))),
            None => (place(&|of| matches!(of, Subject::Peer(..))).unwrap_or(0), false),
        };
        self.events.remove(at);
        self.missed += 1 + u64::from(cancels);
        !cancels
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use oncue_core::connection::SocketType;
    use oncue_core::frame::Seen;

    use super::*;
    use crate::connection::ConnectedPeer;
    use crate::endpoint::Endpoint;
    use crate::error::Error;
    use crate::peer_address::PeerAddress;
    use crate::permission::PeerKey;

    const LINK: Subject = Subject::Link(0, 0);

    fn event(endpoint: usize, kind: ConnectionEventKind) -> ConnectionEvent {
        ConnectionEvent { endpoint: Endpoint::Inproc(endpoint.to_string()), kind }
    }

    fn peer(uid: u64) -> ConnectedPeer {
        let key = PeerKey { shard: 0, slot: 0, uid };
        ConnectedPeer { key, address: PeerAddress::Inproc, socket_type: SocketType::Sub }
    }

    fn accepted(uid: u64) -> ConnectionEventKind {
        ConnectionEventKind::Accepted { peer: peer(uid) }
    }

    fn disconnected(uid: u64) -> ConnectionEventKind {
        let (cause, error) = (Cause::Closed, Error::peer("it closed"));
        ConnectionEventKind::Disconnected { peer: peer(uid), cause, error }
    }

    fn failed(cause: Cause) -> ConnectionEventKind {
        let (address, error, retry_after) = (None, Error::peer("it failed"), Some(Duration::ZERO));
        ConnectionEventKind::Failed { address, cause, error, retry_after }
    }

    fn push(state: &mut State, subject: Subject, endpoint: usize, kind: ConnectionEventKind) {
        state.push(subject, &event(endpoint, kind));
        assert!(state.events.len() <= EVENTS_MAX);
    }

    #[test]
    fn a_failure_is_told_again_only_when_it_has_changed() {
        let mut state = State::default();
        let mut told = |kind| {
            push(&mut state, LINK, 0, kind);
            state.events.drain(..).count() == 1
        };
        let bytes = |byte| Cause::NotZeroMq(Seen::Bytes { bytes: [byte; 8], len: 8 });
        assert!(told(failed(Cause::NoAnswer)));
        assert!(!told(failed(Cause::NoAnswer)));
        assert!(told(failed(bytes(1))));
        assert!(!told(failed(bytes(2))), "a server that tells the time");
        assert!(told(failed(Cause::RefusedByPeer("no".into()))));
        assert!(told(failed(Cause::RefusedByPeer("never".into()))));
        assert!(told(ConnectionEventKind::Connected { peer: peer(1) }));
        assert!(told(failed(Cause::RefusedByPeer("never".into()))));
        assert!(told(ConnectionEventKind::Stopped));
        assert!(state.failing.is_empty());
    }

    #[test]
    fn a_wait_is_told_unless_the_attempt_before_failed_so() {
        let mut state = State::default();
        let mut told = |kind| {
            push(&mut state, LINK, 0, kind);
            state.events.drain(..).count() == 1
        };
        let waiting = |cause| ConnectionEventKind::Waiting { cause };
        assert!(told(waiting(Cause::SaysNothing)));
        assert!(told(failed(Cause::SaysNothing)));
        assert!(!told(waiting(Cause::SaysNothing)));
        assert!(!told(failed(Cause::SaysNothing)));
        assert!(told(waiting(Cause::NoAnswer)));
        // The next attempts wait for one thing and fail of another.
        assert!(!told(failed(Cause::SaysNothing)));
        assert!(!told(waiting(Cause::NoAnswer)));
        assert!(told(ConnectionEventKind::Connected { peer: peer(1) }));
        assert!(told(waiting(Cause::NoAnswer)));
    }

    #[test]
    fn peers_that_come_and_go_are_left_out_when_nobody_reads() {
        let mut state = State::default();
        push(&mut state, LINK, 0, ConnectionEventKind::Bound);
        for uid in 0..10_000 {
            push(&mut state, Subject::Peer(0, uid), 0, accepted(uid));
            push(&mut state, Subject::Peer(0, uid), 0, disconnected(uid));
        }
        let left: Vec<_> = state.events.drain(..).collect();
        assert!(matches!(left[0].1.kind, ConnectionEventKind::Bound), "endpoints stay");
        assert_eq!(state.missed + left.len() as u64, 20_001);
        // A peer whose beginning is told has its end told, or is still there.
        for pair in left[1..].chunks(2) {
            assert_eq!(pair[0].0, pair[1].0);
        }
    }

    #[test]
    fn the_newest_event_of_each_endpoint_stays() {
        let mut state = State::default();
        const ENDPOINTS: u64 = 100;
        let mut last = HashMap::new();
        for round in 0..10_000 {
            let link = round % ENDPOINTS;
            let kind = match round / ENDPOINTS % 2 {
                0 => ConnectionEventKind::Connected { peer: peer(round) },
                _ => failed(Cause::Closed),
            };
            push(&mut state, Subject::Link(0, link), round as usize, kind);
            last.insert(link, round as usize);
            push(&mut state, Subject::Peer(0, round), 0, accepted(round));
        }
        for (link, round) in last {
            let of_it = state.events.iter().rfind(|(subject, _)| *subject == Subject::Link(0, link));
            assert_eq!(of_it.unwrap().1.endpoint, Endpoint::Inproc(round.to_string()));
        }
    }

    #[test]
    fn more_endpoints_than_events_may_wait_are_bounded_too() {
        let mut state = State::default();
        for link in 0..5000 {
            push(&mut state, Subject::Link(0, link), 0, ConnectionEventKind::Connecting);
            push(&mut state, Subject::Link(0, link), 0, ConnectionEventKind::Stopped);
        }
        assert_eq!((state.events.len(), state.missed), (EVENTS_MAX, 10_000 - EVENTS_MAX as u64));
    }
}
