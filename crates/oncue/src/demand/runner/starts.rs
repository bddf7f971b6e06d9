//! How many feeds a user may start in a minute. A subscription beyond that is held until the user may start one more, and
//! admitted then; one that would be held for too long is refused.
//!
//! Counted is what may start a feed: the first subscription to a prefix. The socket asks on its I/O threads, the runner
//! admits.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::account::Account;
use crate::bucket::{Bucket, Rate};
use crate::demand::feed::{Desk, Note, add};
use crate::events;
use crate::permission::{Admission, PeerKey, Reason, SubscribeRequest};
use crate::sync::lock;

/// The most starts of a user in a minute, unless a bound was set.
pub(crate) const STARTS_PER_MINUTE_MAX: u32 = 600_000;

const MINUTE: Duration = Duration::from_secs(60);
/// How long a subscription is held at the most.
const HELD_TIME_MAX: Duration = Duration::from_secs(600);
/// How many bytes the held subscriptions of one user take at the most, and of all users.
const HELD_BYTES_MAX: usize = 8 << 20;
const ALL_HELD_BYTES_MAX: usize = 64 << 20;
/// What one takes beside its prefix, about.
const HELD_OVERHEAD_BYTES: usize = 128;
/// How many are admitted in one turn of the runner.
const ADMITTED_PER_TURN_MAX: usize = 256;
/// Users whose bucket is full are swept only above this number.
const SWEPT_MIN: usize = 1024;

/// The starts of all users.
pub(crate) struct Starts {
    desk: Arc<Desk>,
    state: Mutex<State>,
}

struct State {
    max: u32,
    /// The users that have started something of late.
    lines: HashMap<Account, Line>,
    /// At how many they are swept next.
    sweep_at: usize,
    /// By the time of admission, then by order.
    held: BTreeMap<(Duration, u64), Held>,
    held_bytes: usize,
    last: u64,
}

#[derive(Default)]
struct Line {
    bucket: Bucket,
    held_bytes: usize,
}

/// A subscription that waits.
struct Held {
    peer: PeerKey,
    prefix: Box<[u8]>,
    account: Account,
}

fn bytes(prefix: &[u8]) -> usize {
    prefix.len() + HELD_OVERHEAD_BYTES
}

impl Starts {
    pub(crate) fn new(desk: Arc<Desk>) -> Starts {
        let state = State {
            max: STARTS_PER_MINUTE_MAX,
            lines: HashMap::new(),
            sweep_at: SWEPT_MIN,
            held: BTreeMap::new(),
            held_bytes: 0,
            last: 0,
        };
        Starts { desk, state: Mutex::new(state) }
    }

    /// Changes the bound. What is held stays so for as long as was decided.
    pub(crate) fn set_max(&self, max: u32) {
        lock(&self.state).max = max.max(1);
    }

    /// Whether a peer may have a prefix now, that nothing else speaks against.
    pub(crate) fn ask(&self, request: &SubscribeRequest<'_>) -> Admission {
        if !request.is_first {
            return Admission::Accept;
        }
        let Some(account) = Account::of(request.user, &request.address) else {
            return Admission::Accept;
        };
        let now = self.desk.now();
        let mut state = lock(&self.state);
        let (answer, is_news) = state.ask(account, request, now);
        let max = state.max;
        drop(state);
        if is_news {
            self.desk.tell(Note::Held);
        }
        match answer {
            Admission::Accept => return answer,
            Admission::Defer => add(&self.desk.counters.starts_deferred, 1),
            Admission::Reject(_) => add(&self.desk.counters.starts_rejected, 1),
        }
        events::start_held(&request.address, request.prefix, max);
        answer
    }

    /// When the next subscription is due.
    pub(crate) fn next(&self) -> Option<Duration> {
        lock(&self.state).held.first_key_value().map(|((at, _), _)| *at)
    }

    /// The subscriptions that are due, up to a number.
    pub(crate) fn due(&self, now: Duration) -> Vec<(PeerKey, Box<[u8]>)> {
        let mut due = Vec::new();
        let mut state = lock(&self.state);
        while due.len() < ADMITTED_PER_TURN_MAX
            && let Some(first) = state.held.first_entry()
            && first.key().0 <= now
        {
            let Held { peer, prefix, account } = first.remove();
            state.held_bytes -= bytes(&prefix);
            if let Some(line) = state.lines.get_mut(&account) {
                line.held_bytes -= bytes(&prefix);
            }
            due.push((peer, prefix));
        }
        due
    }
}

impl State {
    /// The answer, and whether the runner has to look at the time again.
    fn ask(&mut self, account: Account, request: &SubscribeRequest<'_>, now: Duration) -> (Admission, bool) {
        self.sweep(now);
        let rate = Rate::new(self.max, MINUTE, self.max);
        let line = self.lines.entry(account.clone()).or_default();
        let mut after = line.bucket;
        after.take(rate, now);
        if !after.is_overdrawn(rate, now) {
            line.bucket = after;
            return (Admission::Accept, false);
        }
        let (at, bytes) = (after.has(0, rate), bytes(request.prefix));
        if at > now.saturating_add(HELD_TIME_MAX)
            || line.held_bytes + bytes > HELD_BYTES_MAX
            || self.held_bytes + bytes > ALL_HELD_BYTES_MAX
        {
            let max = self.max;
            let why = format!(
                "you have started too many topics; {max} a minute are the most (starts_per_minute_max)"
            );
            return (Admission::Reject(Reason::new(why)), false);
        }
        line.bucket = after;
        line.held_bytes += bytes;
        self.held_bytes += bytes;
        self.last += 1;
        let is_news = self.held.first_key_value().is_none_or(|((first, _), _)| at < *first);
        let held = Held { peer: request.peer, prefix: request.prefix.into(), account };
        self.held.insert((at, self.last), held);
        (Admission::Defer, is_news)
    }

    /// Forgets users that might as well be new, once they may be more than the others.
    fn sweep(&mut self, now: Duration) {
        if self.lines.len() >= self.sweep_at {
            self.lines.retain(|_, line| line.held_bytes > 0 || !line.bucket.is_full(now));
            self.sweep_at = SWEPT_MIN.max(2 * self.lines.len());
            self.lines.shrink_to(self.sweep_at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer_address::PeerAddress;
    use crate::sync::Clock;
    use crate::user::User;

    struct Stage {
        starts: Starts,
        now: Arc<Mutex<Duration>>,
    }

    impl Stage {
        fn new(max: u32) -> Stage {
            let now = Arc::new(Mutex::new(Duration::from_secs(1000)));
            let time = now.clone();
            let clock: Clock = Arc::new(move || *lock(&time));
            let starts = Starts::new(Arc::new(Desk::new(clock)));
            starts.set_max(max);
            Stage { starts, now }
        }

        fn pass(&self, time: Duration) {
            *lock(&self.now) += time;
        }

        fn ask(&self, user: &str, prefix: &[u8]) -> Admission {
            let request = SubscribeRequest {
                peer: PeerKey { shard: 0, slot: 0, uid: 1 },
                address: PeerAddress::Inproc,
                user: Some(&User::new(user)),
                prefix,
                in_force: false,
                is_first: true,
            };
            self.starts.ask(&request)
        }

        fn due(&self) -> Vec<String> {
            let due = self.starts.due(*lock(&self.now)).into_iter();
            due.map(|(_, prefix)| String::from_utf8(prefix.into()).unwrap()).collect()
        }
    }

    #[test]
    fn what_is_beyond_the_bound_is_held_until_it_fits_and_refused_if_that_takes_too_long() {
        // One in 10 seconds.
        let stage = Stage::new(6);
        (0..6).for_each(|_| assert_eq!(stage.ask("anna", b"now"), Admission::Accept));
        for i in 0..60 {
            assert_eq!(stage.ask("anna", format!("{i}").as_bytes()), Admission::Defer);
        }
        let Admission::Reject(why) = stage.ask("anna", b"too late") else { panic!() };
        assert!(why.text().contains("6 a minute are the most (starts_per_minute_max)"), "{}", why.text());
        assert_eq!(stage.ask("berta", b"0"), Admission::Accept, "another user's are not touched");
        assert_eq!(stage.due(), Vec::<String>::new());
        let next = stage.starts.next().unwrap();
        assert_eq!(next, Duration::from_secs(1010));
        stage.pass(Duration::from_secs(30));
        assert_eq!(stage.due(), ["0", "1", "2"]);
        stage.pass(Duration::from_secs(600));
        assert_eq!(stage.due().len(), 57);
        assert_eq!(stage.starts.next(), None);
        assert_eq!(lock(&stage.starts.state).held_bytes, 0);
    }

    #[test]
    fn what_is_held_and_remembered_is_bounded() {
        let stage = Stage::new(u32::MAX);
        stage.starts.set_max(600);
        (0..600).for_each(|_| assert_eq!(stage.ask("anna", b""), Admission::Accept));
        let long = [b'x'; 60_000];
        let held = (0..1000).filter(|_| stage.ask("anna", &long) == Admission::Defer).count();
        assert_eq!(held, HELD_BYTES_MAX / bytes(&long));
        for i in 0..10_000 {
            stage.ask(&format!("user {i}"), b"a");
            stage.pass(Duration::from_millis(10));
        }
        let lines = lock(&stage.starts.state).lines.len();
        assert!(lines <= SWEPT_MIN, "{lines}");
    }
}
