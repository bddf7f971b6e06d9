//! Sites in one process, linked by real sessions on this machine.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use oncue::{Engine, OnDemand, Options, State, Sub, XPub, XSub};
use oncue_mesh::{Mesh, MeshErrorKind, MeshOptions, MeshStatus, SitePhase, SiteStatus, Topology};

const PATIENCE: Duration = Duration::from_secs(20);

/// A site with a publisher and a place for subscribers.
struct Site {
    producer: XPub,
    endpoint: String,
    engine: Engine,
    mesh: Mesh,
}

impl Site {
    fn start(options: MeshOptions) -> Site {
        let engine = Engine::start().unwrap();
        let producer = XPub::new(&engine, Options::new().discard_messages(true)).unwrap();
        let (sources, local) = (XSub::new(&engine, Options::new()), XPub::new(&engine, Options::new()));
        let (sources, local) = (sources.unwrap(), local.unwrap());
        producer.connect(&sources.bind("tcp://127.0.0.1:*").unwrap().to_string()).unwrap();
        let endpoint = local.bind("tcp://127.0.0.1:*").unwrap().to_string();
        let mesh = Mesh::builder(&engine, options).publishers(&sources).subscribers(&local).start().unwrap();
        Site { producer, endpoint, engine, mesh }
    }

    fn subscriber(&self, prefixes: &[&str]) -> Sub {
        let subscriber = Sub::new(&self.engine, Options::new()).unwrap();
        subscriber.connect(&self.endpoint).unwrap();
        prefixes.iter().for_each(|prefix| drop(subscriber.subscribe(prefix).unwrap()));
        subscriber
    }

    /// What its producer sees.
    fn demand(&self) -> BTreeSet<String> {
        let prefixes = self.producer.wanted_prefixes(1000, 0);
        prefixes.into_iter().map(|of| of.prefix.to_string()).collect()
    }

    fn status_of(&self, site: &str) -> Option<SiteStatus> {
        self.mesh.status().sites.into_iter().find(|of| of.name == site)
    }
}

fn eventually<T: PartialEq + std::fmt::Debug>(what: &str, mut look: impl FnMut() -> T, expected: T) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let seen = look();
        if seen == expected {
            return;
        }
        assert!(Instant::now() < deadline, "{what}: {seen:?} instead of {expected:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn set(prefixes: &[&str]) -> BTreeSet<String> {
    prefixes.iter().map(|&prefix| prefix.to_owned()).collect()
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The options of sites that form a small mesh.
fn peers(names: &[&str]) -> Vec<MeshOptions> {
    let sites =
        names.iter().map(|&name| (name.to_owned(), format!("tcp/127.0.0.1:{}", free_port()))).collect();
    let topology = Topology::Peer { sites, listen: None };
    names.iter().map(|&name| MeshOptions::new(name, topology.clone())).collect()
}

fn start(names: &[&str]) -> Vec<Site> {
    let sites: Vec<Site> = peers(names).into_iter().map(Site::start).collect();
    for site in &sites {
        let live = |status: MeshStatus| status.sites.iter().filter(|of| of.phase == SitePhase::Live).count();
        eventually("all sites live", || live(site.mesh.status()), names.len() - 1);
    }
    sites
}

#[test]
fn a_producer_sees_the_union_of_what_all_sites_want() {
    let sites = start(&["a", "b", "c"]);
    let [a, b, c] = &sites[..] else { unreachable!() };
    let own = a.subscriber(&["own"]);
    let from_b = b.subscriber(&["x", "y"]);
    let from_c = c.subscriber(&["y", "z"]);
    for site in &sites {
        eventually("the union", || site.demand(), set(&["own", "x", "y", "z"]));
    }
    drop(from_c);
    for site in &sites {
        eventually("without c", || site.demand(), set(&["own", "x", "y"]));
    }
    a.producer.send(("y", "1")).unwrap();
    a.producer.send(("own", "2")).unwrap();
    assert_eq!(from_b.recv().wait_timeout(PATIENCE).unwrap().unwrap().topic(), b"y");
    assert_eq!(own.recv().wait_timeout(PATIENCE).unwrap().unwrap().topic(), b"own");
    // Once, to the site that wants it: nothing went to c, and nothing from b to anybody.
    assert_eq!(a.status_of("b").unwrap().sent.messages, 1);
    assert_eq!(a.status_of("c").unwrap().sent.messages, 0);
    assert_eq!(b.status_of("c").unwrap().sent.messages, 0);
    eventually("received", || b.status_of("a").unwrap().received.messages, 1);
}

#[test]
fn a_site_that_leaves_has_no_demand_and_comes_back_with_another() {
    let mut options = peers(&["a", "b"]);
    let (to_b, to_a) = (options.pop().unwrap(), options.pop().unwrap());
    let a = Site::start(to_a);
    let b = Site::start(to_b.clone());
    let kept = b.subscriber(&["x"]);
    eventually("b's demand", || a.demand(), set(&["x"]));
    drop((b, kept));
    eventually("b is gone", || a.demand(), set(&[]));
    assert_eq!(a.status_of("b").unwrap().phase, SitePhase::Gone);
    let b = Site::start(to_b);
    let _other = b.subscriber(&["z"]);
    eventually("b is back", || a.demand(), set(&["z"]));
}

#[test]
fn a_late_joiner_gets_the_last_value_and_the_state_without_the_producer() {
    let sites = start(&["a", "b", "c"]);
    let [a, b, c] = &sites[..] else { unreachable!() };
    let first = b.subscriber(&["t"]);
    eventually("wanted", || a.demand(), set(&["t"]));
    a.producer.send(("t", "newest")).unwrap();
    a.producer.set_state("t", State::Active, "").unwrap();
    assert_eq!(first.recv().wait_timeout(PATIENCE).unwrap().unwrap().frame(1), Some(&b"newest"[..]));
    assert_eq!(first.state().wait_timeout(PATIENCE).unwrap().unwrap().state, State::Active);
    // At the site that has it, and at one that has not wanted it before.
    for site in [b, c] {
        let late = site.subscriber(&["t"]);
        assert_eq!(late.recv().wait_timeout(PATIENCE).unwrap().unwrap().frame(1), Some(&b"newest"[..]));
        let state = late.state().wait_timeout(PATIENCE);
        let state =
            state.unwrap_or_else(|| panic!("no state: a {:#?} c {:#?}", a.status_of("c"), c.status_of("a")));
        assert_eq!(state.unwrap().state, State::Active);
    }
    let mut sites = sites.into_iter();
    drop(sites.next());
    let state = first.state().wait_timeout(PATIENCE);
    let b = sites.next().unwrap();
    let state = state.unwrap_or_else(|| panic!("no state: {:#?}", b.mesh.status()));
    assert_eq!(state.unwrap().state, State::Stale);
}

#[test]
fn values_come_in_order_and_without_loss_while_there_is_room() {
    let sites = start(&["a", "b"]);
    let [a, b] = &sites[..] else { unreachable!() };
    let subscriber = b.subscriber(&["n"]);
    eventually("wanted", || a.demand(), set(&["n"]));
    let sent = 20_000u32;
    let producer = a.producer.clone();
    let sender = std::thread::spawn(move || {
        for n in 0..sent {
            producer.send_wait(("n", n.to_be_bytes())).wait().unwrap();
            if n % 500 == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    });
    for n in 0..sent {
        let message = subscriber.recv().wait_timeout(PATIENCE).unwrap().unwrap();
        assert_eq!(message.frame(1), Some(&n.to_be_bytes()[..]));
    }
    sender.join().unwrap();
    let status = b.status_of("a").unwrap();
    assert_eq!(
        (status.received.messages, status.lost, status.gaps, status.duplicates),
        (sent.into(), 0, 0, 0)
    );
}

#[test]
fn a_publisher_of_the_process_has_other_sites_as_peers() {
    let mut options = peers(&["a", "b"]);
    let b = Site::start(options.pop().unwrap());
    let engine = Engine::start().unwrap();
    let routes = OnDemand::new(&engine, Options::new()).unwrap();
    let routes = routes.route("clock/{zone}").every(Duration::from_millis(5), |_| "tick");
    let server = routes.start().unwrap();
    let mesh = Mesh::builder(&engine, options.remove(0)).publisher(server.xpub()).start().unwrap();
    assert_eq!(server.stats().now.running, 0);
    let subscriber = b.subscriber(&["clock/utc", "$oncue/stats"]);
    assert_eq!(subscriber.recv().wait_timeout(PATIENCE).unwrap().unwrap().topic(), b"clock/utc");
    let peers = server.xpub().peers().unwrap();
    assert_eq!(peers[0].profile.metadata.get("X-Site"), Some(&b"b"[..]));
    assert_eq!(peers[0].prefixes, 1, "topics about a process stay at home");
    drop(subscriber);
    eventually("nobody wants it", || server.stats().now.running, 0);
    mesh.stop();
    eventually("no site is a peer", || server.xpub().peers().unwrap().len(), 0);
}

#[test]
fn what_may_not_cross_neither_does_nor_is_asked_for() {
    let mut options = peers(&["a", "b"]);
    let (mut to_b, mut to_a) = (options.pop().unwrap(), options.pop().unwrap());
    to_a.export.all.deny = vec!["prices/secret/".into()];
    to_b.import.all.allow = vec!["prices/".into(), "news/".into()];
    let (a, b) = (Site::start(to_a), Site::start(to_b));
    let subscriber = b.subscriber(&["prices/", "prices/secret/x", "other/", "news/eu"]);
    eventually("what crosses", || a.demand(), set(&["prices/", "news/eu"]));
    a.producer.send(("prices/secret/x", "no")).unwrap();
    a.producer.send(("prices/x", "yes")).unwrap();
    assert_eq!(subscriber.recv().wait_timeout(PATIENCE).unwrap().unwrap().topic(), b"prices/x");
    let of_b = a.status_of("b").unwrap();
    assert_eq!((of_b.forbidden, of_b.prefixes, of_b.prefixes_refused), (1, 2, 1));
}

#[test]
fn the_process_that_comes_later_has_the_name() {
    let options = peers(&["a", "b"]);
    let a = Site::start(options[0].clone());
    let b = Site::start(options[1].clone());
    eventually("both live", || a.status_of("b").map(|of| of.phase), Some(SitePhase::Live));
    // Its listener cannot be at the same place, so this one is only dialled by nobody, and dials b.
    let mut again = options[0].clone();
    let Topology::Peer { listen, .. } = &mut again.topology else { unreachable!() };
    *listen = Some(format!("tcp/127.0.0.1:{}", free_port()));
    let second = Site::start(again);
    let subscriber = second.subscriber(&["mine"]);
    eventually("the second one counts", || b.demand(), set(&["mine"]));
    drop(subscriber);
    // The two are not linked with each other: b, which hears both, has told a.
    let mut ended = std::pin::pin!(a.mesh.ended());
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let mut kind = || match ended.as_mut().poll(&mut context) {
        std::task::Poll::Ready(why) => Some(why.kind()),
        std::task::Poll::Pending => None,
    };
    eventually("a has ended", &mut kind, Some(MeshErrorKind::Fenced));
}
