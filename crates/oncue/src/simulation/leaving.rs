//! Peers with many prefixes: they leave, or the socket does.

use super::*;

const PREFIXES: u32 = 5000;

/// A publisher, and a subscriber of many prefixes.
fn publisher_and_large_subscriber(sim: &mut Sim) -> (Publisher, Sub) {
    let publisher = Publisher::new(sim.node(1), Options::new());
    publisher.socket.bind("inproc://p").unwrap();
    let sub = Sub::on(sim.node(1), None, Options::new()).unwrap();
    for n in 0..PREFIXES {
        sub.subscribe(n.to_be_bytes()).unwrap();
    }
    sub.connect("inproc://p").unwrap();
    sim.run(CALM);
    (publisher, sub)
}

fn run(seed: u64) {
    let mut sim = Sim::new(seed);
    let (mut publisher, sub) = publisher_and_large_subscriber(&mut sim);
    publisher.listen();
    assert_eq!(
        (publisher.told.len(), publisher.pairs.pairs.held.len()),
        (PREFIXES as usize, PREFIXES as usize)
    );
    let closes = sim.below(2) == 0;
    match closes {
        true => drop(publisher.socket.close()),
        false => drop(sub),
    }
    sim.run(CALM);
    // Each end is reported once, and before the end of the socket.
    publisher.listen();
    publisher.check(&BTreeSet::new(), 0);
    assert_eq!(publisher.watch.try_next().is_err(), closes);
    assert!(!publisher.socket.wanted(1_u32.to_be_bytes()));
    let peers = publisher.socket.stats().peers;
    drop((publisher, sim));
    assert_eq!(peers, 0);
}

#[test]
fn what_a_large_peer_wanted_ends_once_whoever_leaves() {
    for_each_seed(|seed| {
        if seed < 20 || seed % 10 == 0 {
            run(seed)
        }
    });
}
