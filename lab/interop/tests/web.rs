//! ZeroMQ over WebSocket with libzmq, omq and jszmq: every pair of socket types with either side binding, demand, reconnects,
//! heartbeats, and CURVE. docs/WIRE.md has the table of what works. Without the library a test is SKIPPED.

use std::time::Duration;

use oncue::{Engine, PeerKey, PeerStatus, Pub, Sub, XPub, XPubEvent, XSub};
use oncue_interop::exchange::check;
use oncue_interop::foreign::{Foreign, Library};
use oncue_interop::peers::{Binds, Publishes, Subscribes, join, publisher, publishes, settle, subscriber};
use oncue_interop::secured::{Secrets, We, quick};
use oncue_interop::{PATIENCE, until, within_a_minute};

/// libzmq sends only the last segment of a path.
const WS: &str = "ws://127.0.0.1:0/zmq";

/// Runs a test with a library if it is here.
fn with(library: Library, test: impl FnOnce() + Send + 'static) {
    if library.is_here() {
        within_a_minute(test);
    }
}

macro_rules! pair {
    ($name:ident: $library:ident, our $ours:literal and their $theirs:literal) => {
        #[test]
        fn $name() {
            with(Library::$library, || {
                for binds in [Binds::Publisher, Binds::Subscriber] {
                    exchange(Library::$library, $ours, $theirs, binds);
                }
            });
        }
    };
}

fn exchange(library: Library, ours: &str, theirs: &str, binds: Binds) {
    let engine = Engine::start().expect("an engine");
    let mut other = Foreign::of(library, theirs);
    match publishes(ours) {
        true => check(&mut *publisher(ours, &engine, quick()), &mut other, binds, WS),
        false => check(&mut other, &mut *subscriber(ours, &engine, quick()), binds, WS),
    }
}

pair!(our_pub_and_the_sub_of_libzmq: LibzmqWs, our "PUB" and their "SUB");
pair!(our_pub_and_the_xsub_of_libzmq: LibzmqWs, our "PUB" and their "XSUB");
pair!(our_xpub_and_the_sub_of_libzmq: LibzmqWs, our "XPUB" and their "SUB");
pair!(our_xpub_and_the_xsub_of_libzmq: LibzmqWs, our "XPUB" and their "XSUB");
pair!(our_sub_and_the_pub_of_libzmq: LibzmqWs, our "SUB" and their "PUB");
pair!(our_sub_and_the_xpub_of_libzmq: LibzmqWs, our "SUB" and their "XPUB");
pair!(our_xsub_and_the_pub_of_libzmq: LibzmqWs, our "XSUB" and their "PUB");
pair!(our_xsub_and_the_xpub_of_libzmq: LibzmqWs, our "XSUB" and their "XPUB");

pair!(our_pub_and_the_sub_of_omq: Omq, our "PUB" and their "SUB");
pair!(our_pub_and_the_xsub_of_omq: Omq, our "PUB" and their "XSUB");
pair!(our_xpub_and_the_sub_of_omq: Omq, our "XPUB" and their "SUB");
pair!(our_xpub_and_the_xsub_of_omq: Omq, our "XPUB" and their "XSUB");
pair!(our_sub_and_the_pub_of_omq: Omq, our "SUB" and their "PUB");
pair!(our_sub_and_the_xpub_of_omq: Omq, our "SUB" and their "XPUB");
pair!(our_xsub_and_the_pub_of_omq: Omq, our "XSUB" and their "PUB");
pair!(our_xsub_and_the_xpub_of_omq: Omq, our "XSUB" and their "XPUB");

pair!(our_pub_and_the_sub_of_jszmq: Jszmq, our "PUB" and their "SUB");
pair!(our_pub_and_the_xsub_of_jszmq: Jszmq, our "PUB" and their "XSUB");
pair!(our_xpub_and_the_sub_of_jszmq: Jszmq, our "XPUB" and their "SUB");
pair!(our_xpub_and_the_xsub_of_jszmq: Jszmq, our "XPUB" and their "XSUB");
pair!(our_sub_and_the_pub_of_jszmq: Jszmq, our "SUB" and their "PUB");
pair!(our_sub_and_the_xpub_of_jszmq: Jszmq, our "SUB" and their "XPUB");

/// A publisher of jszmq filters up to the first message that a peer wants, and not after it; an XSUB does not filter either.
fn unfiltered(theirs: &str, binds: Binds) {
    let engine = Engine::start().expect("an engine");
    let mut publisher = Foreign::of(Library::Jszmq, theirs);
    let mut subscriber = XSub::new(&engine, quick()).expect("our XSUB");
    subscriber.subscribe("a").expect("our XSUB subscribes");
    join(&mut publisher, &mut subscriber, binds, WS);
    settle(&mut publisher, &mut subscriber, b"a", b"ab", true);
    let large = vec![7; 1 << 20];
    let messages: [&[&[u8]]; 4] = [&[b"b"], &[b"a", b"", &large], &[&large], &[b""]];
    for message in messages {
        publisher.send(message);
        let frames: Option<Vec<_>> = Subscribes::receive(&mut subscriber, PATIENCE);
        assert!(frames.is_some_and(|frames| frames == message), "{binds:?}");
    }
}

#[test]
fn our_xsub_gets_what_the_pub_and_the_xpub_of_jszmq_do_not_filter() {
    with(Library::Jszmq, || {
        for theirs in ["PUB", "XPUB"] {
            unfiltered(theirs, Binds::Publisher);
            unfiltered(theirs, Binds::Subscriber);
        }
    });
}

/// The next event of an XPUB of ours: `+` or `-` and the prefix.
fn event(socket: &XPub) -> String {
    let event = socket.event().wait_timeout(PATIENCE).expect("an event in time").expect("an event");
    match event {
        XPubEvent::Wanted(prefix) => format!("+{}", prefix.escape_ascii()),
        XPubEvent::Unwanted(prefix) => format!("-{}", prefix.escape_ascii()),
        other => panic!("{other:?}"),
    }
}

/// Subscriptions, cancels, a peer that closes and one that dies, as our XPUB is told.
fn demand(library: Library, binds: Binds) {
    let engine = Engine::start().expect("an engine");
    let mut socket = XPub::new(&engine, quick()).expect("our XPUB");
    for kind in ["SUB", "XSUB"] {
        let mut peers = [(); 2].map(|()| Foreign::of(library, kind));
        for peer in &mut peers {
            join(&mut socket, peer, binds, WS);
        }
        let [mut closed, mut dead] = peers;
        closed.subscribe(b"a");
        assert_eq!(event(&socket), "+a");
        closed.subscribe(b"b");
        assert_eq!(event(&socket), "+b");
        closed.unsubscribe(b"a");
        assert_eq!(event(&socket), "-a");
        dead.subscribe(b"c");
        assert_eq!(event(&socket), "+c");
        closed.close();
        assert_eq!(event(&socket), "-b");
        dead.kill();
        assert_eq!(event(&socket), "-c");
        assert!(!socket.wanted(b"c"));
    }
}

/// What our SUB wants, as their XPUB is told, up to our leaving.
fn wishes(library: Library, binds: Binds) {
    let engine = Engine::start().expect("an engine");
    let mut peer = Foreign::of(library, "XPUB");
    let mut socket = Sub::new(&engine, quick()).expect("our SUB");
    join(&mut peer, &mut socket, binds, WS);
    for prefix in ["a", "", "a/b"] {
        socket.subscribe(prefix).expect("our SUB subscribes");
        assert_eq!(peer.recv(), [[b"\x01", prefix.as_bytes()].concat()]);
    }
    socket.unsubscribe("").expect("our SUB unsubscribes");
    assert_eq!(peer.recv(), [b"\0"]);
    if (library, binds) == (Library::Jszmq, Binds::Subscriber) {
        // It would dial again, be refused, and end its process.
        return;
    }
    socket.close().wait();
    let left: Vec<_> = (0..2).map_while(|_| peer.recv_within(Duration::from_secs(3))).collect();
    match (library, binds) {
        // jszmq and omq tell nothing when a subscriber leaves, and libzmq only if it has not dialled.
        (Library::Jszmq | Library::Omq, _) | (_, Binds::Subscriber) => assert!(left.is_empty(), "{left:?}"),
        _ => assert_eq!(left, [[b"\0a".to_vec()], [b"\0a/b".to_vec()]], "{binds:?}"),
    }
}

/// They dial us, and we disconnect them: they come back, with all that they want.
fn they_come_back(library: Library) {
    let engine = Engine::start().expect("an engine");
    let mut ours = Pub::new(&engine, quick()).expect("our PUB");
    let mut theirs = Foreign::of(library, "SUB");
    theirs.subscribe(b"a");
    theirs.connect(&Publishes::bind(&mut ours, WS));
    for _ in 0..3 {
        settle(&mut ours, &mut theirs, b"a", b"ab", true);
        settle(&mut ours, &mut theirs, b"a", b"b", false);
        disconnect(&ours.peers().expect("an open socket"), |peer| ours.disconnect_peer(peer, None));
    }

    let mut ours = Sub::new(&engine, quick()).expect("our SUB");
    ours.subscribe("a").expect("our SUB subscribes");
    let mut theirs = Foreign::of(library, "PUB");
    theirs.connect(&Subscribes::bind(&mut ours, WS));
    for _ in 0..3 {
        settle(&mut theirs, &mut ours, b"a", b"ab", true);
        settle(&mut theirs, &mut ours, b"a", b"b", false);
        disconnect(&ours.peers().expect("an open socket"), |peer| ours.disconnect_peer(peer, None));
    }
}

/// Disconnects the only peer.
fn disconnect(peers: &[PeerStatus], disconnect: impl Fn(PeerKey)) {
    let [peer] = peers else { panic!("{peers:?}") };
    disconnect(peer.profile.key);
}

/// They dial us, and our socket is closed and made again at the same endpoint.
fn they_find_us_again(library: Library) {
    let engine = Engine::start().expect("an engine");
    let mut ours = Pub::new(&engine, quick()).expect("our PUB");
    let endpoint = Publishes::bind(&mut ours, WS);
    let mut theirs = Foreign::of(library, "SUB");
    theirs.subscribe(b"a");
    theirs.connect(&endpoint);
    for _ in 0..2 {
        settle(&mut ours, &mut theirs, b"a", b"ab", true);
        ours.close().wait();
        ours = Pub::new(&engine, quick()).expect("our PUB");
        until("the endpoint can be bound again", || ours.bind(&endpoint).is_ok());
    }
    settle(&mut ours, &mut theirs, b"a", b"b", false);
}

/// We dial them, and they die and are started again at the same endpoint.
fn we_come_back(library: Library) {
    let engine = Engine::start().expect("an engine");
    let mut ours = subscriber("SUB", &engine, quick());
    ours.subscribe(b"a");
    let mut theirs = Foreign::of(library, "PUB");
    let endpoint = theirs.bind(WS);
    ours.connect(&endpoint);
    for _ in 0..2 {
        settle(&mut theirs, &mut *ours, b"a", b"a", true);
        theirs.kill();
        theirs = Foreign::of(library, "PUB");
        Foreign::bind(&mut theirs, &endpoint);
    }
    settle(&mut theirs, &mut *ours, b"a", b"b", false);

    let mut ours = XPub::new(&engine, quick()).expect("our XPUB");
    let mut theirs = Foreign::of(library, "SUB");
    let endpoint = theirs.bind(WS);
    ours.connect(&endpoint).expect("our XPUB connects");
    for life in 0..2 {
        let prefix = format!("life {life}");
        theirs.subscribe(prefix.as_bytes());
        assert_eq!(event(&ours), format!("+{prefix}"));
        settle(&mut ours, &mut theirs, prefix.as_bytes(), b"another", false);
        theirs.kill();
        assert_eq!(event(&ours), format!("-{prefix}"));
        theirs = Foreign::of(library, "SUB");
        Foreign::bind(&mut theirs, &endpoint);
    }
}

/// Our heartbeats find an idle peer alive, and one that is stopped dead.
fn heartbeats(library: Library) {
    let engine = Engine::start().expect("an engine");
    let options = quick().heartbeat(Duration::from_millis(100), Duration::from_millis(500));
    let socket = XPub::new(&engine, options).expect("our XPUB");
    let mut peer = Foreign::of(library, "SUB");
    peer.subscribe(b"a");
    peer.connect(&socket.bind(WS).expect("our XPUB binds").to_string());
    assert_eq!(event(&socket), "+a");
    // Ten intervals, and two timeouts.
    std::thread::sleep(Duration::from_secs(1));
    assert!(socket.try_event().expect("an open socket").is_none());
    peer.stop();
    assert_eq!(event(&socket), "-a");
    peer.go_on();
    assert_eq!(event(&socket), "+a");
}

macro_rules! each {
    ($($name:ident: $library:ident $test:expr;)*) => {
        $(#[test]
        fn $name() {
            with(Library::$library, || $test(Library::$library));
        })*
    };
}

fn demand_on_both_sides(library: Library) {
    demand(library, Binds::Publisher);
    demand(library, Binds::Subscriber);
}

fn wishes_on_both_sides(library: Library) {
    wishes(library, Binds::Publisher);
    wishes(library, Binds::Subscriber);
}

each! {
    our_xpub_is_told_what_subscribers_of_libzmq_want: LibzmqWs demand_on_both_sides;
    our_xpub_is_told_what_subscribers_of_omq_want: Omq demand_on_both_sides;
    our_xpub_is_told_what_subscribers_of_jszmq_want: Jszmq demand_on_both_sides;
    an_xpub_of_libzmq_is_told_what_our_sub_wants: LibzmqWs wishes_on_both_sides;
    an_xpub_of_omq_is_told_what_our_sub_wants: Omq wishes_on_both_sides;
    an_xpub_of_jszmq_is_told_what_our_sub_wants: Jszmq wishes_on_both_sides;
    sockets_of_libzmq_that_are_cut_off_come_back: LibzmqWs they_come_back;
    sockets_of_omq_that_are_cut_off_come_back: Omq they_come_back;
    sockets_of_jszmq_that_are_cut_off_come_back: Jszmq they_come_back;
    a_sub_of_libzmq_finds_our_pub_again: LibzmqWs they_find_us_again;
    a_sub_of_omq_finds_our_pub_again: Omq they_find_us_again;
    our_sockets_find_those_of_libzmq_again: LibzmqWs we_come_back;
    our_sockets_find_those_of_omq_again: Omq we_come_back;
    our_sockets_find_those_of_jszmq_again: Jszmq we_come_back;
    libzmq_answers_our_heartbeats: LibzmqWs heartbeats;
    omq_answers_our_heartbeats: Omq heartbeats;
    jszmq_answers_our_heartbeats: Jszmq heartbeats;
}

macro_rules! sealed {
    ($($name:ident: $library:ident $we:ident, our $ours:literal and their $theirs:literal;)*) => {
        $(#[test]
        fn $name() {
            with(Library::$library, || {
                for binds in [Binds::Publisher, Binds::Subscriber] {
                    let pair = ($ours, $theirs);
                    Secrets::curve().check_over(WS, binds, Library::$library, We::$we, pair, false);
                }
            });
        })*
    };
}

sealed! {
    our_pub_serves_the_sub_of_libzmq_by_curve: LibzmqWs Serve, our "PUB" and their "SUB";
    our_xpub_is_a_client_of_the_xsub_of_libzmq_by_curve: LibzmqWs Call, our "XPUB" and their "XSUB";
    our_sub_serves_the_pub_of_libzmq_by_curve: LibzmqWs Serve, our "SUB" and their "PUB";
    our_xsub_is_a_client_of_the_xpub_of_libzmq_by_curve: LibzmqWs Call, our "XSUB" and their "XPUB";
    our_pub_serves_the_sub_of_omq_by_curve: Omq Serve, our "PUB" and their "SUB";
    our_xpub_is_a_client_of_the_xsub_of_omq_by_curve: Omq Call, our "XPUB" and their "XSUB";
    our_sub_serves_the_pub_of_omq_by_curve: Omq Serve, our "SUB" and their "PUB";
    our_xsub_is_a_client_of_the_xpub_of_omq_by_curve: Omq Call, our "XSUB" and their "XPUB";
}
