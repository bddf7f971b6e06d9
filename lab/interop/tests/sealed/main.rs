//! CURVE by its bytes: a peer that writes every frame itself does to our sockets what other implementations were seen to do,
//! and what a stranger may do.

mod handshake;

use oncue::curve::{self, CurveError, KeyPair};
use oncue::{
    AllowAny, Cause, ConnectionEventKind as Kind, ConnectionEvents, Engine, Options, Sub, XPub, XPubEvent,
};
use oncue_core::command::Metadata;
use oncue_core::frame::ProtocolError;
use oncue_core::mechanism::Mechanism;
use oncue_interop::raw::{Raw, Version, frame, subscription};
use oncue_interop::sealed::{COMMAND, LONG, MORE, Sealed, client, server, socket_type};
use oncue_interop::secured::quick;
use oncue_interop::{PATIENCE, within_a_minute};
use std::net::TcpListener;
use std::time::{Duration, Instant};

const TCP: &str = "tcp://127.0.0.1:0";
const MESSAGE: (bool, bool) = (false, false);
const PART: (bool, bool) = (true, false);
const ORDER: (bool, bool) = (false, true);

/// Our XPUB as a server that lets everybody in.
struct Server {
    socket: XPub,
    events: ConnectionEvents,
    endpoint: String,
    keys: KeyPair,
}

impl Server {
    fn new() -> Server {
        Server::with(|options| options)
    }

    fn with(change: impl FnOnce(Options) -> Options) -> Server {
        let keys = curve::generate();
        let options = change(quick().curve_server(keys.clone(), AllowAny));
        let socket = XPub::new(&Engine::start().expect("an engine"), options).expect("our XPUB");
        let events = socket.events();
        let endpoint = socket.bind(TCP).expect("our XPUB binds").to_string();
        Server { socket, events, endpoint, keys }
    }

    fn connect(&self) -> Raw {
        Raw::connect(&self.endpoint)
    }

    /// A client's side for it.
    fn mechanism(&self, metadata: Metadata) -> Mechanism {
        client(curve::generate(), self.keys.public(), metadata)
    }

    /// A SUB with this minor version, whose handshake is done.
    fn subscriber(&self, minor: u8) -> Sealed {
        Sealed::client(self.connect(), minor, self.mechanism(socket_type("SUB")))
    }

    /// What its user is told.
    fn hears(&self) -> String {
        match self.socket.event().wait_timeout(PATIENCE).expect("an event in time").expect("an event") {
            XPubEvent::Wanted(prefix) => format!("+{}", prefix.escape_ascii()),
            XPubEvent::Unwanted(prefix) => format!("-{}", prefix.escape_ascii()),
            XPubEvent::Message(message) => {
                message.frames().map(|frame| frame.escape_ascii().to_string()).collect::<Vec<_>>().join("|")
            }
            other => panic!("{other:?}"),
        }
    }

    /// Why the next peer is refused, or was disconnected.
    fn cause(&self) -> Cause {
        loop {
            match next(&self.events) {
                Kind::Refused { cause, .. } | Kind::Disconnected { cause, .. } => return cause,
                Kind::Bound | Kind::Accepted { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

fn next(events: &ConnectionEvents) -> Kind {
    events.next().wait_timeout(PATIENCE).expect("an event in time").expect("an event").kind
}

fn broke(fault: CurveError) -> Cause {
    Cause::Protocol(ProtocolError::Curve(fault))
}

/// Our SUB as a client of a listener of ours, which the test answers.
struct Client {
    socket: Sub,
    events: ConnectionEvents,
    listener: TcpListener,
    keys: KeyPair,
}

impl Client {
    fn new() -> Client {
        Client::with(|options| options)
    }

    fn with(change: impl FnOnce(Options) -> Options) -> Client {
        let keys = curve::generate();
        let options = change(quick().curve_client(curve::generate(), *keys.public()));
        let socket = Sub::new(&Engine::start().expect("an engine"), options).expect("our SUB");
        let events = socket.events();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let endpoint = format!("tcp://{}", listener.local_addr().expect("an address"));
        socket.connect(&endpoint).expect("our SUB connects");
        Client { socket, events, listener, keys }
    }

    fn accept(&self) -> Raw {
        Raw::accept(&self.listener)
    }

    fn mechanism(&self) -> Mechanism {
        server(self.keys.clone(), socket_type("PUB"))
    }

    /// Why the next attempt fails.
    fn cause(&self) -> Cause {
        loop {
            match next(&self.events) {
                Kind::Failed { cause, .. } | Kind::Lost { cause, .. } => return cause,
                Kind::Connecting | Kind::Connected { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn the_first_messages_have_the_counters_after_those_of_the_handshake() {
    within_a_minute(|| {
        let ours = Server::new();
        let mut peer = ours.subscriber(1);
        peer.command(b"\x09SUBSCRIBEa");
        assert_eq!(ours.hears(), "+a");
        ours.socket.send("a1").unwrap();
        ours.socket.send("a2").unwrap();
        assert_eq!([peer.recv().counter, peer.recv().counter], [2, 3]);

        let ours = Client::new();
        ours.socket.subscribe("a").unwrap();
        let mut peer = Sealed::server(ours.accept(), 1, false, ours.mechanism());
        assert_eq!(peer.recv().counter, 3);
    });
}

#[test]
fn counters_may_have_gaps_and_nothing_else() {
    within_a_minute(|| {
        let ours = Server::new();
        let mut peer = ours.subscriber(1);
        peer.command(b"\x09SUBSCRIBEfirst");
        assert_eq!(ours.hears(), "+first");
        for _ in 0..1000 {
            peer.seal(false, false, b"never sent");
        }
        peer.command(b"\x09SUBSCRIBElater");
        assert_eq!(ours.hears(), "+later");
        // The same counter; a lower one; the same bytes.
        for back in [1, 2] {
            let mut peer = ours.subscriber(1);
            peer.command(b"\x09SUBSCRIBEx");
            peer.command(b"\x09SUBSCRIBEy");
            assert_eq!([ours.hears(), ours.hears()], ["+x", "+y"]);
            peer.take_back(back);
            peer.command(b"\x09SUBSCRIBEz");
            assert_eq!(ours.cause(), broke(CurveError::Nonce));
            let mut gone = [ours.hears(), ours.hears()];
            gone.sort();
            assert_eq!(gone, ["-x", "-y"]);
            peer.raw.expect_end();
        }
        let mut peer = ours.subscriber(1);
        let bytes = frame(0, &peer.seal(false, true, b"\x09SUBSCRIBEx"));
        peer.raw.write(&bytes);
        peer.raw.write(&bytes);
        assert_eq!(ours.cause(), broke(CurveError::Nonce));
        peer.raw.expect_end();
    });
}

#[test]
fn flags_outside_of_the_box_are_accepted_and_mean_nothing() {
    within_a_minute(|| {
        let ours = Client::new();
        ours.socket.subscribe("").unwrap();
        let mut peer = Sealed::server(ours.accept(), 1, false, ours.mechanism());
        peer.expect(ORDER, b"\x09SUBSCRIBE");
        // As pyomq: in step with those inside.
        peer.send_with(MORE, PART, b"one");
        peer.send_with(0, MESSAGE, b"two");
        // As libzmq: none outside.
        peer.send_with(0, PART, b"three");
        peer.send_with(0, MESSAGE, b"four");
        // As nobody: what libzmq 4.3.5 would not deliver.
        peer.send_with(COMMAND, MESSAGE, b"five");
        peer.send_with(MORE, MESSAGE, b"six");
        // Short content in a long frame.
        let body = peer.seal(false, false, b"seven");
        peer.raw.write(&[&[LONG][..], &(body.len() as u64).to_be_bytes(), &body].concat());
        let received = || {
            let message = ours.socket.recv().wait_timeout(PATIENCE).expect("a message in time").unwrap();
            message.frames().map(|frame| String::from_utf8_lossy(frame).into_owned()).collect::<Vec<_>>()
        };
        assert_eq!(received(), ["one", "two"]);
        assert_eq!(received(), ["three", "four"]);
        assert_eq!([received(), received(), received()], [["five"], ["six"], ["seven"]]);
        // A command, with the flag outside as well.
        peer.send_with(COMMAND, ORDER, b"\x04PING\0\0context");
        peer.expect(ORDER, b"\x04PONGcontext");
    });
}

#[test]
fn we_set_no_flag_outside_of_the_box_but_that_of_long_frames() {
    within_a_minute(|| {
        let ours = Server::with(|options| {
            let options = options.heartbeat(Duration::from_millis(50), Duration::from_secs(30));
            options.heartbeat_ttl(Duration::from_secs(3))
        });
        let mut peer = ours.subscriber(1);
        // `expect` checks the flags outside.
        peer.expect(ORDER, b"\x04PING\0\x1e");
        peer.command(b"\x09SUBSCRIBE");
        assert_eq!(ours.hears(), "+");
        let large = vec![7; 70_000];
        ours.socket.send([b"a".as_slice(), b"", &[1; 222], &[2; 223], &large]).unwrap();
        let mut next = |content: &[u8], inside| loop {
            let opened = peer.recv();
            assert_eq!(opened.outside & !LONG, 0);
            if opened.inside != ORDER {
                assert_eq!((opened.inside, &opened.content[..]), (inside, content));
                break;
            }
        };
        next(b"a", PART);
        next(b"", PART);
        next(&[1; 222], PART);
        next(&[2; 223], PART);
        next(&large, MESSAGE);
    });
}

#[test]
fn subscriptions_are_taken_in_both_forms_whatever_the_version() {
    within_a_minute(|| {
        let ours = Server::new();
        for minor in [1, 0] {
            let mut peer = ours.subscriber(minor);
            peer.command(b"\x09SUBSCRIBEa");
            assert_eq!(ours.hears(), "+a");
            // An XSUB of libzmq sends so what it subscribes to later, also to a peer of 3.1.
            peer.send(b"\x01b");
            assert_eq!(ours.hears(), "+b");
            ours.socket.send(("b1", "value")).unwrap();
            peer.expect(PART, b"b1");
            peer.expect(MESSAGE, b"value");
            peer.send(b"\x00a");
            assert_eq!(ours.hears(), "-a");
            peer.command(b"\x06CANCELb");
            assert_eq!(ours.hears(), "-b");
            // What is no subscription, and the text of a command that is none.
            peer.send(b"\x09SUBSCRIBEx");
            assert_eq!(ours.hears(), "\\tSUBSCRIBEx");
            peer.command(b"\x07UNKNOWN and more");
            peer.send_with(0, PART, b"of two");
            peer.send(b"frames");
            assert_eq!(ours.hears(), "of two|frames");
        }
    });
}

#[test]
fn our_subscriptions_have_the_form_of_the_peers_version() {
    within_a_minute(|| {
        for (minor, inside, subscribe, cancel) in
            [(1, ORDER, &b"\x09SUBSCRIBEa"[..], &b"\x06CANCELa"[..]), (0, MESSAGE, b"\x01a", b"\x00a")]
        {
            let ours = Client::new();
            ours.socket.subscribe("a").unwrap();
            let mut peer = Sealed::server(ours.accept(), minor, false, ours.mechanism());
            peer.expect(inside, subscribe);
            ours.socket.unsubscribe("a").unwrap();
            peer.expect(inside, cancel);
            peer.send(b"nobody wants it");
        }
    });
}

#[test]
fn heartbeats_are_sealed_commands_and_a_ttl_is_kept() {
    within_a_minute(|| {
        let ours = Server::new();
        let mut peer = ours.subscriber(1);
        // libzmq sends no context; more than 16 bytes of it are cut.
        peer.command(b"\x04PING\0\0");
        peer.expect(ORDER, b"\x04PONG");
        peer.command(b"\x04PING\0\0context of 24 bytes here");
        peer.expect(ORDER, b"\x04PONGcontext of 24 by");
        // After half a second of silence it wants to be considered dead.
        peer.command(b"\x04PING\0\x05");
        peer.expect(ORDER, b"\x04PONG");
        let start = Instant::now();
        assert_eq!(ours.cause(), Cause::Silent);
        assert!(start.elapsed() >= Duration::from_millis(450));
        peer.raw.expect_end();
        // libzmq sends PING to a peer of 3.0 as well.
        let mut peer = ours.subscriber(0);
        peer.command(b"\x04PING\0\0");
        peer.send(b"\x01a");
        assert_eq!(ours.hears(), "+a");
    });
}

#[test]
fn a_changed_frame_and_a_frame_in_clear_end_the_connection() {
    within_a_minute(|| {
        let ours = Server::new();
        let changed = |at: usize| {
            let mut peer = ours.subscriber(1);
            let mut body = peer.seal(false, true, b"\x09SUBSCRIBEa");
            body[at] ^= 1;
            peer.raw.write(&frame(0, &body));
            let cause = ours.cause();
            peer.raw.expect_end();
            cause
        };
        // The tag, the flags, the content.
        for at in [16, 32, 40] {
            assert_eq!(changed(at), broke(CurveError::Box("MESSAGE")));
        }
        // A counter that is too high.
        assert_eq!(changed(14), broke(CurveError::Box("MESSAGE")));
        assert_eq!(changed(3), broke(CurveError::Clear));
        for bytes in [
            subscription(Version::V3_1, true, b"a"),
            subscription(Version::V3_0, true, b"a"),
            frame(COMMAND, &[b"\x09SUBSCRIBE".as_slice(), &[b'a'; 100]].concat()),
            frame(0, b"\x07MESSAGE"),
            frame(0, &[b"\x07MESSAGE".as_slice(), &[0; 24]].concat()),
        ] {
            let mut peer = ours.subscriber(1);
            peer.raw.write(&bytes);
            assert_eq!(ours.cause(), broke(CurveError::Clear), "{}", bytes.escape_ascii());
            peer.raw.expect_end();
        }
        assert!(ours.socket.try_event().unwrap().is_none());
    });
}

#[test]
fn a_limit_on_messages_counts_what_is_inside_and_leaves_the_handshake_alone() {
    within_a_minute(|| {
        // A message counts with the header that it would have in clear. libzmq counts the sealed frame, and cuts the
        // handshake with it.
        let ours = Client::with(|options| options.message_bytes_max(100));
        ours.socket.subscribe("").unwrap();
        let mut peer = Sealed::server(ours.accept(), 1, false, ours.mechanism());
        peer.expect(ORDER, b"\x09SUBSCRIBE");
        peer.send(&[b'a'; 98]);
        let message = ours.socket.recv().wait_timeout(PATIENCE).expect("a message in time").unwrap();
        assert_eq!(message.topic(), [b'a'; 98]);
        peer.send(&[b'a'; 99]);
        assert_eq!(ours.cause(), Cause::BoundExceeded);
        peer.raw.expect_end();
        // Nobody waits for what is announced beyond the limit.
        let mut peer = Sealed::server(ours.accept(), 1, false, ours.mechanism());
        peer.raw.write(&[&[LONG][..], &(1_u64 << 62).to_be_bytes(), b"\x07MESSAGE"].concat());
        assert_eq!(ours.cause(), Cause::BoundExceeded);
        peer.raw.expect_end();
    });
}
