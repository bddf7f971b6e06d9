//! Which requests are not granted, what is answered, and what the operator reads.

use oncue::{Cause, ConnectionEventKind, Options, Sub, Web, XPub};

use crate::peer::{Raw, SOON, engine, field, port, publisher, request, request_with};

const OFFER: &str = "Sec-WebSocket-Protocol: ZWS2.0\r\n";

/// The status and the text of an answer to these bytes, after which the connection ends.
fn answer(port: u16, bytes: &str) -> (u16, String) {
    let mut raw = Raw::connect(port);
    raw.send(bytes.as_bytes());
    let head = raw.head();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    if status == 101 {
        return (status, String::new());
    }
    let text = String::from_utf8(raw.rest()).unwrap();
    assert_eq!(field(&head, "Content-Length"), text.len().to_string());
    (status, text)
}

#[track_caller]
fn is(answer: (u16, String), status: u16, part: &str) {
    assert!(answer.0 == status && answer.1.contains(part), "{status} {part}: {answer:?}");
}

#[test]
fn a_request_that_cannot_be_granted_is_answered_with_the_remedy_and_counted() {
    let (publisher, port) = publisher(Options::new());
    let ws = |target: &str, fields: &str| answer(port, &request_with(port, target, fields));
    is(ws("/live", ""), 400, "no Sec-WebSocket-Protocol was offered; offer one of: ZWS2.0/NULL, ZWS2.0");
    let foreign = "Sec-WebSocket-Protocol: zws2.0, ZWS2.0/CURVE\r\n";
    is(
        ws("/live", foreign),
        400,
        "\"zws2.0, ZWS2.0/CURVE\" none is spoken here; offer one of: ZWS2.0/NULL, ZWS2.0",
    );
    is(ws("/other", OFFER), 404, "ZeroMQ is at /live");
    is(ws("/live/", OFFER), 404, "");
    is(ws("/live?any=query", OFFER), 101, "");
    let plain = |target: &str| answer(port, &format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    is(plain("/live"), 426, "Connect with a WebSocket client");
    is(plain("/"), 426, "");
    let whole = request(port, "ZWS2.0");
    is(answer(port, &whole.replace("Version: 13", "Version: 8")), 426, "13");
    is(answer(port, &whole.replace("NhbXBsZSBub25jZQ==", "")), 400, "Sec-WebSocket-Key");
    is(answer(port, &whole.replace("Upgrade\r\n", "close\r\n")), 400, "Connection: Upgrade");
    is(answer(port, &whole.replace("GET", "POST")), 400, "GET");
    is(answer(port, &whole.replace("HTTP/1.1", "HTTP/1.0")), 400, "HTTP/1.1");
    is(ws("/live", &format!("{OFFER}Cookie: {}\r\n", "c".repeat(4000))), 101, "");
    is(answer(port, &format!("GET / HTTP/1.1\r\nCookie: {}", "c".repeat(8192))), 431, "8192 bytes");
    is(ws("/live", &"A: b\r\n".repeat(65)), 431, "64 fields");

    let causes: Vec<_> = publisher.refused().into_iter().map(|refused| refused.cause).collect();
    assert!(causes.contains(&Cause::Http(404)) && causes.contains(&Cause::Http(431)), "{causes:?}");
    assert_eq!(publisher.stats().peers_refused, 13);
    let last = publisher.refused().pop().unwrap();
    assert_eq!(last.cause.to_string(), "its HTTP request was answered with 431");
}

#[test]
fn a_peer_of_tcp_is_told_from_a_browser() {
    let (publisher, port) = publisher(Options::new());
    let mut raw = Raw::connect(port);
    raw.send(b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\x01NULL");
    assert!(raw.head().starts_with("HTTP/1.1 400 "));
    raw.rest();
    let refused = publisher.refused().pop().unwrap();
    assert!(matches!(refused.cause, Cause::NotZeroMq(_)), "{refused:?}");
    assert!(refused.error.to_string().contains("ws://"), "{refused:?}");
}

#[test]
fn pages_of_other_origins_may_not_connect_unless_they_are_listed() {
    let (_publisher, port) = publisher(Options::new());
    let from = |port: u16, origin: &str, host: &str| {
        let request = request_with(port, "/live", &format!("{OFFER}Origin: {origin}\r\n"));
        answer(port, &request.replace(&format!("Host: 127.0.0.1:{port}"), &format!("Host: {host}"))).0
    };
    let (here, local) = (format!("127.0.0.1:{port}"), format!("localhost:{port}"));
    assert_eq!(from(port, &format!("http://{here}"), &here), 101);
    assert_eq!(from(port, &format!("http://{local}"), &local.to_uppercase()), 101);
    assert_eq!(from(port, "http://127.0.0.1", &here), 403);
    assert_eq!(from(port, &format!("http://{local}"), &here), 403);
    assert_eq!(from(port, "https://example.org", &here), 403);
    assert_eq!(from(port, "null", &here), 403);
    // Its name resolves to this machine, by the will of whoever owns the name.
    let rebound = format!("evil.example:{port}");
    assert_eq!(from(port, &format!("http://{rebound}"), &rebound), 403);
    let refused =
        answer(port, &request_with(port, "/live", &format!("{OFFER}Origin: https://example.org\r\n")));
    is(refused, 403, "list it in Web::origins");
    is(
        answer(port, &format!("GET / HTTP/1.1\r\nHost: {rebound}\r\n\r\n")),
        403,
        "use localhost or 127.0.0.1",
    );

    let listed = XPub::new(&engine(), Options::new()).unwrap();
    let web = Web::new().origins(["https://example.org", "null"]);
    let at = crate::peer::port(&listed.bind_web("ws://127.0.0.1:*/live", web).unwrap());
    assert_eq!(from(at, "https://example.org", "proxy.example"), 101);
    assert_eq!(from(at, "null", "proxy.example"), 101);
    assert_eq!(from(at, "https://example.org:8443", "proxy.example"), 403);
    let any = XPub::new(&engine(), Options::new().web(Web::new().origins(["*"]))).unwrap();
    let at = crate::peer::port(&any.bind("ws://127.0.0.1:*/live").unwrap());
    assert_eq!(from(at, "https://example.org", "127.0.0.1"), 101);
}

#[test]
fn a_token_lets_in_who_has_it() {
    let web = Web::new().token("s3cret-~");
    let (publisher, port) = publisher(Options::new().web(web.clone()));
    let ws =
        |target: &str, fields: &str| answer(port, &request_with(port, target, &format!("{OFFER}{fields}")));
    is(ws("/live", ""), 401, "Authorization: Bearer");
    is(ws("/live", "Authorization: Bearer s3cret\r\n"), 401, "");
    is(ws("/live", "Authorization: Basic s3cret-~\r\n"), 401, "");
    is(ws("/live?token=", ""), 401, "");
    is(ws("/live", "authorization: bearer s3cret-~\r\n"), 101, "");
    is(ws("/live?a=b&token=s3cret-~", ""), 101, "");

    let subscriber = Sub::new(&engine(), Options::new().web(web)).unwrap();
    subscriber.subscribe("").unwrap();
    subscriber.connect(&format!("ws://127.0.0.1:{port}/live")).unwrap();
    publisher.wait_for_subscribers("x", 1).wait_timeout(SOON).expect("a subscriber").unwrap();
    assert!(Options::new().web(Web::new().token("a b")).check().is_err());
    assert!(Options::new().web(Web::new().origins(["example.org"])).check().is_err());
}

#[test]
fn a_refused_client_knows_why() {
    let (_publisher, at) = publisher(Options::new());
    let subscriber = Sub::new(&engine(), Options::new()).unwrap();
    let events = subscriber.events();
    subscriber.connect(&format!("ws://127.0.0.1:{at}/other")).unwrap();
    let failed = loop {
        let event = events.next().wait_timeout(SOON).expect("an event").unwrap();
        if let ConnectionEventKind::Failed { cause, .. } = event.kind {
            break cause;
        }
    };
    assert_eq!(failed, Cause::RefusedByPeer("404 Not Found".into()));
    assert!(failed.is_refusal());
    // What is no server of WebSocket at all: a publisher over TCP says its greeting.
    let other = XPub::new(&engine(), Options::new()).unwrap();
    let endpoint = other.bind("tcp://127.0.0.1:*").unwrap().to_string();
    let subscriber = Sub::new(&engine(), Options::new()).unwrap();
    let events = subscriber.events();
    subscriber.connect(&endpoint.replace("tcp", "ws")).unwrap();
    loop {
        let event = events.next().wait_timeout(SOON).expect("an event").unwrap();
        if let ConnectionEventKind::Failed { cause, .. } = event.kind {
            assert!(matches!(cause, Cause::NotZeroMq(_)), "{cause:?}");
            break;
        }
    }
    if cfg!(not(feature = "wss")) {
        let text = "wss://127.0.0.1:1/x";
        for error in [other.bind(text).unwrap_err(), subscriber.connect(text).unwrap_err()] {
            assert!(error.to_string().contains("feature `wss`"), "{error}");
        }
    }
    assert!(other.bind_web("tcp://127.0.0.1:0", Web::new()).is_err());
    assert_eq!(port(&"ws://h:7/".parse().unwrap()), 7);
}
