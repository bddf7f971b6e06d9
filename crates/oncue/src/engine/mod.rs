//! The engine: its I/O threads, and what sockets ask of it. Its floors, from the ground up: `wire` (bytes on their way
//! to a peer), `hub` (one socket), `peer` (one connection), `shard` (one I/O thread's state), `station` (a shard and
//! the threads that turn it). docs/LOCKS.md has the order of their locks.

pub(crate) mod hub;
mod peer;
pub(crate) mod shard;
mod station;
mod wire;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::os::fd::OwnedFd;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::{self, JoinHandle};
#[cfg(any(test, fuzzing))]
use std::time::Duration;
use std::time::Instant;

use oncue_core::connection::SocketType;

pub(crate) use hub::Verdict;
pub(crate) use hub::send::NoRoom;

use crate::endpoint::Endpoint;
use crate::error::{Error, Result};
use crate::home::Home;
#[cfg(any(test, fuzzing))]
use crate::net::Ready;
use crate::net::inproc::Names;
use crate::net::os::OsNet;
use crate::net::poller::Poller;
use crate::net::resolver::Resolver;
use crate::net::{Net, Notify};
use crate::op::Op;
use crate::options::{EngineOptions, Options, Web};
use crate::peers::PeerStatus;
use crate::permission::check_not_deciding;
use crate::stats::Closed;
use crate::sync::{Clock, lock};
use hub::Hub;
pub use hub::announced::TopicState;
pub(crate) use hub::confirmations::Confirmation;
pub use hub::confirmations::Confirmed;
pub use hub::fullness::Room;
pub(crate) use hub::{Note, Port};
use shard::Shard;
use shard::mailbox::Mailbox;
use station::{Station, unlock};
#[cfg(any(test, fuzzing))]
pub(crate) use wire::link::Link;
pub(crate) use wire::load::Load;
#[cfg(test)]
pub(crate) use wire::slices::Direct;
#[cfg(any(test, fuzzing))]
pub(crate) use {peer::intake::PEER_WORK_MAX, shard::TURN_WORK_MAX, shard::holding::Holding};

/// The I/O threads that sockets live on. One is enough for most programs; `inproc://` names are known within one
/// engine. Cheap to clone.
///
/// **The end.** The threads end when the last clone and the last socket are gone, after the sockets' linger. The drop of the
/// last one waits for that, as libzmq's `zmq_ctx_term` does, so that nothing is lost if the process ends right after it. What
/// is never dropped is not waited for: a handle in a `static`, a task that is leaked, and everything at
/// [`std::process::exit`]. Such a program calls [`close`](Engine::close) before it ends.
///
/// **A fork** (without exec) has the sockets of its parent, and no I/O thread. There each operation that needs one fails
/// with [`Misuse`](crate::ErrorKind::Misuse), and a drop does nothing; the connections stay those of the parent. Make an
/// engine of its own in the child. What has no error to return, such as [`stats`](crate::Socket::stats), is not to be called there: a
/// thread of the parent may have held its lock. The child holds copies of the parent's descriptors until it ends or calls exec, so that a
/// peer does not notice the death of the parent before that.
///
/// ```
/// use oncue::{Engine, EngineOptions, Options, Pub};
/// let engine = Engine::with(EngineOptions::new().io_threads(2))?;
/// let p = Pub::new(&engine, Options::new())?;
/// # Ok::<(), oncue::Error>(())
/// ```
#[derive(Clone)]
pub struct Engine(Arc<Running>);

struct Running {
    driver: Arc<Driver<OsNet>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Engine {
    /// Starts an engine with the default options.
    ///
    /// # Errors
    /// [`Io`](crate::ErrorKind::Io) when the system has no thread or descriptor left.
    pub fn start() -> Result<Engine> {
        Engine::with(EngineOptions::new())
    }

    /// Starts an engine.
    ///
    /// # Errors
    /// As [`start`](Engine::start).
    pub fn with(options: EngineOptions) -> Result<Engine> {
        let failed = |e| Error::io("cannot start an I/O thread", e);
        let names = Arc::<Mutex<Names>>::default();
        let resolver = Resolver::system();
        let mut nets = Vec::new();
        let mut mailboxes = Vec::new();
        let mut pollers = Vec::new();
        for _ in 0..options.io_threads {
            let poller = Arc::new(Poller::new().map_err(failed)?);
            let bell = poller.clone();
            let mailbox = Arc::new(Mailbox::new(move || bell.ring()));
            let notify: Arc<dyn Notify> = mailbox.clone();
            let reserved = options.descriptors_reserved;
            nets.push(OsNet::new(poller.clone(), names.clone(), resolver.clone(), reserved, notify));
            mailboxes.push(mailbox);
            pollers.push(Some(poller));
        }
        let (seed, origin) = (RandomState::new().build_hasher().finish(), Instant::now());
        let running = Running {
            driver: Arc::new(Driver::new(nets, mailboxes, pollers, seed, Arc::new(move || origin.elapsed()))),
            threads: Mutex::new(Vec::new()),
        };
        for index in 0..running.driver.stations.len() {
            let driver = running.driver.clone();
            let run = move || driver.run(index);
            let spawned =
                thread::Builder::new().name(format!("oncue-io-{index}")).spawn(run).map_err(failed)?;
            lock(&running.threads).push(spawned);
        }
        Ok(Engine(Arc::new(running)))
    }

    /// Closes all sockets of this engine, whoever holds them, as [`Pub::close`](crate::Pub::close) does; no new one can be
    /// made. The operation is done when each has sent everything or its [linger](Options::linger) has passed, also those
    /// that were closed or dropped before; it tells how many messages were not delivered since they were closed.
    ///
    /// ```
    /// # use oncue::{Engine, Options, Pub};
    /// use std::sync::OnceLock;
    ///
    /// static ENGINE: OnceLock<Engine> = OnceLock::new();
    ///
    /// let engine = ENGINE.get_or_init(|| Engine::start().unwrap());
    /// let publisher = Pub::new(engine, Options::new())?;
    /// let closed = engine.close().wait();
    /// assert_eq!(closed.undelivered, 0);
    /// assert!(publisher.send("late").is_err());
    /// # Ok::<(), oncue::Error>(())
    /// ```
    pub fn close(&self) -> Op<impl Future<Output = Closed> + Send + Unpin + use<>> {
        let hubs = self.0.driver.close();
        Op(Box::pin(async move {
            let mut undelivered = 0;
            for hub in hubs {
                undelivered += hub.done.until(|| hub.closed()).await.undelivered;
            }
            Closed { undelivered }
        }))
    }

    pub(crate) fn control(&self) -> Arc<dyn Control> {
        self.0.driver.clone()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let threads = std::mem::take(self.threads.get_mut().unwrap_or_else(PoisonError::into_inner));
        if self.driver.home.is_left() {
            // They are threads of another process: neither to be waited for nor to be released.
            return std::mem::forget(threads);
        }
        self.driver.stopping.store(true, Ordering::SeqCst);
        self.driver.ring_all();
        // The last handle may be dropped on an I/O thread, which can wait neither for its own end nor for that of a
        // thread that may wait for one of its peers. Then each ends by itself.
        if threads.iter().any(|thread| thread.thread().id() == thread::current().id()) {
            return;
        }
        for thread in threads {
            // A thread that has panicked has told its sockets.
            let _ = thread.join();
        }
    }
}

/// What a socket asks of its engine.
pub(crate) trait Control: Send + Sync {
    /// The shared part of a new socket.
    fn hub(&self, socket_type: SocketType, options: Options) -> Result<Arc<Hub>>;
    /// `web`: settings of this endpoint's own.
    fn bind(&self, hub: &Arc<Hub>, at: &Endpoint, web: Option<Web>) -> Result<Endpoint>;
    fn bind_fd(&self, hub: &Arc<Hub>, passed: OwnedFd) -> Result<Endpoint>;
    fn connect(&self, hub: &Arc<Hub>, to: &Endpoint) -> Result<()>;
    fn unbind(&self, hub: &Arc<Hub>, at: &Endpoint) -> Result<()>;
    fn disconnect(&self, hub: &Arc<Hub>, to: &Endpoint) -> Result<()>;
    /// The peers whose handshake is done.
    fn peers(&self, hub: &Arc<Hub>) -> Result<Vec<PeerStatus>>;
}

/// The shards of an engine, over some network.
pub(crate) struct Driver<N: Net> {
    stations: Vec<Arc<Station<N>>>,
    hubs: Mutex<Vec<Weak<Hub>>>,
    next_hub: AtomicU64,
    next_link: AtomicUsize,
    seed: u64,
    clock: Clock,
    stopping: AtomicBool,
    /// A thread has panicked: nothing is served any more.
    dead: AtomicBool,
    /// The user has closed all sockets.
    closed: AtomicBool,
    home: Home,
}

impl<N: Net> Driver<N> {
    /// One shard for each network, reached through the mailbox at its place; its thread sleeps at the poller there.
    pub(crate) fn new(
        nets: Vec<N>,
        mailboxes: Vec<Arc<Mailbox<N::Stream>>>,
        pollers: Vec<Option<Arc<Poller>>>,
        seed: u64,
        clock: Clock,
    ) -> Driver<N> {
        let station = |(i, (net, poller)): (usize, (N, Option<Arc<Poller>>))| {
            let shard = Shard::new(i as u16, net, mailboxes.clone(), seed.wrapping_add(i as u64));
            Arc::new(Station::new(shard, mailboxes[i].clone(), clock.clone(), poller))
        };
        Driver {
            stations: nets.into_iter().zip(pollers).enumerate().map(station).collect(),
            hubs: Mutex::new(Vec::new()),
            next_hub: AtomicU64::new(0),
            next_link: AtomicUsize::new(0),
            seed,
            clock,
            stopping: AtomicBool::new(false),
            dead: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            home: Home::default(),
        }
    }

    /// Turns one shard and calls the wakers, for a simulation.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn turn(&self, index: usize, now: Duration, ready: &[Ready]) -> Option<Duration> {
        self.stations[index].turn(now, ready)
    }

    /// What one shard holds, for a simulation.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn holding(&self, index: usize) -> Holding {
        lock(&self.stations[index].shard).holding()
    }

    /// Checks that each message that was offered to a peer is delivered, missed, undelivered or queued.
    #[cfg(test)]
    pub(crate) fn check_counts(&self) {
        for hub in lock(&self.hubs).iter().filter_map(Weak::upgrade) {
            let queued: u64 = self.stations.iter().map(|station| lock(&station.shard).queued(hub.id)).sum();
            let (offered, stats) = (hub.counters.offered.load(Ordering::Relaxed), hub.stats());
            let known = stats.delivered + stats.missed + stats.undelivered + queued;
            assert_eq!(offered, known, "offered to peers: {queued} queued, {stats:?}");
        }
    }

    /// Works on a shard from another thread, and lets its own thread do what follows.
    fn with_shard<T>(&self, index: usize, f: impl FnOnce(&mut Shard<N>) -> T) -> T {
        let mut shard = lock(&self.stations[index].shard);
        let result = f(&mut shard);
        unlock(shard);
        self.stations[index].mailbox.ring();
        result
    }

    /// Makes each I/O thread check whether it should end.
    fn ring_all(&self) {
        self.stations.iter().for_each(|station| station.mailbox.mail(Note::Stop));
    }

    /// Nothing is served any more: all waiting operations are woken.
    fn fail(&self) {
        let hubs: Vec<_> = {
            let hubs = lock(&self.hubs);
            self.dead.store(true, Ordering::SeqCst);
            hubs.iter().filter_map(Weak::upgrade).collect()
        };
        hubs.iter().for_each(|hub| hub.fail());
        self.ring_all();
    }

    /// Closes all sockets, and lets no new one be made. Returns those that were not forgotten yet.
    fn close(&self) -> Vec<Arc<Hub>> {
        if self.home.is_left() {
            return Vec::new();
        }
        let hubs: Vec<_> = {
            let hubs = lock(&self.hubs);
            self.closed.store(true, Ordering::SeqCst);
            hubs.iter().filter_map(Weak::upgrade).collect()
        };
        hubs.iter().for_each(|hub| _ = hub.close());
        hubs
    }

    /// Ends a link in the shard that has it.
    fn unlink(&self, hub: &Hub, endpoint: &Endpoint, listener: bool) -> Result<()> {
        let (what, linked) = if listener { ("unbind", "bound") } else { ("disconnect", "connected") };
        check_not_deciding(format_args!("{what} {endpoint}"))?;
        self.check_alive()?;
        let end = |shard: &mut Shard<N>| shard.unlink(hub, endpoint, listener);
        match (0..self.stations.len()).any(|i| self.with_shard(i, end)) {
            true => Ok(()),
            false => {
                Err(Error::misuse(format!("cannot {what} {endpoint}: the socket is not {linked} to it")))
            }
        }
    }

    fn check_alive(&self) -> Result<()> {
        if self.home.is_left() {
            return Err(Error::forked());
        }
        if self.closed.load(Ordering::SeqCst) {
            return Err(Error::engine_closed());
        }
        if self.dead.load(Ordering::SeqCst) { Err(Error::closed()) } else { Ok(()) }
    }

    fn next_shard(&self) -> usize {
        self.next_link.fetch_add(1, Ordering::Relaxed) % self.stations.len()
    }
}

impl Driver<OsNet> {
    /// The life of an I/O thread.
    fn run(&self, index: usize) {
        let station = &self.stations[index];
        let live = || station.live(&self.stopping, &self.dead);
        let lived = std::panic::catch_unwind(AssertUnwindSafe(live));
        if lived.is_err() {
            self.fail();
        }
        station.finish();
        if let Err(panic) = lived {
            std::panic::resume_unwind(panic);
        }
    }
}

impl<N: Net> Control for Driver<N> {
    fn hub(&self, socket_type: SocketType, options: Options) -> Result<Arc<Hub>> {
        self.check_alive()?;
        options.check()?;
        let id = self.next_hub.fetch_add(1, Ordering::Relaxed);
        let ports = self.stations.iter().map(|s| s.clone() as Arc<dyn Port>).collect();
        let hub = Hub::new(id, socket_type, options, ports, self.seed, self.clock.clone());
        if hub.options.asks_the_user() {
            // Before it has a peer that could ask.
            self.stations.iter().for_each(|station| station.keep_guests_out());
        }
        let mut hubs = lock(&self.hubs);
        // Under the lock: `fail` reaches every socket in the list.
        self.check_alive()?;
        hubs.retain(|hub| hub.strong_count() > 0);
        hubs.push(Arc::downgrade(&hub));
        Ok(hub)
    }

    fn bind(&self, hub: &Arc<Hub>, at: &Endpoint, web: Option<Web>) -> Result<Endpoint> {
        check_not_deciding(format_args!("bind to {at}"))?;
        self.check_alive()?;
        hub.check_open()?;
        at.check_bind()?;
        let mut options = hub.options.net.clone();
        if let Some(web) = web {
            web.check()?;
            Arc::make_mut(&mut options).web = Arc::new(web);
        }
        options.check_bind(at)?;
        #[cfg(feature = "wss")]
        options.check_certificate(at)?;
        let failed = |e| Error::io(format!("cannot bind {at}"), e);
        let (begun, time) = (Instant::now(), hub.options.connect_time());
        let patience = || match hub.check_open() {
            Err(_) => Err(io::ErrorKind::Interrupted.into()),
            Ok(()) if begun.elapsed() >= time => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("its name was not looked up in {time:?}"),
            )),
            Ok(()) => Ok(()),
        };
        let names = lock(&self.stations[0].shard).net.names();
        let places = N::places(&names, at, &options, &patience);
        // What ends the look-up is the better reason.
        hub.check_open()?;
        // A name may have addresses of other machines as well.
        let mut refused = failed(io::ErrorKind::AddrNotAvailable.into());
        for place in places.map_err(failed)? {
            match self.with_shard(self.next_shard(), |shard| shard.bind(hub, at, &place, &options)) {
                Err(e) if e.io_kind() == Some(io::ErrorKind::AddrNotAvailable) => refused = e,
                decided => return decided,
            }
        }
        Err(refused)
    }

    fn bind_fd(&self, hub: &Arc<Hub>, passed: OwnedFd) -> Result<Endpoint> {
        check_not_deciding("bind a passed descriptor")?;
        self.check_alive()?;
        hub.check_open()?;
        self.with_shard(self.next_shard(), |shard| shard.bind_fd(hub, passed))
    }

    fn connect(&self, hub: &Arc<Hub>, to: &Endpoint) -> Result<()> {
        check_not_deciding(format_args!("connect to {to}"))?;
        self.check_alive()?;
        hub.check_open()?;
        to.check_connect()?;
        hub.options.net.check_connect(to)?;
        // A second connection to one publisher would only double what comes (and what a PUB sends).
        let once = matches!(hub.socket_type, SocketType::Sub | SocketType::Pub);
        let _alone = once.then(|| lock(&hub.linking));
        if once && self.stations.iter().any(|station| lock(&station.shard).dials(hub, to)) {
            return Ok(());
        }
        let now = (self.clock)();
        self.with_shard(self.next_shard(), |shard| shard.connect(hub, to, now))
    }

    fn unbind(&self, hub: &Arc<Hub>, at: &Endpoint) -> Result<()> {
        self.unlink(hub, at, true)
    }

    fn disconnect(&self, hub: &Arc<Hub>, to: &Endpoint) -> Result<()> {
        self.unlink(hub, to, false)
    }

    fn peers(&self, hub: &Arc<Hub>) -> Result<Vec<PeerStatus>> {
        check_not_deciding("list the peers")?;
        let mut peers = Vec::new();
        // One shard after the other: each is held for as long as it takes to look at its peers.
        self.stations.iter().for_each(|station| lock(&station.shard).statuses(hub, &mut peers));
        Ok(peers)
    }
}
