//! The cost of a prefix in the index and in the ledger: bytes and nanoseconds per operation. With a million prefixes, memory
//! latency dominates, so the time of one dependent read is shown too.
//! `cargo run --release -p oncue-core --example index_cost`
use std::hint::black_box;
use std::time::Instant;

use oncue_core::ledger::{Ledger, Quota};
use oncue_core::topic::index::PrefixMap;
use oncue_testing::Rng;

const MILLION: usize = 1_000_000;

fn main() {
    let mut rng = Rng::new(7);
    let prefixes: Vec<[u8; 20]> = (0..MILLION).map(|_| random_topic(&mut rng)).collect();
    println!("a dependent read of 32 MiB {:4.1} ns", dependent_read(&mut rng));
    index_of_a_million(&prefixes, &mut rng);
    for count in [1, 10] {
        index_of_few(count, &mut rng);
    }
    ledger_of_one_peer(&prefixes, &mut rng);
    ledger_of_equal_peers(&mut rng);
}

/// Follows one random cycle through 32 MiB.
fn dependent_read(rng: &mut Rng) -> f64 {
    let mut next: Vec<u32> = (0..8 << 20).collect();
    for last in (1..next.len()).rev() {
        next.swap(last, rng.next() as usize % last);
    }
    let mut at = 0;
    let each = time(MILLION, |_| at = next[at] as usize);
    black_box(at);
    each
}

fn index_of_a_million(prefixes: &[[u8; 20]], rng: &mut Rng) {
    println!("index, {MILLION} prefixes of 20 bytes");
    let resident = resident_bytes();
    let mut map = PrefixMap::new(rng.next());
    let each = time(MILLION, |n| {
        map.get_or_insert_with(&prefixes[n], || n as u32).expect("room for all");
    });
    println!("  insert        {each:7.1} ns");
    let held = map.allocated_bytes() as f64 / MILLION as f64;
    println!("  held          {held:7.1} bytes each");
    println!("  resident      {:7.1} bytes each", (resident_bytes() - resident) / MILLION as f64);
    let topics: Vec<[u8; 20]> = (0..MILLION).map(|_| random_topic(rng)).collect();
    let mut found = 0;
    let each = time(MILLION, |n| map.for_each_match(&topics[n], |_, &value| found += u64::from(value)));
    println!("  match, none   {each:7.1} ns");
    let hits: Vec<[u8; 20]> = (0..MILLION).map(|_| prefixes[rng.next() as usize % MILLION]).collect();
    let each = time(MILLION, |n| map.for_each_match(&hits[n], |_, &value| found += u64::from(value)));
    println!("  match, one    {each:7.1} ns");
    black_box(found);
    let each = time(MILLION, |n| {
        let id = map.find(&prefixes[n]).expect("inserted above");
        map.remove_id(id);
    });
    println!("  remove        {each:7.1} ns");
    println!("  held, empty   {:7} bytes in all", map.allocated_bytes());
}

fn index_of_few(count: usize, rng: &mut Rng) {
    let mut map = PrefixMap::new(rng.next());
    let topics: Vec<[u8; 20]> = (0..1024).map(|_| random_topic(rng)).collect();
    // Lengths of 3 to 7 bytes, as in common names; every topic of the first `count` has one match.
    for (n, topic) in topics[..count].iter().enumerate() {
        map.get_or_insert_with(&topic[..3 + n % 5], || n as u32).expect("room for all");
    }
    println!("index, {count} prefixes of 3 to 7 bytes");
    let mut found = 0;
    let each = match_all(&map, &topics[count..], &mut found);
    println!("  match, none   {each:7.1} ns");
    let hits: Vec<[u8; 20]> = topics[..count].iter().cycle().take(1000).copied().collect();
    let each = match_all(&map, &hits, &mut found);
    println!("  match, one    {each:7.1} ns");
    black_box(found);
}

fn match_all(map: &PrefixMap<u32>, topics: &[[u8; 20]], found: &mut u64) -> f64 {
    let each = time(10_000, |_| {
        for topic in topics {
            map.for_each_match(topic, |_, &value| *found += u64::from(value));
        }
    });
    each / topics.len() as f64
}

fn ledger_of_one_peer(prefixes: &[[u8; 20]], rng: &mut Rng) {
    println!("ledger, one peer with {MILLION} prefixes of 20 bytes");
    let mut ledger = Ledger::new(rng.next(), Quota { prefixes_max: u32::MAX, prefix_bytes_max: u64::MAX });
    let peer = ledger.attach(0, 0);
    let each = time(MILLION, |n| {
        ledger.subscribe(peer, &prefixes[n]).expect("within the quota");
    });
    println!("  subscribe     {each:7.1} ns");
    println!("  held          {:7.1} bytes each pair", ledger.allocated_bytes() as f64 / MILLION as f64);
    let mut found = 0;
    let hits: Vec<[u8; 20]> = (0..MILLION).map(|_| prefixes[rng.next() as usize % MILLION]).collect();
    let each = time(MILLION, |n| ledger.for_each_audience(&hits[n], |_| found += 1));
    println!("  match, one    {each:7.1} ns");
    assert_eq!(found, MILLION);
    let each = time(MILLION / 2, |n| {
        ledger.cancel(peer, &prefixes[n]);
        ledger.subscribe(peer, &prefixes[n]).expect("within the quota");
    });
    println!("  cancel, again {each:7.1} ns");
    let mut unwanted = 0;
    let each = time(1, |_| _ = ledger.detach(peer, 0, |_| unwanted += 1));
    println!("  detach        {:7.1} ms", each / 1e6);
    assert_eq!(unwanted, MILLION);
}

fn ledger_of_equal_peers(rng: &mut Rng) {
    const PEERS: usize = 10_000;
    println!("ledger, {PEERS} peers with the same 10 prefixes");
    let mut ledger = Ledger::new(rng.next(), Quota { prefixes_max: 100, prefix_bytes_max: 1000 });
    let prefixes: Vec<[u8; 20]> = (0..10).map(|_| random_topic(rng)).collect();
    let peers: Vec<_> = (0..PEERS).map(|n| ledger.attach(0, n as u64)).collect();
    let each = time(PEERS, |n| {
        for prefix in &prefixes {
            ledger.subscribe(peers[n], prefix).expect("within the quota");
        }
        ledger.settle(peers[n]);
    });
    println!("  ten and settle{each:7.1} ns");
    let each = time(PEERS, |n| {
        ledger.cancel(peers[n], &prefixes[0]);
        ledger.settle(peers[n]);
        ledger.subscribe(peers[n], &prefixes[0]).expect("within the quota");
        ledger.settle(peers[n]);
    });
    println!("  toggle one    {each:7.1} ns");
    let mut found = 0;
    let each = time(MILLION, |n| ledger.for_each_audience(&prefixes[n % 10], |_| found += 1));
    println!("  match, one    {each:7.1} ns");
    assert_eq!(found, MILLION);
}

/// Nanoseconds per call of `run`.
fn time(calls: usize, mut run: impl FnMut(usize)) -> f64 {
    let start = Instant::now();
    for n in 0..calls {
        run(n);
    }
    start.elapsed().as_nanos() as f64 / calls as f64
}

/// The resident memory of this process on Linux, 0 elsewhere.
fn resident_bytes() -> f64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    pages.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0.0) * 4096.0
}

fn random_topic(rng: &mut Rng) -> [u8; 20] {
    rng.bytes(20).try_into().expect("20 bytes")
}
