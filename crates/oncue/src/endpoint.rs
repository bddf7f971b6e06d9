//! Endpoints: parsed and checked part by part. No name is resolved and nothing is opened here.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::error::{Error, Result};

/// Longest path of an `ipc://` endpoint, in bytes (the system's `sun_path`, less its terminator).
pub const IPC_PATH_BYTES_MAX: usize = 107;

/// Longest path of a `ws://` endpoint, in bytes.
const WS_PATH_BYTES_MAX: usize = 255;

/// Where a socket binds or connects: `tcp://host:port`, `ws://host:port/path`, `ipc://path`, `ipc://@abstract` or
/// `inproc://name`. When connecting,
/// `tcp://source:port;host:port` sets the source.
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
    /// TCP.
    Tcp {
        /// The host.
        host: Host,
        /// 0 to 65535; 0 (or `*`) lets the system choose, when binding.
        port: u16,
        /// Where to connect from. `None`: the system chooses. Only for connecting.
        source: Option<Source>,
    },
    /// WebSocket (RFC 45) over TCP, written `ws://HOST:PORT/PATH`.
    Ws {
        /// `wss`: inside of TLS.
        secure: bool,
        /// The host, as of TCP.
        host: Host,
        /// 0 to 65535; 0 (or `*`) lets the system choose, when binding.
        port: u16,
        /// Begins with `/`, which it is by default; at most 255 bytes. libzmq sends only the last segment of a path when it
        /// connects, so one segment is best.
        path: String,
    },
    /// A Unix socket at a path.
    Ipc(PathBuf),
    /// A Unix socket of Linux's abstract namespace, written `ipc://@name`.
    Abstract(String),
    /// Inside this engine, by name.
    Inproc(String),
}

/// The host of a TCP or WebSocket endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Host {
    /// `*`: every IPv4 address of this machine. Only for binding, and as a source.
    Any,
    /// An IPv4 or IPv6 address; IPv6 stands in brackets.
    Ip(IpAddr),
    /// An IPv6 address that is valid only on the named interface: `[fe80::1%eth0]`.
    Scoped(Ipv6Addr, String),
    /// When connecting, a name that is looked up at each attempt; all of its addresses are tried. When binding, an interface
    /// of this machine (its first IPv4 address, or else IPv6), or a name that has an address of this machine. As a source,
    /// an interface.
    Name(String),
}

/// Where a TCP connection comes from: `SOURCE:PORT` before the `;` of `tcp://SOURCE:PORT;HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Source {
    /// An address or an interface of this machine, or `*`. Only the host's addresses of the same family are tried.
    pub host: Host,
    /// 0 (or `*`) lets the system choose.
    pub port: u16,
}

impl Endpoint {
    /// The endpoint of a resolved TCP address.
    pub(crate) fn from_tcp(addr: SocketAddr) -> Endpoint {
        Endpoint::Tcp { host: Host::Ip(addr.ip()), port: addr.port(), source: None }
    }

    /// The endpoint of a resolved TCP address, for what an endpoint of the same transport stands for.
    pub(crate) fn at(&self, addr: SocketAddr) -> Endpoint {
        self.with_host(Host::Ip(addr.ip()), addr.port())
    }

    /// The same at another host, if it has one, and without a source.
    pub(crate) fn with_host(&self, host: Host, port: u16) -> Endpoint {
        match self {
            Endpoint::Ws { secure, path, .. } => {
                Endpoint::Ws { secure: *secure, host, port, path: path.clone() }
            }
            _ => Endpoint::Tcp { host, port, source: None },
        }
    }

    /// Host and port, of a transport that has them.
    pub(crate) fn host(&self) -> Option<(&Host, u16)> {
        match self {
            Endpoint::Tcp { host, port, .. } | Endpoint::Ws { host, port, .. } => Some((host, *port)),
            Endpoint::Ipc(_) | Endpoint::Abstract(_) | Endpoint::Inproc(_) => None,
        }
    }

    /// Checks that the endpoint can be bound.
    pub(crate) fn check_bind(&self) -> Result<()> {
        match self {
            Endpoint::Tcp { source: Some(_), .. } => Err(Error::misuse(format!(
                "cannot bind {self}: a source address is only for connecting; leave out the part before ;"
            ))),
            _ => self.check_secure().and_then(|()| self.check_scope("bind")),
        }
    }

    /// Checks that the endpoint can be connected to.
    pub(crate) fn check_connect(&self) -> Result<()> {
        if let Endpoint::Ipc(path) = self
            && path == Path::new("*")
        {
            return Err(Error::misuse(format!(
                "cannot connect to {self}: * is only for binding; name a path"
            )));
        }
        match self.host() {
            Some((_, 0)) => Err(Error::misuse(format!(
                "cannot connect to {self}: the port is 0; name the port of the peer"
            ))),
            Some((Host::Any, _)) => {
                Err(Error::misuse(format!("cannot connect to {self}: * is only for binding; name a host")))
            }
            Some((Host::Ip(ip), _)) if ip.is_unspecified() => {
                Err(Error::misuse(format!("cannot connect to {self}: {ip} is only for binding; name a host")))
            }
            _ => self.check_secure().and_then(|()| self.check_scope("connect to")),
        }
    }

    fn check_secure(&self) -> Result<()> {
        match self {
            Endpoint::Ws { secure: true, .. } if cfg!(not(feature = "wss")) => Err(Error::misuse(format!(
                "cannot use {self}: TLS is not built in; build with the feature `wss`, or use ws:// behind a proxy that ends TLS"
            ))),
            _ => Ok(()),
        }
    }

    /// A link-local address needs an interface: several may have the same one.
    fn check_scope(&self, what: &str) -> Result<()> {
        match self.host() {
            Some((Host::Ip(IpAddr::V6(ip)), _)) if ip.is_unicast_link_local() => Err(Error::misuse(format!(
                "cannot {what} {self}: {ip} is valid on one interface only; name it, as in [{ip}%eth0]"
            ))),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Tcp { host, port, source: None } => write!(f, "tcp://{host}:{port}"),
            Endpoint::Tcp { host, port, source: Some(from) } => {
                write!(f, "tcp://{}:{};{host}:{port}", from.host, from.port)
            }
            Endpoint::Ws { secure, host, port, path } => {
                write!(f, "{}://{host}:{port}{path}", if *secure { "wss" } else { "ws" })
            }
            Endpoint::Ipc(path) => write!(f, "ipc://{}", path.display()),
            Endpoint::Abstract(name) => write!(f, "ipc://@{name}"),
            Endpoint::Inproc(name) => write!(f, "inproc://{name}"),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Any => f.write_str("*"),
            Host::Ip(IpAddr::V4(ip)) => write!(f, "{ip}"),
            Host::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
            Host::Scoped(ip, zone) => write!(f, "[{ip}%{zone}]"),
            Host::Name(name) => f.write_str(name),
        }
    }
}

impl FromStr for Endpoint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Endpoint> {
        let bad = |why: &str| Error::misuse(format!("bad endpoint {text:?}: {why}"));
        let Some((transport, rest)) = text.split_once("://") else {
            return Err(bad(
                "no transport; write tcp://HOST:PORT, ws://HOST:PORT/PATH, ipc://PATH or inproc://NAME",
            ));
        };
        match transport {
            "tcp" => tcp(rest).map_err(|why| bad(&why)),
            "ws" | "wss" => ws(rest, transport == "wss").map_err(|why| bad(&why)),
            "ipc" => ipc(rest).map_err(|why| bad(&why)),
            "inproc" if rest.is_empty() => Err(bad("the name after inproc:// is missing")),
            "inproc" if rest.len() > 255 => Err(bad("the name after inproc:// is longer than 255 bytes")),
            "inproc" => Ok(Endpoint::Inproc(rest.to_owned())),
            other => {
                Err(bad(&format!("the transport {other:?} is not known; use tcp, ws, wss, ipc or inproc")))
            }
        }
    }
}

fn tcp(rest: &str) -> Result<Endpoint, String> {
    let (source, rest) = match rest.split_once(';') {
        Some((source, rest)) => {
            let (host, port) = tcp_address(source).map_err(|why| format!("before the ;: {why}"))?;
            (Some(Source { host, port }), rest)
        }
        None => (None, rest),
    };
    let (host, port) = tcp_address(rest)?;
    Ok(Endpoint::Tcp { host, port, source })
}

fn ws(rest: &str, secure: bool) -> Result<Endpoint, String> {
    let (address, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (host, port) = tcp_address(address)?;
    if let Some(wrong) = path.bytes().find(|byte| !byte.is_ascii_graphic() || b"?#\"<>\\^`{|}".contains(byte))
    {
        let hint = match wrong {
            b'?' | b'#' => "write the path alone (a token is set by Web::token)",
            _ => "write such bytes as %XX",
        };
        return Err(format!("the path {path:?} holds \"{}\"; {hint}", wrong.escape_ascii()));
    }
    if path.len() > WS_PATH_BYTES_MAX {
        return Err(format!("the path is {} bytes long; {WS_PATH_BYTES_MAX} are the most", path.len()));
    }
    let path = if path.is_empty() { "/" } else { path }.to_owned();
    Ok(Endpoint::Ws { secure, host, port, path })
}

fn tcp_address(text: &str) -> Result<(Host, u16), String> {
    let (host, port) = text.rsplit_once(':').ok_or("the port is missing; write HOST:PORT")?;
    let port = match port {
        "*" => 0,
        "" => return Err("the port is missing; write HOST:PORT".into()),
        digits => digits
            .parse()
            .ok()
            .filter(|_| digits.bytes().all(|b| b.is_ascii_digit()))
            .ok_or_else(|| format!("the port {digits:?} is not a number from 0 to 65535"))?,
    };
    Ok((tcp_host(host)?, port))
}

fn tcp_host(host: &str) -> Result<Host, String> {
    if host == "*" {
        return Ok(Host::Any);
    }
    let is_named = |host: &str| host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if let Some(inner) = host.strip_prefix('[') {
        let inner =
            inner.strip_suffix(']').ok_or_else(|| format!("the host {host:?} lacks its closing ]"))?;
        let (ip, zone) = inner.split_once('%').map_or((inner, None), |(ip, zone)| (ip, Some(zone)));
        let v6: Ipv6Addr = ip.parse().map_err(|_| format!("{ip:?} is not an IPv6 address"))?;
        return match zone {
            None => Ok(Host::Ip(v6.into())),
            Some(zone) if zone.is_empty() || !is_named(zone) => {
                Err(format!("the interface after % in {host:?} is {zone:?}; write one such as eth0"))
            }
            Some(zone) => Ok(Host::Scoped(v6, zone.to_owned())),
        };
    }
    if let Ok(ip) = host.parse::<IpAddr>() {
        return match ip {
            IpAddr::V6(_) => Err(format!("the IPv6 address {host} must stand in brackets: [{host}]")),
            v4 => Ok(Host::Ip(v4)),
        };
    }
    let numeric = host.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    match host {
        "" => Err("the host is missing; write HOST:PORT".into()),
        _ if numeric => Err(format!("{host:?} is not an IPv4 address")),
        _ if !is_named(host) || host.len() > 253 => Err(format!("{host:?} is not a host name or an address")),
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
    fn valid_endpoints_round_trip() {
        for text in [
            "tcp://127.0.0.1:8888",
            "tcp://[::1]:1",
            "tcp://*:0",
            "tcp://example.org:65535",
            "tcp://eth0:5555",
            "tcp://[fe80::1%eth0]:5555",
            "tcp://10.0.0.2:0;host:5555",
            "tcp://[fe80::2%1]:7;[fe80::1%eth0]:5555",
            "tcp://*:7000;10.0.0.1:5555",
            "ws://127.0.0.1:8080/",
            "wss://[::1]:443/a/b%20c",
            "ws://*:0/x",
            "ipc:///tmp/x",
            "ipc://@a b",
            "inproc://x",
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
        assert_eq!("ws://host:80".parse::<Endpoint>().unwrap().to_string(), "ws://host:80/");
        assert_eq!("tcp://*:*".parse::<Endpoint>().unwrap().to_string(), "tcp://*:0");
    }

    #[test]
    fn errors_name_the_part_that_is_wrong() {
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
            ("tcp://eth0;10.0.0.1:80", "before the ;: the port is missing"),
            ("tcp://a b:0;10.0.0.1:80", "before the ;: \"a b\""),
            ("tcp://eth0:0;", "port is missing"),
            ("tcp://eth0:0;;10.0.0.1:80", "host name"),
            ("tcp://[fe80::1%]:80", "after %"),
            ("tcp://[fe80::1%a/b]:80", "after %"),
            ("tcp://[fe8g::1%eth0]:80", "IPv6"),
            ("ws://host/path", "port is missing"),
            ("ws://a b:80/", "host name"),
            ("ws://host:80/x?token=y", "Web::token"),
            ("ws://host:80/a b", "%XX"),
            ("ipc://", "path"),
            ("ipc://@", "abstract name"),
            ("inproc://", "name"),
        ] {
            let error = text.parse::<Endpoint>().unwrap_err().to_string();
            assert!(error.contains(part) && error.contains(text), "{text}: {error}");
        }
    }

    #[test]
    fn what_cannot_be_bound_is_refused() {
        for text in ["tcp://10.0.0.2:0;host:5", "tcp://[fe80::1]:5"] {
            assert!(text.parse::<Endpoint>().unwrap().check_bind().is_err(), "{text}");
        }
        for text in
            ["tcp://localhost:5", "tcp://eth0:5", "tcp://*:0", "tcp://[::]:0", "tcp://[fe80::1%eth0]:0"]
        {
            assert!(text.parse::<Endpoint>().unwrap().check_bind().is_ok(), "{text}");
        }
        for text in ["ipc://x", "inproc://x"] {
            assert!(text.parse::<Endpoint>().unwrap().check_bind().is_ok(), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_connected_to_is_refused() {
        for text in [
            "tcp://*:5",
            "tcp://0.0.0.0:5",
            "tcp://127.0.0.1:0",
            "tcp://[fe80::1]:5",
            "ws://*:5",
            "ws://host:0",
            "ipc://*",
        ] {
            assert!(text.parse::<Endpoint>().unwrap().check_connect().is_err(), "{text}");
        }
    }
}
