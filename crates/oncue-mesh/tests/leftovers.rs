//! Sites that join, subscribe, get a value and leave: after each series of rounds the process that stays, and is also theirs,
//! holds as many descriptors and threads as before, and allocates hardly more. With `--nocapture` it prints a table.

use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use oncue::{Engine, Options, Sub, XPub, XSub};
use oncue_interop::allocation::Counting;
use oncue_interop::leftovers::{Holdings, check};
use oncue_mesh::{Mesh, MeshOptions, Topology};

#[global_allocator]
static ALLOCATED: Counting = Counting;

const ROUNDS: u32 = 64;
/// Sites take turns by name: one that comes again within 2 s is asked for its demand after a pause.
const NAMES: u32 = 64;
/// How much more may be allocated after a series, for what is in use at that moment. Zenoh kept 2 kB and more of each site that had left.
const BYTES_MORE_MAX: u64 = 64 << 10;
const PATIENCE: Duration = Duration::from_secs(20);

fn until(what: &str, mut is: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// `count` endpoints that are free at this moment.
fn endpoints(count: u32) -> Vec<String> {
    let listeners: Vec<_> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    listeners.iter().map(|listener| format!("tcp/{}", listener.local_addr().unwrap())).collect()
}

/// A site with a publisher stays; others with a subscriber come and go.
fn others_come_and_go(scene: &str, stays: Topology, goes: Topology) {
    let engine = Engine::start().unwrap();
    let producer = XPub::new(&engine, Options::new().discard_messages(true)).unwrap();
    let stays = MeshOptions::new("stays", stays);
    let stays = Mesh::builder(&engine, stays).publisher(&producer).start().unwrap();
    let mut names = (0..NAMES).map(|number| format!("goes{number:03}")).cycle();
    let mut round = || {
        let engine = Engine::start().unwrap();
        let (sources, local) = (XSub::new(&engine, Options::new()), XPub::new(&engine, Options::new()));
        let (sources, local) = (sources.unwrap(), local.unwrap());
        let goes = MeshOptions::new(names.next().unwrap(), goes.clone());
        let goes = Mesh::builder(&engine, goes).publishers(&sources).subscribers(&local).start().unwrap();
        let subscriber = Sub::new(&engine, Options::new()).unwrap();
        subscriber.subscribe("t").unwrap();
        subscriber.connect(&local.bind("tcp://127.0.0.1:*").unwrap().to_string()).unwrap();
        until("the site wants it", || producer.wanted("t"));
        producer.send(("t", "value")).unwrap();
        assert_eq!(subscriber.recv().wait_timeout(PATIENCE).unwrap().unwrap().topic(), b"t");
        drop((goes, subscriber));
        until("the site is gone", || !producer.wanted("t"));
    };
    // Then all names are known, which is remembered.
    (0..NAMES).for_each(|_| round());
    check(scene, ROUNDS, BYTES_MORE_MAX, Holdings::own, round).unwrap();
    stays.stop();
}

/// One after the other in one test, since each counts what the whole process holds.
#[test]
fn sites_that_come_and_go_leave_nothing_behind() {
    let names = (0..NAMES).map(|number| format!("goes{number:03}")).chain(["stays".into()]);
    let peers = Topology::Peer { sites: names.zip(endpoints(NAMES + 1)).collect(), listen: None };
    others_come_and_go("a peer joins, wants, gets and leaves", peers.clone(), peers);

    let routers = endpoints(2);
    let edge = Topology::Edge { routers: routers[..1].to_vec() };
    let root = Topology::Router { listen: routers[..1].to_vec(), parent: None };
    let engine = Engine::start().unwrap();
    let root = Mesh::builder(&engine, MeshOptions::new("root", root)).start().unwrap();
    others_come_and_go("the same, edges of one router", edge.clone(), edge.clone());

    let below = Topology::Router { listen: routers[1..].to_vec(), parent: Some(routers[0].clone()) };
    let below = Mesh::builder(&engine, MeshOptions::new("below", below)).start().unwrap();
    let far = Topology::Edge { routers: routers[1..].to_vec() };
    others_come_and_go("the same, edges of two routers", edge, far);
    drop((below, root));
}
