//! What comes and goes leaves nothing behind: rounds of scenes, each followed by a look at the descriptors, threads and
//! allocated bytes of this process, which must be where they were. With `--nocapture` each test prints a table.

mod engines;
#[path = "../facts/raw.rs"]
#[allow(dead_code, reason = "shared with the facts, which use all of it")]
mod raw;

use std::sync::{Mutex, PoisonError};

use oncue_interop::allocation::Counting;
use oncue_interop::leftovers::{Holdings, check};

#[global_allocator]
static ALLOCATED: Counting = Counting;

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// What the bytes of this process may differ by chance, however many rounds there were: tables of the system's and the
/// library's own that grow by doubling.
const BYTES_MORE_MAX: u64 = 16 << 10;

/// Runs scenes one after the other, each so many times: a name and a round.
fn scenes(rounds: u32, scenes: &[(&str, &dyn Fn())]) {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    for (name, round) in scenes {
        check(name, rounds, BYTES_MORE_MAX, Holdings::own, round);
    }
}
