//! Floor 2: one socket, as its handles and all shards share it. It knows neither a peer nor a shard: a shard is a
//! [`Port`], which takes [`Note`]s.
//!
//! The hub holds the socket's boxes, each behind its own lock: the demand (ledger and watches), the subscriptions of a
//! SUB or XSUB, the outbox, the inbox, the last values, the states of topics, which peers are full, the members.
//! Handles call it from any thread; shards call it while they are locked themselves. No method of it waits for a
//! shard: what a shard has to do is left as a note in its mailbox. The order of these locks is in docs/LOCKS.md.
//!
//! Life: `new` (by the engine, under its list of sockets) - bind, connect, send, receive - `close` (once: doors shut
//! on this thread, outbox shut, users woken, `Note::Close` to each shard) - each shard drains and calls `shard_done` -
//! `is_done`. `fail` is the way when the engine dies: all of that at once, without the shards.

pub(crate) mod accounts;
pub(crate) mod announced;
pub(crate) mod confirmations;
pub(crate) mod connections;
pub(crate) mod demand;
pub(crate) mod fullness;
pub(crate) mod handshakes;
pub(crate) mod inbox;
pub(crate) mod kept;
pub(crate) mod limits;
pub(crate) mod members;
pub(crate) mod outbox;
pub(crate) mod publishers;
pub(crate) mod questions;
mod reconsidered;
pub(crate) mod refusals;
pub(crate) mod reports;
pub(crate) mod requests;
pub(crate) mod send;
pub(crate) mod watches;

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, RwLock, Weak};
use std::task::Waker;
use std::time::{Duration, Instant};

use oncue_core::command::SUBSCRIBE_OVERHEAD_BYTES;
use oncue_core::connection::SocketType;
use oncue_core::edges::Prefix;
use oncue_core::frame::{COMMAND_BYTES_MAX, Scanner, Version};
use oncue_core::subscriptions::Subscriptions;
use oncue_core::topic::Hidden;

use self::announced::States;
use self::confirmations::{Confirmation, Confirmations};
use self::connections::Connections;
use self::demand::Demand;
use self::fullness::{Gauge, Room};
use self::inbox::Inbound;
use self::inbox::flow::Resume;
use self::inbox::latest::LatestBound;
use self::kept::{Keeping, LastValues};
use self::limits::Met;
use self::members::Members;
use self::outbox::{Bound, Outbox};
use self::publishers::Publishers;
use self::questions::Questions;
use self::refusals::Refusals;
use self::reports::{Report, Reports};
use super::wire::backlog::Mark;
use super::wire::slices::Direct;
use crate::authentication::Refusal;
use crate::buffer::Pool;
use crate::error::{Error, Result};
use crate::home::Home;
use crate::msg::{MESSAGE_BYTES_MAX, Msg};
use crate::net::Ready;
use crate::op::{Place, Waiters, wake_all};
use crate::options::{Keep, OnFull, Options, Party, messages_max};
use crate::permission::{PeerKey, Reason};
use crate::stats::{Closed, SocketStats};
use crate::sync::{Clock, add_saturating, lock, write_lock};
use crate::user::User;

/// The largest message of a publisher, and of a subscriber, in bytes on the wire, unless an option says otherwise.
const MESSAGE_BYTES_MAX_DEFAULT: u64 = 1 << 30;
const UPSTREAM_MESSAGE_BYTES_MAX: u64 = 128 << 10;
/// What a subscription that is sent as a message has besides its prefix: a header and one byte.
const PREFIX_MESSAGE_OVERHEAD_BYTES: u64 = 9 + 1;

/// One socket.
pub(crate) struct Hub {
    pub(crate) id: u64,
    pub(crate) socket_type: SocketType,
    pub(crate) options: Options,
    /// What a SUB or XSUB subscribes to.
    pub(crate) subscriptions: Arc<RwLock<Subscriptions>>,
    /// Which publishers have them in force, while somebody waits for that.
    pub(crate) confirmations: Confirmations,
    /// What came from each publisher.
    pub(crate) publishers: Publishers,
    pub(crate) outbox: Outbox,
    /// Where large messages are copied to.
    pub(crate) copies: Pool,
    pub(crate) last: LastValues,
    pub(crate) gauge: Gauge,
    pub(crate) states: States,
    pub(crate) inbound: Inbound,
    pub(crate) counters: Counters,
    /// Senders that wait for room in the outbox.
    pub(crate) room: Waiters,
    pub(crate) demand: Demand,
    /// The demand events that the XPUB's user has not taken, from the first call for one. Its waiters are those of the
    /// inbox.
    reports: OnceLock<Reports>,
    ports: Vec<Arc<dyn Port>>,
    /// Held from the check whether the socket is connected to an endpoint until it is connected.
    pub(crate) linking: Mutex<()>,
    /// The peers that came by a listener.
    pub(crate) members: Arc<Members>,
    pub(crate) connections: Connections,
    /// Its listeners.
    doors: Mutex<Vec<Weak<dyn Shut>>>,
    /// The shards that have peers of this socket, one bit each.
    shards: AtomicU64,
    /// By shard: the version of our subscriptions that all its peers know.
    told: Vec<AtomicU64>,
    clock: Clock,
    home: Home,
    /// Some messages have a policy of their own.
    mixed: AtomicBool,
    closed: AtomicBool,
    /// The marks in messages, which may change.
    send_messages_max: AtomicU64,
    pub(crate) recv_messages_max: Arc<AtomicU64>,
    /// How many messages were undelivered when the socket was closed.
    undelivered_before: AtomicU64,
    /// Shards that still serve the closed socket.
    open_shards: AtomicUsize,
    pub(crate) done: Waiters,
    /// Operations that wait for a time: woken when an alarm is due.
    pub(crate) alarms: Waiters,
    pub(crate) questions: Questions,
    /// How often all permissions were reconsidered.
    reconsidered: AtomicU64,
}

/// What a shard can be told.
pub(crate) enum Note {
    /// The socket has messages to send.
    Outbox(Arc<Hub>),
    /// The socket's own subscriptions have changed.
    Subscriptions(Arc<Hub>),
    /// Ask the publishers whether they have a subscription in force.
    Confirm { hub: Arc<Hub>, confirmation: Arc<Confirmation> },
    /// The user has made room: reading a paused peer goes on.
    Resume { slot: usize, uid: u64 },
    /// A stream that the system does not watch is ready.
    Ready(Ready),
    /// The authenticator has decided about a peer.
    Authenticated { slot: usize, uid: u64, answer: std::result::Result<User, Refusal> },
    /// The user has decided about a prefix that a peer has or has asked for.
    Verdict { hub: Arc<Hub>, peer: PeerKey, prefix: Vec<u8>, verdict: Verdict },
    /// The user disconnects a peer.
    Dismiss { hub: Arc<Hub>, peer: PeerKey, reason: Option<Reason> },
    /// A handshake gives way to others.
    GiveWay { hub: Arc<Hub>, peer: PeerKey },
    /// No peer may have this prefix any more.
    RevokeAll { hub: Arc<Hub>, prefix: Vec<u8>, status: Reason },
    /// Peers that have left had more prefixes than are released at once.
    Release(Arc<Hub>),
    /// The user has set the state of a topic.
    State { hub: Arc<Hub>, value: Msg },
    /// The user has changed the marks.
    Marks(Arc<Hub>),
    /// The user has closed the socket.
    Close(Arc<Hub>),
    /// The socket's alarm is due at this time.
    Alarm { hub: Arc<Hub>, at: Duration },
    /// Answer: somebody asks whether this shard makes turns.
    Probe(Sender<()>),
    /// The closed socket lingers no longer than this from now on.
    Linger { hub: Arc<Hub>, time: Duration },
    /// Look whether to end.
    Stop,
}

/// A shard, as other threads see it.
pub(crate) trait Port: Resume {
    /// Leaves a note.
    fn mail(&self, note: Note);

    /// Sends one message on this thread, and keeps it if it is to be the `last` value of its topic. Only if the shard
    /// is free and nothing waits to be sent before it; false: nothing was done.
    fn send_now(&self, hub: &Arc<Hub>, message: &Direct<'_>, last: Option<&Keeping>) -> bool;

    /// Where a thread can sleep while it waits for what this shard receives.
    fn place(self: Arc<Self>) -> Option<Arc<dyn Place>>;
}

/// A decision about a peer's prefix.
#[derive(Clone)]
pub(crate) enum Verdict {
    /// What was deferred comes into force.
    Admit,
    /// What was deferred is forgotten.
    Reject(Reason),
    /// What is in force ends; what was deferred is forgotten.
    Revoke(Reason),
    /// The prefix comes into force, whether it was asked for or not.
    Grant,
    /// What is in force ends, without a word.
    Withdraw,
    /// A question about what is in force here is answered: whether it is in force at a proxy's publishers, too.
    Upstream { in_force: bool },
}

/// A listener, as its socket sees it.
pub(crate) trait Shut: Send + Sync {
    /// Stops listening, at once and for good.
    fn shut(&self);
}

/// Counters, without a lock.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) peers: AtomicU64,
    pub(crate) outbox_full: AtomicU64,
    /// What the publishers of a proxy have dropped before it came to this socket.
    pub(crate) missed_upstream: AtomicU64,
    pub(crate) delivered: AtomicU64,
    pub(crate) missed: AtomicU64,
    pub(crate) undelivered: AtomicU64,
    #[cfg(test)]
    pub(crate) offered: AtomicU64,
    pub(crate) received: AtomicU64,
    pub(crate) received_missed: AtomicU64,
    pub(crate) peers_lost: AtomicU64,
    pub(crate) refusals: Refusals,
    pub(crate) peers_evicted: AtomicU64,
    pub(crate) rejected: AtomicU64,
    pub(crate) deferred: AtomicU64,
    pub(crate) revoked: AtomicU64,
    pub(crate) states_missed: AtomicU64,
    pub(crate) met: Met,
}

impl Hub {
    /// A socket that the shards behind `ports` serve. `seed` keys its hashes.
    pub(crate) fn new(
        id: u64,
        socket_type: SocketType,
        mut options: Options,
        ports: Vec<Arc<dyn Port>>,
        seed: u64,
        clock: Clock,
    ) -> Arc<Hub> {
        let party = party(&options, socket_type);
        Arc::make_mut(&mut options.net).party = party;
        let bound = Bound {
            bytes_max: options.outbox_bytes_max,
            messages_min: options.send_messages_max(),
            bytes_most: options.queue_bytes_max.max(options.outbox_bytes_max),
        };
        let inverted = options.invert_matching;
        let subscriptions = match inverted && socket_type == SocketType::Sub {
            true => Subscriptions::new(seed).inverted(),
            false => Subscriptions::new(seed),
        };
        let subscriptions = Arc::new(RwLock::new(subscriptions));
        let bytes_max = options.received_bytes_max.unwrap_or(options.queue_bytes_max);
        let latest = (options.keep == Keep::Latest && !socket_type.publishes())
            .then(|| LatestBound { topics_max: options.recv_messages_max(), bytes_max });
        let inbound = Inbound::new(subscriptions.clone(), bytes_max, latest);
        Arc::new(Hub {
            id,
            socket_type,
            subscriptions,
            confirmations: Confirmations::default(),
            publishers: Publishers::default(),
            outbox: Outbox::new(bound),
            copies: Pool::default(),
            gauge: Gauge::default(),
            states: States::new(),
            last: LastValues::new(options.last_values_bytes_max),
            inbound,
            counters: Counters::default(),
            room: Waiters::default(),
            demand: Demand::new(
                seed,
                options.quotas(socket_type.publishes()),
                if socket_type.publishes() { options.hidden_topics.clone() } else { Hidden::default() },
                inverted && socket_type.publishes(),
            ),
            reports: OnceLock::new(),
            open_shards: AtomicUsize::new(ports.len()),
            shards: AtomicU64::new(0),
            told: ports.iter().map(|_| AtomicU64::new(0)).collect(),
            ports,
            linking: Mutex::default(),
            members: Members::new(&options),
            connections: Connections::default(),
            doors: Mutex::new(Vec::new()),
            clock,
            home: Home::default(),
            mixed: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            send_messages_max: AtomicU64::new(options.send_messages_max()),
            recv_messages_max: Arc::new(AtomicU64::new(options.recv_messages_max())),
            undelivered_before: AtomicU64::new(0),
            done: Waiters::default(),
            alarms: Waiters::default(),
            questions: Questions::default(),
            reconsidered: AtomicU64::new(0),
            options,
        })
    }

    /// Whether messages go out to peers by the ledger: all but SUB. (An XSUB's peers get everything.)
    pub(crate) fn sends(&self) -> bool {
        self.socket_type != SocketType::Sub
    }

    /// Whether the user gets messages that peers send.
    pub(crate) fn takes_messages(&self) -> bool {
        match self.socket_type {
            SocketType::Pub => false,
            SocketType::XPub => !self.options.discard_messages,
            _ => true,
        }
    }

    /// The longest message and the longest command of a peer, in bytes.
    fn received_bytes_bounds(&self) -> (u64, u64) {
        received_bytes_bounds(&self.options, self.socket_type)
    }

    /// The longest frame of a peer, in bytes: of a message, or a command.
    pub(crate) fn frame_bytes_max(&self) -> u64 {
        self.options.net.party.frame_bytes_max
    }

    /// The scanner for a peer's bytes, within the bounds of this socket.
    pub(crate) fn scanner(&self, version: Version) -> Scanner {
        let (message, command) = self.received_bytes_bounds();
        Scanner::new(version, message).with_command_bytes_max(command)
    }

    /// Whether some messages have had a policy of their own.
    pub(crate) fn is_mixed(&self) -> bool {
        self.mixed.load(Ordering::Relaxed)
    }

    /// Whether a message may have this policy.
    pub(crate) fn check_policy(&self, on_full: OnFull) -> Result<()> {
        let refuses = [on_full, self.options.on_full].map(|policy| policy == OnFull::Refuse);
        match refuses {
            [false, false] | [true, true] => Ok(()),
            [true, false] => Err(Error::misuse(
                "OnFull::Refuse is a policy of a whole socket, not of a message; set it by Options::on_full",
            )),
            [false, true] => Err(Error::misuse(format!(
                "OnFull::{on_full:?} is refused: under the socket's OnFull::Refuse no message is ever dropped; \
                 choose another policy for the socket"
            ))),
        }
    }

    /// What distinguishes a message with this policy: nothing if the policy is that of the socket.
    pub(crate) fn own_policy(&self, on_full: OnFull) -> Result<Option<OnFull>> {
        self.check_policy(on_full)?;
        if on_full == self.options.on_full {
            return Ok(None);
        }
        // Before any peer gets such a message: the lock of the outbox, or of the shard, comes in between.
        self.mixed.store(true, Ordering::Relaxed);
        Ok(Some(on_full))
    }

    /// The high-water marks of a peer's queue.
    pub(crate) fn mark(&self) -> Mark {
        let messages = self.send_messages_max.load(Ordering::Relaxed);
        Mark { messages, bytes: self.options.queue_bytes_max }
    }

    /// Changes the marks in messages, where they are given.
    pub(crate) fn set_marks(self: &Arc<Self>, send: Option<u32>, recv: Option<u32>) {
        if let Some(send) = send {
            self.send_messages_max.store(messages_max(send), Ordering::Relaxed);
        }
        if let Some(recv) = recv {
            self.recv_messages_max.store(messages_max(recv), Ordering::SeqCst);
            self.inbound.set_topics_max(messages_max(recv));
        }
        self.mail_all(|| Note::Marks(self.clone()));
    }

    /// The time since the engine's origin.
    pub(crate) fn now(&self) -> Duration {
        (self.clock)()
    }

    /// Begins to wait until publishers have a subscription in force: those that are connected, and any others until there
    /// are at least `publishers_min`. Returns its key for [`Confirmations::close`], too.
    pub(crate) fn confirm(
        self: &Arc<Self>,
        prefix: Prefix,
        publishers_min: usize,
    ) -> (usize, Arc<Confirmation>) {
        let (key, confirmation) = self.confirmations.begin(prefix, publishers_min, self.ports.len());
        self.mail_all(|| Note::Confirm { hub: self.clone(), confirmation: confirmation.clone() });
        (key, confirmation)
    }

    /// A publisher has left. Another one, or itself by a new connection, may have come beside it and not been asked, since
    /// there were enough.
    pub(crate) fn publisher_left(self: &Arc<Self>, publisher: PeerKey, wakes: &mut Vec<Waker>) {
        for confirmation in self.confirmations.left(publisher, wakes) {
            confirmation.asks_again(self.ports.len());
            self.mail_all(|| Note::Confirm { hub: self.clone(), confirmation: confirmation.clone() });
        }
    }

    /// The publishers of a proxy have dropped messages before those that come next: the peers are told, whatever follows.
    pub(crate) fn miss_upstream(self: &Arc<Self>, messages: u64) {
        add_saturating(&self.counters.missed_upstream, messages);
        self.mail_all(|| Note::Outbox(self.clone()));
    }

    /// Leaves a note for every shard.
    pub(crate) fn mail_all(&self, note: impl Fn() -> Note) {
        self.ports.iter().for_each(|port| port.mail(note()));
    }

    /// Has [`alarms`](Self::alarms) woken at this time, if a shard serves the socket.
    pub(crate) fn set_alarm(self: &Arc<Self>, at: Duration) {
        self.mail_all(|| Note::Alarm { hub: self.clone(), at });
    }

    /// Whether every shard begins a turn within this time.
    pub(crate) fn responds_within(&self, time: Duration) -> bool {
        let (sender, answers) = channel();
        self.mail_all(|| Note::Probe(sender.clone()));
        // A shard that has ended drops its note; when there is no sender left, no answer comes.
        drop(sender);
        let start = Instant::now();
        self.ports.iter().all(|_| answers.recv_timeout(time.saturating_sub(start.elapsed())).is_ok())
    }

    pub(crate) fn port(&self, shard: u16) -> Arc<dyn Port> {
        self.ports[usize::from(shard)].clone()
    }

    /// A shard has its first peer of this socket, or has lost its last one.
    pub(crate) fn has_peers(&self, shard: u16, any: bool) {
        match any {
            true => self.shards.fetch_or(1 << shard, Ordering::SeqCst),
            false => self.shards.fetch_and(!(1 << shard), Ordering::SeqCst),
        };
    }

    /// Where a thread can sleep that waits for something of this socket: at the shard that has its peers, if it is
    /// one.
    pub(crate) fn place(&self) -> Option<Arc<dyn Place>> {
        let shards = self.shards.load(Ordering::SeqCst);
        let one = shards.is_power_of_two().then(|| shards.trailing_zeros() as usize);
        one.and_then(|shard| self.ports[shard].clone().place())
    }

    /// All peers of a shard know our subscriptions up to `version`.
    pub(crate) fn told(&self, shard: u16, version: u64) {
        self.told[usize::from(shard)].store(version, Ordering::Release);
        let all = self.told.iter().map(|told| told.load(Ordering::Acquire)).min().unwrap_or(0);
        write_lock(&self.subscriptions).trim(all);
    }

    /// The next event of the XPUB's user about what is wanted. The first call begins a queue with what is wanted then; all
    /// changes follow.
    pub(crate) fn pop_report(&self) -> Option<Report> {
        let begin = || Reports::begin(&self.demand, &self.options, self.inbound.waiters.clone());
        self.reports.get_or_init(begin).pop()
    }

    pub(crate) fn check_open(&self) -> Result<()> {
        if self.is_closed() || self.home.is_left() { Err(self.why_closed()) } else { Ok(()) }
    }

    /// An error in a fork, where nothing that waits here may be taken: it is the parent's, and a thread that is not there may
    /// hold the lock.
    #[inline]
    pub(crate) fn check_home(&self) -> Result<()> {
        if self.home.is_left() { Err(self.why_closed()) } else { Ok(()) }
    }

    #[cold]
    fn why_closed(&self) -> Error {
        if self.is_forked() { Error::forked() } else { Error::closed() }
    }

    /// Whether this process is a fork of the one that made the socket. Then the socket is dead here, without a word to the
    /// other process, and without a lock: a thread that is not here may hold it.
    pub(crate) fn is_forked(&self) -> bool {
        let forked = self.home.is_left();
        if forked {
            self.outbox.deactivate();
            self.open_shards.store(0, Ordering::Release);
            self.closed.store(true, Ordering::Release);
        }
        forked
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Closes the socket. Returns whether this call did it.
    pub(crate) fn close(self: &Arc<Self>) -> bool {
        let first = !self.is_forked() && self.shut();
        if first {
            self.mail_all(|| Note::Close(self.clone()));
        }
        first
    }

    /// Closes the socket, if it is not closed yet, and ends its linger after `time` at the latest.
    pub(crate) fn close_within(self: &Arc<Self>, time: Duration) {
        self.close();
        self.mail_all(|| Note::Linger { hub: self.clone(), time });
    }

    /// How the socket was closed, once that is done.
    pub(crate) fn closed(&self) -> Option<Closed> {
        let before = self.undelivered_before.load(Ordering::Relaxed);
        let all = || self.counters.undelivered.load(Ordering::Relaxed);
        self.is_done().then(|| Closed { undelivered: all().saturating_sub(before) })
    }

    /// From now on users get an error, the endpoints are free, and everything that waits is woken. Returns whether this
    /// call did it.
    fn shut(&self) -> bool {
        if self.closed.swap(true, Ordering::AcqRel) {
            return false;
        }
        self.undelivered_before.store(self.counters.undelivered.load(Ordering::Relaxed), Ordering::Relaxed);
        let doors = std::mem::take(&mut *lock(&self.doors));
        doors.iter().filter_map(Weak::upgrade).for_each(|door| door.shut());
        self.outbox.shut();
        let mut wakes = Vec::new();
        for waiters in [
            &self.room,
            &self.inbound.waiters,
            &self.members.waiters,
            &self.gauge.waiters,
            &self.states.waiters,
            &self.demand.growth,
        ] {
            waiters.take(&mut wakes);
        }
        self.demand.wake_watches(&mut wakes);
        self.connections.wake(&mut wakes);
        self.confirmations.wake(&mut wakes);
        wake_all(wakes);
        true
    }

    /// A shard has nothing left to do for the closed socket.
    pub(crate) fn shard_done(&self, wakes: &mut Vec<Waker>) {
        if self.open_shards.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.done.take(wakes);
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.open_shards.load(Ordering::Acquire) == 0
    }

    /// The engine cannot serve the socket any more; everything that waits is woken.
    pub(crate) fn fail(&self) {
        self.open_shards.store(0, Ordering::Release);
        self.shut();
        self.done.wake();
    }

    /// The socket listens with `door`, until it is closed.
    pub(crate) fn listens(&self, door: Arc<dyn Shut>) -> Result<()> {
        let mut doors = lock(&self.doors);
        // Under the lock: `close` empties the list after it has set `closed`.
        self.check_open()?;
        doors.retain(|door| door.strong_count() > 0);
        doors.push(Arc::downgrade(&door));
        Ok(())
    }

    pub(crate) fn stats(&self) -> SocketStats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let c = &self.counters;
        let turned_away = self.members.turned_away();
        let (store, refusals) = (self.last.look(), c.refusals.stats());
        SocketStats {
            peers: get(&c.peers),
            sent: self.outbox.pushed(),
            outbox_full: get(&c.outbox_full),
            delivered: get(&c.delivered),
            missed: get(&c.missed),
            undelivered: get(&c.undelivered),
            received: get(&c.received),
            received_missed: get(&c.received_missed) + get(&self.inbound.dropped),
            received_replaced: get(&self.inbound.replaced),
            peers_lost: get(&c.peers_lost),
            peers_refused: refusals.sum(),
            refusals,
            peers_turned_away: turned_away.peers_max + turned_away.peers_per_address_max,
            quotas: c.met.stats(turned_away.peers_max, turned_away.peers_per_address_max),
            accepts_paused: turned_away.descriptors,
            subscriptions_rejected: get(&c.rejected),
            subscriptions_deferred: get(&c.deferred),
            subscriptions_revoked: get(&c.revoked),
            states_missed: get(&c.states_missed) + get(&self.states.heard_missed),
            peers_full: self.gauge.full(),
            peers_evicted: get(&c.peers_evicted),
            last_values: store.values(),
            last_values_bytes: store.bytes,
            last_values_dropped: store.dropped,
            last_values_offered: get(&self.last.offered),
        }
    }

    /// Whether a message of this topic would be queued or written.
    pub(crate) fn room_for(&self, topic: &[u8]) -> Room {
        let ledger = self.demand.read();
        if self.gauge.is_open() {
            return if ledger.wanted(topic) { Room::Open } else { Room::Nobody };
        }
        let lack = lock(&self.gauge.lack);
        let mut room = Room::Nobody;
        ledger.for_each_audience(topic, |audience| {
            // An audience without peers is still to be released.
            if room != Room::Open && !ledger.peers(audience).is_empty() {
                let any = ledger.peers(audience).iter().any(|&peer| lack.has_room(peer, topic));
                room = if any { Room::Open } else { Room::Congested };
            }
        });
        room
    }

    /// Whether each peer that wants a topic lacks room for it, and one does. Cheap while no peer is full.
    pub(crate) fn is_congested(&self, topic: &[u8]) -> bool {
        !self.gauge.is_open() && self.room_for(topic) == Room::Congested
    }

    /// How many peers want a topic.
    pub(crate) fn subscribers(&self, topic: &[u8]) -> usize {
        let ledger = self.demand.read();
        // A vector for the others alone: mostly all prefixes of a topic are of one audience, and this is asked for each value.
        let (mut first, mut others) = (None, Vec::new());
        ledger.for_each_audience(topic, |audience| {
            if *first.get_or_insert(audience) != audience {
                others.push(audience);
            }
        });
        others.sort_unstable();
        others.dedup();
        first.into_iter().chain(others).map(|audience| ledger.peers(audience).len()).sum()
    }

    /// Leaves a decision for the peer's shard.
    pub(crate) fn decide(self: &Arc<Self>, peer: PeerKey, prefix: &[u8], verdict: Verdict) {
        if let Some(port) = self.ports.get(usize::from(peer.shard)) {
            port.mail(Note::Verdict { hub: self.clone(), peer, prefix: prefix.to_vec(), verdict });
        }
    }

    /// Disconnects a peer.
    pub(crate) fn dismiss(self: &Arc<Self>, peer: PeerKey, reason: Option<Reason>) {
        if let Some(port) = self.ports.get(usize::from(peer.shard)) {
            port.mail(Note::Dismiss { hub: self.clone(), peer, reason });
        }
    }

    /// The handshake of a peer gives way.
    pub(crate) fn give_way(self: &Arc<Self>, peer: PeerKey) {
        if let Some(port) = self.ports.get(usize::from(peer.shard)) {
            port.mail(Note::GiveWay { hub: self.clone(), peer });
        }
    }

    /// Takes a prefix from all peers that have it.
    pub(crate) fn revoke_all(self: &Arc<Self>, prefix: &[u8], status: &Reason) {
        self.mail_all(|| Note::RevokeAll {
            hub: self.clone(),
            prefix: prefix.to_vec(),
            status: status.clone(),
        });
    }
}

/// The longest message and the longest command of a peer, in bytes. A publisher takes longer prefixes than messages.
fn received_bytes_bounds(options: &Options, socket_type: SocketType) -> (u64, u64) {
    let (default, least, command) = match socket_type.publishes() {
        false => (MESSAGE_BYTES_MAX_DEFAULT, 0, COMMAND_BYTES_MAX),
        true => {
            let prefix = options.prefix_length_max as u64;
            let command = prefix + SUBSCRIBE_OVERHEAD_BYTES as u64;
            (UPSTREAM_MESSAGE_BYTES_MAX, prefix + PREFIX_MESSAGE_OVERHEAD_BYTES, command)
        }
    };
    let message = options.message_bytes_max.unwrap_or(default).max(least);
    (message.min(MESSAGE_BYTES_MAX as u64), command)
}

/// What a transport that translates must know of a socket.
fn party(options: &Options, socket_type: SocketType) -> Party {
    let (message, command) = received_bytes_bounds(options, socket_type);
    let security = &options.security.mechanism;
    Party {
        socket_type,
        mechanism: security.name(),
        as_server: security.is_server(),
        frame_bytes_max: message.max(command).max(COMMAND_BYTES_MAX),
    }
}
