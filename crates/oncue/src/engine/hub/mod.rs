//! What one socket's handles and all shards share: the ledger, the subscriptions, the boxes between threads.
//! Nothing here touches a stream.

pub(crate) mod announced;
pub(crate) mod fullness;
pub(crate) mod inbox;
pub(crate) mod kept;
pub(crate) mod members;
pub(crate) mod outbox;
pub(crate) mod watches;

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};
use std::task::Waker;
use std::time::Duration;

use oncue_core::command::SUBSCRIBE_OVERHEAD_BYTES;
use oncue_core::connection::SocketType;
use oncue_core::edges::Prefix;
use oncue_core::frame::{Scanner, Version};
use oncue_core::ledger::{Change, Ledger, PeerId, Quota, QuotaExceeded};
use oncue_core::subscriptions::Subscriptions;

use crate::batch::Batch;
use crate::engine::Clock;
use crate::engine::hub::announced::States;
use crate::engine::hub::fullness::Gauge;
use crate::engine::hub::inbox::{Inbound, LatestBound};
use crate::engine::hub::kept::{Keeping, LastValues};
use crate::engine::hub::members::Members;
use crate::engine::hub::outbox::{Bound, Outbox, Pushed};
use crate::engine::hub::watches::{Watch, Watches};
use crate::engine::peer::permission::Decisions;
use crate::engine::shard::mailbox::{Note, Port};
use crate::engine::shard::short_way::Direct;
use crate::engine::wire::queue::Mark;
use crate::error::{Error, Result};
use crate::msg::{COPIED_BYTES_MAX, Frames, MESSAGE_BYTES_MAX, Msg};
use crate::op::{Place, Waiters, wake_all};
use crate::options::{Keep, OnFull, Options};
use crate::stats::SocketStats;
use crate::sync::{lock, read_lock, write_lock};

/// How many prefixes of a peer that has left are released before others may have the ledger: a fraction of a millisecond.
const RELEASE_PREFIXES_MAX: usize = 1024;
/// What the headers of a few frames take.
const HEADERS_BYTES: usize = 64;
/// The largest message of a publisher, and of a subscriber, in bytes on the wire, unless an option says otherwise.
const MESSAGE_BYTES_MAX_DEFAULT: u64 = 1 << 30;
const UPSTREAM_MESSAGE_BYTES_MAX: u64 = 128 << 10;
/// What a subscription has beside its prefix where it is sent as a message: a header and a byte.
const PREFIX_MESSAGE_OVERHEAD_BYTES: u64 = 9 + 1;

/// One socket.
pub(crate) struct Hub {
    pub(crate) id: u64,
    pub(crate) socket_type: SocketType,
    pub(crate) options: Options,
    /// The own subscriptions of a SUB or XSUB.
    pub(crate) subscriptions: Arc<RwLock<Subscriptions>>,
    pub(crate) outbox: Outbox,
    pub(crate) last: LastValues,
    pub(crate) gauge: Gauge,
    pub(crate) states: States,
    pub(crate) decisions: Decisions,
    pub(crate) inbound: Inbound,
    pub(crate) counters: Counters,
    /// Those who wait for room in the outbox.
    pub(crate) room: Waiters,
    demand: RwLock<Demand>,
    /// The XPUB user's own queue of demand events, from when it is first asked for; those who wait for messages wait for
    /// these too.
    edges: OnceLock<Arc<Watch>>,
    ports: Vec<Arc<dyn Port>>,
    /// Held from looking whether the socket is connected to an endpoint until it is.
    pub(crate) linking: Mutex<()>,
    /// Those who came by its listeners.
    pub(crate) members: Arc<Members>,
    /// What it listens with.
    doors: Mutex<Vec<Weak<dyn Shut>>>,
    /// The shards that have peers of this socket, a bit each.
    shards: AtomicU64,
    /// By shard, up to which version its peers know our subscriptions.
    told: Vec<AtomicU64>,
    seed: u64,
    clock: Clock,
    closed: AtomicBool,
    /// Shards that still serve the socket, once it is closed.
    open_shards: AtomicUsize,
    pub(crate) done: Waiters,
}

/// A listener, as its socket sees it.
pub(crate) trait Shut: Send + Sync {
    /// Stops listening, at once and for good.
    fn shut(&self);
}

/// Counts, kept without a lock.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) peers: AtomicU64,
    pub(crate) outbox_full: AtomicU64,
    pub(crate) delivered: AtomicU64,
    pub(crate) missed: AtomicU64,
    pub(crate) received: AtomicU64,
    pub(crate) received_missed: AtomicU64,
    pub(crate) peers_lost: AtomicU64,
    pub(crate) peers_refused: AtomicU64,
}

/// What becomes of a message that the outbox has no room for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoRoom {
    /// It is dropped, and counted.
    Drop,
    /// The sender hears of it.
    Refuse,
}

/// The ledger and those who watch it.
struct Demand {
    ledger: Ledger,
    /// With a lock of their own: to begin or end a watch only keeps the ledger from being changed meanwhile.
    watches: Mutex<Watches>,
}

impl Hub {
    /// A socket that the shards behind `ports` serve. `seed` keys its hashes.
    pub(crate) fn new(
        id: u64,
        socket_type: SocketType,
        options: Options,
        ports: Vec<Arc<dyn Port>>,
        seed: u64,
        clock: Clock,
    ) -> Arc<Hub> {
        let quota = Quota { prefixes_max: options.prefixes_max, prefix_bytes_max: options.prefix_bytes_max };
        let bound = Bound {
            bytes_max: options.outbox_bytes_max,
            messages_min: options.send_messages_max(),
            bytes_most: options.queue_bytes_max.max(options.outbox_bytes_max),
        };
        let subscriptions = Arc::new(RwLock::new(Subscriptions::new(seed)));
        let bytes_max = options.received_bytes_max.unwrap_or(options.queue_bytes_max);
        let subscribes = matches!(socket_type, SocketType::Sub | SocketType::XSub);
        let latest = (options.keep == Keep::Latest && subscribes)
            .then(|| LatestBound { topics_max: options.recv_messages_max(), bytes_max });
        let inbound = Inbound::new(subscriptions.clone(), bytes_max, latest);
        Arc::new(Hub {
            id,
            socket_type,
            subscriptions,
            outbox: Outbox::new(bound),
            gauge: Gauge::default(),
            states: States::new(),
            decisions: Decisions::default(),
            last: LastValues::new(options.last_values_bytes_max),
            inbound,
            counters: Counters::default(),
            room: Waiters::default(),
            demand: RwLock::new(Demand { ledger: Ledger::new(seed, quota), watches: Mutex::default() }),
            edges: OnceLock::new(),
            open_shards: AtomicUsize::new(ports.len()),
            shards: AtomicU64::new(0),
            told: ports.iter().map(|_| AtomicU64::new(0)).collect(),
            ports,
            linking: Mutex::default(),
            members: Members::new(&options),
            doors: Mutex::new(Vec::new()),
            seed,
            clock,
            closed: AtomicBool::new(false),
            done: Waiters::default(),
            options,
        })
    }

    /// Whether messages go out to peers by the ledger: all but SUB. (An XSUB's peers get everything.)
    pub(crate) fn sends(&self) -> bool {
        self.socket_type != SocketType::Sub
    }

    /// Whether peers subscribe here.
    pub(crate) fn publishes(&self) -> bool {
        matches!(self.socket_type, SocketType::Pub | SocketType::XPub)
    }

    /// Whether this side subscribes.
    pub(crate) fn subscribes(&self) -> bool {
        matches!(self.socket_type, SocketType::Sub | SocketType::XSub)
    }

    /// Whether messages that peers send are for the user.
    pub(crate) fn takes_messages(&self) -> bool {
        match self.socket_type {
            SocketType::Pub => false,
            SocketType::XPub => !self.options.discard_messages,
            _ => true,
        }
    }

    /// What cuts a peer's bytes, within the bounds of this socket.
    pub(crate) fn scanner(&self, version: Version) -> Scanner {
        let prefix = self.options.prefix_length_max as u64;
        let bytes_max = self.options.message_bytes_max;
        let bytes_max = match self.publishes() {
            true => {
                bytes_max.unwrap_or(UPSTREAM_MESSAGE_BYTES_MAX).max(prefix + PREFIX_MESSAGE_OVERHEAD_BYTES)
            }
            false => bytes_max.unwrap_or(MESSAGE_BYTES_MAX_DEFAULT),
        };
        let scanner = Scanner::new(version, bytes_max.min(MESSAGE_BYTES_MAX as u64));
        match self.publishes() {
            true => scanner.with_command_bytes_max(prefix + SUBSCRIBE_OVERHEAD_BYTES as u64),
            false => scanner,
        }
    }

    /// The bounds of a peer's queue.
    pub(crate) fn mark(&self) -> Mark {
        Mark { messages: self.options.send_messages_max(), bytes: self.options.queue_bytes_max }
    }

    /// The time since the engine's origin.
    pub(crate) fn now(&self) -> Duration {
        (self.clock)()
    }

    /// Queues a message for whoever wants it.
    #[inline]
    pub(crate) fn send(self: &Arc<Self>, frames: &(impl Frames + ?Sized)) -> Result<()> {
        self.push(frames, self.no_room())
    }

    /// As [`send`](Self::send), but a message without room is refused whatever the policy.
    pub(crate) fn send_if_room(self: &Arc<Self>, frames: &(impl Frames + ?Sized)) -> Result<()> {
        self.push(frames, NoRoom::Refuse)
    }

    #[inline]
    fn push(self: &Arc<Self>, frames: &(impl Frames + ?Sized), no_room: NoRoom) -> Result<()> {
        if frames.copied_bytes() >= COPIED_BYTES_MAX {
            return self.push_copied(frames, no_room);
        }
        match self.outbox.push(frames, true) {
            Pushed::Idle { shard } if self.send_now(shard, frames, None) => Ok(()),
            Pushed::Idle { .. } => self.pushed(self.outbox.push(frames, false), no_room),
            pushed => self.pushed(pushed, no_room),
        }
    }

    /// Queues what takes long to copy: no other thread may wait for that.
    #[cold]
    fn push_copied(self: &Arc<Self>, frames: &(impl Frames + ?Sized), no_room: NoRoom) -> Result<()> {
        if let Some(pushed) = self.outbox.refusal() {
            return self.pushed(pushed, no_room);
        }
        if frames.copied_bytes() > MESSAGE_BYTES_MAX {
            return self.pushed(Pushed::TooLarge, no_room);
        }
        let mut wire = Vec::with_capacity(frames.copied_bytes() + HEADERS_BYTES);
        frames.put(&mut wire);
        if wire.len() > MESSAGE_BYTES_MAX {
            return self.pushed(Pushed::TooLarge, no_room);
        }
        self.push(&Msg::from_wire(wire), no_room)
    }

    /// Queues a batch, and leaves an empty one.
    pub(crate) fn send_many(self: &Arc<Self>, batch: &mut Batch) -> Result<()> {
        match self.outbox.push_many(batch) {
            Pushed::Full if self.no_room() == NoRoom::Drop => {
                self.counters.outbox_full.fetch_add(batch.len() as u64, Ordering::Relaxed);
                batch.clear();
                Ok(())
            }
            pushed => self.pushed(pushed, NoRoom::Refuse),
        }
    }

    /// As [`send_many`](Self::send_many), but a batch without room is refused whatever the policy.
    pub(crate) fn send_many_if_room(self: &Arc<Self>, batch: &mut Batch) -> Result<()> {
        let pushed = self.outbox.push_many(batch);
        self.pushed(pushed, NoRoom::Refuse)
    }

    /// What the policy says of a message that the outbox has no room for.
    pub(crate) fn no_room(&self) -> NoRoom {
        if self.options.on_full == OnFull::Refuse { NoRoom::Refuse } else { NoRoom::Drop }
    }

    /// Sends a message from this thread, if that can be done at once.
    pub(crate) fn send_now(
        self: &Arc<Self>,
        shard: u16,
        frames: &(impl Frames + ?Sized),
        last: Option<&Keeping>,
    ) -> bool {
        let sent =
            Direct::with(frames, |message| self.ports[usize::from(shard)].send_now(self, message, last));
        if sent {
            self.outbox.count_direct();
        }
        sent
    }

    #[inline]
    pub(crate) fn pushed(self: &Arc<Self>, pushed: Pushed, no_room: NoRoom) -> Result<()> {
        match pushed {
            Pushed::Queued { tell: 0 } => Ok(()),
            Pushed::Queued { tell } => {
                self.tell(tell);
                Ok(())
            }
            Pushed::Nobody | Pushed::Idle { .. } => self.check_open(),
            Pushed::Full if no_room == NoRoom::Refuse => Err(Error::full()),
            Pushed::Full => {
                self.counters.outbox_full.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            Pushed::TooLarge => Err(Error::misuse("the message is larger than 2 GiB; send it in parts")),
        }
    }

    #[cold]
    fn tell(self: &Arc<Self>, mut shards: u64) {
        while shards != 0 {
            let shard = shards.trailing_zeros() as usize;
            self.ports[shard].mail(Note::Outbox(self.clone()));
            shards &= shards - 1;
        }
    }

    /// Leaves a note for every shard.
    pub(crate) fn mail_all(&self, note: impl Fn() -> Note) {
        self.ports.iter().for_each(|port| port.mail(note()));
    }

    /// Leaves a note for one shard, if there is one of that number.
    pub(crate) fn mail_to(&self, shard: u16, note: Note) {
        if let Some(port) = self.ports.get(usize::from(shard)) {
            port.mail(note);
        }
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

    /// Where a thread can sleep that waits for something of this socket: at the one shard that has its peers.
    pub(crate) fn place(&self) -> Option<Arc<dyn Place>> {
        let shards = self.shards.load(Ordering::SeqCst);
        let one = shards.is_power_of_two().then(|| shards.trailing_zeros() as usize);
        one.and_then(|shard| self.ports[shard].clone().place())
    }

    /// The ledger, to be read.
    pub(crate) fn ledger(&self) -> LedgerGuard<'_> {
        LedgerGuard(read_lock(&self.demand))
    }

    /// The ledger, to be changed.
    pub(crate) fn edit(&self) -> Edit<'_> {
        Edit { demand: write_lock(&self.demand), wakes: Vec::new(), moved: 0 }
    }

    /// Ends some of the demand that peers have left behind. Yields whether there is more.
    pub(crate) fn release(&self, wakes: &mut Vec<Waker>) -> bool {
        let mut edit = self.edit();
        let more = edit.release();
        edit.finish(wakes);
        self.gauge.demand_changed(wakes);
        more
    }

    /// All peers of a shard have been told our subscriptions up to `version`.
    pub(crate) fn told(&self, shard: u16, version: u64) {
        self.told[usize::from(shard)].store(version, Ordering::Release);
        let all = self.told.iter().map(|told| told.load(Ordering::Acquire)).min().unwrap_or(0);
        write_lock(&self.subscriptions).trim(all);
    }

    /// The next event of demand for the XPUB's user: a prefix, and whether it is wanted now. From the first call on all
    /// changes are queued, behind what is wanted then.
    pub(crate) fn pop_edge(&self) -> Option<(Prefix, bool)> {
        let watch = self.edges.get_or_init(|| {
            let demand = read_lock(&self.demand);
            let watch = lock(&demand.watches).begin(self.seed, self.inbound.waiters.clone());
            watch.start(demand.ledger.prefixes().map(|(prefix, _)| Prefix::from(prefix)));
            watch
        });
        watch.pop()
    }

    /// A snapshot of what is wanted and a queue of all that changes after it, until [`unwatch`](Hub::unwatch).
    pub(crate) fn watch(&self) -> (Vec<Prefix>, Arc<Watch>) {
        let demand = read_lock(&self.demand);
        let watch = lock(&demand.watches).begin(self.seed, Arc::default());
        let snapshot = demand.ledger.prefixes().map(|(prefix, _)| Prefix::from(prefix)).collect();
        (snapshot, watch)
    }

    /// Nobody reads the queue any more.
    pub(crate) fn unwatch(&self, watch: &Watch) {
        let demand = read_lock(&self.demand);
        lock(&demand.watches).end(watch);
    }

    /// How many watches there are.
    #[cfg(test)]
    pub(crate) fn watches(&self) -> usize {
        lock(&read_lock(&self.demand).watches).iter().count()
    }

    pub(crate) fn check_open(&self) -> Result<()> {
        if self.is_closed() { Err(Error::closed()) } else { Ok(()) }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// The user is done with the socket. Yields whether this call closed it.
    pub(crate) fn close(self: &Arc<Self>) -> bool {
        if self.closed.swap(true, Ordering::AcqRel) {
            return false;
        }
        self.shut_doors();
        self.outbox.shut();
        self.wake_users();
        self.mail_all(|| Note::Close(self.clone()));
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

    /// The engine can serve the socket no longer: whoever waits must hear of it.
    pub(crate) fn fail(&self) {
        self.closed.store(true, Ordering::Release);
        self.shut_doors();
        self.outbox.shut();
        self.open_shards.store(0, Ordering::Release);
        self.wake_users();
        self.done.wake();
    }

    /// The socket listens with `door`, until it is closed.
    pub(crate) fn listens(&self, door: Arc<dyn Shut>) -> Result<()> {
        let mut doors = lock(&self.doors);
        // Looked at under the lock: who closes it empties the list after that.
        self.check_open()?;
        doors.retain(|door| door.strong_count() > 0);
        doors.push(Arc::downgrade(&door));
        Ok(())
    }

    /// Stops listening on this thread: once the socket is closed, its endpoints are free.
    fn shut_doors(&self) {
        let doors = std::mem::take(&mut *lock(&self.doors));
        doors.iter().filter_map(Weak::upgrade).for_each(|door| door.shut());
    }

    fn wake_users(&self) {
        let mut wakes = Vec::new();
        self.inbound.waiters.take(&mut wakes);
        self.members.waiters.take(&mut wakes);
        self.room.take(&mut wakes);
        self.gauge.waiters.take(&mut wakes);
        self.states.waiters.take(&mut wakes);
        let demand = read_lock(&self.demand);
        lock(&demand.watches).iter().for_each(|watch| watch.waiters.take(&mut wakes));
        drop(demand);
        wake_all(wakes);
    }

    pub(crate) fn stats(&self) -> SocketStats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let c = &self.counters;
        let (holding, turned_away) = (self.last.holding(), self.members.turned_away());
        SocketStats {
            peers: get(&c.peers),
            sent: self.outbox.pushed(),
            outbox_full: get(&c.outbox_full),
            delivered: get(&c.delivered),
            missed: get(&c.missed),
            received: get(&c.received),
            received_missed: get(&c.received_missed) + get(&self.inbound.dropped),
            received_replaced: get(&self.inbound.replaced),
            peers_lost: get(&c.peers_lost),
            peers_refused: get(&c.peers_refused),
            peers_turned_away: turned_away.peers_max + turned_away.peers_per_address_max,
            accepts_paused: turned_away.descriptors,
            subscriptions_rejected: get(&self.decisions.rejected),
            subscriptions_deferred: get(&self.decisions.deferred),
            subscriptions_revoked: get(&self.decisions.revoked),
            states_missed: get(&self.states.missed) + get(&self.states.heard_missed),
            peers_full: self.gauge.full(),
            peers_evicted: get(&self.gauge.evicted),
            last_values: holding.values,
            last_values_bytes: holding.bytes,
            last_values_dropped: holding.dropped,
            last_values_offered: get(&self.last.offered),
        }
    }
}

/// The ledger, locked for reading.
pub(crate) struct LedgerGuard<'a>(RwLockReadGuard<'a, Demand>);

impl std::ops::Deref for LedgerGuard<'_> {
    type Target = Ledger;

    fn deref(&self) -> &Ledger {
        &self.0.ledger
    }
}

/// The ledger, locked for changes; each edge is told to all who watch before the lock goes.
pub(crate) struct Edit<'a> {
    demand: RwLockWriteGuard<'a, Demand>,
    /// Those who must hear of the changes.
    wakes: Vec<Waker>,
    /// How many events were moved to make room for others.
    moved: u64,
}

impl Edit<'_> {
    /// Lets the ledger go; those who must hear of the changes are appended to `wakes`.
    pub(crate) fn finish(self, wakes: &mut Vec<Waker>) {
        wakes.extend(self.wakes);
    }

    pub(crate) fn attach(&mut self, shard: u16, slot: usize) -> PeerId {
        self.demand.ledger.attach(shard, slot as u64)
    }

    /// Whether that is new.
    pub(crate) fn subscribe(&mut self, peer: PeerId, prefix: &[u8]) -> Result<bool, QuotaExceeded> {
        let change = self.demand.ledger.subscribe(peer, prefix)?;
        if change == Change::Wanted {
            self.tell(prefix, true);
        }
        Ok(change != Change::None)
    }

    pub(crate) fn contains(&self, peer: PeerId, prefix: &[u8]) -> bool {
        self.demand.ledger.contains(peer, prefix)
    }

    pub(crate) fn cancel(&mut self, peer: PeerId, prefix: &[u8]) {
        if self.demand.ledger.cancel(peer, prefix) == Change::Unwanted {
            self.tell(prefix, false);
        }
    }

    pub(crate) fn settle(&mut self, peer: PeerId) {
        self.demand.ledger.settle(peer);
    }

    /// Takes a peer out of the ledger. Yields whether something it has left is still to be released.
    pub(crate) fn detach(&mut self, peer: PeerId) -> bool {
        let Demand { ledger, watches } = &mut *self.demand;
        let (watches, wakes) = (whole(watches), &mut self.wakes);
        ledger.detach(peer, |prefix| _ = watches.tell(prefix, false, wakes));
        ledger.is_releasing()
    }

    /// Releases some of what peers have left. Yields whether there is more.
    fn release(&mut self) -> bool {
        let Demand { ledger, watches } = &mut *self.demand;
        let (watches, wakes) = (whole(watches), &mut self.wakes);
        ledger.release(RELEASE_PREFIXES_MAX, |prefix| _ = watches.tell(prefix, false, wakes))
    }

    fn tell(&mut self, prefix: &[u8], wanted: bool) {
        self.moved += whole(&mut self.demand.watches).tell(prefix, wanted, &mut self.wakes);
    }

    /// How much was moved to make room for what came, since this was last asked.
    pub(crate) fn take_moved(&mut self) -> u64 {
        std::mem::take(&mut self.moved) + self.demand.ledger.take_moved()
    }
}

/// What nobody else can lock now.
fn whole(watches: &mut Mutex<Watches>) -> &mut Watches {
    watches.get_mut().unwrap_or_else(PoisonError::into_inner)
}
