//! What sites tell each other, in each topology.

use std::time::{Duration, Instant};

use super::{Arrival, Site, bytes, edge, endpoint, options, peers, router};
use crate::error::MeshErrorKind;
use crate::options::MeshOptions;
use crate::topology::Topology;

/// Two sites that see each other exchange everything that a link carries, once each.
fn exchange(a: &Site, b: &Site) {
    a.wait_token("b", true);
    b.wait_token("a", true);
    for (from, to, name, other) in [(a, b, "a", "b"), (b, a, "b", "a")] {
        let data = from.link.data_to(other).unwrap();
        from.link.delta(b"delta".to_vec()).unwrap();
        from.link.heartbeat(b"heartbeat".to_vec()).unwrap();
        data.put(b"small".to_vec()).unwrap();
        data.put(vec![7; 300_000]).unwrap();
        to.link.ask_snapshot(name);
        to.link.ping(name);
        let mut got = Vec::new();
        while got.len() < 6 {
            got.push(to.wait("what was sent", |arrival| told(arrival, name)));
        }
        let large = got.iter().position(|got| got == &format!("data {}", 300_000));
        let small = got.iter().position(|got| got == "data 5");
        assert!(small < large && small.is_some(), "{got:?}");
        let delta = got.iter().position(|got| got == "delta delta");
        let heartbeat = got.iter().position(|got| got == "heartbeat heartbeat");
        assert!(delta < heartbeat && delta.is_some(), "{got:?}");
        let snapshot = format!("snapshot snapshot of {name}");
        assert!(got.contains(&snapshot) && got.contains(&"answer".to_owned()), "{got:?}");
    }
}

/// An arrival as a text; nothing but tokens may come that is not of `name`.
fn told(arrival: Arrival, name: &str) -> Option<String> {
    let (site, text) = match arrival {
        Arrival::Delta { site, payload } => {
            (site, format!("delta {}", String::from_utf8(bytes(&payload)).unwrap()))
        }
        Arrival::Heartbeat { site, payload } => {
            (site, format!("heartbeat {}", String::from_utf8(bytes(&payload)).unwrap()))
        }
        Arrival::Data { site, payload } => (site, format!("data {}", payload.len())),
        Arrival::Snapshot { site, answer } => {
            (site, format!("snapshot {}", String::from_utf8(bytes(&answer.unwrap())).unwrap()))
        }
        Arrival::RoundTrip { site, time } => (site, time.map_or("no answer", |_| "answer").to_owned()),
        Arrival::Token { .. } | Arrival::Newer { .. } | Arrival::Past { .. } => return None,
        Arrival::Warning(text) => panic!("{text}"),
        Arrival::Ended(error) => panic!("{error}"),
    };
    assert_eq!(site, name);
    Some(text)
}

#[test]
fn two_peers_exchange_everything_whichever_starts_first() {
    let [a, b] = peers(["a", "b"]);
    let b = Site::open(&b);
    let a = Site::open(&a);
    exchange(&a, &b);
    assert_eq!((a.link.links(), b.link.links()), (1, 1));
    b.link.close();
    a.wait_token("b", false);
}

#[test]
fn the_dialling_peer_may_start_first() {
    let [a, b] = peers(["a", "b"]);
    let a = Site::open(&a);
    let b = Site::open(&b);
    exchange(&a, &b);
}

#[test]
fn each_of_three_peers_hears_the_others_and_gets_only_its_own_data() {
    let sites = peers(["a", "b", "c"]).map(|options| Site::open(&options));
    let names = ["a", "b", "c"];
    for (site, name) in sites.iter().zip(names) {
        let mut others: Vec<&str> = names.into_iter().filter(|&other| other != name).collect();
        while !others.is_empty() {
            let joined = site.wait("the other tokens", |arrival| match arrival {
                Arrival::Token { site, alive: true, .. } => Some(site),
                _ => None,
            });
            others.retain(|&other| other != joined);
        }
    }
    let [a, b, c] = sites;
    a.link.data_to("b").unwrap().put(b"for b".to_vec()).unwrap();
    a.link.data_to("c").unwrap().put(b"for c".to_vec()).unwrap();
    assert_eq!((b.wait_data("a"), c.wait_data("a")), (b"for b".to_vec(), b"for c".to_vec()));
    a.link.heartbeat(b"1".to_vec()).unwrap();
    assert_eq!((b.wait_heartbeat("a"), c.wait_heartbeat("a")), (b"1".to_vec(), b"1".to_vec()));
    assert_eq!(a.link.links(), 2);
}

#[test]
fn edges_of_a_router_exchange_everything() {
    let middle = endpoint();
    let r = Site::open(&router("r", &middle, None));
    let a = Site::open(&edge("a", &[&middle]));
    let b = Site::open(&edge("b", &[&middle]));
    exchange(&a, &b);
    assert_eq!((r.link.links(), a.link.links()), (2, 1));
}

#[test]
fn a_router_is_a_site_too() {
    let middle = endpoint();
    let a = Site::open(&router("a", &middle, None));
    let b = Site::open(&edge("b", &[&middle]));
    exchange(&a, &b);
}

#[test]
fn edges_go_on_by_the_second_of_two_linked_routers() {
    let (first, second) = (endpoint(), endpoint());
    let r = Site::open(&router("r", &first, None));
    let _s = Site::open(&router("s", &second, Some(&first)));
    let a = Site::open(&edge("a", &[&first, &second]));
    let b = Site::open(&edge("b", &[&second, &first]));
    exchange(&a, &b);
    let cut = Instant::now();
    r.link.close();
    // Both lose the other's token, since `a` had its link by `r`, and find it again by `s`.
    let data = a.link.data_to("b").unwrap();
    while cut.elapsed() < Duration::from_secs(10) {
        data.put(b"again".to_vec()).unwrap();
        if b.arrivals.try_iter().any(|arrival| matches!(arrival, Arrival::Data { .. })) {
            println!("data again {:?} after the first router was closed", cut.elapsed());
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("no data by the second router");
}

#[test]
fn an_edge_without_routers_is_told_so_at_once() {
    let (first, second) = (endpoint(), endpoint());
    let start = Instant::now();
    let error = Site::try_open(&edge("a", &[&first, &second]), 0).err().unwrap();
    assert_eq!(error.kind(), MeshErrorKind::Unreachable);
    assert!(error.to_string().contains(&first), "{error}");
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
}

#[test]
fn an_edge_takes_the_second_router_if_the_first_is_down() {
    let second = endpoint();
    let r = Site::open(&router("r", &second, None));
    let _a = Site::open(&edge("a", &[&endpoint(), &second]));
    r.wait_token("a", true);
}

#[test]
fn a_port_in_use_is_an_error_that_names_it() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = format!("tcp/{}", taken.local_addr().unwrap());
    let error = Site::try_open(&router("r", &listen, None), 0).err().unwrap();
    assert_eq!(error.kind(), MeshErrorKind::Config);
    assert!(error.to_string().contains(&listen), "{error}");
}

#[test]
fn a_question_to_a_site_that_is_not_there_ends_without_an_answer_once() {
    let [a, b] = peers(["a", "b"]).map(|options| Site::open(&options));
    a.wait_token("b", true);
    drop(b);
    a.wait_token("b", false);
    a.link.ping("b");
    a.link.ask_snapshot("b");
    let ends: Vec<Arrival> = (0..2).map(|_| a.wait("the ends", Some)).collect();
    let none = |end: &Arrival| {
        matches!(end, Arrival::RoundTrip { time: None, .. } | Arrival::Snapshot { answer: None, .. })
    };
    assert!(ends.iter().all(none), "{ends:?}");
    assert!(a.arrivals.recv_timeout(Duration::from_millis(100)).is_err());
}

#[test]
fn a_process_of_the_same_name_has_a_higher_epoch_and_the_first_one_sees_it() {
    let middle = endpoint();
    let r = Site::open(&router("r", &middle, None));
    let far = u64::MAX - 10;
    let first = Site::try_open(&edge("a", &[&middle]), far).unwrap();
    first.link.announce().unwrap();
    r.wait_token("a", true);
    assert_eq!(first.link.epoch(), far);
    let second = Site::open(&edge("a", &[&middle]));
    assert_eq!(second.link.epoch(), far + 1);
    assert_eq!(first.wait_token("a", true), far + 1);
    assert_eq!(second.wait_token("a", true), far);
    second.link.heartbeat(b"2".to_vec()).unwrap();
    assert_eq!(first.wait_heartbeat("a"), b"2");
}

#[test]
fn what_is_put_after_the_link_was_closed_is_an_error() {
    let [a, _] = peers(["a", "b"]);
    let a = Site::open(&a);
    let data = a.link.data_to("b").unwrap();
    data.put(b"nobody".to_vec()).unwrap();
    a.link.close();
    assert_eq!(data.put(b"1".to_vec()).unwrap_err().kind(), MeshErrorKind::Session);
    assert_eq!(data.put(b"2".to_vec()).unwrap_err().kind(), MeshErrorKind::Session);
}

#[test]
fn sites_of_another_mesh_on_the_same_router_are_neither_seen_nor_heard() {
    let middle = endpoint();
    let r = Site::open(&router("r", &middle, None));
    let mut other = options("a", Topology::Edge { routers: vec![middle.clone()] });
    other.mesh = "other".into();
    let a = Site::open(&other);
    let b = Site::open(&edge("b", &[&middle]));
    a.link.heartbeat(b"1".to_vec()).unwrap();
    b.link.heartbeat(b"2".to_vec()).unwrap();
    let first = r.wait("the first heartbeat", |arrival| match arrival {
        Arrival::Heartbeat { site, .. } | Arrival::Token { site, .. } => Some(site),
        _ => None,
    });
    assert_eq!(first, "b");
    assert!(a.arrivals.try_iter().next().is_none());
}

#[test]
fn a_message_of_many_fragments_crosses_a_router_whole() {
    const SIZE: usize = 16 << 20;
    let middle = endpoint();
    let patient =
        |options: MeshOptions| Site::open(&MeshOptions { timeout: Duration::from_secs(4), ..options });
    let _r = patient(router("r", &middle, None));
    let a = patient(edge("a", &[&middle]));
    let b = patient(edge("b", &[&middle]));
    b.wait_token("a", true);
    a.wait_token("b", true);
    let sent: Vec<u8> = (0..SIZE).map(|index| (index % 251) as u8).collect();
    a.link.data_to("b").unwrap().put(sent.clone()).unwrap();
    assert!(b.wait_data("a") == sent);
}
