//! Plain HTTP at the port of a WebSocket: topics as server-sent events, one value, pages.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::channel;
use std::time::Duration;

use oncue::{
    Admission, ConnectionEventKind, Engine, OnDemand, OnFull, Options, Page, Reason, Sub, Web, XPub,
    XPubEvent,
};

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

struct Client(TcpStream);

impl Client {
    /// Sends a request for `target`, with these header lines.
    fn new(endpoint: &str, target: &str, lines: &[&str]) -> Client {
        Client::asking(endpoint, "GET", target, lines)
    }

    fn asking(endpoint: &str, method: &str, target: &str, lines: &[&str]) -> Client {
        let place = endpoint.trim_start_matches("ws://").split('/').next().unwrap();
        let mut stream = TcpStream::connect(place).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        write!(stream, "{method} {target} HTTP/1.1\r\nHost: {place}\r\n{lines}\r\n").unwrap();
        Client(stream)
    }

    /// Reads up to this text, which must come.
    fn until(&mut self, text: &str) -> String {
        let mut read = Vec::new();
        while !read.ends_with(text.as_bytes()) {
            let mut byte = [0];
            let n = self.0.read(&mut byte).expect("in time");
            assert_eq!(n, 1, "the end instead of {text:?} after {:?}", String::from_utf8_lossy(&read));
            read.push(byte[0]);
        }
        String::from_utf8(read).unwrap()
    }

    /// The head of the answer.
    fn head(&mut self) -> String {
        self.until("\r\n\r\n")
    }

    /// The data of the next event.
    fn event(&mut self) -> String {
        self.until("\n\n").trim_end().to_owned()
    }

    /// All that comes until the end.
    fn rest(mut self) -> String {
        let mut rest = String::new();
        self.0.read_to_string(&mut rest).expect("in time");
        rest
    }
}

fn publisher(options: Options, web: Web) -> (XPub, String) {
    let x = XPub::new(&Engine::start().unwrap(), options).unwrap();
    let endpoint = x.bind_web("ws://127.0.0.1:*/live", web).unwrap().to_string();
    (x, endpoint)
}

#[track_caller]
fn event(x: &XPub) -> String {
    match x.event().wait_timeout(PATIENCE).expect("in time").unwrap() {
        XPubEvent::Wanted(prefix) => format!("+{}", prefix.escape_ascii()),
        XPubEvent::Unwanted(prefix) => format!("-{}", prefix.escape_ascii()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_topic_is_a_stream_of_events_and_a_client_that_leaves_ends_the_demand() {
    let (x, endpoint) = publisher(Options::new(), Web::new());
    let mut client = Client::new(&endpoint, "/sub/a/b%20c", &[]);
    assert_eq!(event(&x), "+a/b c");
    let head = client.head();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("text/event-stream"), "{head}");
    assert!(!head.contains("Access-Control"), "{head}");
    x.send(["a/b c", "1", "two\n\"lines\""]).unwrap();
    x.send([&b"a/b cd"[..], b"\xff"]).unwrap();
    assert_eq!(client.event(), r#"data: {"topic":"a/b c","frames":["a/b c","1","two\n\"lines\""]}"#);
    assert!(client.event().ends_with(r#""frames_base64":[null,"/w=="]}"#));
    let peers = x.peers().unwrap();
    assert!(peers[0].profile.address.to_string().starts_with("ws://127.0.0.1:"), "{peers:?}");
    drop(client);
    assert_eq!(event(&x), "-a/b c");
}

#[test]
fn several_topics_and_plain_values_are_asked_for_in_the_query() {
    let (x, endpoint) = publisher(Options::new(), Web::new());
    let mut client = Client::new(&endpoint, "/sub/a?format=value&topic=b+c&topic=d%2Be", &[]);
    let mut wanted = [event(&x), event(&x), event(&x)];
    wanted.sort();
    assert_eq!(wanted, ["+a", "+b c", "+d+e"]);
    client.head();
    x.send(["b c", "1\r\n2\r3"]).unwrap();
    x.send("a").unwrap();
    assert_eq!(
        (client.event(), client.event()),
        ("data: 1\ndata: 2\ndata: 3".to_owned(), "data: a".to_owned())
    );
    for (target, status, why) in [
        ("/sub/%zz", "400", "without two digits"),
        ("/sub/a?topic=%1", "400", "without two digits"),
        ("/sub/a?format=xml", "400", "format=json or format=value"),
        ("/else", "404", "/last/TOPIC"),
    ] {
        let answer = Client::new(&endpoint, target, &[]).rest();
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains(why),
            "{target}: {answer}"
        );
    }
    let answer = Client::asking(&endpoint, "POST", "/sub/a", &["Content-Length: 0"]).rest();
    assert!(answer.starts_with("HTTP/1.1 405 ") && answer.contains("Allow: GET, HEAD"), "{answer}");
}

#[test]
fn the_last_value_is_one_answer_or_the_next_value_if_none_is_kept() {
    let (x, endpoint) = publisher(Options::new(), Web::new().alias("/routes", "r", "application/json"));
    x.send_last(("kept", "42")).unwrap();
    let answer = Client::new(&endpoint, "/last/kept", &[]).rest();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\n42"), "{answer}");
    assert!(
        answer.contains("Content-Type: text/plain; charset=utf-8\r\n")
            && answer.contains("Content-Length: 2")
    );
    // This was demand for a moment. Edges that nobody has taken yet cancel out.
    let client = Client::new(&endpoint, "/last/n", &[]);
    assert_eq!(event(&x), "+n");
    x.send(("n/longer", "no")).unwrap();
    x.send(("n", "1")).unwrap();
    assert!(client.rest().ends_with("\r\n\r\n1"));
    assert_eq!(event(&x), "-n");
    x.send_last(("r", "{}")).unwrap();
    let answer = Client::new(&endpoint, "/routes", &[]).rest();
    assert!(
        answer.contains("Content-Type: application/json\r\n") && answer.ends_with("\r\n\r\n{}"),
        "{answer}"
    );
    x.send_last([&b"bytes"[..], b"\xff"]).unwrap();
    let json = Client::new(&endpoint, "/last/bytes?format=json", &[]).rest();
    assert!(json.ends_with(r#""frames_base64":[null,"/w=="]}"#), "{json}");
}

#[test]
fn rules_are_for_these_clients_too_and_the_reason_is_told() {
    let options = Options::new().admission(|request| match request.prefix.starts_with(b"secret") {
        true => Admission::Reject(Reason::from("for members")),
        false => Admission::Accept,
    });
    let (x, endpoint) = publisher(options, Web::new());
    for target in ["/sub/secret", "/last/secret/1"] {
        let answer = Client::new(&endpoint, target, &[]).rest();
        assert!(answer.starts_with("HTTP/1.1 403 ") && answer.contains("for members"), "{answer}");
    }
    // One of several: the others are in force, and it is an event.
    let mut client = Client::new(&endpoint, "/sub/a", &[]);
    assert_eq!(event(&x), "+a");
    client.head();
    x.revoke_all("a", "over");
    assert_eq!(client.event(), "event: error\ndata: this subscription is not allowed: over");
    assert_eq!(client.rest(), "");
}

#[test]
fn a_topic_without_a_route_is_404_and_states_are_events() {
    let (told, changes) = channel();
    let od = OnDemand::bind("ws://127.0.0.1:0").unwrap().route("m/{x}").backoff(PATIENCE, PATIENCE);
    let od = od.thread(move |feed| {
        told.send(feed.topic().to_vec())?;
        feed.publish("1")?;
        Err("out of order".into())
    });
    let od = od.start().unwrap();
    let endpoint = od.endpoint().unwrap().to_string();
    let answer = Client::new(&endpoint, "/last/clokc", &[]).rest();
    assert!(answer.starts_with("HTTP/1.1 404 ") && answer.contains("no route serves this topic"), "{answer}");
    let mut unserved = Client::new(&endpoint, "/sub/clokc", &[]);
    unserved.head();
    let event = unserved.event();
    assert!(event.starts_with("event: state\ndata: ") && event.contains(r#""state":"unserved""#), "{event}");
    assert!(
        Client::new(&endpoint, "/last/m/a", &[]).rest().ends_with("\r\n\r\n1"),
        "it is produced for this"
    );
    assert_eq!(changes.recv_timeout(PATIENCE).unwrap(), b"m/a");
    let mut client = Client::new(&endpoint, "/sub/m/b", &[]);
    client.head();
    let mut events = Vec::new();
    while !events.iter().any(|event: &String| event.starts_with("event: state") && event.contains("stale")) {
        events.push(client.event());
    }
    assert!(events.contains(&r#"data: {"topic":"m/b","frames":["m/b","1"]}"#.to_owned()), "{events:?}");
}

#[test]
fn pages_are_answered_at_once_or_later_and_are_no_peers() {
    let (sender, later) = channel();
    let sender = std::sync::Mutex::new(sender);
    let pages = move |request: oncue::PageRequest| match request.path() {
        "/" => request.answer(Page::new("text/html", "<p>hello").field("X-A", "b\r\nX-Evil: 1")),
        "/later" => sender.lock().unwrap().send(request).unwrap(),
        "/large" => request.answer(Page::new("text/plain", vec![b'x'; 3 << 20])),
        _ => {}
    };
    let (x, endpoint) = publisher(Options::new(), Web::new().pages(pages).token("t0ken"));
    let events = x.events();
    let ask = |target: &str| Client::new(&endpoint, target, &[]).rest();
    assert!(ask("/").starts_with("HTTP/1.1 401 "));
    let page = ask("/?token=t0ken");
    assert!(
        page.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n") && page.ends_with("<p>hello"),
        "{page}"
    );
    assert!(page.contains("X-A: b\r\n") && !page.contains("X-Evil"), "{page}");
    let head = Client::asking(&endpoint, "HEAD", "/sub/a", &["Authorization: Bearer t0ken"]).rest();
    assert!(head.starts_with("HTTP/1.1 405 ") && head.contains("Allow: GET\r\n"), "{head}");
    let head = Client::asking(&endpoint, "HEAD", "/", &["Authorization: Bearer t0ken"]).rest();
    assert!(head.contains("Content-Length: 8") && head.ends_with("\r\n\r\n"), "{head}");
    assert!(ask("/nothing?token=t0ken").starts_with("HTTP/1.1 404 "));
    assert_eq!(ask("/large?token=t0ken").len().next_multiple_of(1 << 20), 4 << 20, "all of it, and its head");
    let client = Client::new(&endpoint, "/later?token=t0ken", &[]);
    let request = later.recv_timeout(PATIENCE).unwrap();
    std::thread::sleep(Duration::from_millis(20));
    request.answer(Page::text(503, "starting"));
    assert!(client.rest().ends_with("\r\n\r\nstarting\n"));
    // One that goes before its answer is there.
    drop(Client::new(&endpoint, "/later?token=t0ken", &[]));
    later.recv_timeout(PATIENCE).unwrap().answer(Page::text(200, "too late"));
    let stats = x.stats();
    assert_eq!(
        (stats.peers, stats.peers_lost, stats.peers_refused),
        (0, 0, 2),
        "the one without a token, and a HEAD for a topic"
    );
    while let Some(event) = events.try_next().unwrap() {
        let of_page = matches!(&event.kind, ConnectionEventKind::Refused { cause, .. } if !["401", "405"].iter().any(|status| cause.to_string().contains(status)));
        assert!(!of_page, "{event:?}");
    }
}

#[test]
fn connections_that_a_browser_makes_ahead_and_leaves_unused_are_no_refused_peers() {
    for (web, refused) in [(Web::new().pages(drop), 1), (Web::new(), 2)] {
        let (x, endpoint) = publisher(Options::new().handshake_timeout(Duration::from_millis(100)), web);
        let place = endpoint.trim_start_matches("ws://").split('/').next().unwrap();
        let connect = || TcpStream::connect(place).unwrap();
        let end = |mut stream: TcpStream| {
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.read_to_end(&mut Vec::new()).expect("in time");
        };
        // One that is closed unused is nowhere refused, and a request that is begun and not ended is everywhere.
        let [closed, silent, mut begun] = [connect(), connect(), connect()];
        closed.shutdown(std::net::Shutdown::Write).unwrap();
        begun.write_all(b"GET / HT").unwrap();
        [closed, silent, begun].into_iter().for_each(end);
        let causes: Vec<_> = x.refused().iter().map(|refused| refused.cause.to_string()).collect();
        assert_eq!((causes.len(), x.stats().peers_refused), (refused, refused as u64), "{causes:?}");
    }
}

#[test]
fn pages_of_other_sites_are_let_in_if_they_are_listed_and_are_told_so() {
    let (x, endpoint) = publisher(Options::new(), Web::new().origins(["https://example.org"]).token("t"));
    let origin = "Origin: https://example.org";
    let answer =
        Client::asking(&endpoint, "OPTIONS", "/sub/a", &[origin, "Access-Control-Request-Method: GET"])
            .rest();
    assert!(
        answer.starts_with("HTTP/1.1 204 ") && answer.contains("Access-Control-Allow-Headers: Authorization"),
        "{answer}"
    );
    let mut client = Client::new(&endpoint, "/sub/a", &[origin, "Authorization: Bearer t"]);
    assert_eq!(event(&x), "+a");
    assert!(client.head().contains("Access-Control-Allow-Origin: https://example.org\r\nVary: Origin"));
    let answer = Client::asking(&endpoint, "OPTIONS", "/sub/a", &["Origin: https://evil.example"]).rest();
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
}

#[test]
fn a_page_of_another_site_cannot_make_a_browser_ask_for_a_topic() {
    let (x, endpoint) = publisher(Options::new(), Web::new());
    // An image, or a fetch without CORS: no origin is named.
    for site in ["cross-site", "same-site"] {
        let answer = Client::new(&endpoint, "/sub/t", &[&format!("Sec-Fetch-Site: {site}")]).rest();
        assert!(answer.starts_with("HTTP/1.1 403 ") && answer.contains("Web::origins"), "{answer}");
    }
    let mut stream =
        TcpStream::connect(endpoint.trim_start_matches("ws://").split('/').next().unwrap()).unwrap();
    stream.write_all(b"GET /sub/t HTTP/1.1\r\nHost: localhost\r\nOrigin: http://\xff\r\n\r\n").unwrap();
    assert!(Client(stream).head().starts_with("HTTP/1.1 403 "), "not text is not absent");
    assert!(!x.wanted("t"));
    // Typed by a user, and asked for by a page of its own.
    for site in ["none", "same-origin"] {
        let mut client = Client::new(&endpoint, "/sub/t", &[&format!("Sec-Fetch-Site: {site}")]);
        assert!(client.head().starts_with("HTTP/1.1 200 "));
    }
}

#[test]
fn an_endpoint_may_have_pages_only_and_a_subscriber_has_no_topics() {
    let web = Web::new().only_pages(true).pages(|request| request.answer(Page::text(200, "page")));
    let (x, endpoint) = publisher(Options::new(), web);
    for target in ["/sub/a", "/last/a", "/live"] {
        assert!(Client::new(&endpoint, target, &["Upgrade: websocket"]).rest().ends_with("\r\n\r\npage\n"));
    }
    assert_eq!(x.stats().peers_refused, 0);
    let sub = Sub::new(&Engine::start().unwrap(), Options::new()).unwrap();
    let endpoint = sub.bind("ws://127.0.0.1:*").unwrap().to_string();
    assert!(Client::new(&endpoint, "/sub/a", &[]).rest().starts_with("HTTP/1.1 404 "));
}

#[test]
fn a_client_that_does_not_read_misses_messages_and_holds_a_bounded_number_of_bytes() {
    let options = Options::new().send_hwm(100).on_full(OnFull::DropNewest).send_buffer(1 << 16);
    let (x, endpoint) = publisher(options, Web::new());
    let client = Client::new(&endpoint, "/sub/a", &[]);
    assert_eq!(event(&x), "+a");
    let large = "x".repeat(10_000);
    while x.stats().missed == 0 {
        x.send(("a", &large)).unwrap();
    }
    let peers = x.peers().unwrap();
    assert!(peers[0].queued <= 200 && peers[0].missed > 0, "{peers:?}");
    drop(client);
    assert_eq!(event(&x), "-a");
}

#[test]
fn an_endpoint_that_is_trusted_asks_for_no_key() {
    let server = oncue::curve::generate();
    let options = || Options::new().curve_server(server.clone(), oncue::AllowAny);
    let (_x, endpoint) = publisher(options(), Web::new());
    let answer = Client::new(&endpoint, "/sub/a", &[]).rest();
    assert!(answer.starts_with("HTTP/1.1 403 ") && answer.contains("CURVE"), "{answer}");
    let (x, endpoint) = publisher(options(), Web::new().trusted(true));
    let mut client = Client::new(&endpoint, "/sub/a", &[]);
    assert_eq!(event(&x), "+a");
    client.head();
    let sub = Sub::new(&Engine::start().unwrap(), Options::new()).unwrap();
    sub.subscribe("b").unwrap();
    sub.connect(&endpoint).unwrap();
    assert_eq!(event(&x), "+b");
    x.send(("b", "1")).unwrap();
    assert_eq!(sub.recv().wait_timeout(PATIENCE).unwrap().unwrap().frame(1), Some(&b"1"[..]));
    assert!(x.peers().unwrap().iter().all(|peer| peer.profile.user.is_none()));
}
