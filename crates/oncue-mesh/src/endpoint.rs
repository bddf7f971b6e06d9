//! The text of an endpoint: `tcp/HOST:PORT` or `tls/HOST:PORT`.

use std::net::IpAddr;

/// The longest host name, in bytes (RFC 1035).
const HOST_BYTES_MAX: usize = 253;

/// An endpoint that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint<'a> {
    pub(crate) tls: bool,
    /// A name or an address, without brackets.
    host: &'a str,
    port: u16,
}

impl<'a> Endpoint<'a> {
    /// Reads an endpoint. The error says what is wrong with it, and continues "`TEXT` ".
    pub(crate) fn parse(text: &'a str) -> Result<Endpoint<'a>, &'static str> {
        const SHAPE: &str = "is not an endpoint: write `tcp/HOST:PORT` or, with `tls`, `tls/HOST:PORT`";
        let (protocol, address) = text.split_once('/').ok_or(SHAPE)?;
        let tls = match protocol {
            "tcp" => false,
            "tls" => true,
            _ => return Err(SHAPE),
        };
        let (host, port) = address.rsplit_once(':').ok_or(SHAPE)?;
        let port: u16 = port.parse().ok().filter(|&port| port != 0).ok_or("has no port from 1 to 65535")?;
        Ok(Endpoint { tls, host: parse_host(host)?, port })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// Whether it is the address of every interface.
    pub(crate) fn is_wildcard(&self) -> bool {
        self.ip().is_some_and(|ip| ip.is_unspecified())
    }

    /// Whether a listener at this endpoint certainly answers one that dials `other`. Names are not resolved.
    pub(crate) fn is_reached_at(&self, other: &Endpoint<'_>) -> bool {
        let local =
            |host: &Endpoint<'_>| host.host == "localhost" || host.ip().is_some_and(|ip| ip.is_loopback());
        let same_host =
            self.host.eq_ignore_ascii_case(other.host) || local(other) && (self.is_wildcard() || local(self));
        self.port == other.port && same_host
    }
}

/// A host's name, an IPv4 address, or an IPv6 address in brackets.
fn parse_host(text: &str) -> Result<&str, &'static str> {
    if let Some(inner) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        let is_address = inner.parse::<std::net::Ipv6Addr>().is_ok();
        return is_address.then_some(inner).ok_or("has no IPv6 address in its brackets");
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let is_name = (1..=HOST_BYTES_MAX).contains(&text.len()) && text.bytes().all(allowed);
    is_name
        .then_some(text)
        .ok_or("has no host: write a name, an IPv4 address, or an IPv6 address in brackets")
}

#[cfg(test)]
mod tests {
    use super::Endpoint;

    #[test]
    fn endpoints_are_read() {
        for text in ["tcp/127.0.0.1:7447", "tls/router.example:1", "tcp/[::1]:65535", "tcp/0.0.0.0:7447"] {
            assert!(Endpoint::parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn what_is_not_an_endpoint_is_refused() {
        for text in [
            "",
            "tcp",
            "tcp/",
            "tcp/a",
            "tcp/a:0",
            "tcp/a:65536",
            "tcp/:7",
            "udp/a:7",
            "quic/a:7",
            "tcp/a b:7",
            "tcp/a:7#iface=lo",
            "tcp/a:7?prio=1",
            "tcp/[a]:7",
            "tcp/::1:7",
            "tcp://a:7",
            "tcp/a;b:7",
        ] {
            assert!(Endpoint::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_listener_is_recognised_by_those_that_dial_it() {
        let reached = |listen, dialled| {
            Endpoint::parse(listen).unwrap().is_reached_at(&Endpoint::parse(dialled).unwrap())
        };
        assert!(reached("tcp/a.example:7", "tcp/A.example:7"));
        assert!(reached("tcp/0.0.0.0:7", "tcp/localhost:7"));
        assert!(reached("tcp/[::1]:7", "tcp/127.0.0.1:7"));
        assert!(!reached("tcp/a.example:7", "tcp/a.example:8"));
        assert!(!reached("tcp/0.0.0.0:7", "tcp/b.example:7"));
    }
}
