//! Which peer may subscribe to what.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use oncue::{Admission, PeerAddress, PeerKey, XPub};

use super::raw::*;

/// The requests: which peer, where it is, and which prefix.
type Asked = Arc<Mutex<Vec<(PeerKey, PeerAddress, String)>>>;

/// An XPUB that accepts `a...`, defers `d...` and rejects the rest.
fn guarded(io_threads: usize, side: Side) -> (XPub, Door, Asked) {
    let asked = Asked::default();
    let options = options().prefixes_max(20).admission({
        let asked = asked.clone();
        move |request| {
            let prefix = String::from_utf8(request.prefix.to_vec()).unwrap();
            let answer = match prefix.as_bytes().first() {
                Some(b'a') => Admission::Accept,
                Some(b'd') => Admission::Defer,
                _ => Admission::Reject("not for you".into()),
            };
            asked.lock().unwrap().push((request.peer, request.address, prefix));
            answer
        }
    });
    let x = XPub::new(&engine_of(io_threads), options).unwrap();
    let door = Door::new(&x, side);
    (x, door, asked)
}

fn take(asked: &Asked) -> Vec<(PeerKey, PeerAddress, String)> {
    std::mem::take(&mut asked.lock().unwrap())
}

#[test]
fn what_is_not_accepted_is_no_demand() {
    both_sides(|side| {
        for version in Zmtp::ALL {
            let (x, door, asked) = guarded(2, side);
            x.keep_last(("a", "last")).unwrap();
            x.keep_last(("r", "secret")).unwrap();
            let mut peer = door.peer(version);
            for prefix in ["r", "d", "d", "", "a", "a", "r"] {
                peer.send(version.subscribe(prefix));
            }
            peer.send(version.cancel("r"));
            peer.send(version.subscribe("a end"));
            assert_eq!([event(&x), event(&x)], ["+a", "+a end"]);
            peer.expect(message(&["a", "last"]));
            // A prefix that it has, or that is deferred, is not decided again; a rejected one is.
            let asked = take(&asked);
            let prefixes: Vec<_> = asked.iter().map(|(.., prefix)| &prefix[..]).collect();
            assert_eq!(prefixes, ["r", "d", "", "a", "r", "a end"]);
            assert!(asked.iter().all(|(_, address, _)| address.ip() == Some(Ipv4Addr::LOCALHOST.into())));
            assert!(asked.iter().all(|(key, ..)| *key == asked[0].0));
            assert!(!x.wanted("r") && !x.wanted("d"));
            for topic in ["r", "d", ""] {
                x.send(topic).unwrap();
            }
            x.send("a1").unwrap();
            peer.expect(b"\0\x02a1");
            let stats = x.stats();
            let counts = (stats.subscriptions_rejected, stats.subscriptions_deferred);
            assert_eq!((counts, stats.subscriptions_revoked), ((3, 1), 0));
        }
    });
}

#[test]
fn what_was_deferred_is_decided_later() {
    both_sides(|side| {
        let (x, door, asked) = guarded(2, side);
        x.keep_last(("d1", "last")).unwrap();
        let mut peer = door.peer(Zmtp::V3_1);
        peer.send([subscribe("d1"), subscribe("d2"), subscribe("d3")].concat());
        peer.barrier();
        no_event(&x);
        let key = take(&asked)[0].0;
        x.admit(key, "d1");
        assert_eq!(event(&x), "+d1");
        peer.expect(message(&["d1", "last"]));
        x.reject(key, "d2", "no");
        // Decided already, never asked for, or cancelled meanwhile: nothing happens.
        peer.send(cancel("d3"));
        peer.barrier();
        x.admit(key, "d2");
        x.admit(key, "d3");
        x.reject(key, "d1", "no");
        x.admit(key, "a never asked for");
        peer.send(subscribe("d3"));
        peer.barrier();
        x.admit(key, "d3");
        assert_eq!(event(&x), "+d3");
        assert!(x.wanted("d1") && !x.wanted("d2"));
        // A peer that has disconnected.
        drop(peer);
        assert_eq!(
            {
                let mut gone = [event(&x), event(&x)];
                gone.sort();
                gone
            },
            ["-d1", "-d3"]
        );
        let mut other = door.peer(Zmtp::V3_1);
        other.send(subscribe("d1"));
        other.barrier();
        assert_ne!(take(&asked).last().unwrap().0, key);
        x.admit(key, "d1");
        other.barrier();
        no_event(&x);
    });
}

#[test]
fn what_is_in_force_can_be_revoked() {
    let (x, door, asked) = guarded(3, Side::Binding);
    let mut peers: Vec<_> = (0..4).map(|_| door.peer(Zmtp::V3_1)).collect();
    for peer in &mut peers {
        peer.send([subscribe("a"), subscribe("ab"), subscribe("d")].concat());
        peer.barrier();
    }
    let key = take(&asked)[0].0;
    assert_eq!(
        {
            let mut wanted = [event(&x), event(&x)];
            wanted.sort();
            wanted
        },
        ["+a", "+ab"]
    );
    x.revoke(key, "a", "enough");
    x.revoke(key, "d", "enough");
    while x.subscribers("a") > 3 {
        std::thread::yield_now();
    }
    assert_eq!(x.subscribers("ab"), 4, "another prefix covers it");
    no_event(&x);
    x.revoke_all("a", "enough");
    assert_eq!(event(&x), "-a");
    x.revoke_all("ab", "enough");
    assert_eq!(event(&x), "-ab");
    // A new request is decided again; cancelling a revoked subscription is not an error.
    peers[0].send([cancel("a"), subscribe("a")].concat());
    assert_eq!(event(&x), "+a");
    assert_eq!(take(&asked).last().unwrap().2, "a");
    assert_eq!(x.stats().subscriptions_revoked, 1 + 1 + 3 + 4);
}

#[test]
fn what_is_deferred_keeps_to_the_quota() {
    let (x, door, _) = guarded(1, Side::Binding);
    let mut peer = door.peer(Zmtp::V3_1);
    for i in 0..10 {
        peer.send([subscribe(format!("a{i}")), subscribe(format!("d{i}"))].concat());
    }
    peer.barrier();
    assert_eq!(x.stats().subscriptions_deferred, 10);
    peer.send(subscribe("d one too many"));
    let said = peer.ended();
    let why = b"a-peer-may-subscribe-to-at-most-20-prefixes";
    assert!(said.windows(why.len()).any(|part| part == why), "{}", said.escape_ascii());
    assert!(!x.wanted("a1"));
}

#[test]
fn the_function_may_ask_the_socket() {
    let socket: Arc<Mutex<Option<XPub>>> = Arc::default();
    let options = options().admission({
        let socket = socket.clone();
        move |request| {
            let x = socket.lock().unwrap();
            let x = x.as_ref().unwrap();
            x.send("asked").unwrap();
            // Only the first one gets it.
            match x.subscribers(request.prefix) {
                0 => Admission::Accept,
                _ => Admission::Reject("taken".into()),
            }
        }
    });
    let x = XPub::new(&engine(), options).unwrap();
    *socket.lock().unwrap() = Some(x.clone());
    let door = Door::new(&x, Side::Binding);
    let mut peers = [door.peer(Zmtp::V3_1), door.peer(Zmtp::V3_1)];
    for peer in &mut peers {
        peer.send([subscribe("one"), subscribe("only")].concat());
        peer.barrier();
    }
    assert_eq!((x.subscribers("one"), x.stats().subscriptions_rejected), (1, 2));
    *socket.lock().unwrap() = None;
}
