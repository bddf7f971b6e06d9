//! What is made and dropped leaves nothing behind: rounds of scenes, after which the descriptors, threads and allocated
//! bytes of this process must be what they were before. With `--nocapture` each test prints a table.

mod engines;
mod proxies;
#[path = "../facts/raw.rs"]
#[allow(dead_code, reason = "shared with the facts, which use all of it")]
mod raw;
mod routes;
mod sockets;
mod strangers;
mod web;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use oncue_interop::allocation::Counting;
use oncue_interop::leftovers::{Holdings, check};

#[global_allocator]
static ALLOCATED: Counting = Counting;

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// By how much the bytes of this process may differ, after any number of rounds: a shard keeps up to 1,024 timers of peers
/// that have gone, and tables grow by doubling.
const BYTES_MORE_MAX: u64 = 96 << 10;

/// Runs scenes, each a name and a round, one after the other, for this many rounds each.
fn scenes(rounds: u32, scenes: &[(&str, &dyn Fn())]) {
    scenes_within(BYTES_MORE_MAX, rounds, scenes);
}

/// The same with another bound, for scenes that leave buffers to be reused.
fn scenes_within(bytes_more_max: u64, rounds: u32, scenes: &[(&str, &dyn Fn())]) {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let checked =
        scenes.iter().map(|(name, round)| check(name, rounds, bytes_more_max, Holdings::own, round));
    let failed: Vec<String> = checked.filter_map(Result::err).collect();
    assert!(failed.is_empty(), "something is left behind:\n{}", failed.join("\n"));
}

/// A number that no other round has had. All have the same width, so that topics of them have the same length.
fn fresh() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(1_000_000);
    LAST.fetch_add(1, Ordering::Relaxed)
}
