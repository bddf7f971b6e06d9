//! Sites that join, subscribe, get a value and leave: after each series of rounds the process that stays, and is also theirs,
//! holds as many descriptors and threads, and as much memory, as before. With `--nocapture` it prints a table.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use oncue::{Engine, Options, Sub, XPub, XSub};
use oncue_interop::leftovers::{Holdings, check};
use oncue_mesh::{Mesh, MeshOptions, Topology};

const ROUNDS: u32 = 10;
/// How much the resident memory may grow, because the allocator keeps freed memory.
const BYTES_MORE_MAX: u64 = 8 << 20;
const PATIENCE: Duration = Duration::from_secs(20);

fn until(what: &str, mut is: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn sites_that_come_and_go_leave_nothing_behind() {
    let at = |name: &str| {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        (name.to_owned(), format!("tcp/127.0.0.1:{port}"))
    };
    let topology = Topology::Peer { sites: [at("stays"), at("goes")].into(), listen: None };
    let engine = Engine::start().unwrap();
    let producer = XPub::new(&engine, Options::new().discard_messages(true)).unwrap();
    let stays = MeshOptions::new("stays", topology.clone());
    let stays = Mesh::builder(&engine, stays).publisher(&producer).start().unwrap();
    let round = || {
        let engine = Engine::start().unwrap();
        let (sources, local) = (XSub::new(&engine, Options::new()), XPub::new(&engine, Options::new()));
        let (sources, local) = (sources.unwrap(), local.unwrap());
        let goes = MeshOptions::new("goes", topology.clone());
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
    let look = || Holdings::of(std::process::id());
    check("a site joins, wants, gets and leaves", ROUNDS, BYTES_MORE_MAX, look, round).unwrap();
    stays.stop();
}
