//! What a prefix costs: bytes held and nanoseconds per operation, with a million prefixes and with ten.
//! `cargo run --release -p oncue-core --example index_cost`
#![allow(clippy::print_stdout)]
use std::hint::black_box;
use std::time::Instant;

use oncue_core::topic::index::PrefixMap;

const MILLION: usize = 1_000_000;

fn main() {
    let mut rng = Rng(7);
    let prefixes: Vec<[u8; 20]> = (0..MILLION).map(|_| rng.topic()).collect();
    index_of_a_million(&prefixes, &mut rng);
    for count in [1, 10] {
        index_of_few(count, &mut rng);
    }
}

fn index_of_a_million(prefixes: &[[u8; 20]], rng: &mut Rng) {
    println!("index, {MILLION} prefixes of 20 bytes");
    let resident = resident_bytes();
    let mut map = PrefixMap::new(rng.next());
    let each = time(MILLION, |n| {
        map.insert(&prefixes[n], n as u32).expect("room for all");
    });
    println!("  insert        {each:7.1} ns");
    let held = map.allocated_bytes() as f64 / MILLION as f64;
    println!("  held          {held:7.1} bytes each");
    println!("  resident      {:7.1} bytes each", (resident_bytes() - resident) / MILLION as f64);
    let topics: Vec<[u8; 20]> = (0..MILLION).map(|_| rng.topic()).collect();
    let mut found = 0;
    let each = time(MILLION, |n| map.for_each_match(&topics[n], |_, &value| found += u64::from(value)));
    println!("  match, none   {each:7.1} ns");
    let hits: Vec<[u8; 20]> = (0..MILLION).map(|_| prefixes[rng.next() as usize % MILLION]).collect();
    let each = time(MILLION, |n| map.for_each_match(&hits[n], |_, &value| found += u64::from(value)));
    println!("  match, one    {each:7.1} ns");
    black_box(found);
    let each = time(MILLION, |n| {
        map.remove(&prefixes[n]).expect("inserted above");
    });
    println!("  remove        {each:7.1} ns");
    println!("  held, empty   {:7} bytes in all", map.allocated_bytes());
}

fn index_of_few(count: usize, rng: &mut Rng) {
    let mut map = PrefixMap::new(rng.next());
    let topics: Vec<[u8; 20]> = (0..1024).map(|_| rng.topic()).collect();
    // Lengths of 3 to 7 bytes, as people name things; every topic of the first `count` has one match.
    for (n, topic) in topics[..count].iter().enumerate() {
        map.insert(&topic[..3 + n % 5], n as u32).expect("room for all");
    }
    println!("index, {count} prefixes of 3 to 7 bytes");
    let mut found = 0;
    let each =
        time(10 * MILLION, |n| map.for_each_match(&topics[n % 1024], |_, &value| found += u64::from(value)));
    println!("  match, none   {each:7.1} ns");
    let each =
        time(10 * MILLION, |n| map.for_each_match(&topics[n % count], |_, &value| found += u64::from(value)));
    println!("  match, one    {each:7.1} ns");
    black_box(found);
}

/// Nanoseconds per call of `run`.
fn time(calls: usize, mut run: impl FnMut(usize)) -> f64 {
    let start = Instant::now();
    for n in 0..calls {
        run(n);
    }
    start.elapsed().as_nanos() as f64 / calls as f64
}

/// The resident memory of this process as Linux tells it, 0 elsewhere.
fn resident_bytes() -> f64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    pages.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0.0) * 4096.0
}

struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn topic(&mut self) -> [u8; 20] {
        let mut topic = [0; 20];
        for chunk in topic.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
        topic
    }
}
