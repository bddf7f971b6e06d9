//! What a mesh costs, measured: `cargo test --release -p oncue-core --lib mesh::tests::scale -- --ignored --nocapture`.
use alloc::format;
use alloc::vec::Vec;
use core::time::Duration;
use std::{print, println};

use super::super::{Log, Quotas, Sites};
use super::network::{Network, SECOND, Tally, Time};
use super::{TIMEOUT, ms, outputs};
use oncue_testing::Rng;

/// What a delta is filled up to.
const DELTA_BYTES: usize = 32 << 10;
const PREFIXES: usize = 100_000;
/// What each site of the table wants.
const PREFIXES_EACH: usize = 100;
/// How many sites of the table look at what the others want. What one knows does not depend on the others that look.
const OBSERVERS: usize = 5;

#[test]
#[ignore = "it measures: see the module's page"]
fn a_hundred_thousand_prefixes_at_three_sites() {
    println!(
        "three sites declare {PREFIXES} prefixes of 12 bytes each; processor time of one thread, for all three sites"
    );
    let mut logs: Vec<Log> = (0..3).map(|n| Log::new(1, n)).collect();
    let ((), declared) = timed(|| {
        for (n, log) in logs.iter_mut().enumerate() {
            (0..PREFIXES).for_each(|at| _ = log.change(format!("{n}/t/{at:08}").as_bytes(), true).unwrap());
        }
    });
    shown("declared", declared);
    let (deltas, told) = timed(|| logs.iter_mut().map(deltas_of).collect::<Vec<_>>());
    shown("deltas written", told);
    let mut all: Vec<Sites> = (0..3).map(new_sites).collect();
    for (n, sites) in all.iter_mut().enumerate() {
        others(n).for_each(|other| known(sites, other, &Log::new(1, 0)));
    }
    let ((), applied) = timed(|| {
        for (n, sites) in all.iter_mut().enumerate() {
            for (other, delta) in
                others(n).flat_map(|other| deltas[other].iter().map(move |delta| (other, delta)))
            {
                sites.delta(&format!("site {other}"), delta, ms(1)).unwrap();
                assert!(!outputs(sites).is_empty());
            }
        }
    });
    shown("deltas applied", applied);
    let sites = &all[0];
    assert_eq!(sites.infos().map(|info| info.prefixes).sum::<usize>(), 2 * PREFIXES);
    let memory: usize = sites.infos().map(|info| info.allocated_bytes).sum();
    println!(
        "  memory of a prefix of another site, of 12 bytes: {:.1} bytes",
        memory as f64 / (2.0 * PREFIXES as f64)
    );
    let (snapshot, time) = timed(|| logs[0].snapshot());
    shown(&format!("one snapshot written, {} bytes", snapshot.len()), time);
    let mut fresh = new_sites(1);
    let ((), time) = timed(|| known(&mut fresh, 0, &logs[0]));
    shown("one snapshot written and applied where nothing was known", time);
}

#[test]
#[ignore = "it measures: see the module's page"]
fn ten_a_hundred_and_a_thousand_sites() {
    println!(
        "{PREFIXES_EACH} prefixes a site; delays of 1 ms, links without limits; all figures are of one site that looks"
    );
    println!(
        "sites | heartbeats/s in | B/s in | join: messages in | bytes in | all known | CPU | one more: known | memory"
    );
    for count in [10, 100, 1000] {
        let quotas = Quotas { sites: count, ..Quotas::default() };
        let mut network = Network::new(Rng::new(1), count, OBSERVERS, &quotas);
        let began = network.now;
        let (joined, cpu) = timed(|| {
            for n in 0..count - 1 {
                join(&mut network, n);
            }
            until_exact(&mut network, began)
        });
        let join_tally = network.tally;
        network.run_until(began + 5 * SECOND);
        let quiet = network.tally;
        network.run_until(began + 15 * SECOND);
        let beats = (
            network.tally.heartbeats.0 - quiet.heartbeats.0,
            network.tally.heartbeats.1 - quiet.heartbeats.1,
        );
        let begins = network.now;
        join(&mut network, count - 1);
        let one_more = until_exact(&mut network, begins);
        let each = |n: u64| n / OBSERVERS as u64;
        let (messages, bytes) = in_all(&join_tally);
        print!("{count:5} | {:15} | {:6} | ", each(beats.0) / 10, each(beats.1) / 10);
        print!("{:17} | {:8} | {:6} ms | ", each(messages), each(bytes), joined / 1000);
        print!("{:?} | {} ms | ", cpu / OBSERVERS as u32, one_more / 1000);
        println!("{} KiB", memory_of(&network) >> 10);
    }
}

fn join(network: &mut Network, n: usize) {
    network.start(n);
    for at in 0..PREFIXES_EACH {
        network.change(n, format!("site {n}/topic {at}").into_bytes(), true);
    }
}

/// The virtual time until all is known.
fn until_exact(network: &mut Network, began: Time) -> Time {
    while network.difference().is_some() {
        network.run_until(network.now + 1000);
        assert!(network.now < began + 10 * SECOND);
    }
    network.now - began
}

fn in_all(tally: &Tally) -> (u64, u64) {
    let parts = [tally.heartbeats, tally.deltas, tally.snapshots];
    (parts.iter().map(|part| part.0).sum::<u64>() + tally.tokens, parts.iter().map(|part| part.1).sum())
}

/// The memory of what one site knows of all others.
fn memory_of(network: &Network) -> usize {
    let observer = network.sites[0].observer.as_ref().expect("the first one looks");
    observer.sites.infos().map(|info| info.allocated_bytes).sum()
}

fn deltas_of(log: &mut Log) -> Vec<Vec<u8>> {
    core::iter::from_fn(|| log.take_delta(DELTA_BYTES)).collect()
}

fn others(n: usize) -> impl Iterator<Item = usize> {
    (0..3).filter(move |&other| other != n)
}

fn new_sites(n: usize) -> Sites {
    Sites::new(&format!("own {n}"), 1, TIMEOUT, Quotas { sites: 1000, ..Quotas::default() }, n as u64)
}

/// The site is up, and has answered.
fn known(sites: &mut Sites, n: usize, log: &Log) {
    let name = format!("site {n}");
    sites.token(&name, 1, true, ms(0)).unwrap();
    sites.snapshot(&name, 1, Some(&log.snapshot()), ms(0)).unwrap();
    assert!(outputs(sites).len() >= 2);
}

/// With the processor time that it takes, which other programs on the machine change little.
fn timed<T>(what: impl FnOnce() -> T) -> (T, Duration) {
    let began = processor_time();
    let done = what();
    (done, processor_time().saturating_sub(began))
}

/// Of this thread.
fn processor_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux counts it");
    Duration::from_nanos(text.split(' ').next().and_then(|ns| ns.parse().ok()).expect("its first number"))
}

fn shown(what: &str, time: Duration) {
    println!("  {what}: {:.1} ms", time.as_secs_f64() * 1000.0);
}
