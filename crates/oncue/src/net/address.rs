//! Resolves the host of a TCP endpoint: names, the interfaces of this machine, and the scope of an IPv6 address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::{fmt, io};

use dns_lookup::{AddrInfoHints, LookupErrorKind, SockType, getaddrinfo};
use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::net::if_::if_nametoindex;
use nix::sys::socket::SockaddrStorage;

use crate::connection::Unresolved;
use crate::endpoint::{Endpoint, Host, Source};
use crate::error::Error;
use crate::options::IpVersions;

/// The endpoints that a host to be bound resolves to, the preferred one first. A name is looked up by `look_up`.
pub(super) fn to_bind(
    at: &Endpoint,
    versions: IpVersions,
    look_up: impl FnOnce(&str, u16) -> io::Result<Vec<SocketAddr>>,
) -> io::Result<Vec<Endpoint>> {
    let (name, port) = match at.host() {
        Some((Host::Any, port)) if versions == IpVersions::V6 => {
            return Ok(vec![at.at((Ipv6Addr::UNSPECIFIED, port).into())]);
        }
        Some((Host::Name(name), port)) => (name, port),
        _ => return Ok(vec![at.clone()]),
    };
    if name == "localhost" {
        let of_it = allowed(of_localhost(port), name, versions)?;
        return Ok(of_it.into_iter().take(1).map(|addr| at.at(addr)).collect());
    }
    if let Some(addrs) = of_interface(name)? {
        let addrs = allowed(addrs, name, versions)?;
        let host = |addr: SocketAddr| match addr.ip() {
            IpAddr::V6(ip) if is_link_local(&addr) => Host::Scoped(ip, name.clone()),
            ip => Host::Ip(ip),
        };
        return match addrs.is_empty() {
            true => Err(not_here(format!("the interface {name:?} has no address"))),
            false => Ok(addrs.into_iter().map(|addr| at.with_host(host(addr), port)).collect()),
        };
    }
    match look_up(name, port) {
        Ok(addrs) => Ok(allowed(addrs, name, versions)?.into_iter().map(|addr| at.at(addr)).collect()),
        Err(e) => {
            let why = format!("{name:?} is not an interface of this machine, and as a name");
            Err(not_here(Error::io(why, e)))
        }
    }
}

/// Those of a host's addresses that may be used. It is an error if there are others alone.
pub(super) fn allowed(
    mut addrs: Vec<SocketAddr>,
    host: &dyn fmt::Display,
    versions: IpVersions,
) -> io::Result<Vec<SocketAddr>> {
    let none = addrs.is_empty();
    addrs.retain(|addr| versions.allow(addr.ip()));
    match addrs.is_empty() && !none {
        true => Err(not_here(format!("{host} has no {} address (ip_versions)", versions.name()))),
        false => Ok(addrs),
    }
}

fn not_here(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::AddrNotAvailable, why)
}

/// The address of a host that is not a name.
pub(super) fn of_host(host: &Host, port: u16) -> io::Result<SocketAddr> {
    match host {
        Host::Any => Ok(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port)),
        Host::Ip(ip) => Ok(SocketAddr::new(*ip, port)),
        Host::Scoped(ip, zone) => Ok(SocketAddrV6::new(*ip, port, 0, zone_index(zone)?).into()),
        Host::Name(name) => Err(not_here(format!("{name:?} is not an address"))),
    }
}

/// The address to connect from towards `to`: of the same family.
pub(super) fn to_connect_from(source: &Source, to: &SocketAddr) -> io::Result<SocketAddr> {
    let family = |addr: &SocketAddr| addr.is_ipv6() == to.is_ipv6();
    let mut from = match &source.host {
        Host::Any if to.is_ipv6() => Some((Ipv6Addr::UNSPECIFIED, 0).into()),
        Host::Name(name) => {
            let why =
                || format!("the source {name:?} is neither an address nor an interface of this machine");
            let addrs = of_interface(name)?.ok_or_else(|| not_here(why()))?;
            addrs.into_iter().filter(family).min_by_key(|addr| is_link_local(addr) != is_link_local(to))
        }
        host => Some(of_host(host, 0)?).filter(family),
    }
    .ok_or_else(|| not_here(format!("the source {} has no address to reach {to} from", source.host)))?;
    from.set_port(source.port);
    Ok(from)
}

fn is_link_local(addr: &SocketAddr) -> bool {
    matches!(addr.ip(), IpAddr::V6(ip) if ip.is_unicast_link_local())
}

/// The addresses of a name, in the order in which they are to be tried. Waits for the system's resolver.
pub(super) fn look_up(name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let hints = AddrInfoHints { socktype: SockType::Stream.into(), ..AddrInfoHints::default() };
    let found = getaddrinfo(Some(name), None, Some(hints)).map_err(|e| {
        let unknown = is_unknown(e.kind());
        Unresolved::error(name, unknown, e.into())
    })?;
    let addrs = found.filter_map(Result::ok).map(|info| {
        let mut addr = info.sockaddr;
        addr.set_port(port);
        addr
    });
    Ok(in_turn(addrs.collect()))
}

/// Whether the resolver says that the name does not exist, or has no address. Otherwise it does not know now.
fn is_unknown(kind: LookupErrorKind) -> bool {
    matches!(kind, LookupErrorKind::NoName | LookupErrorKind::NoData)
}

/// The addresses of `localhost`, which are fixed by RFC 6761 (6.3).
pub(super) fn of_localhost(port: u16) -> Vec<SocketAddr> {
    vec![(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()]
}

/// Interleaves IPv4 and IPv6 (RFC 8305), each in the system's order. IPv4 goes first: most publishers listen only there,
/// which is ZeroMQ's default.
fn in_turn(addrs: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let (v4, v6): (Vec<_>, Vec<_>) = addrs.into_iter().partition(SocketAddr::is_ipv4);
    let (mut v4, mut v6) = (v4.into_iter(), v6.into_iter());
    let mut out = Vec::new();
    loop {
        let pair = (v4.next(), v6.next());
        if pair == (None, None) {
            return out;
        }
        out.extend(pair.0.into_iter().chain(pair.1));
    }
}

/// The number of the interface that a scope names, by its name or by the number itself.
fn zone_index(zone: &str) -> io::Result<u32> {
    let unknown = |e: Errno| not_here(Error::io(format!("there is no interface {zone:?}"), e.into()));
    zone.parse().or_else(|_| if_nametoindex(zone).map_err(unknown))
}

/// The addresses of an interface, with port 0: IPv4 first, link-local ones last. `None` if there is no such interface.
fn of_interface(name: &str) -> io::Result<Option<Vec<SocketAddr>>> {
    // An address may have a label of its own, as in `eth0:1`.
    let is_of_it = |label: &str| label.split(':').next() == Some(name);
    let mut found = getifaddrs()?.filter(|at| is_of_it(&at.interface_name)).peekable();
    if found.peek().is_none() {
        return Ok(None);
    }
    let mut addrs: Vec<_> = found.filter_map(|at| socket_addr(&at.address?)).collect();
    addrs.sort_by_key(|addr| (addr.is_ipv6(), is_link_local(addr)));
    Ok(Some(addrs))
}

fn socket_addr(addr: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = addr.as_sockaddr_in().map(|v4| (*v4).into());
    v4.or_else(|| addr.as_sockaddr_in6().map(|v6| (*v6).into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::Cause;

    #[test]
    fn the_loopback_interface_has_its_address() {
        let addrs = of_interface("lo").unwrap().expect("every machine has it");
        assert_eq!(addrs.first(), Some(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0))));
        assert_eq!(of_interface("no-such-one").unwrap(), None);
        assert_eq!(of_interface("a-name-that-is-too-long-for-an-interface").unwrap(), None);
        assert!(zone_index("lo").unwrap() > 0);
        assert_eq!(zone_index("7").unwrap(), 7);
        assert!(zone_index("no-such-one").unwrap_err().to_string().contains("no-such-one"));
    }

    #[test]
    fn a_name_that_does_not_exist_is_told_from_a_resolver_that_does_not_answer() {
        for (kind, unknown) in [
            (LookupErrorKind::NoName, true),
            (LookupErrorKind::NoData, true),
            (LookupErrorKind::Again, false),
            (LookupErrorKind::Fail, false),
            (LookupErrorKind::System, false),
        ] {
            assert_eq!(is_unknown(kind), unknown, "{kind:?}");
        }
        let failed = |unknown| Unresolved::error("host", unknown, io::ErrorKind::Other.into());
        assert_eq!(Cause::of_connect(&failed(true)), Cause::NameUnknown);
        assert_eq!(Cause::of_connect(&failed(false)), Cause::ResolverUnavailable);
        // RFC 6761: it never exists. Without a network, the system may not know that.
        let error = look_up("oncue.invalid", 1).unwrap_err();
        assert!(matches!(Cause::of_connect(&error), Cause::NameUnknown | Cause::ResolverUnavailable));
        assert!(error.to_string().contains("\"oncue.invalid\""), "{error}");
        let here = look_up("localhost", 7).unwrap();
        assert!(!here.is_empty() && here.iter().all(|addr| addr.ip().is_loopback() && addr.port() == 7));
    }

    #[test]
    fn families_take_turns_and_ipv4_begins() {
        let addrs = ["[::1]:1", "[::2]:1", "[::3]:1", "1.0.0.1:1"].map(|text| text.parse().unwrap());
        let order = in_turn(addrs.to_vec());
        assert_eq!(order, [addrs[3], addrs[0], addrs[1], addrs[2]]);
        assert!(in_turn(Vec::new()).is_empty());
    }

    #[test]
    fn a_source_is_of_the_family_of_what_it_connects_to() {
        let (v4, v6) = ("127.0.0.1:9".parse().unwrap(), "[::1]:9".parse().unwrap());
        let from = |host, to| to_connect_from(&Source { host, port: 5 }, to);
        let lo = || Host::Name("lo".to_owned());
        assert_eq!(from(lo(), &v4).unwrap(), "127.0.0.1:5".parse().unwrap());
        assert_eq!(from(Host::Any, &v4).unwrap(), "0.0.0.0:5".parse().unwrap());
        assert_eq!(from(Host::Any, &v6).unwrap(), "[::]:5".parse().unwrap());
        assert!(from(Host::Ip(Ipv4Addr::LOCALHOST.into()), &v6).is_err());
        let why = from(Host::Name("no-such-one".to_owned()), &v4).unwrap_err().to_string();
        assert!(why.contains("no-such-one") && why.contains("interface"), "{why}");
    }
}
