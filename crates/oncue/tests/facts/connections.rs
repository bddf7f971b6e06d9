//! What a socket tells about its connections: each change once, with the endpoint and an honest cause.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use oncue::{
    Cause, ConnectionEvent, ConnectionEventKind as Kind, ConnectionEvents, ErrorKind, Options, PeerAddress,
    Pub, SocketType, Sub, XPub,
};

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
        matches!(&lost.kind, Kind::Lost { retry_after, .. } if *retry_after > Duration::ZERO),
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
fn a_server_that_closes_at_once_is_told_so() {
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
