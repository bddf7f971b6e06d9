//! Connections through a SOCKS5 proxy, whose every byte is written here.

use std::io::{Read, Write, copy};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use oncue::{
    Cause, ConnectionEventKind as Kind, ErrorKind, Options, PeerAddress, ProxyFailure, ReconnectStop,
    SocksProxy, Sub, XPub,
};

use crate::raw::*;

/// A proxy that treats each connection so. Returns its address.
fn proxy(treat: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let at = listener.local_addr().unwrap();
    let treat = std::sync::Arc::new(treat);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            stream.set_read_timeout(Some(SOON)).unwrap();
            let treat = treat.clone();
            thread::spawn(move || treat(stream));
        }
    });
    at
}

fn take<const N: usize>(stream: &mut TcpStream) -> [u8; N] {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).expect("our side says more");
    bytes
}

/// Takes a text with its length before it.
fn take_short(stream: &mut TcpStream) -> String {
    let mut bytes = vec![0; take::<1>(stream)[0].into()];
    stream.read_exact(&mut bytes).expect("our side says more");
    String::from_utf8(bytes).unwrap()
}

/// Takes a request to connect: the host, and the port.
fn take_request(stream: &mut TcpStream) -> (String, u16) {
    assert_eq!(take(stream), [5, 1, 0]);
    let host = match take(stream) {
        [1] => Ipv4Addr::from(take::<4>(stream)).to_string(),
        [4] => Ipv6Addr::from(take::<16>(stream)).to_string(),
        [3] => format!("the name {}", take_short(stream)),
        [other] => panic!("a type of address: {other}"),
    };
    (host, u16::from_be_bytes(take(stream)))
}

/// Passes bytes on in both directions, until both sides have closed.
fn forward(near: TcpStream, far: TcpStream) {
    near.set_read_timeout(None).unwrap();
    let one_way = |mut from: TcpStream, mut to: TcpStream| {
        let _ = copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    };
    let back = (far.try_clone().unwrap(), near.try_clone().unwrap());
    thread::spawn(move || one_way(back.0, back.1));
    one_way(near, far);
}

fn through(proxy: SocketAddr) -> Options {
    options().socks_proxy(SocksProxy::new(&proxy.to_string()).unwrap())
}

fn publisher() -> (XPub, SocketAddr) {
    let x = XPub::new(&engine(), options()).unwrap();
    let at = x.bind("tcp://127.0.0.1:0").unwrap().to_string();
    (x, at.strip_prefix("tcp://").unwrap().parse().unwrap())
}

/// A subscriber with these options reaches a publisher at an endpoint, and gets a message of it.
fn gets_through(publisher: &XPub, options: Options, to: &str) -> PeerAddress {
    let s = Sub::new(&engine(), options).unwrap();
    let events = s.events();
    s.connect(to).unwrap();
    s.subscribe("a").unwrap();
    assert_eq!(event(publisher), "+a");
    publisher.send(("a", vec![7; 100_000])).unwrap();
    let message = s.recv().wait_timeout(SOON).expect("a message in time").unwrap();
    assert_eq!(message.frame(1).map(<[u8]>::len), Some(100_000));
    let address = loop {
        let event = events.next().wait_timeout(SOON).expect("an event in time").unwrap();
        if let Kind::Connected { peer } = event.kind {
            break peer.address;
        }
    };
    s.close().wait();
    assert_eq!(event(publisher), "-a");
    address
}

/// A proxy that leads to `to` whatever it is asked for, and how it was asked.
fn leading_to(
    to: SocketAddr,
    offers: &'static [u8],
    answer: &'static [u8],
) -> (SocketAddr, Receiver<String>) {
    let (tell, told) = channel();
    let at = proxy(move |mut stream| {
        let mut offered = vec![0; offers.len()];
        stream.read_exact(&mut offered).unwrap();
        assert_eq!(offered, offers);
        stream.write_all(&[5, 0]).unwrap();
        let (host, port) = take_request(&mut stream);
        tell.send(format!("{host}:{port}")).unwrap();
        stream.write_all(answer).unwrap();
        forward(stream, TcpStream::connect(to).unwrap());
    });
    (at, told)
}

#[test]
fn a_proxy_is_asked_for_the_host_and_looks_its_name_up() {
    let (publisher, at) = publisher();
    let by_v4 = b"\x05\0\0\x01\x7f\0\0\x01\0\0";
    let (proxy, asked) = leading_to(at, b"\x05\x01\0", by_v4);
    let long_name = format!("tcp://{}.invalid:7", "a".repeat(60));
    for (to, expected) in [
        (format!("tcp://{at}"), at.to_string()),
        ("tcp://[2001:db8::7]:9".into(), "2001:db8::7:9".into()),
        ("tcp://publisher.invalid:65535".into(), "the name publisher.invalid:65535".into()),
        ("tcp://localhost:1".into(), "the name localhost:1".into()),
        (long_name, format!("the name {}.invalid:7", "a".repeat(60))),
    ] {
        let address = gets_through(&publisher, through(proxy), &to);
        assert_eq!(asked.recv_timeout(SOON).unwrap(), expected);
        assert_eq!(address, PeerAddress::Tcp(proxy));
    }
    // Answers with every type of address, and the proxy by its name.
    let by_v6 = b"\x05\0\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0";
    let by_name = b"\x05\0\0\x03\x05there\0\0";
    for answer in [&by_v6[..], by_name] {
        let (proxy, _asked) = leading_to(at, b"\x05\x01\0", answer);
        let proxy = SocksProxy::new(&format!("localhost:{}", proxy.port())).unwrap();
        gets_through(&publisher, options().socks_proxy(proxy), &format!("tcp://{at}"));
    }
}

#[test]
fn a_proxy_that_asks_is_told_user_name_and_password() {
    let (publisher, to) = publisher();
    let at = proxy(move |mut stream| {
        assert_eq!(take(&mut stream), [5, 2, 0, 2]);
        stream.write_all(&[5, 2]).unwrap();
        assert_eq!(take(&mut stream), [1]);
        let login = (take_short(&mut stream), take_short(&mut stream));
        let is_right = login == ("me".into(), "s\u{e9}cret".into());
        stream.write_all(&[1, u8::from(!is_right)]).unwrap();
        if is_right {
            take_request(&mut stream);
            stream.write_all(b"\x05\0\0\x01\0\0\0\0\0\0").unwrap();
            forward(stream, TcpStream::connect(to).unwrap());
        }
    });
    let with = |username, password| {
        let proxy = SocksProxy::new(&at.to_string()).unwrap().credentials(username, password).unwrap();
        options().socks_proxy(proxy)
    };
    gets_through(&publisher, with("me", "s\u{e9}cret"), "tcp://a.invalid:1");
    let (cause, text) = failure(with("me", ""), "tcp://a.invalid:1");
    assert_eq!(cause, Cause::Proxy(ProxyFailure::LoginRefused));
    assert!(text.contains(&format!("the proxy {at} refuses the user name or the password")), "{text}");
    // Without one it is not asked.
    let (proxy, _asked) = leading_to(to, b"\x05\x02\0\x02", b"\x05\0\0\x01\0\0\0\0\0\0");
    let proxy = SocksProxy::new(&proxy.to_string()).unwrap().credentials("me", "secret").unwrap();
    gets_through(&publisher, options().socks_proxy(proxy), "tcp://a.invalid:1");
}

#[test]
fn a_proxy_may_answer_in_pieces_or_together_with_what_the_peer_says() {
    let (publisher, to) = publisher();
    for in_pieces in [true, false] {
        let at = proxy(move |mut stream| {
            stream.set_nodelay(true).unwrap();
            let say = |mut stream: &TcpStream, bytes: &[u8]| match in_pieces {
                true => bytes.iter().for_each(|byte| {
                    stream.write_all(&[*byte]).unwrap();
                    thread::sleep(Duration::from_millis(3));
                }),
                false => stream.write_all(bytes).unwrap(),
            };
            take::<3>(&mut stream);
            say(&stream, &[5, 0]);
            take_request(&mut stream);
            let mut far = TcpStream::connect(to).unwrap();
            // Its greeting comes at once.
            let greeting: [u8; 11] = take(&mut far);
            say(&stream, &[b"\x05\0\0\x03\x05there\0\0", &greeting[..]].concat());
            forward(stream, far);
        });
        gets_through(&publisher, through(at), "tcp://a.invalid:1");
    }
}

/// The first failure of a socket with these options to connect.
fn failure(options: Options, to: &str) -> (Cause, String) {
    let s = Sub::new(&engine(), options).unwrap();
    let events = s.events();
    s.connect(to).unwrap();
    loop {
        let event = events.next().wait_timeout(SOON).expect("an event in time").unwrap();
        if let Kind::Failed { cause, error, address, .. } = event.kind {
            assert_eq!(address, None);
            return (cause, error.to_string());
        }
    }
}

#[test]
fn why_a_proxy_makes_no_connection_is_told() {
    type Case = (&'static [u8], ProxyFailure, &'static str);
    // What it says when it was offered a login, or asked for a connection.
    const CASES: [Case; 16] = [
        (b"\x05\xff", ProxyFailure::NoCommonLogin, "accepts no way to log in that this side has"),
        (b"\x05\x02", ProxyFailure::NoCommonLogin, "accepts no way to log in that this side has"),
        (b"\x04\0", ProxyFailure::NotSocks5, "does not speak SOCKS5"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", ProxyFailure::NotSocks5, "does not speak SOCKS5"),
        (b"", ProxyFailure::Closed, "closed the connection"),
        (b"\x05", ProxyFailure::Closed, "closed the connection"),
        (b"\x05\0\x05\x01\0\x01\0\0\0\0\0\0", ProxyFailure::General, "has failed"),
        (b"\x05\0\x05\x02\0\x01\0\0\0\0\0\0", ProxyFailure::NotAllowed, "does not allow it"),
        (b"\x05\0\x05\x03\0\x01\0\0\0\0\0\0", ProxyFailure::NetworkUnreachable, "cannot reach the network"),
        (b"\x05\0\x05\x04\0\x01\0\0\0\0\0\0", ProxyFailure::HostUnreachable, "cannot reach the host"),
        (b"\x05\0\x05\x05", ProxyFailure::ConnectionRefused, "says: connection refused"),
        (b"\x05\0\x05\x06\0\x01\0\0\0\0\0\0", ProxyFailure::TtlExpired, "says: time to live expired"),
        (b"\x05\0\x05\x07\0\x01\0\0\0\0\0\0", ProxyFailure::CommandNotSupported, "makes no connections"),
        (
            b"\x05\0\x05\x08\0\x01\0\0\0\0\0\0",
            ProxyFailure::AddressNotSupported,
            "does not support this type of address",
        ),
        (b"\x05\0\x05\x63\0\x01\0\0\0\0\0\0", ProxyFailure::Code(99), "has failed with the code 99"),
        (b"\x05\0\x05\0\0\x02\0\0\0\0\0\0", ProxyFailure::NotSocks5, "does not speak SOCKS5"),
    ];
    for (answers, expected, phrase) in CASES {
        let at = proxy(move |mut stream| {
            take::<3>(&mut stream);
            stream.write_all(&answers[..answers.len().min(2)]).unwrap();
            if answers.len() > 2 && answers[..2] == [5, 0] {
                take_request(&mut stream);
                stream.write_all(&answers[2..]).unwrap();
            }
            let _ = stream.shutdown(Shutdown::Write);
            let _ = stream.read_to_end(&mut Vec::new());
        });
        let (cause, text) = failure(through(at), "tcp://a.invalid:1");
        assert_eq!(cause, Cause::Proxy(expected), "{}", answers.escape_ascii());
        assert_eq!(cause.to_string(), format!("the proxy {phrase}"));
        assert!(text.contains(&format!("the proxy {at} {phrase}")), "{text}");
    }
}

#[test]
fn a_proxy_that_is_not_there_or_does_not_answer_is_told_from_a_peer_that_does_not() {
    let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let (cause, text) = failure(through(nobody), "tcp://a.invalid:1");
    assert_eq!(cause, Cause::Proxy(ProxyFailure::NotReached(Box::new(Cause::ConnectionRefused))));
    assert!(text.contains(&format!("the proxy {nobody} cannot be reached: connection refused")), "{text}");

    let silent = proxy(|mut stream| drop(stream.read_to_end(&mut Vec::new())));
    let (cause, text) =
        failure(through(silent).connect_timeout(Duration::from_millis(100)), "tcp://a.invalid:1");
    assert_eq!(cause, Cause::Proxy(ProxyFailure::NoAnswer));
    assert!(text.contains("the proxy made no connection in 100ms (connect_timeout)"), "{text}");

    let unknown = SocksProxy::new("oncue.invalid:1080").unwrap();
    let (cause, _) = failure(options().socks_proxy(unknown), "tcp://127.0.0.1:1");
    let Cause::Proxy(ProxyFailure::NotReached(why)) = cause else { panic!("{cause:?}") };
    assert!(matches!(*why, Cause::NameUnknown | Cause::ResolverUnavailable), "{why:?}");
}

#[test]
fn a_refusal_by_a_proxy_counts_as_one() {
    let at = proxy(|mut stream| {
        take::<3>(&mut stream);
        stream.write_all(&[5, 0]).unwrap();
        take_request(&mut stream);
        stream.write_all(&[5, 5]).unwrap();
    });
    let options = through(at).reconnect_stop(ReconnectStop::CONNECTION_REFUSED);
    let s = Sub::new(&engine(), options).unwrap();
    let events = s.events();
    s.connect("tcp://a.invalid:1").unwrap();
    let mut told = Vec::new();
    while !matches!(told.last(), Some(Kind::Stopped)) {
        told.push(events.next().wait_timeout(SOON).expect("an event in time").unwrap().kind);
    }
    assert!(
        matches!(told[..], [Kind::Connecting, Kind::Failed { retry_after: None, .. }, Kind::Stopped]),
        "{told:?}"
    );
}

#[test]
fn a_proxy_is_checked_and_its_password_is_not_printed() {
    let proxy = SocksProxy::new("[::1]:1080").unwrap().credentials("me", "pa55word").unwrap();
    assert_eq!(format!("{proxy:?}"), "SocksProxy { address: [::1]:1080, username: \"me\", password: ... }");
    let options = options().socks_proxy(proxy.clone());
    assert!(!format!("{options:?} {proxy}").contains("pa55word"));
    for (address, part) in [
        ("proxy", "port"),
        ("proxy:0", "port is 0"),
        ("*:1080", "*"),
        ("a:1;b:1080", "write HOST:PORT"),
        ("::1:80", "brackets"),
    ] {
        let refused = SocksProxy::new(address).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Misuse);
        assert!(refused.to_string().contains(part), "{refused}");
    }
    for (username, password) in [("", "x"), (&"a".repeat(256)[..], "x"), ("me", &"b".repeat(256)[..])] {
        let refused = proxy.clone().credentials(username, password).unwrap_err();
        assert!(
            !refused.to_string().contains("bbb") && refused.to_string().contains("1 to 255"),
            "{refused}"
        );
    }
    let s = Sub::new(&engine(), options).unwrap();
    let refused = s.connect("tcp://[fe80::1%lo]:5").unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Misuse);
}
