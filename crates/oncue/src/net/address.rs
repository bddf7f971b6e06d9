//! What the host of a TCP endpoint stands for on this machine: its interfaces, its own names, and the scope of an address.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, ToSocketAddrs};

use rustix::net::{AddressFamily, SocketFlags, SocketType, netdevice, socket_with};

use crate::endpoint::{Endpoint, Host, Source};

/// The endpoints that a host to be bound stands for, the best one first. May wait for a name to be looked up.
pub(super) fn to_bind(at: &Endpoint) -> io::Result<Vec<Endpoint>> {
    let Endpoint::Tcp { host: Host::Name(name), port, .. } = at else { return Ok(vec![at.clone()]) };
    let tcp = |host| Endpoint::Tcp { host, port: *port, source: None };
    if name == "localhost" {
        return Ok(vec![tcp(Host::Ip(Ipv4Addr::LOCALHOST.into()))]);
    }
    if let Some(ips) = of_interface(name)? {
        let host = |ip| match ip {
            IpAddr::V6(v6) if v6.is_unicast_link_local() => Host::Scoped(v6, name.clone()),
            ip => Host::Ip(ip),
        };
        return match ips.is_empty() {
            true => Err(not_here(format!("the interface {name:?} has no address"))),
            false => Ok(ips.into_iter().map(host).map(tcp).collect()),
        };
    }
    match look_up(name, *port) {
        Ok(addrs) => Ok(addrs.into_iter().map(|addr| tcp(Host::Ip(addr.ip()))).collect()),
        Err(e) => Err(not_here(format!("{name:?} is not an interface of this machine, and as a name: {e}"))),
    }
}

fn not_here(why: String) -> io::Error {
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
    let none = || not_here(format!("the source {} has no address to reach {to} from", source.host));
    let port = source.port;
    let from = match &source.host {
        Host::Any if to.is_ipv6() => SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port),
        Host::Name(name) => {
            let ips = of_interface(name)?.ok_or_else(|| {
                not_here(format!(
                    "the source {name:?} is neither an address nor an interface of this machine"
                ))
            })?;
            let local = |ip: &IpAddr| matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local());
            let fits = |ip: &&IpAddr| ip.is_ipv6() == to.is_ipv6() && local(ip) == local(&to.ip());
            let ip = ips.iter().find(fits).or_else(|| ips.iter().find(|ip| ip.is_ipv6() == to.is_ipv6()));
            let ip = *ip.ok_or_else(none)?;
            let host = match ip {
                IpAddr::V6(v6) if local(&ip) => Host::Scoped(v6, name.clone()),
                _ => Host::Ip(ip),
            };
            of_host(&host, port)?
        }
        host => of_host(host, port)?,
    };
    if from.is_ipv6() == to.is_ipv6() { Ok(from) } else { Err(none()) }
}

/// The addresses of a name, in the order in which they are to be tried. Waits for the system's resolver.
pub(super) fn look_up(name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    Ok(in_turn((name, port).to_socket_addrs()?.collect()))
}

/// The addresses of `localhost`, which RFC 6761 (6.3) does not leave to anybody's tables.
pub(super) fn of_localhost(port: u16) -> Vec<SocketAddr> {
    vec![(Ipv4Addr::LOCALHOST, port).into(), (Ipv6Addr::LOCALHOST, port).into()]
}

/// IPv4 and IPv6 take turns (RFC 8305), each in the system's order. IPv4 goes first: most publishers listen there alone,
/// since ZeroMQ does so unless it is told otherwise.
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
    match zone.parse() {
        Ok(number) => Ok(number),
        Err(_) => index(zone)?.ok_or_else(|| not_here(format!("there is no interface {zone:?}"))),
    }
}

/// The number of an interface; `None` if there is none of that name.
fn index(interface: &str) -> io::Result<Option<u32>> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    match netdevice::name_to_index(&socket, interface) {
        Ok(index) => Ok(Some(index)),
        // A name that is too long for one names none.
        Err(rustix::io::Errno::NODEV | rustix::io::Errno::NAMETOOLONG | rustix::io::Errno::INVAL) => Ok(None),
        Err(e) => Err(e.into()),
    }
}

/// The addresses of an interface: IPv4 first, those that reach no further than the link last. `None` if there is none of
/// that name.
fn of_interface(name: &str) -> io::Result<Option<Vec<IpAddr>>> {
    let Some(index) = index(name)? else { return Ok(None) };
    let mut ips: Vec<_> = addresses()?.into_iter().filter(|(at, _)| *at == index).map(|(_, ip)| ip).collect();
    ips.sort_by_key(|ip| match ip {
        IpAddr::V4(_) => 0,
        IpAddr::V6(v6) if v6.is_unicast_link_local() => 2,
        IpAddr::V6(_) => 1,
    });
    Ok(Some(ips))
}

// Of rtnetlink(7) and netlink(7).
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
const NLM_F_REQUEST_AND_DUMP: u16 = 0x301;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const HEADER_LEN: usize = 16;
const IFADDRMSG_LEN: usize = 8;

/// All addresses of this machine, each with the number of its interface.
fn addresses() -> io::Result<Vec<(u32, IpAddr)>> {
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    let len = HEADER_LEN + IFADDRMSG_LEN;
    let mut request = vec![0; len];
    request[..4].copy_from_slice(&(len as u32).to_ne_bytes());
    request[4..6].copy_from_slice(&RTM_GETADDR.to_ne_bytes());
    request[6..8].copy_from_slice(&NLM_F_REQUEST_AND_DUMP.to_ne_bytes());
    rustix::io::write(&socket, &request)?;
    let (mut found, mut buffer) = (Vec::new(), vec![0; 64 << 10]);
    loop {
        let read = rustix::io::read(&socket, &mut buffer[..])?;
        if read == 0 || !take_messages(&buffer[..read], &mut found)? {
            return Ok(found);
        }
    }
}

/// Takes what one read of the kernel's answer brought; `false` at its end.
fn take_messages(mut rest: &[u8], found: &mut Vec<(u32, IpAddr)>) -> io::Result<bool> {
    while let Some(header) = rest.get(..HEADER_LEN) {
        let len = u32_at(header, 0) as usize;
        let Some(body) = rest.get(HEADER_LEN..len) else { break };
        match u16_at(header, 4) {
            NLMSG_DONE => return Ok(false),
            NLMSG_ERROR => return Err(io::Error::other("the system does not tell its addresses")),
            RTM_NEWADDR if body.len() >= IFADDRMSG_LEN => found.extend(address(body)),
            _ => {}
        }
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(true)
}

/// One address of the kernel's answer. Where there are two, the local one is the own, and the other the far end of a line.
fn address(body: &[u8]) -> Option<(u32, IpAddr)> {
    let index = u32_at(body, 4);
    let (mut ip, mut rest) = (None, &body[IFADDRMSG_LEN..]);
    while rest.len() >= 4 {
        let len = usize::from(u16_at(rest, 0));
        let value = rest.get(4..len)?;
        let kind = u16_at(rest, 2);
        if kind == IFA_LOCAL || kind == IFA_ADDRESS && ip.is_none() {
            let v4 = <[u8; 4]>::try_from(value).map(IpAddr::from);
            ip = v4.or_else(|_| <[u8; 16]>::try_from(value).map(IpAddr::from)).ok();
        }
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
    }
    ip.map(|ip| (index, ip))
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_has_its_address() {
        let ips = of_interface("lo").unwrap().expect("every machine has it");
        assert_eq!(ips.first(), Some(&IpAddr::from(Ipv4Addr::LOCALHOST)));
        assert_eq!(of_interface("no-such-one").unwrap(), None);
        assert_eq!(of_interface("a-name-that-is-too-long-for-an-interface").unwrap(), None);
        assert!(zone_index("lo").unwrap() > 0);
        assert_eq!(zone_index("7").unwrap(), 7);
        assert!(zone_index("no-such-one").unwrap_err().to_string().contains("no-such-one"));
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

    #[test]
    fn no_answer_of_the_kernel_is_read_beyond_its_end() {
        // RTM_NEWADDR of interface 1 with IFA_ADDRESS 127.0.0.1.
        let mut whole = [0; 32];
        whole[..4].copy_from_slice(&32u32.to_ne_bytes());
        whole[4..6].copy_from_slice(&RTM_NEWADDR.to_ne_bytes());
        whole[20..24].copy_from_slice(&1u32.to_ne_bytes());
        whole[24..26].copy_from_slice(&8u16.to_ne_bytes());
        whole[26..28].copy_from_slice(&IFA_ADDRESS.to_ne_bytes());
        whole[28..].copy_from_slice(&[127, 0, 0, 1]);
        for len in 0..=whole.len() {
            let mut found = Vec::new();
            assert!(take_messages(&whole[..len], &mut found).unwrap());
            let expected = if len == whole.len() { vec![(1, Ipv4Addr::LOCALHOST.into())] } else { vec![] };
            assert_eq!(found, expected, "{len}");
        }
    }
}
