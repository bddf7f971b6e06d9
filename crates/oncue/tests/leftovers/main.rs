//! What comes and goes leaves nothing behind: rounds of scenes, each followed by a look at the descriptors, threads and
//! allocated bytes of this process, which must be where they were. With `--nocapture` each test prints a table.

mod engines;
#[path = "../facts/raw.rs"]
#[allow(dead_code, reason = "shared with the facts, which use all of it")]
mod raw;
mod routes;
mod sockets;
mod strangers;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use oncue_interop::allocation::Counting;
use oncue_interop::leftovers::{Holdings, check};

#[global_allocator]
static ALLOCATED: Counting = Counting;

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// What the bytes of this process may differ by, however many rounds there were: a shard keeps up to 1,024 timers of what
/// has gone, and tables grow by doubling.
const BYTES_MORE_MAX: u64 = 96 << 10;

/// Runs scenes one after the other, each so many times: a name and a round.
fn scenes(rounds: u32, scenes: &[(&str, &dyn Fn())]) {
    scenes_within(BYTES_MORE_MAX, rounds, scenes);
}

/// The same where buffers are kept that are worth keeping.
fn scenes_within(bytes_more_max: u64, rounds: u32, scenes: &[(&str, &dyn Fn())]) {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let checked =
        scenes.iter().map(|(name, round)| check(name, rounds, bytes_more_max, Holdings::own, round));
    let failed: Vec<String> = checked.filter_map(Result::err).collect();
    assert!(failed.is_empty(), "something is left behind:\n{}", failed.join("\n"));
}

/// A number that no other round has had, of a width of its own: topics of these are all as long.
fn fresh() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(1_000_000);
    LAST.fetch_add(1, Ordering::Relaxed)
}
