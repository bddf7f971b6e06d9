//! `cargo xtask storm [MINUTES]`: 10,000 subscribers a minute come and go, in every way in which a peer may leave, and a
//! publisher process must end with the descriptors, threads and memory that it had.

use std::process::ExitCode;
use std::time::Duration;

use oncue_interop::storm::storm;

/// Subscribers a minute.
const RATE: u64 = 10_000;
/// How much more memory the process may hold: its allocator keeps freed memory.
const BYTES_MORE_MAX: u64 = 4 << 20;

fn main() -> ExitCode {
    let minutes = std::env::args().nth(1).map_or(5.0, |word| word.parse().expect("a number of minutes"));
    let oncue = std::env::var("ONCUE_BIN").expect("ONCUE_BIN is the path of the command oncue");
    let figures = storm(&oncue, Duration::from_secs_f64(minutes * 60.0), RATE);
    println!("{figures}");
    if figures.are_good(BYTES_MORE_MAX) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
