//! Rounds that must leave nothing behind: compares what a process holds after a few rounds of a scene, and after many. A
//! leaked waker or handle shows as a descriptor, a thread, or bytes.

use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

use crate::allocation::bytes_allocated;

/// Rounds before the first measurement: everything that is created once and kept, such as a buffer, exists by then.
const WARM_UP_ROUNDS: u32 = 5;
/// The time between two measurements, and how many in a row must agree for a process to be at rest.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);
const EQUAL_LOOKS: u32 = 5;
/// The limit for resources to be released. Our side waits for up to a second for a peer that it refuses.
const SETTLE_TIME_MAX: Duration = Duration::from_secs(10);
/// How many times in a row a process must hold more than before. What is kept to be reused, such as a read buffer for a
/// second peer at the same time, is created once; a leak grows each time.
const SERIES: u32 = 3;

/// The resources that a process holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holdings {
    /// Open descriptors.
    pub descriptors: u64,
    /// Threads.
    pub threads: u64,
    /// Bytes of memory: allocated bytes when a process measures itself, resident bytes when another one does.
    pub bytes: u64,
}

impl Holdings {
    /// Those of this process, with [`Counting`](crate::allocation::Counting) as the global allocator.
    pub fn own() -> Holdings {
        // Reading the list of descriptors takes one descriptor.
        let Holdings { descriptors, threads, .. } = Holdings::at("self");
        Holdings { descriptors: descriptors - 1, threads, bytes: bytes_allocated() }
    }

    /// Those of another process, without its children.
    pub fn of(process: u32) -> Holdings {
        Holdings::at(&process.to_string())
    }

    fn at(process: &str) -> Holdings {
        let path = format!("/proc/{process}");
        let lives = "the process is running";
        let status = std::fs::read_to_string(format!("{path}/status")).expect(lives);
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line of this name");
            line.split_whitespace().next().and_then(|word| word.parse::<u64>().ok()).expect("a number")
        };
        let descriptors = std::fs::read_dir(format!("{path}/fd")).expect(lives).count() as u64;
        Holdings { descriptors, threads: number("Threads:"), bytes: number("VmRSS:") * 1024 }
    }

    pub(crate) fn is_within(self, other: Holdings, bytes_more_max: u64) -> bool {
        self.descriptors <= other.descriptors
            && self.threads <= other.threads
            && self.bytes <= other.bytes.saturating_add(bytes_more_max)
    }
}

impl fmt::Display for Holdings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Holdings { descriptors, threads, bytes } = self;
        write!(f, "{descriptors:>4} {threads:>4} {:>7} kB", bytes / 1024)
    }
}

/// Runs a scene for a few rounds, then a series of `rounds`. The check fails if the process holds more afterwards than before,
/// for bytes by more than `bytes_more_max`, in each of three series. The environment variable `ONCUE_LEFTOVERS_ROUNDS`
/// overrides the number of rounds. Prints a line of the table for each series: the scene, the rounds, and descriptors, threads
/// and bytes before and after.
///
/// # Errors
/// The last of these lines, if the check fails.
pub fn check(
    scene: &str,
    rounds: u32,
    bytes_more_max: u64,
    look: impl Fn() -> Holdings,
    mut round: impl FnMut(),
) -> Result<(), String> {
    let asked = std::env::var("ONCUE_LEFTOVERS_ROUNDS").ok();
    let rounds = asked.map_or(rounds, |text| text.parse().expect("ONCUE_LEFTOVERS_ROUNDS is a number"));
    (0..WARM_UP_ROUNDS).for_each(|_| round());
    let mut line = String::new();
    for _ in 0..SERIES {
        let before = at_rest(&look);
        (0..rounds).for_each(|_| round());
        let deadline = Instant::now() + SETTLE_TIME_MAX;
        let mut after = look();
        while !after.is_within(before, bytes_more_max) && Instant::now() < deadline {
            thread::sleep(LOOK_INTERVAL);
            after = look();
        }
        line = format!("{scene:<60} {rounds:>6} rounds {before}  -> {after}");
        println!("{line}");
        if after.is_within(before, bytes_more_max) {
            return Ok(());
        }
    }
    Err(line)
}

/// The resources once they no longer change; otherwise later releases would hide a leak.
pub(crate) fn at_rest(look: &impl Fn() -> Holdings) -> Holdings {
    let deadline = Instant::now() + SETTLE_TIME_MAX;
    let (mut last, mut equal) = (look(), 0);
    while equal < EQUAL_LOOKS && Instant::now() < deadline {
        thread::sleep(LOOK_INTERVAL);
        let now = look();
        let same =
            (now.descriptors, now.threads) == (last.descriptors, last.threads) && now.bytes >= last.bytes;
        equal = if same { equal + 1 } else { 0 };
        last = now;
    }
    last
}
