//! Endpoints: their text, checked part by part. No name is resolved and nothing is opened here.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::error::{Error, Result};

/// Longest path of an `ipc://` endpoint, in bytes (the system's `sun_path`, less its terminator).
pub const IPC_PATH_BYTES_MAX: usize = 107;

/// Where a socket binds or connects: `tcp://host:port`, `ipc://path`, `ipc://@abstract` or `inproc://name`.
///
/// ```
/// use oncue::Endpoint;
/// let e: Endpoint = "tcp://127.0.0.1:8888".parse()?;
/// assert_eq!(e.to_string(), "tcp://127.0.0.1:8888");
/// assert!("tcp://127.0.0.1".parse::<Endpoint>().unwrap_err().to_string().contains("port"));
/// # Ok::<(), oncue::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Endpoint {
    /// TCP. The host is an address, `*` (every IPv4 address of this machine), `[*]`-less IPv6 such as `[::]`,
    /// or, when connecting, a name.
    Tcp {
        /// What stood before the port.
        host: Host,
        /// 0 to 65535; 0 (or `*`) lets the system choose, when binding.
        port: u16,
    },
    /// A Unix socket at a path.
    Ipc(PathBuf),
    /// A Unix socket of Linux's abstract namespace, written `ipc://@name`.
    Abstract(String),
    /// Inside this engine, by name.
    Inproc(String),
}

/// The host of a TCP endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// `*`: every IPv4 address of this machine. Only for binding.
    Any,
    /// An IPv4 or IPv6 address.
    Ip(IpAddr),
    /// A name to be resolved. Only for connecting.
    Name(String),
}

impl Endpoint {
    /// The endpoint of a resolved TCP address.
    pub(crate) fn from_tcp(addr: SocketAddr) -> Endpoint {
        Endpoint::Tcp { host: Host::Ip(addr.ip()), port: addr.port() }
    }

    /// The address to bind, or an error that names the part which cannot be bound.
    pub(crate) fn bind_addr(host: &Host, port: u16) -> Result<SocketAddr> {
        match host {
            Host::Any => Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port)),
            Host::Ip(ip) => Ok(SocketAddr::new(*ip, port)),
            Host::Name(name) if name == "localhost" => Ok(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)),
            Host::Name(name) => Err(Error::misuse(format!(
                "cannot bind tcp://{name}:{port}: the host {name:?} is not an address of this machine; \
                 bind an IP address or *"
            ))),
        }
    }

    /// Checks what parsing cannot know: whether the endpoint can be bound.
    pub(crate) fn check_bind(&self) -> Result<()> {
        match self {
            Endpoint::Tcp { host, port } => Endpoint::bind_addr(host, *port).map(drop),
            _ => Ok(()),
        }
    }

    /// Checks what parsing cannot know: whether the endpoint can be connected to.
    pub(crate) fn check_connect(&self) -> Result<()> {
        match self {
            Endpoint::Tcp { port: 0, .. } => Err(Error::misuse(format!(
                "cannot connect to {self}: the port is 0; name the port of the peer"
            ))),
            Endpoint::Tcp { host: Host::Any, .. } => {
                Err(Error::misuse(format!("cannot connect to {self}: * is only for binding; name a host")))
            }
            Endpoint::Tcp { host: Host::Ip(ip), .. } if ip.is_unspecified() => {
                Err(Error::misuse(format!("cannot connect to {self}: {ip} is only for binding; name a host")))
            }
            Endpoint::Ipc(path) if path == Path::new("*") => {
                Err(Error::misuse(format!("cannot connect to {self}: * is only for binding; name a path")))
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Tcp { host: Host::Any, port } => write!(f, "tcp://*:{port}"),
            Endpoint::Tcp { host: Host::Name(name), port } => write!(f, "tcp://{name}:{port}"),
            Endpoint::Tcp { host: Host::Ip(ip), port } => write!(f, "tcp://{}", SocketAddr::new(*ip, *port)),
            Endpoint::Ipc(path) => write!(f, "ipc://{}", path.display()),
            Endpoint::Abstract(name) => write!(f, "ipc://@{name}"),
            Endpoint::Inproc(name) => write!(f, "inproc://{name}"),
        }
    }
}

impl FromStr for Endpoint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Endpoint> {
        let bad = |why: &str| Error::misuse(format!("bad endpoint {text:?}: {why}"));
        let Some((transport, rest)) = text.split_once("://") else {
            return Err(bad("no transport; write tcp://HOST:PORT, ipc://PATH or inproc://NAME"));
        };
        match transport {
            "tcp" => tcp(rest).map_err(|why| bad(&why)),
            "ipc" => ipc(rest).map_err(|why| bad(&why)),
            "inproc" if rest.is_empty() => Err(bad("the name after inproc:// is missing")),
            "inproc" if rest.len() > 255 => Err(bad("the name after inproc:// is longer than 255 bytes")),
            "inproc" => Ok(Endpoint::Inproc(rest.to_owned())),
            other => Err(bad(&format!("the transport {other:?} is not known; use tcp, ipc or inproc"))),
        }
    }
}

fn tcp(rest: &str) -> Result<Endpoint, String> {
    if rest.contains(';') {
        return Err(
            "a source address (SOURCE;HOST:PORT) is not supported; leave out the part before ;".into()
        );
    }
    let (host, port) = rest.rsplit_once(':').ok_or("the port is missing; write tcp://HOST:PORT")?;
    let port = match port {
        "*" => 0,
        "" => return Err("the port is missing; write tcp://HOST:PORT".into()),
        digits => digits
            .parse()
            .ok()
            .filter(|_| digits.bytes().all(|b| b.is_ascii_digit()))
            .ok_or_else(|| format!("the port {digits:?} is not a number from 0 to 65535"))?,
    };
    Ok(Endpoint::Tcp { host: tcp_host(host)?, port })
}

fn tcp_host(host: &str) -> Result<Host, String> {
    if host == "*" {
        return Ok(Host::Any);
    }
    if let Some(inner) = host.strip_prefix('[') {
        let inner =
            inner.strip_suffix(']').ok_or_else(|| format!("the host {host:?} lacks its closing ]"))?;
        let v6: Ipv6Addr = inner.parse().map_err(|_| format!("{inner:?} is not an IPv6 address"))?;
        return Ok(Host::Ip(v6.into()));
    }
    if let Ok(ip) = host.parse::<IpAddr>() {
        return match ip {
            IpAddr::V6(_) => Err(format!("the IPv6 address {host} must stand in brackets: [{host}]")),
            v4 => Ok(Host::Ip(v4)),
        };
    }
    let numeric = host.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let named = host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    match host {
        "" => Err("the host is missing; write tcp://HOST:PORT".into()),
        _ if numeric => Err(format!("{host:?} is not an IPv4 address")),
        _ if !named || host.len() > 253 => Err(format!("{host:?} is not a host name or an address")),
        _ => Ok(Host::Name(host.to_owned())),
    }
}

fn ipc(rest: &str) -> Result<Endpoint, String> {
    if rest.len() > IPC_PATH_BYTES_MAX {
        return Err(format!("the path is {} bytes long; the system allows {IPC_PATH_BYTES_MAX}", rest.len()));
    }
    if rest.contains('\0') {
        return Err("the path holds a NUL byte".into());
    }
    match rest.strip_prefix('@') {
        Some("") => Err("the abstract name after @ is missing".into()),
        Some(name) => Ok(Endpoint::Abstract(name.to_owned())),
        None if rest.is_empty() => Err("the path after ipc:// is missing".into()),
        None => Ok(Endpoint::Ipc(PathBuf::from(rest))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_ones_round_trip() {
        for text in [
            "tcp://127.0.0.1:8888",
            "tcp://[::1]:1",
            "tcp://*:0",
            "tcp://example.org:65535",
            "ipc:///tmp/x",
            "ipc://@a b",
            "inproc://x",
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
        assert_eq!("tcp://*:*".parse::<Endpoint>().unwrap().to_string(), "tcp://*:0");
    }

    #[test]
    fn bad_ones_name_the_part() {
        for (text, part) in [
            ("127.0.0.1:8888", "transport"),
            ("udp://x:1", "\"udp\""),
            ("tcp://127.0.0.1", "port is missing"),
            ("tcp://127.0.0.1:", "port is missing"),
            ("tcp://127.0.0.1:65536", "\"65536\""),
            ("tcp://127.0.0.1:+1", "\"+1\""),
            ("tcp://:80", "host is missing"),
            ("tcp://1.2.3:80", "IPv4"),
            ("tcp://::1:80", "brackets"),
            ("tcp://[::1:80", "closing ]"),
            ("tcp://[nope]:80", "IPv6"),
            ("tcp://a b:80", "host name"),
            ("tcp://eth0;10.0.0.1:80", "source address"),
            ("ipc://", "path"),
            ("ipc://@", "abstract name"),
            ("inproc://", "name"),
        ] {
            let error = text.parse::<Endpoint>().unwrap_err().to_string();
            assert!(error.contains(part) && error.contains(text), "{text}: {error}");
        }
    }

    #[test]
    fn binding_a_name_is_refused() {
        assert!("tcp://example.org:5".parse::<Endpoint>().unwrap().check_bind().is_err());
        for text in ["tcp://localhost:5", "tcp://*:0", "tcp://[::]:0", "ipc://x", "inproc://x"] {
            assert!(text.parse::<Endpoint>().unwrap().check_bind().is_ok(), "{text}");
        }
    }

    #[test]
    fn connecting_to_a_wildcard_is_refused() {
        for text in ["tcp://*:5", "tcp://0.0.0.0:5", "tcp://127.0.0.1:0", "ipc://*"] {
            assert!(text.parse::<Endpoint>().unwrap().check_connect().is_err(), "{text}");
        }
    }
}
