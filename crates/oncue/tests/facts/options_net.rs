//! The options of connections and endpoints, seen at the system's sockets and from the other side.

use std::fs;
use std::io::Read;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::mpsc::{TryRecvError, channel};
use std::thread;
use std::time::{Duration, Instant};

use oncue::{
    Admission, Cause, ConnectionEventKind as Kind, ConnectionEvents, Endpoint, ErrorKind, IpVersions,
    Options, Pub, ReconnectStop, Sub, XPub,
};
use oncue_interop::directory::Directory;
use rustix::fs::{Mode, OFlags};
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use socket2::{Domain, SockAddr, Socket as System};

use crate::raw::*;

/// Duplicates of all sockets of this process: those of the library have no other door.
fn sockets() -> Vec<System> {
    let this = pidfd_open(getpid(), PidfdFlags::empty()).expect("this process");
    let numbers = fs::read_dir("/proc/self/fd").unwrap().map(|entry| entry.unwrap().file_name());
    let numbers: Vec<i32> = numbers.filter_map(|name| name.to_str()?.parse().ok()).collect();
    let files = numbers.into_iter().filter_map(|n| pidfd_getfd(&this, n, PidfdGetfdFlags::empty()).ok());
    files.map(System::from).filter(|socket| socket.domain().is_ok()).collect()
}

/// The socket of this process between these addresses; a listener has no peer.
fn between(local: &SockAddr, peer: Option<&SockAddr>) -> System {
    let until = Instant::now() + SOON;
    loop {
        let found = sockets().into_iter().find(|socket| {
            socket.local_addr().is_ok_and(|at| at == *local) && socket.peer_addr().ok().as_ref() == peer
        });
        if let Some(socket) = found {
            return socket;
        }
        assert!(Instant::now() < until, "no socket is at {local:?} towards {peer:?}");
        thread::sleep(Duration::from_millis(2));
    }
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let until = Instant::now() + SOON;
    while !is_so() {
        assert!(Instant::now() < until, "not in time: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// The three sockets that a socket with these options makes at a loopback address: one that listens, one that was accepted,
/// and one that has connected.
fn trio(options: Options, at: impl Into<SocketAddr>) -> Vec<(&'static str, System)> {
    let (engine, at) = (engine(), at.into());
    let publisher = Pub::new(&engine, options.clone()).unwrap();
    let bound = addr(&publisher.bind(&format!("tcp://{at}")).unwrap());
    let mut peer = TcpStream::connect(bound).unwrap();
    // The greeting comes when the accepted socket is as it is to be.
    peer.read_exact(&mut [0; 11]).unwrap();
    let bound = SockAddr::from(bound);
    let accepted = between(&bound, Some(&peer.local_addr().unwrap().into()));
    let listener = TcpListener::bind(at).unwrap();
    let subscriber = Sub::new(&engine, options).unwrap();
    let there = listener.local_addr().unwrap();
    subscriber.connect(&format!("tcp://{there}")).unwrap();
    let (_peer, from) = listener.accept().unwrap();
    let connected = between(&from.into(), Some(&there.into()));
    vec![("listening", between(&bound, None)), ("accepted", accepted), ("connected", connected)]
}

fn addr(endpoint: &Endpoint) -> SocketAddr {
    endpoint.to_string().strip_prefix("tcp://").unwrap().parse().unwrap()
}

const V4: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);
const V6: (Ipv6Addr, u16) = (Ipv6Addr::LOCALHOST, 0);

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

#[test]
fn the_system_buffers_as_much_as_it_was_told_to() {
    let own = || options().send_buffer(20_000).recv_buffer(30_000);
    for (what, socket) in trio(own(), V4) {
        // The system doubles them for its bookkeeping.
        let sizes = (socket.send_buffer_size().unwrap(), socket.recv_buffer_size().unwrap());
        assert_eq!(sizes, (40_000, 60_000), "{what}");
    }
    for (what, socket) in trio(options().send_buffer(0).recv_buffer(u32::MAX), V4) {
        let (least, most) = (socket.send_buffer_size().unwrap(), socket.recv_buffer_size().unwrap());
        assert!((1..20_000).contains(&least) && most >= 60_000, "{what}: {least} {most}");
    }
    let (engine, directory) = (engine(), Directory::new());
    let path = directory.path("x");
    let publisher = Pub::new(&engine, own()).unwrap();
    let endpoint = publisher.bind(&format!("ipc://{}", path.display())).unwrap().to_string();
    let subscriber = Sub::new(&engine, own()).unwrap();
    subscriber.connect(&endpoint).unwrap();
    until("connected", || publisher.stats().peers == 1);
    let at = SockAddr::unix(&path).unwrap();
    let nameless = System::pair(Domain::UNIX, socket2::Type::STREAM, None).unwrap().0.local_addr().unwrap();
    for socket in [between(&at, Some(&nameless)), between(&nameless, Some(&at))] {
        assert_eq!(
            (socket.send_buffer_size().unwrap(), socket.recv_buffer_size().unwrap()),
            (40_000, 60_000)
        );
    }
}

#[test]
fn no_more_connections_wait_than_were_asked_for() {
    let (go, gone) = channel::<()>();
    let gone = std::sync::Mutex::new(gone);
    let (here, asked) = channel();
    // The I/O thread accepts nothing while it decides.
    let options = options().listen_backlog(1).admission(move |_| {
        here.send(()).unwrap();
        let _ = gone.lock().unwrap().recv();
        Admission::Accept
    });
    let x = XPub::new(&engine(), options).unwrap();
    let door = Door::new(&x, Side::Binding);
    let mut first = door.peer(Zmtp::V3_1);
    first.send(subscribe("a"));
    asked.recv_timeout(SOON).unwrap();
    let at = door.endpoint().strip_prefix("tcp://").unwrap().parse().unwrap();
    let connect = || TcpStream::connect_timeout(&at, Duration::from_millis(200));
    // The system queues one more than it was asked to.
    let waiting: Vec<_> = (0..2).map(|_| connect().unwrap()).collect();
    assert!(connect().is_err(), "{} wait", waiting.len());
    drop(go);
    assert_eq!(event(&x), "+a");
}

#[test]
fn the_system_probes_idle_connections_as_it_was_told_to() {
    let own = options().tcp_keepalive_idle(Duration::from_millis(4500)).tcp_keepalive_interval(secs(3));
    for (what, socket) in trio(own.tcp_keepalive_count(4), V4) {
        assert!(socket.keepalive().unwrap(), "{what}");
        let times = (socket.tcp_keepalive_time().unwrap(), socket.tcp_keepalive_interval().unwrap());
        assert_eq!((times, socket.tcp_keepalive_retries().unwrap()), ((secs(5), secs(3)), 4), "{what}");
    }
    for (what, socket) in trio(options(), V4) {
        assert!(!socket.keepalive().unwrap(), "{what}");
    }
    let usual = System::new(Domain::IPV4, socket2::Type::STREAM, None).unwrap().tcp_keepalive_time().unwrap();
    for (what, socket) in trio(options().tcp_keepalive(true), V4) {
        assert!(socket.keepalive().unwrap() && socket.tcp_keepalive_time().unwrap() == usual, "{what}");
    }
    for (what, socket) in trio(options().tcp_keepalive(false).tcp_keepalive_count(1000), V4) {
        assert!(!socket.keepalive().unwrap() && socket.tcp_keepalive_retries().unwrap() == 127, "{what}");
    }
    for time in [Duration::ZERO, Duration::MAX] {
        let own = options().tcp_keepalive_idle(time).tcp_keepalive_interval(time);
        for (what, socket) in trio(own, V4) {
            let times = [socket.tcp_keepalive_time().unwrap(), socket.tcp_keepalive_interval().unwrap()];
            let expected = if time.is_zero() { secs(1) } else { secs(32_767) };
            assert_eq!(times, [expected; 2], "{what}");
        }
    }
}

#[test]
fn keepalive_and_the_probes_of_heartbeats_live_together() {
    let own = options().heartbeat(secs(5), secs(15));
    let sooner =
        own.clone().tcp_keepalive_idle(secs(2)).tcp_keepalive_interval(secs(1)).tcp_keepalive_count(2);
    let later = own.tcp_keepalive_idle(secs(60)).tcp_user_timeout(secs(90));
    for (options, expected) in [(sooner, (2, 1, 2, 15)), (later, (5, 2, 5, 15))] {
        let x = XPub::new(&engine(), options).unwrap();
        let door = Door::new(&x, Side::Binding);
        // It does not understand PING.
        let mut peer = door.peer(Zmtp::V3_0);
        peer.send(Zmtp::V3_0.subscribe("a"));
        assert_eq!(event(&x), "+a");
        let at: SocketAddr = door.endpoint().strip_prefix("tcp://").unwrap().parse().unwrap();
        let socket = between(&at.into(), Some(&peer.address().into()));
        let (idle, interval) =
            (socket.tcp_keepalive_time().unwrap(), socket.tcp_keepalive_interval().unwrap());
        let (count, timeout) = (socket.tcp_keepalive_retries().unwrap(), socket.tcp_user_timeout().unwrap());
        assert_eq!((idle.as_secs(), interval.as_secs(), count, timeout.unwrap().as_secs()), expected);
    }
}

#[test]
fn the_system_waits_for_acknowledgements_as_long_as_it_was_told_to() {
    for (own, expected) in [
        (Duration::from_micros(1500), Some(Duration::from_millis(2))),
        (Duration::MAX, Some(Duration::from_millis(i32::MAX as u64))),
        (Duration::ZERO, None),
    ] {
        for (what, socket) in trio(options().tcp_user_timeout(own), V4) {
            assert_eq!(socket.tcp_user_timeout().unwrap(), expected, "{what}");
        }
    }
}

#[test]
fn packets_are_of_the_class_and_the_priority_that_were_asked_for() {
    for (what, socket) in trio(options().type_of_service(0xB8).socket_priority(3), V4) {
        assert_eq!((socket.tos_v4().unwrap(), socket.priority().unwrap()), (0xB8, 3), "{what}");
    }
    for (what, socket) in trio(options().type_of_service(0xB8).socket_priority(3), V6) {
        assert_eq!((socket.tclass_v6().unwrap(), socket.priority().unwrap()), (0xB8, 3), "{what}");
        assert_eq!(socket.tos_v4().unwrap(), 0xB8, "{what}: for peers of IPv4");
    }
}

/// The next failure of a socket to connect.
fn failure(events: &ConnectionEvents) -> (Cause, String) {
    loop {
        let event = events.next().wait_timeout(SOON).expect("an event in time").unwrap();
        if let Kind::Failed { cause, error, .. } = event.kind {
            return (cause, error.to_string());
        }
    }
}

#[test]
fn a_socket_uses_the_device_that_it_is_bound_to() {
    for (what, socket) in trio(options().bind_to_device("lo"), V4) {
        assert_eq!(socket.device().unwrap().as_deref(), Some(&b"lo"[..]), "{what}");
    }
    let engine = engine();
    let s = Sub::new(&engine, options().bind_to_device("oncue-none")).unwrap();
    let refused = s.bind("tcp://127.0.0.1:0").unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Io);
    assert!(refused.to_string().contains("\"oncue-none\" (bind_to_device)"), "{refused}");
    let events = s.events();
    s.connect("tcp://127.0.0.1:1").unwrap();
    let (_, text) = failure(&events);
    assert!(text.contains("\"oncue-none\" (bind_to_device)"), "{text}");
    for name in ["", "a-device-with-16", "a/b", "a b"] {
        let refused = Pub::new(&engine, options().bind_to_device(name)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Misuse);
        assert!(refused.to_string().contains(&format!("{name:?}")), "{refused}");
    }
}

#[test]
fn a_socket_uses_the_versions_of_ip_that_it_may() {
    let engine = engine();
    let socket = |versions| Pub::new(&engine, options().ip_versions(versions)).unwrap();
    let reached = |port: u16| {
        let v4 = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok();
        (v4, TcpStream::connect((Ipv6Addr::LOCALHOST, port)).is_ok())
    };
    let both = socket(IpVersions::Both);
    assert_eq!(reached(addr(&both.bind("tcp://[::]:0").unwrap()).port()), (true, true));
    assert_eq!(reached(addr(&both.bind("tcp://*:0").unwrap()).port()), (true, false));
    let v6 = socket(IpVersions::V6);
    let at = addr(&v6.bind("tcp://*:0").unwrap());
    assert_eq!((at.ip(), reached(at.port())), (Ipv6Addr::UNSPECIFIED.into(), (false, true)));
    both.bind(&format!("tcp://0.0.0.0:{}", at.port())).expect("the port of IPv4 is free");
    assert_eq!(addr(&v6.bind("tcp://localhost:0").unwrap()).ip(), Ipv6Addr::LOCALHOST);
    let v4 = socket(IpVersions::V4);
    for (socket, other) in [(&v6, "127.0.0.1"), (&v4, "[::1]")] {
        for refused in [
            socket.bind(&format!("tcp://{other}:0")).unwrap_err(),
            socket.connect(&format!("tcp://{other}:1")).unwrap_err(),
        ] {
            assert_eq!(refused.kind(), ErrorKind::Misuse);
            assert!(
                refused.to_string().contains(other) && refused.to_string().contains("ip_versions"),
                "{refused}"
            );
        }
    }
    // Both addresses of the name would do.
    let at = addr(&both.bind("tcp://[::]:0").unwrap());
    for (versions, is_v4) in [(IpVersions::V4, true), (IpVersions::V6, false)] {
        let subscriber = Sub::new(&engine, options().ip_versions(versions)).unwrap();
        let events = subscriber.events();
        subscriber.connect(&format!("tcp://localhost:{}", at.port())).unwrap();
        let peer = loop {
            let event = events.next().wait_timeout(SOON).expect("an event in time").unwrap();
            if let Kind::Connected { peer } = event.kind {
                break peer;
            }
        };
        assert_eq!(peer.address.ip().map(|ip| ip.is_ipv4()), Some(is_v4));
    }
}

/// A listener that answers no further connection attempt.
fn silent() -> (System, SocketAddr, Vec<TcpStream>) {
    let listener = System::new(Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    listener.bind(&SocketAddr::from(V4).into()).unwrap();
    listener.listen(0).unwrap();
    let at = listener.local_addr().unwrap().as_socket().unwrap();
    let fill = |_| TcpStream::connect_timeout(&at, Duration::from_millis(200)).ok();
    let full = (0..2).filter_map(fill).collect();
    (listener, at, full)
}

#[test]
fn a_connection_is_made_in_time_or_not_at_all() {
    let engine = engine();
    let (_listener, at, _full) = silent();
    let s = Sub::new(&engine, options().connect_timeout(Duration::from_millis(150))).unwrap();
    let events = s.events();
    s.connect(&format!("tcp://{at}")).unwrap();
    let (cause, text) = failure(&events);
    assert_eq!(cause, Cause::NoAnswer);
    assert!(text.contains("150ms (connect_timeout)"), "{text}");

    // The handshake has its own time.
    let s = Sub::new(&engine, options().connect_timeout(Duration::from_millis(100))).unwrap();
    let (events, door) = (s.events(), Door::new(&s, Side::Connecting));
    let mut peer = door.stranger();
    thread::sleep(Duration::from_millis(300));
    peer.send(Zmtp::V3_1.hello("PUB"));
    let kinds: Vec<_> =
        (0..2).map(|_| events.next().wait_timeout(SOON).expect("an event in time").unwrap().kind).collect();
    assert!(matches!(kinds[..], [Kind::Connecting, Kind::Connected { .. }]), "{kinds:?}");
}

/// What a socket with this option tells of its connection until it stops, or until it tries again.
fn until_it_stops(options: Options, connect: impl Fn(&Sub)) -> Vec<&'static str> {
    let s = Sub::new(&engine(), options).unwrap();
    let events = s.events();
    connect(&s);
    let mut told = Vec::new();
    loop {
        let event = events.next().wait_timeout(SOON).expect("an event in time").unwrap();
        let (what, tries_again) = match event.kind {
            Kind::Connecting => ("connecting", None),
            Kind::Connected { .. } => ("connected", None),
            Kind::Failed { retry_after, .. } => ("failed", Some(retry_after.is_some())),
            Kind::Lost { retry_after, .. } => ("lost", Some(retry_after.is_some())),
            Kind::Stopped => ("stopped", None),
            other => panic!("{other:?}"),
        };
        told.push(what);
        match tries_again {
            _ if what == "stopped" => return told,
            Some(true) => return told,
            _ => {}
        }
    }
}

#[test]
fn a_socket_stops_after_what_it_was_told_to() {
    let nobody = TcpListener::bind(SocketAddr::from(V4)).unwrap().local_addr().unwrap();
    let refused = |s: &Sub| drop(s.connect(&format!("tcp://{nobody}")).unwrap());
    let missing = |s: &Sub| drop(s.connect("ipc:///no/such/oncue").unwrap());
    let silent = |s: &Sub| {
        let listener = TcpListener::bind(SocketAddr::from(V4)).unwrap();
        s.connect(&format!("tcp://{}", listener.local_addr().unwrap())).unwrap();
        drop(listener.accept().unwrap());
        // It is taken for a peer that left because of our socket type otherwise: the next attempt would tell more.
        drop(listener);
    };
    let lost = |s: &Sub| {
        let door = Door::new(s, Side::Connecting);
        let peer = door.peer(Zmtp::V3_1);
        until("connected", || s.stats().peers == 1);
        peer.reset();
    };
    type Case<'a> = (&'a str, &'a dyn Fn(&Sub), ReconnectStop, &'a [&'static str]);
    let cases: [Case<'_>; 4] = [
        ("refused", &refused, ReconnectStop::CONNECTION_REFUSED, &["connecting", "failed"]),
        ("missing", &missing, ReconnectStop::CONNECTION_REFUSED, &["connecting", "failed"]),
        ("handshake", &silent, ReconnectStop::HANDSHAKE_FAILED, &["connecting", "failed"]),
        ("lost", &lost, ReconnectStop::DISCONNECTED, &["connecting", "connected", "lost"]),
    ];
    let conditions =
        [ReconnectStop::CONNECTION_REFUSED, ReconnectStop::HANDSHAKE_FAILED, ReconnectStop::DISCONNECTED];
    for (name, connect, condition, told) in cases {
        let stopped = [told, &["stopped"][..]].concat();
        assert_eq!(until_it_stops(options().reconnect_stop(condition), connect), stopped, "{name}");
        assert_eq!(
            until_it_stops(options().reconnect_stop(ReconnectStop::ALWAYS), connect),
            stopped,
            "{name}"
        );
        let others = conditions.into_iter().filter(|other| *other != condition);
        let others = others.fold(ReconnectStop::NEVER, |all, other| all | other);
        assert_eq!(
            until_it_stops(options().reconnect_stop(others), connect),
            told,
            "{name} is no reason to stop after {others:?}"
        );
    }
    let (_listener, at, _full) = self::silent();
    for (stop, told) in [
        (ReconnectStop::ALWAYS, &["connecting", "failed", "stopped"][..]),
        (conditions[0] | conditions[1] | conditions[2], &["connecting", "failed"]),
    ] {
        let unanswered = |s: &Sub| drop(s.connect(&format!("tcp://{at}")).unwrap());
        assert_eq!(
            until_it_stops(
                options().connect_timeout(Duration::from_millis(50)).reconnect_stop(stop),
                unanswered
            ),
            told
        );
    }
}

#[test]
fn a_socket_that_has_stopped_may_connect_again() {
    let engine = engine();
    let s = Sub::new(&engine, options().reconnect_stop(ReconnectStop::ALWAYS)).unwrap();
    let events = s.events();
    let at = TcpListener::bind(SocketAddr::from(V4)).unwrap().local_addr().unwrap();
    s.connect(&format!("tcp://{at}")).unwrap();
    while !matches!(events.next().wait_timeout(SOON).expect("an event in time").unwrap().kind, Kind::Stopped)
    {
    }
    let gone = s.disconnect(&format!("tcp://{at}")).unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::Misuse);
    let publisher = Pub::new(&engine, options()).unwrap();
    publisher.bind(&format!("tcp://{at}")).unwrap();
    s.connect(&format!("tcp://{at}")).unwrap();
    until("connected", || s.stats().peers == 1);
}

/// The last three digits of the mode of a file, its user and its group.
fn permissions(path: &Path) -> (u32, u32, u32) {
    let meta = fs::metadata(path).unwrap();
    (meta.mode() & 0o777, meta.uid(), meta.gid())
}

#[test]
fn the_file_of_an_endpoint_has_its_mode_before_a_peer_can_connect() {
    let (engine, directory) = (engine(), Directory::new());
    let path = directory.path("x");
    let endpoint = format!("ipc://{}", path.display());
    let (stop, is_over) = channel::<()>();
    let stranger = thread::spawn({
        let path = path.clone();
        move || {
            let mut seen = 0;
            while is_over.try_recv() == Err(TryRecvError::Empty) {
                // One file, whatever is at its path by now.
                let Ok(file) = rustix::fs::open(&path, OFlags::PATH, Mode::empty()) else { continue };
                let file = fs::File::from(file);
                if UnixStream::connect(format!("/proc/self/fd/{}", file.as_raw_fd())).is_ok() {
                    seen += 1;
                    let mode = file.metadata().unwrap().mode() & 0o777;
                    assert_eq!(mode, 0o613, "a stranger was connected");
                }
            }
            seen
        }
    });
    // A mode that no umask makes of 0o777.
    let publisher = Pub::new(&engine, options().ipc_mode(0o613)).unwrap();
    for _ in 0..200 {
        publisher.bind(&endpoint).unwrap();
        assert_eq!(permissions(&path).0, 0o613);
        thread::sleep(Duration::from_micros(200));
        publisher.unbind(&endpoint).unwrap();
    }
    drop(stop);
    assert!(stranger.join().unwrap() > 0, "it was tried");
    let refused = Pub::new(&engine, options().ipc_mode(0o1777)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Misuse);
    assert!(refused.to_string().contains("0o1777"), "{refused}");
}

#[test]
fn the_file_of_an_endpoint_belongs_to_whom_it_was_given() {
    let (engine, directory) = (engine(), Directory::new());
    let path = directory.path("x");
    let endpoint = format!("ipc://{}", path.display());
    let (_, user, group) = permissions(directory.path("").as_path());
    let is_root = user == 0;
    let (user, group) = if is_root { (12_345, 23_456) } else { (user, group) };
    let publisher = Pub::new(&engine, options().ipc_user(user).ipc_group(group).ipc_mode(0o640)).unwrap();
    publisher.bind(&endpoint).unwrap();
    assert_eq!(permissions(&path), (0o640, user, group));
    publisher.unbind(&endpoint).unwrap();
    assert!(!path.exists());
    if !is_root {
        let other = Pub::new(&engine, options().ipc_user(12_345)).unwrap();
        let refused = other.bind(&endpoint).unwrap_err().to_string();
        assert!(refused.contains("the user 12345 (ipc_user)"), "{refused}");
        assert!(!path.exists(), "nothing is left of it");
    }
    let refused = Pub::new(&engine, options().ipc_group(u32::MAX)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Misuse);
}

/// A subscriber reaches a publisher at an endpoint.
fn reaches(publisher: &XPub, endpoint: &Endpoint) {
    let subscriber = Sub::new(&engine(), options()).unwrap();
    subscriber.connect(&endpoint.to_string()).unwrap();
    subscriber.subscribe("a").unwrap();
    assert_eq!(event(publisher), "+a");
    subscriber.close().wait();
    assert_eq!(event(publisher), "-a");
}

#[test]
fn a_passed_socket_is_listened_at() {
    let directory = Directory::new();
    let path = directory.path("passed");
    let x = XPub::new(&engine(), options().socket_priority(3)).unwrap();
    let tcp = TcpListener::bind(SocketAddr::from(V4)).unwrap();
    let at = tcp.local_addr().unwrap();
    // A peer that came before.
    let early = TcpStream::connect(at).unwrap();
    let endpoint = x.bind_fd(tcp).unwrap();
    assert_eq!(endpoint.to_string(), format!("tcp://{at}"));
    reaches(&x, &endpoint);
    let accepted = between(&at.into(), Some(&early.local_addr().unwrap().into()));
    assert_eq!(accepted.priority().unwrap(), 3, "what the options say of accepted sockets");
    x.unbind(&endpoint.to_string()).unwrap();
    TcpListener::bind(at).expect("the descriptor is closed");

    let unix = UnixListener::bind(&path).unwrap();
    let endpoint = x.bind_fd(unix.try_clone().unwrap()).unwrap();
    assert_eq!(endpoint, Endpoint::Ipc(path.clone()));
    reaches(&x, &endpoint);
    x.unbind(&endpoint.to_string()).unwrap();
    assert!(path.exists(), "the file stays: it is not ours");
    let endpoint = x.bind_fd(unix).unwrap();
    reaches(&x, &endpoint);
    x.close().wait();
    assert!(path.exists(), "the file stays: it is not ours");

    let x = XPub::new(&engine(), options()).unwrap();
    let name = format!("oncue-passed-{}", std::process::id());
    let at = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
    let endpoint = x.bind_fd(UnixListener::bind_addr(&at).unwrap()).unwrap();
    assert_eq!(endpoint, Endpoint::Abstract(name));
    reaches(&x, &endpoint);
}

#[test]
fn what_does_not_listen_is_refused() {
    let x = XPub::new(&engine(), options()).unwrap();
    let listener = TcpListener::bind(SocketAddr::from(V4)).unwrap();
    let connected = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let bound = System::new(Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    bound.bind(&SocketAddr::from(V4).into()).unwrap();
    let file = fs::File::open("/dev/null").unwrap();
    let cases: [(OwnedFd, &str); 4] = [
        (connected.into(), "it does not listen"),
        (bound.into(), "it does not listen"),
        (UdpSocket::bind(SocketAddr::from(V4)).unwrap().into(), "it does not listen"),
        (file.into(), "it is not a socket"),
    ];
    for (fd, why) in cases {
        let refused = x.bind_fd(fd).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Misuse);
        assert!(refused.to_string().contains(why), "{refused}");
    }
    x.close().wait();
    assert_eq!(x.bind_fd(listener).unwrap_err().kind(), ErrorKind::Closed);
}
