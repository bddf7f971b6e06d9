//! What is set for the system's sockets.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use oncue_core::connection::SocketType;
use oncue_core::greeting::MechanismName;
use oncue_core::mechanism::null;

use super::socks::SocksProxy;
use super::web::Web;
use crate::endpoint::{Endpoint, Host};
use crate::error::{Error, Result};

/// The longest name of a device, in bytes (`IFNAMSIZ`, less its terminator).
const DEVICE_BYTES_MAX: usize = 15;

/// Which versions of IP a socket uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IpVersions {
    /// IPv4 and IPv6. A listener at `[::]` accepts both, whatever the system's default is (`net.ipv6.bindv6only`); IPv4 peers
    /// have addresses such as `::ffff:192.0.2.7` there. `*` is every IPv4 address. All addresses of a host are tried.
    #[default]
    Both,
    /// IPv4 alone, as in libzmq by default.
    V4,
    /// IPv6 alone (`IPV6_V6ONLY`): another socket may listen at the same port of `0.0.0.0`. `*` is every IPv6 address.
    V6,
}

impl IpVersions {
    /// Whether an address may be used.
    pub(crate) fn allow(self, ip: IpAddr) -> bool {
        match self {
            IpVersions::Both => true,
            IpVersions::V4 => ip.is_ipv4(),
            IpVersions::V6 => ip.is_ipv6(),
        }
    }

    /// In words.
    pub(crate) fn name(self) -> &'static str {
        match self {
            IpVersions::Both => "IP",
            IpVersions::V4 => "IPv4",
            IpVersions::V6 => "IPv6",
        }
    }
}

/// What is set for the system's sockets. `None`: the system decides.
#[derive(Clone, Debug)]
pub(crate) struct NetOptions {
    pub(crate) listen_backlog: u32,
    pub(crate) send_buffer: Option<u32>,
    pub(crate) recv_buffer: Option<u32>,
    pub(crate) ip_versions: IpVersions,
    pub(crate) keepalive: Keepalive,
    pub(crate) user_timeout: Option<Duration>,
    pub(crate) type_of_service: Option<u8>,
    pub(crate) priority: Option<u32>,
    pub(crate) device: Option<String>,
    pub(crate) ipc_mode: Option<u32>,
    pub(crate) ipc_user: Option<u32>,
    pub(crate) ipc_group: Option<u32>,
    pub(crate) socks_proxy: Option<SocksProxy>,
    pub(crate) web: Arc<Web>,
    pub(crate) party: Party,
}

/// What a transport that translates ZMTP must know of the socket.
#[derive(Clone, Debug)]
pub(crate) struct Party {
    pub(crate) socket_type: SocketType,
    pub(crate) mechanism: MechanismName,
    /// It is the server of the security handshake.
    pub(crate) as_server: bool,
    /// The longest frame of a peer, in bytes in clear.
    pub(crate) frame_bytes_max: u64,
}

impl Party {
    /// Whether the mechanism has a server and a client.
    pub(crate) fn has_roles(&self) -> bool {
        !self.mechanism.is_null()
    }
}

impl Default for Party {
    fn default() -> Party {
        let (socket_type, mechanism) = (SocketType::Pub, null::NAME);
        Party { socket_type, mechanism, as_server: false, frame_bytes_max: 0 }
    }
}

/// Keepalive, in values that the system accepts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keepalive {
    pub(crate) on: Option<bool>,
    pub(crate) idle: Option<Duration>,
    pub(crate) interval: Option<Duration>,
    pub(crate) count: Option<u32>,
}

impl Keepalive {
    /// Whether it is switched on or off, if the user has set anything.
    pub(crate) fn is_on(&self) -> Option<bool> {
        let is_set = self.idle.is_some() || self.interval.is_some() || self.count.is_some();
        self.on.or(is_set.then_some(true))
    }
}

impl Default for NetOptions {
    fn default() -> NetOptions {
        NetOptions {
            listen_backlog: 4096,
            send_buffer: None,
            recv_buffer: None,
            ip_versions: IpVersions::Both,
            keepalive: Keepalive::default(),
            user_timeout: None,
            type_of_service: None,
            priority: None,
            device: None,
            ipc_mode: None,
            ipc_user: None,
            ipc_group: None,
            socks_proxy: None,
            web: Arc::default(),
            party: Party::default(),
        }
    }
}

impl NetOptions {
    /// What is wrong with these options, if anything is.
    pub(super) fn check(&self) -> Result<()> {
        if let Some(device) = &self.device {
            let fits = (1..=DEVICE_BYTES_MAX).contains(&device.len());
            if !fits || device.bytes().any(|b| b == b'/' || b.is_ascii_whitespace() || b == 0) {
                return Err(Error::misuse(format!(
                    "{device:?} is not the name of a device; write one such as eth0, of 1 to {DEVICE_BYTES_MAX} bytes"
                )));
            }
        }
        if let Some(mode) = self.ipc_mode.filter(|mode| mode & !0o777 != 0) {
            return Err(Error::misuse(format!(
                "{mode:#o} is not a mode of an ipc file; write one from 0o000 to 0o777, such as 0o660"
            )));
        }
        // The system takes this number for "as it is".
        if [self.ipc_user, self.ipc_group].contains(&Some(u32::MAX)) {
            return Err(Error::misuse(format!("{} is not the number of a user or a group", u32::MAX)));
        }
        self.web.check()
    }

    /// Whether these options allow to connect to an endpoint.
    pub(crate) fn check_connect(&self, to: &Endpoint) -> Result<()> {
        match (&self.socks_proxy, to.host()) {
            (Some(proxy), Some((Host::Scoped(..), _))) => Err(Error::misuse(format!(
                "cannot connect to {to}: its address is valid on this machine alone, and not for the proxy {proxy}"
            ))),
            (Some(_), Some(_)) => Ok(()),
            _ => self.check_bind(to),
        }
    }

    /// Checks that there is a certificate, where an endpoint needs one.
    #[cfg(feature = "wss")]
    pub(crate) fn check_certificate(&self, at: &Endpoint) -> Result<()> {
        match at {
            Endpoint::Ws { secure: true, .. } => self.web.server_config().map(drop),
            _ => Ok(()),
        }
    }

    /// Whether these options allow to bind to an endpoint.
    pub(crate) fn check_bind(&self, endpoint: &Endpoint) -> Result<()> {
        let Some((host, _)) = endpoint.host() else { return Ok(()) };
        let ip = match host {
            Host::Ip(ip) => *ip,
            Host::Scoped(ip, _) => (*ip).into(),
            Host::Any | Host::Name(_) => return Ok(()),
        };
        match self.ip_versions.allow(ip) {
            true => Ok(()),
            false => Err(Error::misuse(format!(
                "cannot use {endpoint}: the socket uses {} alone (ip_versions)",
                self.ip_versions.name()
            ))),
        }
    }
}
