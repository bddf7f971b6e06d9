//! What a socket tells about its connections: each change once, with the endpoint and an honest cause.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use oncue::{
    Cause, ConnectionEvent, ConnectionEventKind as Kind, ConnectionEvents, ErrorKind, Options, PeerAddress,
    Pub, SocketType, Sub, XPub,
};

use oncue_interop::directory::Directory;
use socket2::{Domain, Socket as Socket2, Type};

use crate::raw::*;

fn next(events: &ConnectionEvents) -> ConnectionEvent {
    events.next().wait_timeout(SOON).expect("an event in time").unwrap()
}

/// As an operator reads it.
fn say(event: &ConnectionEvent) -> String {
    match &event.kind {
        Kind::Bound => "bound".into(),
        Kind::Unbound => "unbound".into(),
        Kind::Connecting => "connecting".into(),
        Kind::Waiting { cause } => format!("waiting: {cause}"),
        Kind::Connected { peer } => format!("connected to a {}", peer.socket_type),
        Kind::Accepted { peer } => format!("accepted a {}", peer.socket_type),
        Kind::Failed { cause, .. } => format!("failed: {cause}"),
        Kind::Refused { cause, .. } => format!("refused: {cause}"),
        Kind::Lost { cause, .. } => format!("lost: {cause}"),
        Kind::Disconnected { cause, .. } => format!("disconnected: {cause}"),
        Kind::Stopped => "stopped".into(),
        other => format!("{other:?}"),
    }
}

#[test]
fn a_connection_is_told_from_both_sides() {
    let engine = engine();
    let publisher = XPub::new(&engine, options()).unwrap();
    let subscriber = Sub::new(&engine, options()).unwrap();
    let (ours, theirs) = (publisher.events(), subscriber.events());
    let endpoint = publisher.bind("tcp://127.0.0.1:*").unwrap();
    subscriber.connect(&endpoint.to_string()).unwrap();
    let bound = next(&ours);
    assert_eq!((say(&bound).as_str(), &bound.endpoint), ("bound", &endpoint));
    let connecting = next(&theirs);
    assert_eq!((say(&connecting).as_str(), &connecting.endpoint), ("connecting", &endpoint));
    let connected = next(&theirs);
    let Kind::Connected { peer } = &connected.kind else { panic!("{connected:?}") };
    assert_eq!(format!("{}", peer.address), endpoint.to_string());
    assert_eq!((peer.socket_type, &connected.endpoint), (SocketType::XPub, &endpoint));
    let accepted = next(&ours);
    let Kind::Accepted { peer } = accepted.kind else { panic!("{accepted:?}") };
    assert!(matches!(peer.address, PeerAddress::Tcp(_)) && peer.socket_type == SocketType::Sub);

    subscriber.disconnect(&endpoint.to_string()).unwrap();
    assert_eq!(say(&next(&theirs)), "stopped");
    let gone = next(&ours);
    assert_eq!(say(&gone), "disconnected: it closed the connection");
    let Kind::Disconnected { peer: same, error, .. } = gone.kind else { panic!() };
    assert_eq!((same, error.kind()), (peer, ErrorKind::Peer));
    publisher.unbind(&endpoint.to_string()).unwrap();
    assert_eq!(say(&next(&ours)), "unbound");
    assert!(theirs.try_next().unwrap().is_none() && ours.try_next().unwrap().is_none());
    publisher.close().wait();
    assert_eq!(ours.next().wait().unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(ours.try_next().unwrap_err().kind(), ErrorKind::Closed);
}

#[test]
fn a_failure_is_told_once_until_it_changes() {
    let engine = engine();
    let subscriber = Sub::new(&engine, options()).unwrap();
    let events = subscriber.events();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let endpoint = format!("tcp://{at}");
    drop(listener);
    subscriber.connect(&endpoint).unwrap();
    assert_eq!(say(&next(&events)), "connecting");
    assert_eq!(say(&next(&events)), "failed: connection refused");
    // A later watch hears of the same failure, this one does not.
    let later = subscriber.events();
    assert_eq!(say(&next(&later)), "failed: connection refused");
    assert!(events.try_next().unwrap().is_none());
    let publisher = Pub::new(&engine, options()).unwrap();
    publisher.bind(&endpoint).unwrap();
    assert_eq!(say(&next(&events)), "connected to a PUB");
    publisher.close().wait();
    drop(publisher);
    let lost = next(&events);
    assert!(
        matches!(&lost.kind, Kind::Lost { retry_after: Some(after), .. } if *after > Duration::ZERO),
        "{lost:?}"
    );
    assert_eq!(say(&next(&events)), "failed: connection refused");
    assert_eq!(events.missed(), 0);
}

/// A server that treats each connection so.
fn serve(treat: impl Fn(TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("tcp://{}", listener.local_addr().unwrap());
    let serve = move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { return };
            stream.set_read_timeout(Some(SOON)).unwrap();
            treat(stream);
        }
    };
    thread::spawn(serve);
    endpoint
}

/// The first failure of a socket that connects to a server.
fn failure(options: Options, treat: impl Fn(TcpStream) + Send + 'static) -> (Cause, String) {
    let subscriber = Sub::new(&engine(), options).unwrap();
    let events = subscriber.events();
    let endpoint = serve(treat);
    subscriber.connect(&endpoint).unwrap();
    assert_eq!(say(&next(&events)), "connecting");
    let event = next(&events);
    let Kind::Failed { cause, error, address, .. } = event.kind else { panic!("{event:?}") };
    assert_eq!(address.map(|address| address.to_string()), Some(endpoint));
    (cause, error.to_string())
}

/// Waits until the other side has closed the stream, and returns what it sent.
fn drain(stream: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all);
    all
}

#[test]
fn a_server_of_another_protocol_is_not_zeromq() {
    let (cause, _) = failure(options(), |mut stream| {
        let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.6\r\n");
        drain(&mut stream);
    });
    assert_eq!(cause.to_string(), "it is not ZeroMQ: it looks like SSH");
    let (cause, error) = failure(options(), |mut stream| {
        let _ = stream.read(&mut [0; 64]);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        drain(&mut stream);
    });
    assert_eq!(cause.to_string(), "it is not ZeroMQ: it looks like HTTP");
    assert!(cause.is_refusal());
    assert!(error.contains("does not speak ZMTP"), "{error}");
}

#[test]
fn a_server_that_speaks_and_closes_at_once_is_heard() {
    for _ in 0..20 {
        let (cause, _) = failure(options(), |mut stream| {
            // What it has not read makes the system reset the connection.
            let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.6\r\n");
            let _ = stream.read_exact(&mut [0]);
        });
        assert_eq!(cause.to_string(), "it is not ZeroMQ: it looks like SSH");
    }
}

#[test]
fn a_long_wait_is_told_while_it_lasts() {
    let subscriber = Sub::new(&engine(), options().handshake_timeout(Duration::from_millis(3500))).unwrap();
    let events = subscriber.events();
    let endpoint = serve(|mut stream| _ = drain(&mut stream));
    subscriber.connect(&endpoint).unwrap();
    assert_eq!(say(&next(&events)), "connecting");
    assert_eq!(say(&next(&events)), "waiting: it accepted the connection and says nothing");
    assert_eq!(say(&next(&events)), "failed: it accepted the connection and says nothing");
}

#[test]
fn an_endpoint_that_does_not_answer_is_told_from_one_that_says_nothing() {
    let silent = Socket2::new(Domain::IPV4, Type::STREAM, None).unwrap();
    silent.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    silent.listen(0).unwrap();
    let at = silent.local_addr().unwrap().as_socket().unwrap();
    // Its queue is full: the system answers no further connection.
    let _full = [(); 2].map(|()| TcpStream::connect_timeout(&at, Duration::from_millis(100)));
    let timeout = Duration::from_millis(100);
    let subscriber = Sub::new(&engine(), options().handshake_timeout(timeout)).unwrap();
    let events = subscriber.events();
    for endpoint in [format!("tcp://{at}"), "inproc://nobody".to_owned()] {
        subscriber.connect(&endpoint).unwrap();
        assert_eq!(say(&next(&events)), "connecting");
        assert_eq!(say(&next(&events)), "failed: it does not answer");
    }
}

#[test]
fn a_server_that_is_silent_is_told_from_one_that_stops_in_the_handshake() {
    let options = || options().handshake_timeout(Duration::from_millis(100));
    let (cause, error) = failure(options(), |mut stream| _ = drain(&mut stream));
    assert_eq!(cause, Cause::SaysNothing);
    assert!(error.contains("handshake_timeout"), "{error}");
    let (cause, _) = failure(options(), |mut stream| {
        let _ = stream.write_all(&GREETING_3_1[..20]);
        drain(&mut stream);
    });
    assert_eq!(cause, Cause::HandshakeTimeout);
}

#[test]
fn a_server_that_closes_at_once_is_reported() {
    let (cause, _) = failure(options(), drop);
    assert_eq!(cause, Cause::ClosedInGreeting);
}

#[test]
fn a_socket_that_does_not_fit_is_named() {
    let (cause, _) = failure(options(), |mut stream| {
        let _ = stream.write_all(&Zmtp::V3_1.hello("REP"));
        drain(&mut stream);
    });
    assert_eq!(cause.to_string(), "it is a REP, not a publisher");
    let (cause, _) = failure(options(), |mut stream| {
        let _ = stream.write_all(&Zmtp::V3_1.hello("XSUB"));
        drain(&mut stream);
    });
    assert_eq!(cause.to_string(), "it is an XSUB, not a publisher");
}

#[test]
fn a_mechanism_that_this_side_lacks_is_named() {
    let (cause, _) = failure(options(), |mut stream| {
        let mut greeting = *GREETING_3_1;
        greeting[12..17].copy_from_slice(b"CURVE");
        let _ = stream.write_all(&greeting);
        drain(&mut stream);
    });
    assert_eq!(cause.to_string(), "it wants CURVE");
}

#[test]
fn the_text_of_a_refusal_is_told_escaped() {
    let (cause, _) = failure(options(), |mut stream| {
        let _ = stream.write_all(GREETING_3_1);
        let _ = stream.write_all(&command("ERROR", b"\x08no\x1b[2J\xff\n"));
        drain(&mut stream);
    });
    assert_eq!(cause, Cause::RefusedByPeer(r"no\x1b[2J\xff\n".into()));
}

/// A server that closes without a word when it has read our socket type, as libzmq does; it tells its own type first to a
/// peer that does not tell it.
fn closes_unless_asked(mut stream: TcpStream, own: &'static str) {
    let _ = stream.write_all(GREETING_3_1);
    let mut theirs = Vec::new();
    while theirs.len() < GREETING_3_1.len() {
        let mut part = [0; 256];
        match stream.read(&mut part) {
            Ok(n) if n > 0 => theirs.extend_from_slice(&part[..n]),
            _ => return,
        }
    }
    if theirs.len() == GREETING_3_1.len() {
        let _ = stream.write_all(&ready(own));
        drain(&mut stream);
    }
}

#[test]
fn a_peer_that_closes_without_a_word_is_asked_for_its_type() {
    let (cause, _) = failure(options(), |stream| closes_unless_asked(stream, "PUSH"));
    assert_eq!(cause.to_string(), "it is a PUSH, not a publisher");
}

#[test]
fn a_peer_that_never_tells_its_type_is_reported_as_closing_in_the_handshake() {
    let (cause, error) = failure(options(), |mut stream| {
        let _ = stream.write_all(GREETING_3_1);
        let mut first = [0; 11];
        let _ = stream.read_exact(&mut first);
        // All that it has read, or the system would tell of a reset.
        let _ = stream.read(&mut [0; 256]);
    });
    assert_eq!(cause, Cause::ClosedInHandshake);
    assert!(error.contains("does not talk to SUB"), "{error}");
}

#[test]
fn a_peer_that_waits_for_our_ready_is_connected_after_one_that_left_without_a_word() {
    let subscriber = Sub::new(&engine(), options()).unwrap();
    let events = subscriber.events();
    let visits = AtomicU32::new(0);
    let endpoint = serve(move |mut stream| {
        if visits.fetch_add(1, Ordering::Relaxed) == 0 {
            return closes_unless_asked(stream, "PUSH");
        }
        let _ = stream.write_all(GREETING_3_1);
        let _ = stream.read_exact(&mut [0; 64]);
        // Strictly by RFC 37, the side that has bound waits.
        let _ = stream.read_exact(&mut [0; 2]);
        let _ = stream.write_all(&ready("PUB"));
        drain(&mut stream);
    });
    subscriber.connect(&endpoint).unwrap();
    assert_eq!(say(&next(&events)), "connecting");
    assert_eq!(say(&next(&events)), "connected to a PUB");
}

#[test]
fn what_the_system_refuses_is_told_apart() {
    let subscriber = Sub::new(&engine(), options()).unwrap();
    let events = subscriber.events();
    let failure = |endpoint: &str| {
        subscriber.connect(endpoint).unwrap();
        assert_eq!(say(&next(&events)), "connecting");
        let event = next(&events);
        assert_eq!(event.endpoint.to_string(), endpoint);
        let Kind::Failed { cause, address: None, error, .. } = event.kind else { panic!("{event:?}") };
        subscriber.disconnect(endpoint).unwrap();
        assert_eq!(say(&next(&events)), "stopped");
        (cause, error)
    };
    let directory = Directory::new();
    let missing = directory.path("missing.sock");
    let (cause, error) = failure(&format!("ipc://{}", missing.display()));
    assert_eq!(cause, Cause::NoSuchFile);
    assert_eq!(error.io_kind(), Some(std::io::ErrorKind::NotFound));
    let (cause, _) = failure("ipc://@oncue-nobody-listens-here");
    assert_eq!(cause, Cause::ConnectionRefused);
    let (cause, error) = failure("tcp://oncue.invalid:5555");
    // Without a network the system may not know that the name does not exist.
    assert!(matches!(cause, Cause::NameUnknown | Cause::ResolverUnavailable), "{cause:?}");
    assert!(error.to_string().contains("\"oncue.invalid\""), "{error}");
    let (cause, _) = failure("tcp://255.255.255.255:5555");
    assert!(matches!(cause, Cause::PermissionDenied | Cause::Unreachable), "{cause:?}");
}

#[test]
fn a_peer_that_breaks_the_protocol_is_told_from_one_that_leaves() {
    let publisher = XPub::new(&engine(), options()).unwrap();
    let events = publisher.events();
    let door = Door::new(&publisher, Side::Binding);
    assert_eq!(say(&next(&events)), "bound");
    let ended = |end: &dyn Fn(Raw), how: &str| {
        end(door.peer(Zmtp::V3_1));
        assert_eq!(say(&next(&events)), "accepted a SUB");
        assert_eq!(say(&next(&events)), format!("disconnected: {how}"));
    };
    ended(&drop, "it closed the connection");
    ended(&Raw::reset, "the connection was reset");
    let says = |bytes: Vec<u8>| {
        move |mut peer: Raw| {
            peer.send_anyway(&bytes);
            peer.ended();
        }
    };
    ended(&says(vec![0xff; 100]), "it broke the protocol");
    ended(&says(command("ERROR", b"\x03bye")), "it says \"bye\"");
    ended(&says(b"\x02\0\0\x01\0\0\0\0\0".to_vec()), "it exceeded a bound");
    // Before the end of the handshake.
    drop(door.stranger());
    assert_eq!(say(&next(&events)), "refused: it closed the connection at once");
    let mut stranger = door.stranger();
    stranger.send_anyway(Zmtp::V3_1.hello("REQ"));
    stranger.ended();
    assert_eq!(say(&next(&events)), "refused: it is a REQ, not a subscriber");
}

#[test]
fn a_peer_that_falls_silent_is_reported() {
    let heartbeat = options().heartbeat(Duration::from_millis(50), Duration::from_millis(150));
    let publisher = XPub::new(&engine(), heartbeat).unwrap();
    let events = publisher.events();
    let door = Door::new(&publisher, Side::Binding);
    let _peer = door.peer(Zmtp::V3_1);
    let told = [next(&events), next(&events), next(&events)].map(|event| say(&event));
    assert_eq!(told, ["bound", "accepted a SUB", "disconnected: it was silent for too long"]);
}

#[test]
fn peers_beyond_the_bound_are_reported_as_turned_away() {
    let publisher = XPub::new(&engine(), options().peers_max(0)).unwrap();
    let events = publisher.events();
    let door = Door::new(&publisher, Side::Binding);
    assert_eq!(say(&next(&events)), "bound");
    let mut stranger = door.stranger();
    stranger.send_anyway(Zmtp::V3_1.hello("SUB"));
    stranger.ended();
    assert_eq!(say(&next(&events)), "refused: too many peers");
}
