//! The data of W10: a catalogue of topics, of which few are wanted, and the work that produces a value. The same for every
//! implementation.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::args::Args;
use crate::frame::mix;

/// Topics in the catalogue, and how many of them W10 wants at a time.
pub const CATALOGUE: u64 = 100_000;
pub const WANTED: usize = 1000;

/// The time between two values of a topic in W10.
pub const PERIOD: Duration = Duration::from_millis(100);

/// Size of a value: its number and the computed result.
pub const VALUE_BYTES: usize = 16;

/// The text before the number of a topic.
pub const BEGINNING: &str = "price/";

/// The first topic number: all numbers have the same number of digits, so no topic is a prefix of another.
const FIRST: u64 = 100_000;

/// How often a number is mixed for a value, in addition to once for each byte of its topic.
const ROUNDS: u64 = 52;

/// Topic number `index` of the catalogue.
pub fn topic(index: u64) -> Vec<u8> {
    format!("{BEGINNING}{}", FIRST + index).into_bytes()
}

/// The index of a topic in the catalogue.
pub fn index(topic: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(topic.strip_prefix(BEGINNING.as_bytes())?).ok()?;
    digits.parse::<u64>().ok()?.checked_sub(FIRST).filter(|&index| index < CATALOGUE)
}

/// The time between two values of a topic in this run.
pub fn period(args: &Args) -> Outcome<Duration> {
    Ok(Duration::from_millis(args.or("period", PERIOD.as_millis() as u64)?))
}

/// Produces the next value of a topic: the work that on-demand production saves when nobody wants the topic.
pub fn produce(topic: &[u8]) -> [u8; VALUE_BYTES] {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let number = LAST.fetch_add(1, Ordering::Relaxed);
    let mut value = [0; VALUE_BYTES];
    value[..8].copy_from_slice(&number.to_le_bytes());
    value[8..].copy_from_slice(&compute(topic, number).to_le_bytes());
    value
}

/// Whether `value` is a value of this topic.
pub fn is_value(topic: &[u8], value: &[u8]) -> bool {
    match value.split_first_chunk::<8>() {
        Some((number, result)) => compute(topic, u64::from_le_bytes(*number)).to_le_bytes() == result,
        None => false,
    }
}

fn compute(topic: &[u8], number: u64) -> u64 {
    let seed = topic.iter().fold(number, |sum, &byte| mix(sum ^ u64::from(byte)));
    (0..ROUNDS).fold(seed, |sum, _| mix(sum))
}

/// The measured cost of producing one value, in nanoseconds.
pub fn nanos_to_produce() -> f64 {
    const VALUES: u64 = 20_000;
    let topics: Vec<_> = (0..VALUES).map(topic).collect();
    let start = Instant::now();
    for topic in &topics {
        std::hint::black_box(produce(topic));
    }
    start.elapsed().as_secs_f64() * 1e9 / VALUES as f64
}
