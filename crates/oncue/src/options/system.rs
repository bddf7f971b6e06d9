//! The methods that set the options of the system's sockets.

use std::sync::Arc;
use std::time::Duration;

use super::Options;
use super::net::{IpVersions, NetOptions};
use super::socks::SocksProxy;
use super::web::Web;

/// The longest idle time and interval of keepalive that Linux accepts, in seconds.
const KEEPALIVE_SECS_MAX: u64 = 32_767;
/// The most probes of keepalive that Linux accepts.
const KEEPALIVE_COUNT_MAX: u32 = 127;

/// The system's sockets. What is set here holds for the sockets that listen, that connect, and that are accepted.
impl Options {
    fn net(&mut self) -> &mut NetOptions {
        Arc::make_mut(&mut self.net)
    }

    /// The settings of `ws://` endpoints: which pages of browsers may connect, and a token. Default [`Web::new`].
    pub fn web(mut self, web: Web) -> Options {
        self.net().web = Arc::new(web);
        self
    }

    /// Approximately how many bytes of a connection the system buffers that the other side has not taken (libzmq:
    /// `ZMQ_SNDBUF`, the system's `SO_SNDBUF`). What is buffered there is older than what could be written instead: a small
    /// buffer keeps a slow peer's messages recent, and reduces the throughput to a distant peer. The system has bounds of
    /// its own, and doubles the number for its own bookkeeping. TCP and Unix sockets; by default the system decides.
    pub fn send_buffer(mut self, bytes: u32) -> Options {
        self.net().send_buffer = Some(bytes);
        self
    }

    /// Approximately how many bytes of a connection the system buffers that have arrived and are not read yet (libzmq:
    /// `ZMQ_RCVBUF`, the system's `SO_RCVBUF`); see [`send_buffer`](Options::send_buffer). By default the system decides.
    pub fn recv_buffer(mut self, bytes: u32) -> Options {
        self.net().recv_buffer = Some(bytes);
        self
    }

    /// How many connections may wait at each endpoint to be accepted (libzmq: `ZMQ_BACKLOG`). Default 4096; the system
    /// caps it (`net.core.somaxconn`). Takes effect with the next `bind`. `inproc` has no such bound.
    pub fn listen_backlog(mut self, connections: u32) -> Options {
        self.net().listen_backlog = connections;
        self
    }

    /// Which versions of IP are used (libzmq: `ZMQ_IPV6`, where IPv4 alone is the default; the system's `IPV6_V6ONLY`). Default
    /// [`IpVersions::Both`]. An endpoint with an address of the other version is refused
    /// ([`Misuse`](crate::ErrorKind::Misuse)); of a name, the addresses of the other version are left out.
    pub fn ip_versions(mut self, versions: IpVersions) -> Options {
        self.net().ip_versions = versions;
        self
    }

    /// Whether the system probes the other side of an idle TCP connection, and ends the connection if there is no answer
    /// (libzmq: `ZMQ_TCP_KEEPALIVE`, the system's `SO_KEEPALIVE`). By default the system decides, which on Linux means no; yes
    /// if one of the three options that follow is set. It is a thing between the two systems: that the program there still
    /// works is what [`heartbeat`](Options::heartbeat) finds out. For a peer that does not understand heartbeats both act,
    /// and the one that finds out sooner counts.
    pub fn tcp_keepalive(mut self, on: bool) -> Options {
        self.net().keepalive.on = Some(on);
        self
    }

    /// After how long without traffic the first probe is sent (libzmq: `ZMQ_TCP_KEEPALIVE_IDLE`, the system's
    /// `TCP_KEEPIDLE`). From 1 to 32,767 s, rounded up to seconds; by default the system decides (2 hours on Linux).
    pub fn tcp_keepalive_idle(mut self, time: Duration) -> Options {
        self.net().keepalive.idle = Some(keepalive_time(time));
        self
    }

    /// The time between two probes (libzmq: `ZMQ_TCP_KEEPALIVE_INTVL`, the system's `TCP_KEEPINTVL`). From 1 to 32,767 s,
    /// rounded up to seconds; by default the system decides (75 s on Linux).
    pub fn tcp_keepalive_interval(mut self, time: Duration) -> Options {
        self.net().keepalive.interval = Some(keepalive_time(time));
        self
    }

    /// After how many probes without an answer the connection ends (libzmq: `ZMQ_TCP_KEEPALIVE_CNT`, the system's
    /// `TCP_KEEPCNT`). From 1 to 127; by default the system decides (9 on Linux).
    pub fn tcp_keepalive_count(mut self, probes: u32) -> Options {
        self.net().keepalive.count = Some(probes.clamp(1, KEEPALIVE_COUNT_MAX));
        self
    }

    /// After how long without an acknowledgement of what was written, or of a probe, the system ends a TCP connection
    /// (libzmq: `ZMQ_TCP_MAXRT`, the system's `TCP_USER_TIMEOUT`). In milliseconds, rounded up, up to 24 days; zero, and by
    /// default, the system decides (about 15 minutes on Linux).
    pub fn tcp_user_timeout(mut self, time: Duration) -> Options {
        // The system takes a number of 31 bits.
        let millis = time.as_nanos().div_ceil(1_000_000).min(i32::MAX as u128) as u64;
        self.net().user_timeout = Some(Duration::from_millis(millis));
        self
    }

    /// The byte of IP headers that names the class of the traffic: the type of service of IPv4, and the traffic class of IPv6
    /// (libzmq: `ZMQ_TOS`). Its upper six bits are the code point of Differentiated Services (RFC 2474): 0xB8 is expedited
    /// forwarding, 0x28 is AF11. The lower two belong to the system (ECN, RFC 3168) and are ignored. Default 0.
    pub fn type_of_service(mut self, byte: u8) -> Options {
        self.net().type_of_service = Some(byte);
        self
    }

    /// The priority of the packets in the queues of this machine (libzmq: `ZMQ_PRIORITY`, the system's `SO_PRIORITY`). 0 to 6;
    /// a higher one needs `CAP_NET_ADMIN`. By default the system derives it from
    /// [`type_of_service`](Options::type_of_service). TCP.
    pub fn socket_priority(mut self, priority: u32) -> Options {
        self.net().priority = Some(priority);
        self
    }

    /// Uses one network device alone, such as `eth0`, or a VRF (libzmq: `ZMQ_BINDTODEVICE`, the system's `SO_BINDTODEVICE`):
    /// a listener accepts what comes by it, and connections go out by it, whatever the routes are. The name has 1 to 15
    /// bytes, which is checked when the socket is made; whether there is such a device, at each `bind` and each attempt to
    /// connect. Linux before 5.7 wants `CAP_NET_RAW`. TCP; any device by default.
    pub fn bind_to_device(mut self, name: impl Into<String>) -> Options {
        self.net().device = Some(name.into());
        self
    }

    /// The permissions of the file of an `ipc` endpoint, such as `0o660`: a process that may write to it may connect (unix(7)). They
    /// are in force before the first peer can connect; the umask does not change them. By default the umask decides. Checked
    /// when the socket is made ([`Misuse`](crate::ErrorKind::Misuse)): from `0o000` to `0o777`. Names beginning with `@` have
    /// no file: every user of this machine may connect there.
    pub fn ipc_mode(mut self, mode: u32) -> Options {
        self.net().ipc_mode = Some(mode);
        self
    }

    /// The user to whom the file of an `ipc` endpoint belongs, by number; see [`ipc_mode`](Options::ipc_mode). Only root may
    /// choose another than its own, which is the default.
    pub fn ipc_user(mut self, uid: u32) -> Options {
        self.net().ipc_user = Some(uid);
        self
    }

    /// The group to which the file of an `ipc` endpoint belongs, by number; see [`ipc_mode`](Options::ipc_mode). Only root may
    /// choose one of which the process is not a member. By default the system decides.
    pub fn ipc_group(mut self, gid: u32) -> Options {
        self.net().ipc_group = Some(gid);
        self
    }

    /// Connects to TCP endpoints through a SOCKS5 proxy (libzmq: `ZMQ_SOCKS_PROXY`, `ZMQ_SOCKS_USERNAME` and
    /// `ZMQ_SOCKS_PASSWORD`). The proxy looks up the names of hosts. A source in the endpoint, and what is set for the
    /// system's sockets, hold for the connection to the proxy, and the address of the peer is that of the proxy. Why a proxy
    /// makes no connection is told as [`Cause::Proxy`](crate::Cause::Proxy). By default connections are direct.
    pub fn socks_proxy(mut self, proxy: SocksProxy) -> Options {
        self.net().socks_proxy = Some(proxy);
        self
    }
}

/// Whole seconds that the system accepts.
fn keepalive_time(time: Duration) -> Duration {
    let secs = time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0));
    Duration::from_secs(secs.clamp(1, KEEPALIVE_SECS_MAX))
}
