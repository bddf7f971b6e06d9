//! The options of engines and sockets: plain data, checked where they are used. Every option that takes a time takes any:
//! [`Duration::MAX`] is a time that never comes.

use std::time::Duration;

use oncue_core::command::PREFIX_BYTES_MAX;
use oncue_core::ledger::Quota;

use crate::permission::{Admission, Gate, SubscribeRequest};

/// What happens to a message that a subscriber's queue has no room for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnFull {
    /// That subscriber misses the message, the others get it, and the miss is counted. ZeroMQ's way.
    #[default]
    DropNewest,
    /// Nothing is dropped: `send` says [`Full`](crate::ErrorKind::Full) until there is room (ZeroMQ's NODROP).
    /// One slow subscriber then slows the publisher. A subscriber whose queue is empty is given up to 256 KiB (or one
    /// message) at a time, so that much may be queued beyond its mark.
    Refuse,
    /// The subscriber is disconnected; it may come back.
    Disconnect,
    /// The messages that have waited for the longest time give way, whole ones, and are counted as missed; the newest
    /// stay. A message whose writing has begun is written to its end, and counts towards no mark.
    DropOldest,
    /// Of each topic only the newest message waits: it takes the place of the one before, which is counted as missed. A
    /// message whose writing has begun is written to its end, and counts towards no mark. Where the marks are reached
    /// even so, the oldest messages give way. A topic is [`Congested`](crate::Room::Congested) while those who want it
    /// have not been written its last message, so that on-demand producers make about as many values as are taken. With a
    /// small [`send_buffer`](Options::send_buffer), and a small [`recv_buffer`](Options::recv_buffer) on the other side,
    /// a viewer that is slow sees what is new.
    Latest,
}

/// Which of the received messages wait for the user of a SUB or XSUB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Keep {
    /// All of them, in order. Reading pauses at the marks, so that TCP slows the publisher. ZeroMQ's way.
    #[default]
    All,
    /// Of each topic (first frame) the newest message, whole, with all of its frames: for a user who wants to see what is
    /// so now, and who may take fewer than come. Topics come in the order in which they began to wait; a newer message
    /// takes the place of the older one of its topic, which is counted
    /// ([`received_replaced`](crate::SocketStats::received_replaced)). Reading never pauses. At most
    /// [`recv_hwm`](Options::recv_hwm) topics and [`received_bytes_max`](Options::received_bytes_max) wait, over all
    /// publishers; beyond it the topics that have waited longest are dropped, which is counted too
    /// ([`received_missed`](crate::SocketStats::received_missed)).
    ///
    /// This is not libzmq's `ZMQ_CONFLATE`, which keeps one message over all topics and breaks those of several frames.
    Latest,
}

/// The options of a socket. Those of the defaults that matter stand at each method.
///
/// ```
/// use oncue::Options;
/// use std::time::Duration;
/// let options = Options::new().send_hwm(10_000).linger(Duration::ZERO);
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    pub(crate) send_hwm: u32,
    pub(crate) recv_hwm: u32,
    pub(crate) queue_bytes_max: u64,
    pub(crate) outbox_bytes_max: u64,
    pub(crate) received_bytes_max: Option<u64>,
    pub(crate) keep: Keep,
    pub(crate) discard_messages: bool,
    pub(crate) message_bytes_max: Option<u64>,
    pub(crate) peers_max: u32,
    pub(crate) peers_per_address_max: u32,
    pub(crate) message_timeout: Duration,
    pub(crate) prefix_length_max: usize,
    pub(crate) prefixes_max: u32,
    pub(crate) prefix_bytes_max: u64,
    pub(crate) last_values_bytes_max: u64,
    pub(crate) on_full: OnFull,
    pub(crate) evict_after: Option<Duration>,
    pub(crate) admission: Option<Gate>,
    pub(crate) send_buffer: Option<u32>,
    pub(crate) recv_buffer: Option<u32>,
    pub(crate) linger: Duration,
    pub(crate) listen_backlog: u32,
    pub(crate) reconnect_min: Duration,
    pub(crate) reconnect_max: Duration,
    pub(crate) handshake_timeout: Duration,
    /// None where the user has said nothing.
    pub(crate) heartbeat: Option<Heartbeat>,
    pub(crate) heartbeat_ttl: Option<Duration>,
}

/// What the user has said of heartbeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heartbeat {
    Off,
    On { interval: Duration, timeout: Duration },
}

/// How a socket keeps an eye on its peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    /// The time between two PINGs; at most half of the timeout.
    pub(crate) interval: Duration,
    /// How long a peer may be silent.
    pub(crate) timeout: Duration,
    /// What a PING tells the peer to do with our own silence, in tenths of a second; 0 for nothing.
    pub(crate) ttl_ds: u16,
}

/// The time between two PINGs, and the time that a peer may be silent, where the on-demand layer is told nothing.
const HEARTBEAT_DEFAULT: Heartbeat =
    Heartbeat::On { interval: Duration::from_secs(5), timeout: Duration::from_secs(15) };
/// The shortest interval and timeout that are not moved.
const HEARTBEAT_MIN: Duration = Duration::from_millis(1);

impl Default for Options {
    fn default() -> Options {
        Options {
            send_hwm: 1000,
            recv_hwm: 1000,
            queue_bytes_max: 64 << 20,
            outbox_bytes_max: 4 << 20,
            received_bytes_max: None,
            keep: Keep::All,
            discard_messages: false,
            message_bytes_max: None,
            peers_max: 1 << 16,
            peers_per_address_max: u32::MAX,
            message_timeout: Duration::from_secs(30),
            prefix_length_max: PREFIX_BYTES_MAX,
            prefixes_max: 4_000_000,
            prefix_bytes_max: 256 << 20,
            last_values_bytes_max: 64 << 20,
            on_full: OnFull::DropNewest,
            evict_after: None,
            admission: None,
            send_buffer: None,
            recv_buffer: None,
            linger: Duration::from_secs(1),
            listen_backlog: 4096,
            reconnect_min: Duration::from_millis(100),
            reconnect_max: Duration::from_secs(5),
            handshake_timeout: Duration::from_secs(30),
            heartbeat: None,
            heartbeat_ttl: None,
        }
    }
}

impl Options {
    /// The defaults.
    pub fn new() -> Options {
        Options::default()
    }

    /// The most messages queued for one peer that does not take them, beyond what the system's own buffers hold
    /// (libzmq: `ZMQ_SNDHWM`). 0 means no bound in messages; [`queue_bytes_max`](Options::queue_bytes_max) bounds them
    /// still. Default 1000. The mark is looked at after the connection was offered the messages, so a burst
    /// larger than the mark loses nothing while the connection takes it.
    pub fn send_hwm(mut self, messages: u32) -> Options {
        self.send_hwm = messages;
        self
    }

    /// How many received messages of one peer may wait for the user before reading from it pauses (TCP then slows
    /// the sender; libzmq: `ZMQ_RCVHWM`). 0 means no bound in messages; [`queue_bytes_max`](Options::queue_bytes_max)
    /// bounds them still. Default 1000. What one read brought in (up to 256 KiB) is always delivered.
    pub fn recv_hwm(mut self, messages: u32) -> Options {
        self.recv_hwm = messages;
        self
    }

    /// The bound in bytes beside both high-water marks, per peer and direction. Default 64 MiB. A single message
    /// larger than this still passes when the queue is empty.
    pub fn queue_bytes_max(mut self, bytes: u64) -> Options {
        self.queue_bytes_max = bytes.max(1);
        self
    }

    /// What one peer may want.
    pub(crate) fn quota(&self) -> Quota {
        Quota { prefixes_max: self.prefixes_max, prefix_bytes_max: self.prefix_bytes_max }
    }

    /// The mark of a peer's queue in messages.
    pub(crate) fn send_messages_max(&self) -> u64 {
        messages_max(self.send_hwm)
    }

    /// The mark of what one peer has sent and the user has not taken, in messages.
    pub(crate) fn recv_messages_max(&self) -> u64 {
        messages_max(self.recv_hwm)
    }

    /// What the system holds of a connection's bytes that the other side has not taken, about (libzmq: `ZMQ_SNDBUF`, the
    /// system's `SO_SNDBUF`). What it holds is older than what could be written instead: a small buffer keeps a slow
    /// peer's messages new, and slows a peer that is far away. The system has bounds of its own, and doubles the number
    /// for what it keeps beside the bytes. TCP and Unix sockets; by default the system decides.
    pub fn send_buffer(mut self, bytes: u32) -> Options {
        self.send_buffer = Some(bytes);
        self
    }

    /// What the system holds of a connection's bytes that have come and are not read yet, about (libzmq: `ZMQ_RCVBUF`,
    /// the system's `SO_RCVBUF`); see [`send_buffer`](Options::send_buffer). By default the system decides.
    pub fn recv_buffer(mut self, bytes: u32) -> Options {
        self.recv_buffer = Some(bytes);
        self
    }

    /// How many bytes may wait between `send` and the I/O threads. Default 4 MiB; as many messages as
    /// [`send_hwm`](Options::send_hwm) says may wait even if they are larger, up to
    /// [`queue_bytes_max`](Options::queue_bytes_max). A `send` beyond it drops the message and counts it, or is
    /// refused with [`OnFull::Refuse`].
    pub fn outbox_bytes_max(mut self, bytes: u64) -> Options {
        self.outbox_bytes_max = bytes.max(1);
        self
    }

    /// How much memory received messages may take that wait for the user, in bytes, over all peers of the socket: those
    /// that have gone count too. Default: as [`queue_bytes_max`](Options::queue_bytes_max), 64 MiB. Beyond it a SUB or
    /// XSUB pauses reading from all of its peers until half of it is taken; an XPUB drops what comes and counts it
    /// ([`received_missed`](crate::SocketStats::received_missed)). What one read brought may exceed it.
    pub fn received_bytes_max(mut self, bytes: u64) -> Options {
        self.received_bytes_max = Some(bytes.max(1));
        self
    }

    /// Which of the received messages wait for the user of a SUB or XSUB. Default [`Keep::All`]. (`ZMQ_CONFLATE` in
    /// libzmq is something else; see [`Keep::Latest`].)
    pub fn keep(mut self, what: Keep) -> Options {
        self.keep = what;
        self
    }

    /// Throws away what the subscribers of an XPUB send that is not a subscription, as a PUB always does: for one whose
    /// user never asks for it by [`XPub::event`](crate::XPub::event). Default `false`; the sockets that
    /// [`OnDemand`](crate::OnDemand) makes always discard.
    pub fn discard_messages(mut self, discard: bool) -> Options {
        self.discard_messages = discard;
        self
    }

    /// The largest message taken from a peer, in bytes with its frame headers; a peer that announces a larger one
    /// is disconnected (`ZMQ_MAXMSGSIZE` in libzmq). Default 1 GiB for SUB and XSUB. For PUB and XPUB, to which
    /// subscribers send little, 128 KiB; a longest prefix ([`prefix_length_max`](Options::prefix_length_max)) is taken
    /// there whatever is said here.
    pub fn message_bytes_max(mut self, bytes: u64) -> Options {
        self.message_bytes_max = Some(bytes);
        self
    }

    /// The most peers that the listeners of this socket may have accepted and that are not gone, those in their handshake
    /// included. A peer beyond it gets an ERROR that says so, and is disconnected; of many that come at one time, 64 are
    /// told and the others just closed. Default 65,536. See [`Pub::turned_away`](crate::Pub::turned_away).
    pub fn peers_max(mut self, peers: u32) -> Options {
        self.peers_max = peers;
        self
    }

    /// As [`peers_max`](Options::peers_max), of one address: an IPv4 address, or the first 64 bits of an IPv6 address,
    /// since those who have one have all. `ipc` and `inproc` peers have no address and are not counted here. By default
    /// there is no bound: behind one address may be a proxy, or a whole company.
    pub fn peers_per_address_max(mut self, peers: u32) -> Options {
        self.peers_per_address_max = peers;
        self
    }

    /// How long a message or command of a peer may take from its first byte to its last, beyond a second for each 4 KiB
    /// that have come of it: a large message may take its time on a slow connection, but one that stands still does not
    /// hold memory for ever. A peer that is slower is disconnected. Time in which this side does not read, since the
    /// user has not taken what came before, does not count. Default 30 s.
    pub fn message_timeout(mut self, time: Duration) -> Options {
        self.message_timeout = time;
        self
    }

    /// The longest prefix, in bytes, however it is sent: a peer of a PUB or XPUB that subscribes to a longer one is
    /// disconnected with an ERROR that says so, and a longer one of one's own is refused. Default 65,526, which fit a
    /// command of 64 KiB; publishers of this library that allow no more disconnect who asks for more.
    pub fn prefix_length_max(mut self, bytes: u32) -> Options {
        self.prefix_length_max = bytes as usize;
        self
    }

    /// The most prefixes that one peer may hold. A peer that exceeds it is disconnected with an ERROR that says so.
    /// Default 4,000,000.
    pub fn prefixes_max(mut self, prefixes: u32) -> Options {
        self.prefixes_max = prefixes;
        self
    }

    /// The most bytes that the prefixes of one peer may add up to. Default 256 MiB.
    pub fn prefix_bytes_max(mut self, bytes: u64) -> Options {
        self.prefix_bytes_max = bytes;
        self
    }

    /// How many bytes the last values of a PUB or XPUB may take that it keeps for new subscribers (see
    /// [`Pub::send_last`](crate::Pub::send_last)): their topics and messages, and 256 bytes each. Beyond it those go
    /// whose topics have had no newer value for the longest time. Default 64 MiB.
    pub fn last_values_bytes_max(mut self, bytes: u64) -> Options {
        self.last_values_bytes_max = bytes;
        self
    }

    /// What happens when a subscriber's queue is full. Default [`OnFull::DropNewest`].
    pub fn on_full(mut self, policy: OnFull) -> Options {
        self.on_full = policy;
        self
    }

    /// Disconnects a peer that has been full for `time`, with an ERROR that says so: from the moment when its queue
    /// reached a mark it has never been half empty. It may come back. Off by default.
    pub fn evict_after(mut self, time: Duration) -> Options {
        self.evict_after = Some(time);
        self
    }

    /// Asks `decide` about each prefix that a peer of a PUB or XPUB asks for and does not have. Without it everything is
    /// accepted. Where it panics, the subscription is rejected.
    ///
    /// It runs on an I/O thread of the socket's engine and nowhere else, and that thread serves nobody meanwhile: it must
    /// return at once. It may use any socket and [`OnDemand`](crate::OnDemand), with these exceptions, which would have
    /// the I/O thread wait for itself: `bind`, `connect`, `unbind`, `disconnect` and `reload` are refused as
    /// [`Misuse`](crate::ErrorKind::Misuse), [`OnDemand::stop`](crate::OnDemand::stop) does not wait, and
    /// [`Op::wait`](crate::Op::wait) panics if it has to wait. A lock that it takes must not be held by a thread that calls
    /// any of these, or waits for messages or events of the same engine without a time limit.
    ///
    /// An engine with such a socket gives up a shortcut: a thread that waits for a message reads it from the network itself
    /// elsewhere, and here gets it from the I/O thread, some microseconds later.
    ///
    /// What is deferred counts towards the peer's quota ([`prefixes_max`](Options::prefixes_max),
    /// [`prefix_bytes_max`](Options::prefix_bytes_max)).
    ///
    /// ```
    /// use oncue::{Admission, Options};
    /// let options = Options::new().admission(|request| match request.prefix.starts_with(b"public/") {
    ///     true => Admission::Accept,
    ///     false => Admission::Reject("only public/ is open to everyone".into()),
    /// });
    /// ```
    pub fn admission(
        mut self,
        decide: impl Fn(&SubscribeRequest<'_>) -> Admission + Send + Sync + 'static,
    ) -> Options {
        self.admission = Some(Gate::new(decide));
        self
    }

    /// How long a closed socket goes on sending what is queued. Default 1 s; zero drops it at once, and with
    /// [`Duration::MAX`] it goes on for as long as its peers are there (`ZMQ_LINGER`).
    pub fn linger(mut self, time: Duration) -> Options {
        self.linger = time;
        self
    }

    /// How many connections may wait at each endpoint to be accepted (libzmq's `ZMQ_BACKLOG`). Default 4096; the system
    /// caps it (`net.core.somaxconn`). Takes effect with the next `bind`. `inproc` has no such bound.
    pub fn listen_backlog(mut self, connections: u32) -> Options {
        self.listen_backlog = connections;
        self
    }

    /// The pause before a connection is tried again: doubled on each failure from `min` to `max`, with jitter of
    /// up to half. Default 100 ms to 5 s (libzmq's `ZMQ_RECONNECT_IVL` and `ZMQ_RECONNECT_IVL_MAX`).
    ///
    /// A connection that ends within a second after its handshake is a failure too; one that lasted longer begins anew
    /// at `min`. A host with several addresses fails when all of them have: each is tried when the one before it has
    /// failed, or has not answered for 250 ms.
    pub fn reconnect(mut self, min: Duration, max: Duration) -> Options {
        self.reconnect_min = min.max(Duration::from_millis(1));
        self.reconnect_max = max.max(self.reconnect_min);
        self
    }

    /// How long a peer may take from the first byte to the end of its handshake. Default 30 s; zero means no limit, as in
    /// libzmq (`ZMQ_HANDSHAKE_IVL`), and lets strangers hold a connection for ever.
    pub fn handshake_timeout(mut self, time: Duration) -> Options {
        self.handshake_timeout = if time.is_zero() { Duration::MAX } else { time };
        self
    }

    /// Gives up a peer from which nothing has come for `timeout`, whatever it is: it wants nothing any more, and a socket
    /// that had connected to it connects again. So that a living peer has something to say it is sent a PING every
    /// `interval` (or, if that is shorter, every half of `timeout`), which ZMTP 3.1 has it answer. Both are a millisecond at
    /// least. What is being written to a peer counts as well while it takes it, and so does any other traffic; a
    /// peer that neither takes nor says anything for so long is given up even if its system still answers.
    ///
    /// Peers below ZMTP 3.1 know no PING. On a TCP connection with such a peer the system probes instead (SO_KEEPALIVE and
    /// TCP_USER_TIMEOUT, rounded up to seconds). Nothing is done on `inproc`, where a peer cannot vanish.
    ///
    /// Off by default for PUB, SUB, XPUB and XSUB, as in libzmq; 5 s and 15 s by default for a socket that
    /// [`OnDemand`](crate::OnDemand) makes. In libzmq this is ZMQ_HEARTBEAT_IVL, and ZMQ_HEARTBEAT_TIMEOUT counted from
    /// the PING: `timeout` is the sum of both there.
    pub fn heartbeat(mut self, interval: Duration, timeout: Duration) -> Options {
        let (interval, timeout) = (interval.max(HEARTBEAT_MIN), timeout.max(HEARTBEAT_MIN));
        self.heartbeat = Some(Heartbeat::On { interval, timeout });
        self
    }

    /// Sends no PINGs and gives no peer up for its silence, but where the peer itself asks for that by the TTL in a PING.
    pub fn heartbeat_off(mut self) -> Options {
        self.heartbeat = Some(Heartbeat::Off);
        self
    }

    /// Has each PING of [`heartbeat`](Options::heartbeat) ask the peer to give *us* up when it has heard nothing for this
    /// long; PINGs are then sent twice in that time at least. From 100 ms to 6,553.5 s, rounded up to tenths of a second.
    /// Not asked for by default: libzmq counts whole messages alone, so that one which takes longer than this to arrive
    /// ends its connection, again and again. libzmq: ZMQ_HEARTBEAT_TTL.
    pub fn heartbeat_ttl(mut self, time: Duration) -> Options {
        self.heartbeat_ttl = Some(time);
        self
    }

    /// Heartbeats as the on-demand layer has them, unless something else was said.
    pub(crate) fn heartbeat_by_default(mut self) -> Options {
        self.heartbeat.get_or_insert(HEARTBEAT_DEFAULT);
        self
    }

    /// How the peers are watched, if they are.
    pub(crate) fn pace(&self) -> Option<Pace> {
        let Some(Heartbeat::On { interval, timeout }) = self.heartbeat else { return None };
        let tenths = |time: Duration| time.as_millis().div_ceil(100).clamp(1, u128::from(u16::MAX)) as u16;
        let ttl_ds = self.heartbeat_ttl.map_or(0, tenths);
        let mut interval = interval.min(timeout / 2);
        if ttl_ds > 0 {
            interval = interval.min(Duration::from_millis(u64::from(ttl_ds) * 50));
        }
        Some(Pace { interval: interval.max(HEARTBEAT_MIN), timeout, ttl_ds })
    }
}

/// 0 means no bound, as in libzmq.
fn messages_max(mark: u32) -> u64 {
    if mark == 0 { u64::MAX } else { u64::from(mark) }
}

/// The options of an [`Engine`](crate::Engine).
#[derive(Clone, Debug)]
pub struct EngineOptions {
    pub(crate) io_threads: usize,
    pub(crate) descriptors_reserved: u32,
}

impl Default for EngineOptions {
    fn default() -> EngineOptions {
        EngineOptions { io_threads: 1, descriptors_reserved: 32 }
    }
}

impl EngineOptions {
    /// The defaults.
    pub fn new() -> EngineOptions {
        EngineOptions::default()
    }

    /// How many I/O threads (shards) there are, 1 to 64. Default 1.
    pub fn io_threads(mut self, threads: usize) -> EngineOptions {
        self.io_threads = threads.clamp(1, 64);
        self
    }

    /// How many of the process's descriptors are kept back from peers, so that the program can still open files and start
    /// programs; a quarter of all at the most. While fewer are left, nobody is accepted: whoever comes waits in the
    /// system's queue, and is tried ten times a second. Default 32. See
    /// [`raise_descriptor_limit`](crate::raise_descriptor_limit).
    pub fn descriptors_reserved(mut self, descriptors: u32) -> EngineOptions {
        self.descriptors_reserved = descriptors;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_heartbeat_leaves_time_for_an_answer() {
        let pace = |interval, timeout| Options::new().heartbeat(interval, timeout).pace().unwrap();
        let secs = Duration::from_secs;
        assert_eq!(pace(secs(5), secs(15)), Pace { interval: secs(5), timeout: secs(15), ttl_ds: 0 });
        assert_eq!(pace(secs(10), secs(4)).interval, secs(2));
        assert!(pace(Duration::ZERO, Duration::ZERO).interval > Duration::ZERO);
        assert_eq!(pace(Duration::MAX, Duration::MAX).interval, Duration::MAX / 2);
        let ttl = |time| Options::new().heartbeat(secs(5), secs(15)).heartbeat_ttl(time).pace().unwrap();
        assert_eq!((ttl(secs(3)).ttl_ds, ttl(secs(3)).interval), (30, secs(3) / 2));
        assert_eq!((ttl(Duration::ZERO).ttl_ds, ttl(Duration::from_millis(101)).ttl_ds), (1, 2));
        assert_eq!(ttl(Duration::MAX).ttl_ds, u16::MAX);
    }

    #[test]
    fn heartbeats_are_the_on_demand_layers_default_alone() {
        assert_eq!(Options::new().pace(), None);
        let by_default = Options::new().heartbeat_by_default().pace().unwrap();
        assert_eq!(by_default.timeout, Duration::from_secs(15));
        assert_eq!(Options::new().heartbeat_off().heartbeat_by_default().pace(), None);
        let own = Options::new().heartbeat(Duration::from_secs(1), Duration::from_secs(2));
        assert_eq!(own.clone().heartbeat_by_default().pace(), own.pace());
    }
}
