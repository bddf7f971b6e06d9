//! The options of engines and sockets: plain data, checked where they are used. Every option that takes a time takes any:
//! [`Duration::MAX`] is a time that never comes.

mod mechanisms;
mod net;
mod pages;
mod security;
mod socks;
mod stop;
mod system;
#[cfg(feature = "wss")]
mod tls;
mod web;

use std::sync::Arc;
use std::time::Duration;

use oncue_core::command::{ONCUE_PROPERTY, PREFIX_BYTES_MAX, is_property_name};
use oncue_core::ledger::Quota;
use oncue_core::topic::Hidden;

pub use self::net::IpVersions;
pub(crate) use self::net::{NetOptions, Party};
pub(crate) use self::pages::Slot;
pub use self::pages::{Page, PageRequest};
pub(crate) use self::security::SecurityOptions;
pub use self::socks::SocksProxy;
pub use self::stop::ReconnectStop;
pub use self::web::Web;
use crate::bucket::Rate;
use crate::error::{Error, Result};
use crate::msg::{Frames, Msg};
use crate::permission::{Admission, Gate, SubscribeRequest};

/// Declares a type of options. Each line after the fields that need code of their own is one option: its documentation, the
/// method that sets it with the method's argument, the field's type, the default, and the value that the argument sets.
macro_rules! options {
    (
        $(#[$type_doc:meta])*
        $type:ident { $($own:ident: $own_type:ty = $own_default:expr,)* }
        $(
            $(#[$doc:meta])*
            $name:ident($argument:ident: $argument_type:ty): $field_type:ty = $default:expr => $value:expr;
        )*
    ) => {
        $(#[$type_doc])*
        #[derive(Clone, Debug)]
        pub struct $type {
            $(pub(crate) $own: $own_type,)*
            $(pub(crate) $name: $field_type,)*
        }

        impl Default for $type {
            fn default() -> $type {
                $type { $($own: $own_default,)* $($name: $default,)* }
            }
        }

        impl $type {
            /// The defaults.
            pub fn new() -> $type {
                $type::default()
            }

            $(
                $(#[$doc])*
                pub fn $name(mut self, $argument: $argument_type) -> $type {
                    self.$name = $value;
                    self
                }
            )*
        }
    };
}

/// What happens to a message that a subscriber's queue has no room for.
///
/// Usually all messages of a socket have one policy ([`Options::on_full`]). They may have several, by
/// [`Pub::send_on_full`](crate::Pub::send_on_full) and [`RouteBuilder::on_full`](crate::demand::RouteBuilder::on_full). Then the
/// policy of a message decides about this message, and never about others:
///
/// - A message under [`DropOldest`](OnFull::DropOldest) or [`Latest`](OnFull::Latest) may give way when it is queued,
///   to any message that does not fit: the oldest of them go first. One under [`DropNewest`](OnFull::DropNewest) or
///   [`Disconnect`](OnFull::Disconnect) stays until it is written.
/// - A message fits if those that stay leave room for it below the marks. Otherwise it is missed, and under `Disconnect` the
///   subscriber is disconnected. So the pictures of a camera under `Latest` never push out an order under
///   `DropNewest`, and an order is missed only if other orders fill the queue.
/// - Under `Latest` a message replaces the one of its topic that is queued under `Latest`, if there is room for the new one.
/// - A subscriber is full ([`Room::Congested`](crate::Room::Congested)) when messages that stay reach a mark; for
///   [`Options::evict_after`], when all messages do.
/// - Kept values for later subscribers have the policy of the socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnFull {
    /// That subscriber misses the message, the others get it, and the miss is counted, as in ZeroMQ.
    #[default]
    DropNewest,
    /// Nothing is dropped: `send` returns [`Full`](crate::ErrorKind::Full) until there is room (ZeroMQ's NODROP).
    /// One slow subscriber then slows the publisher. A subscriber whose queue is empty is given up to 256 KiB (or one
    /// message) at a time, so that much may be queued beyond its mark.
    Refuse,
    /// The subscriber is disconnected; it may connect again.
    Disconnect,
    /// The oldest messages in the queue are dropped, as whole messages, and counted as missed; the newest stay. A message
    /// that is partly written is written to its end, and counts towards no mark.
    DropOldest,
    /// Only the newest message of each topic waits: it replaces the older one, which is counted as missed. A message that
    /// is partly written is written to its end, and counts towards no mark. If the marks are reached nevertheless, the
    /// oldest messages are dropped. A topic is [`Congested`](crate::Room::Congested) until its last message has been
    /// written to all of its subscribers, so that on-demand producers make about as many values as are taken. With a
    /// small [`send_buffer`](Options::send_buffer), and a small [`recv_buffer`](Options::recv_buffer) on the other side,
    /// a slow viewer sees recent values.
    Latest,
}

/// What an XPUB's user is told of subscriptions, by [`XPub::event`](crate::XPub::event).
///
/// A peer's subscriptions are a set: a SUBSCRIBE of what the peer has changes nothing, and is told as
/// [`Repeated`](crate::SubscriptionEvent::Repeated) where repeated ones are told at all. A CANCEL of what the peer does not
/// have is never told: libzmq's VERBOSER passes it on, so that its user counts wrongly. The end of a connection ends what the
/// peer had, and is told like as many CANCELs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verbose {
    /// The first subscriber of a prefix, and the end of the last one: [`Wanted`](crate::XPubEvent::Wanted) and
    /// [`Unwanted`](crate::XPubEvent::Unwanted).
    #[default]
    Off,
    /// Each SUBSCRIBE of each peer, also a repeated one, and the end of the last subscriber: `Subscribed`, `Repeated` and
    /// [`Unwanted`](crate::XPubEvent::Unwanted) (libzmq: `ZMQ_XPUB_VERBOSE`).
    Subscribes,
    /// Each SUBSCRIBE of each peer, also a repeated one, and each end of a subscription of a peer: `Subscribed`, `Repeated`
    /// and `Unsubscribed` (libzmq: `ZMQ_XPUB_VERBOSER`).
    All,
}

/// Which of the received messages wait for the user of a SUB or XSUB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Keep {
    /// All of them, in order. Reading pauses at the marks, so that TCP slows the publisher, as in ZeroMQ.
    #[default]
    All,
    /// The newest message of each topic (first frame), whole, with all of its frames: for a user who wants the current
    /// state, and who may receive more slowly than messages arrive. Topics are received in the order in which they began to
    /// wait; a newer message replaces the older one of its topic, which is counted
    /// ([`received_replaced`](crate::SocketStats::received_replaced)). Reading never pauses. At most
    /// [`recv_hwm`](Options::recv_hwm) topics and [`received_bytes_max`](Options::received_bytes_max) wait, over all
    /// publishers; beyond that the topics that have waited longest are dropped, which is counted too
    /// ([`received_missed`](crate::SocketStats::received_missed)).
    ///
    /// This differs from libzmq's `ZMQ_CONFLATE`, which keeps one message over all topics: see [`Options::conflate`].
    Latest,
}

/// What the user has set for heartbeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heartbeat {
    Off,
    On { interval: Duration, timeout: Duration },
}

/// How a socket monitors its peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    /// The time between two PINGs; at most half of the timeout.
    pub(crate) interval: Duration,
    /// How long a peer may be silent.
    pub(crate) timeout: Duration,
    /// The TTL of a PING: after how long without traffic the peer gives us up, in tenths of a second; 0 for never.
    pub(crate) ttl_ds: u16,
}

/// What all connections of one user may have in force together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UserQuota {
    pub(crate) prefixes_max: u32,
    pub(crate) prefix_bytes_max: u64,
}

/// The heartbeats of the on-demand layer, unless the user has set others.
const HEARTBEAT_DEFAULT: Heartbeat =
    Heartbeat::On { interval: Duration::from_secs(5), timeout: Duration::from_secs(15) };
/// The lower bound of interval and timeout.
const HEARTBEAT_MIN: Duration = Duration::from_millis(1);

/// The most properties of a READY that are set, and that are kept of a peer, and the most bytes of their names and values.
pub(crate) const METADATA_PROPERTIES_MAX: usize = 32;
pub(crate) const METADATA_BYTES_MAX: usize = 4 << 10;

options! {
    /// The options of a socket. Each method states its default.
    ///
    /// ```
    /// use oncue::Options;
    /// use std::time::Duration;
    /// let options = Options::new().send_hwm(10_000).linger(Duration::ZERO);
    /// ```
    Options {
        admission: Option<Gate> = None,
        reconnect_min: Duration = Duration::from_millis(100),
        reconnect_max: Duration = Duration::from_secs(5),
        heartbeat: Option<Heartbeat> = None,
        welcome: Option<Msg> = None,
        metadata: Vec<(String, Vec<u8>)> = Vec::new(),
        net: Arc<NetOptions> = Arc::default(),
        security: SecurityOptions = SecurityOptions::default(),
    }

    /// The high-water mark of each peer's queue: the most messages queued for a peer that does not take them, beyond what
    /// the system's own buffers hold (libzmq: `ZMQ_SNDHWM`). 0 means no bound in messages;
    /// [`queue_bytes_max`](Options::queue_bytes_max) still applies. Default 1000. The mark is checked after the messages
    /// were offered to the connection, so a burst larger than the mark loses nothing while the connection takes it.
    send_hwm(messages: u32): u32 = 1000 => messages;

    /// The high-water mark of received messages: how many of one peer may wait for the user before reading from the peer
    /// pauses (TCP then slows the sender; libzmq: `ZMQ_RCVHWM`). 0 means no bound in messages;
    /// [`queue_bytes_max`](Options::queue_bytes_max) still applies. Default 1000. What one read returned (up to 256 KiB) is
    /// always delivered.
    recv_hwm(messages: u32): u32 = 1000 => messages;

    /// The bound in bytes that applies in addition to both high-water marks, per peer and direction. Default 64 MiB. A
    /// single message larger than this still passes when the queue is empty.
    queue_bytes_max(bytes: u64): u64 = 64 << 20 => bytes.max(1);

    /// How many bytes may wait between `send` and the I/O threads. Default 4 MiB. [`send_hwm`](Options::send_hwm) messages
    /// may always wait, even if they are larger, up to [`queue_bytes_max`](Options::queue_bytes_max). A `send` beyond the
    /// bound drops the message and counts it, or is refused with [`OnFull::Refuse`].
    outbox_bytes_max(bytes: u64): u64 = 4 << 20 => bytes.max(1);

    /// How much memory the received messages that wait for the user may take, in bytes, over all peers of the socket,
    /// including peers that have gone. Default: as [`queue_bytes_max`](Options::queue_bytes_max), 64 MiB. Beyond it a SUB or
    /// XSUB pauses reading from all of its peers until half of it is taken; an XPUB drops what arrives and counts it
    /// ([`received_missed`](crate::SocketStats::received_missed)). What one read returned may exceed it.
    received_bytes_max(bytes: u64): Option<u64> = None => Some(bytes.max(1));

    /// Which of the received messages wait for the user of a SUB or XSUB. Default [`Keep::All`]. (libzmq's `ZMQ_CONFLATE`
    /// is [`conflate`](Options::conflate).)
    keep(what: Keep): Keep = Keep::All => what;

    /// Discards the messages of an XPUB's subscribers that are not subscriptions, as a PUB always does: for a program that
    /// never calls [`XPub::event`](crate::XPub::event). Default `false`; the sockets that [`OnDemand`](crate::OnDemand)
    /// makes always discard.
    discard_messages(discard: bool): bool = false => discard;

    /// What [`XPub::event`](crate::XPub::event) tells of subscriptions (libzmq: `ZMQ_XPUB_VERBOSE`, `ZMQ_XPUB_VERBOSER`).
    /// Default [`Verbose::Off`]: what is wanted, over all peers. Whatever it is, [`XPub::demand`](crate::XPub::demand) and
    /// [`XPub::subscriptions`](crate::XPub::subscriptions) tell what they always tell.
    verbose(what: Verbose): Verbose = Verbose::Off => what;

    /// Leaves each subscription to the user of an XPUB (libzmq: `ZMQ_XPUB_MANUAL`): what a peer asks for is deferred, as by
    /// [`Admission::Defer`](crate::Admission::Defer), and [`XPub::event`](crate::XPub::event) tells it as
    /// [`Requested`](crate::SubscriptionEvent::Requested), with the peer. The user answers with
    /// [`admit`](crate::XPub::admit), [`reject`](crate::XPub::reject), or
    /// [`subscribe_for`](crate::XPub::subscribe_for) for another prefix than the one asked for; libzmq's way is
    /// `setsockopt(ZMQ_SUBSCRIBE)`, for the peer whose notification was read last. A request that is not decided stays open
    /// until the peer cancels it or leaves ([`Withdrawn`](crate::SubscriptionEvent::Withdrawn)), and counts towards its
    /// quota. Default `false`. With a function of [`admission`](Options::admission), only what that defers is left to the
    /// user.
    manual(manual: bool): bool = false => manual;

    /// Looks for subscriptions in a message of a subscriber only if its first frame is one (libzmq:
    /// `ZMQ_ONLY_FIRST_SUBSCRIBE`): all frames of any other message are the user's, also those that begin with 0 or 1.
    /// Default `false`: each frame of a message may be a subscription, as RFC 29 has it. PUB and XPUB; commands (ZMTP 3.1)
    /// are not messages.
    only_first_subscribe(only: bool): bool = false => only;

    /// Inverts what subscriptions mean for messages (libzmq: `ZMQ_INVERT_MATCHING`). A PUB or XPUB sends a message to the peers
    /// that have *no* prefix of its topic, so a peer without subscriptions gets everything; a SUB keeps the messages that
    /// match *none* of its subscriptions. Both sides must set it; an XSUB need not, since it does not look at topics. Demand
    /// is told as always, prefix by prefix: here it says what is not to be sent. `wanted`, `subscribers`, `room` and
    /// `wait_for_subscribers` are about messages, and so inverted. Such a publisher has no last values and no states, and
    /// no use for [`OnDemand`](crate::OnDemand) or [`Proxy`](crate::Proxy): these refuse it. Finding the peers of a message
    /// takes time in proportion to the different sets of prefixes. Default `false`.
    invert_matching(invert: bool): bool = false => invert;

    /// Topics that begin with this are hidden from shorter prefixes: a peer that subscribes to everything (the empty prefix) does
    /// not get them; a peer that subscribes to this beginning, or to more of a topic, does. For topics that are about the
    /// publisher itself, which would surprise a subscriber of everything. `wanted`, `subscribers`, last values and
    /// [`OnDemand`](crate::OnDemand) go by it, too. PUB and XPUB, and not with
    /// [`invert_matching`](Options::invert_matching). Empty, which hides nothing, by default.
    hidden_topics(beginning: impl AsRef<[u8]>): Hidden = Hidden::default() => Hidden::beginning_with(beginning.as_ref());

    /// The largest message accepted from a peer, in bytes with its frame headers; a peer that announces a larger one
    /// is disconnected (libzmq: `ZMQ_MAXMSGSIZE`). Default 1 GiB for SUB and XSUB, and 128 KiB for PUB and XPUB, to which
    /// subscribers send little. A PUB or XPUB accepts the longest prefix
    /// ([`prefix_length_max`](Options::prefix_length_max)) whatever this bound is.
    message_bytes_max(bytes: u64): Option<u64> = None => Some(bytes);

    /// The most peers that the listeners of this socket may have accepted at a time, including peers in their handshake. A
    /// peer beyond it gets an ERROR that says so, and is disconnected; of many that connect at a time, 64 get the ERROR and
    /// the others are closed without one. Default 65,536. See [`Pub::turned_away`](crate::Pub::turned_away).
    peers_max(peers: u32): u32 = 1 << 16 => peers;

    /// As [`peers_max`](Options::peers_max), per address: an IPv4 address, or the first 64 bits of an IPv6 address,
    /// since the owner of one address has all of them. `ipc` and `inproc` peers have no address and are not counted here.
    /// No bound by default: many users may share one address, behind a proxy or a NAT.
    peers_per_address_max(peers: u32): u32 = u32::MAX => peers;

    /// The most handshakes that may be in flight at a time on connections that the listeners of this socket have accepted.
    /// Beyond it the oldest one gives way, of the address that has the most: its connection is closed. (An address is as for
    /// [`peers_per_address_max`](Options::peers_per_address_max); of `ipc` peers the user counts; `inproc` peers have no bound.) So
    /// a stranger that opens connections and says nothing locks out nobody, since a normal peer needs a few round trips. At
    /// least 1. Default 8,192: as many are in flight while 80,000 peers a second come over round trips of 100 ms.
    handshakes_max(handshakes: u32): u32 = 8192 => handshakes.max(1);

    /// How long a message or command of a peer may take from its first byte to its last, in addition to a second for each
    /// 4 KiB of it that have arrived: a large message may take its time on a slow connection, but one that stalls does not
    /// hold memory for ever. A slower peer is disconnected. Time in which this side does not read, because the user has not
    /// taken earlier messages, does not count. Default 30 s.
    message_timeout(time: Duration): Duration = Duration::from_secs(30) => time;

    /// The longest prefix, in bytes, in any encoding: a peer of a PUB or XPUB that subscribes to a longer one is
    /// disconnected with an ERROR that says so, and a longer one of this socket's own is refused. Default 65,526, which is
    /// what fits a command of 64 KiB; publishers of this library with the default disconnect a peer that asks for more.
    prefix_length_max(bytes: u32): usize = PREFIX_BYTES_MAX => bytes as usize;

    /// The most prefixes that one peer may hold. A peer that exceeds it is disconnected with an ERROR that says so.
    /// Default 4,000,000.
    prefixes_max(prefixes: u32): u32 = 4_000_000 => prefixes;

    /// The most bytes that the prefixes of one peer may add up to. Default 256 MiB.
    prefix_bytes_max(bytes: u64): u64 = 256 << 20 => bytes;

    /// As [`prefixes_max`](Options::prefixes_max), over all connections of one user: what one that has left still holds counts
    /// until it is released. The user is that of the handshake ([`PeerProfile`](crate::PeerProfile), by its id). A peer that
    /// has none counts by its address, as for [`peers_per_address_max`](Options::peers_per_address_max); one of `ipc` by the user of its
    /// process; one of `inproc` has no bound. Default 16,000,000: many users may share one address.
    prefixes_per_user_max(prefixes: u32): u32 = 16_000_000 => prefixes;

    /// As [`prefix_bytes_max`](Options::prefix_bytes_max), over all connections of one user. Default 1 GiB.
    prefix_bytes_per_user_max(bytes: u64): u64 = 1 << 30 => bytes;

    /// How many subscriptions and cancellations of one peer a PUB or XPUB takes in a second, in the long run. A peer that has not
    /// used its share may make up for it: [`prefixes_max`](Options::prefixes_max) changes at once (or those of a second, if that is
    /// more), so that it can subscribe to all that it may have when it connects. A peer that is faster is not read for a while, in pauses of about
    /// 50 ms: it waits, loses nothing, and no other peer is touched. At least 1. Default 100,000: that takes about 3 % of a
    /// core, and is ten times what a proxy needs for 10,000 subscribers that come and go in a minute with 100 prefixes each.
    changes_per_second_max(changes: u32): u32 = 100_000 => changes.max(1);

    /// How many bytes the last values that a PUB or XPUB keeps for new subscribers may take (see
    /// [`Pub::send_last`](crate::Pub::send_last)): their topics and messages, and 256 bytes each. Beyond it the values
    /// that have not been replaced for the longest time are dropped. Default 64 MiB.
    last_values_bytes_max(bytes: u64): u64 = 64 << 20 => bytes;

    /// What happens when a subscriber's queue is full. Default [`OnFull::DropNewest`].
    on_full(policy: OnFull): OnFull = OnFull::DropNewest => policy;

    /// Disconnects a peer that has been full for `time`, with an ERROR that says so: its queue reached a mark, and has not
    /// been half empty since. It may connect again. Off by default.
    evict_after(time: Duration): Option<Duration> = None => Some(time);

    /// How long a closed socket goes on sending what is queued (libzmq: `ZMQ_LINGER`). Default 1 s; zero drops it at once,
    /// and with [`Duration::MAX`] the socket goes on as long as its peers are connected. The time runs from
    /// [`close`](crate::Pub::close) or the drop of the last handle. The I/O threads send meanwhile; the drop of the last
    /// handle of an [`Engine`](crate::Engine) and its sockets waits for them, and so does
    /// [`Engine::close`](crate::Engine::close). A process that ends without either loses what is queued.
    linger(time: Duration): Duration = Duration::from_secs(1) => time;

    /// After what the socket tries no more to connect to an endpoint (libzmq: `ZMQ_RECONNECT_STOP`). Default
    /// [`ReconnectStop::NEVER`]. [`Failed`](crate::ConnectionEventKind::Failed) or
    /// [`Lost`](crate::ConnectionEventKind::Lost) then has no time of a retry, and
    /// [`Stopped`](crate::ConnectionEventKind::Stopped) follows. After that [`connect`](crate::Sub::connect) may be called
    /// again.
    reconnect_stop(conditions: ReconnectStop): ReconnectStop = ReconnectStop::NEVER => conditions;

    /// How long making a connection may take: the look-up of the name, all addresses of the host, the way through a proxy
    /// (libzmq: `ZMQ_CONNECT_TIMEOUT`); also how long `bind` waits for the look-up of a name. The handshake has [a time of its own](Options::handshake_timeout). TCP; Unix sockets
    /// connect at once. Default: as `handshake_timeout`; zero means no limit but the system's, about 2 minutes on Linux.
    connect_timeout(time: Duration): Option<Duration> = None => Some(time);

    /// How long a peer may take from the first byte to the end of its handshake (libzmq: `ZMQ_HANDSHAKE_IVL`). Default 30 s;
    /// zero means no limit, as in libzmq, and lets unauthenticated peers hold a connection for ever.
    handshake_timeout(time: Duration): Duration = Duration::from_secs(30)
        => if time.is_zero() { Duration::MAX } else { time };

    /// Adds a TTL to each PING of [`heartbeat`](Options::heartbeat): the peer is to give *us* up when it has received
    /// nothing for this long (libzmq: `ZMQ_HEARTBEAT_TTL`). PINGs are then sent at least twice in that time. From 100 ms to
    /// 6,553.5 s, rounded up to tenths of a second. Off by default: libzmq counts only whole messages, so that a message
    /// that takes longer than this to arrive ends its connection, again and again.
    heartbeat_ttl(time: Duration): Option<Duration> = None => Some(time);
}

impl Options {
    /// Calls `decide` for each prefix that a peer of a PUB or XPUB asks for and does not have. Without it everything is
    /// accepted. If it panics, the subscription is rejected.
    ///
    /// It runs only on an I/O thread of the socket's engine, which does nothing else meanwhile: it must return at once. It
    /// may use any socket and [`OnDemand`](crate::OnDemand), with these exceptions, which would make the I/O thread wait for
    /// itself: `bind`, `connect`, `unbind`, `disconnect` and `reload` are refused as
    /// [`Misuse`](crate::ErrorKind::Misuse), [`OnDemand::stop`](crate::OnDemand::stop) does not wait, and
    /// [`Op::wait`](crate::Op::wait) panics if it has to wait. A lock that it takes must not be held by a thread that calls
    /// any of these, or that waits for messages or events of the same engine without a time limit.
    ///
    /// An engine with such a socket gives up a shortcut: otherwise a thread that waits for a message reads it from the
    /// network itself; here it gets the message from the I/O thread, some microseconds later.
    ///
    /// Deferred prefixes count towards the peer's quota ([`prefixes_max`](Options::prefixes_max),
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

    /// A message for each peer of a PUB or XPUB, written when its handshake is done, before anything else (libzmq:
    /// `ZMQ_XPUB_WELCOME_MSG`). None by default. A SUB shows it to its user only if it has subscribed to the message's topic
    /// before it connected; an XSUB shows it always. It counts towards no mark, and in no statistics.
    ///
    /// ```
    /// use oncue::Options;
    /// let options = Options::new().welcome(("welcome", "version 3"));
    /// ```
    pub fn welcome(mut self, message: impl Frames) -> Options {
        let mut wire = Vec::new();
        message.put(&mut wire);
        self.welcome = Some(Msg::from_wire(wire));
        self
    }

    /// Adds a property to the READY of this socket, for its peers to read (libzmq: `ZMQ_METADATA`; RFC 37, "Connection
    /// Metadata"). Peers below ZMTP 3.0 get none. Checked when the socket is made
    /// ([`Misuse`](crate::ErrorKind::Misuse)): the name begins with `X-` (not `X-Oncue`, which is this library's own), has
    /// letters, digits, `-`, `_`, `.` and `+`, at most 255 in all, and comes once; there are at most 32 properties, of 4 KiB
    /// with their names. None by default.
    ///
    /// ```
    /// use oncue::Options;
    /// let options = Options::new().metadata("X-Host", "sensor-17");
    /// ```
    pub fn metadata(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Options {
        self.metadata.push((name.into(), value.into()));
        self
    }

    /// Whether a socket with these options may have this prefix.
    /// Refuses what needs to know the topics that a peer wants by their prefixes.
    pub(crate) fn check_matching(&self, what: &str) -> Result<()> {
        match self.invert_matching {
            false => Ok(()),
            true => Err(Error::misuse(format!(
                "{what} cannot be used with inverted matching (invert_matching): prefixes say there what is not wanted; \
                 leave that option out"
            ))),
        }
    }

    pub(crate) fn check_prefix(&self, prefix: &[u8]) -> Result<()> {
        let (length, max) = (prefix.len(), self.prefix_length_max);
        if length <= max {
            return Ok(());
        }
        Err(Error::misuse(format!(
            "cannot subscribe: the prefix is {length} bytes long; {max} is the most (prefix_length_max)"
        )))
    }

    /// Checks these options, as each socket does when it is made.
    ///
    /// # Errors
    /// [`Misuse`](crate::ErrorKind::Misuse), naming the option that cannot be right on any machine.
    pub fn check(&self) -> Result<()> {
        self.net.check()?;
        self.security.check()?;
        if self.hidden_topics.beginning().is_some() {
            self.check_matching("a beginning of hidden topics (hidden_topics)")?;
        }
        for (i, (name, _)) in self.metadata.iter().enumerate() {
            let wrong = |why: &str| Err(Error::misuse(format!("the metadata property {name:?} {why}")));
            if !name.starts_with("X-") {
                return wrong("does not begin with X-; choose a name that does");
            }
            if name
                .get(..ONCUE_PROPERTY.0.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(ONCUE_PROPERTY.0))
            {
                return wrong("begins with X-Oncue, which the library uses itself; choose another name");
            }
            if !is_property_name(name.as_bytes()) {
                return wrong("is not 3 to 255 letters, digits, '-', '_', '.' or '+'; choose a name that is");
            }
            if self.metadata[..i].iter().any(|(other, _)| other.eq_ignore_ascii_case(name)) {
                return wrong("is there twice (case does not matter); set it once");
            }
        }
        let bytes: usize = self.metadata.iter().map(|(name, value)| name.len() + value.len()).sum();
        if self.metadata.len() > METADATA_PROPERTIES_MAX || bytes > METADATA_BYTES_MAX {
            return Err(Error::misuse(format!(
                "there are {} metadata properties of {bytes} bytes; {METADATA_PROPERTIES_MAX} properties of \
                 {METADATA_BYTES_MAX} bytes are the most",
                self.metadata.len()
            )));
        }
        Ok(())
    }

    /// The backoff before a connection is tried again: the pause doubles with each failure from `min` to `max`, less a
    /// random part of up to half. Default 100 ms to 5 s (libzmq: `ZMQ_RECONNECT_IVL` and `ZMQ_RECONNECT_IVL_MAX`).
    ///
    /// A connection that ends within a second after its handshake counts as a failure; after one that lasted longer the
    /// pause is `min` again. A host with several addresses fails when all of them have: each is tried when the one before
    /// it has failed, or has not answered for 250 ms.
    pub fn reconnect(mut self, min: Duration, max: Duration) -> Options {
        self.reconnect_min = min.max(Duration::from_millis(1));
        self.reconnect_max = max.max(self.reconnect_min);
        self
    }

    /// Disconnects a peer from which nothing has arrived for `timeout`: its subscriptions end, and a socket that had
    /// connected to it connects again. A PING is sent every `interval` (or, if that is shorter, every half of `timeout`),
    /// which a peer of ZMTP 3.1 must answer. Both times are at least a millisecond. Any other traffic counts as well, and so
    /// does what the peer takes of what is written to it; a peer that neither takes nor sends anything for that long is
    /// disconnected even if its system still answers.
    ///
    /// Peers below ZMTP 3.1 do not know PING. On a TCP connection with such a peer the system probes instead (`SO_KEEPALIVE`
    /// and `TCP_USER_TIMEOUT`, rounded up to seconds). Over WebSocket a WebSocket ping is sent in place of a PING, and the system
    /// probes as well; a peer of the bare protocol (libzmq) that has never answered a ping is not disconnected for its silence. Nothing is done on `inproc`, where a peer cannot vanish.
    ///
    /// Off by default for PUB, SUB, XPUB and XSUB, as in libzmq; 5 s and 15 s by default for a socket that
    /// [`OnDemand`](crate::OnDemand) makes. libzmq: `ZMQ_HEARTBEAT_IVL` and `ZMQ_HEARTBEAT_TIMEOUT`, which is counted from
    /// the PING: `timeout` here is the sum of both there.
    pub fn heartbeat(mut self, interval: Duration, timeout: Duration) -> Options {
        let (interval, timeout) = (interval.max(HEARTBEAT_MIN), timeout.max(HEARTBEAT_MIN));
        self.heartbeat = Some(Heartbeat::On { interval, timeout });
        self
    }

    /// Sends no PINGs, and disconnects no peer for its silence unless the peer asks for that by the TTL in a PING.
    pub fn heartbeat_off(mut self) -> Options {
        self.heartbeat = Some(Heartbeat::Off);
        self
    }

    /// The heartbeats of the on-demand layer, unless the user has set others.
    pub(crate) fn heartbeat_by_default(mut self) -> Options {
        self.heartbeat.get_or_insert(HEARTBEAT_DEFAULT);
        self
    }

    /// How long making a connection may take.
    pub(crate) fn connect_time(&self) -> Duration {
        self.connect_timeout
            .map_or(self.handshake_timeout, |time| if time.is_zero() { Duration::MAX } else { time })
    }

    /// How the peers are monitored, if they are.
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

    /// What one peer may want.
    pub(crate) fn quota(&self) -> Quota {
        Quota { prefixes_max: self.prefixes_max, prefix_bytes_max: self.prefix_bytes_max }
    }

    /// How fast one peer may change its subscriptions.
    pub(crate) fn change_rate(&self) -> Rate {
        let per_second = self.changes_per_second_max;
        Rate::new(per_second, Duration::from_secs(1), per_second.max(self.prefixes_max))
    }

    /// What one peer and one user may want, of a socket that publishes or not.
    pub(crate) fn quotas(&self, publishes: bool) -> (Quota, UserQuota) {
        let of_user = match publishes {
            true => UserQuota {
                prefixes_max: self.prefixes_per_user_max,
                prefix_bytes_max: self.prefix_bytes_per_user_max,
            },
            // What the peers of an XSUB have in force is not theirs.
            false => UserQuota { prefixes_max: u32::MAX, prefix_bytes_max: u64::MAX },
        };
        (self.quota(), of_user)
    }

    /// Keeps only the newest message, over all topics and whole with all of its frames (libzmq: `ZMQ_CONFLATE`, which is meant
    /// for messages of one frame and breaks others): sets [`send_hwm`](Options::send_hwm) and
    /// [`recv_hwm`](Options::recv_hwm) to 1, [`on_full`](Options::on_full) to [`OnFull::DropOldest`] and
    /// [`keep`](Options::keep) to [`Keep::Latest`]. A subscriber receives the newest message that has arrived; a
    /// publisher's queue holds the newest for each subscriber, besides one that is partly written. Subscriptions are not
    /// affected. For the newest message of each topic, which is what most programs want, use [`Keep::Latest`] and
    /// [`OnFull::Latest`] alone. Off by default.
    pub fn conflate(self) -> Options {
        self.send_hwm(1).recv_hwm(1).on_full(OnFull::DropOldest).keep(Keep::Latest)
    }

    /// The high-water mark of a peer's queue.
    pub(crate) fn send_messages_max(&self) -> u64 {
        messages_max(self.send_hwm)
    }

    /// The high-water mark of what one peer has sent and the user has not taken.
    pub(crate) fn recv_messages_max(&self) -> u64 {
        messages_max(self.recv_hwm)
    }
}

/// 0 means no bound, as in libzmq.
pub(crate) fn messages_max(mark: u32) -> u64 {
    if mark == 0 { u64::MAX } else { u64::from(mark) }
}

options! {
    /// The options of an [`Engine`](crate::Engine).
    EngineOptions {}

    /// The number of I/O threads (shards), 1 to 64. Default 1.
    io_threads(threads: usize): usize = 1 => threads.clamp(1, 64);

    /// How many of the process's descriptors are kept back from peers, so that the program can still open files and start
    /// programs; at most a quarter of all. While fewer are left, no connection is accepted: new ones wait in the system's
    /// queue, which is tried ten times a second. Default 32. See
    /// [`raise_descriptor_limit`](crate::raise_descriptor_limit).
    descriptors_reserved(descriptors: u32): u32 = 32 => descriptors;
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
