//! A storm: subscribers that connect, subscribe and leave at a given rate, in every way in which a peer may leave, against one
//! publisher process, which must end it with what it held before and wanting nothing.

use std::fmt;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::leftovers::{Holdings, at_rest};
use crate::raw::{Raw, Version, subscription};
use crate::until;

/// Cycles before the first measurement, so that everything that is made once and kept exists by then.
const WARM_UP_CYCLES: u64 = 500;
/// How many subscribers there are at a time.
const AT_A_TIME: u64 = 8;
/// How many prefixes one cycle of 20 has.
const MANY: u64 = 1000;

/// How a subscriber leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaves {
    /// It closes the connection, after its publisher knows what it wants.
    Fin,
    /// It closes at once.
    FinAtOnce,
    Reset,
    /// In the middle of the greeting, or of the READY command.
    InGreeting,
    InHandshake,
}

/// What a storm has done, and what the publisher held before and after it.
pub struct Figures {
    /// How many subscribers came and went, and how long that took.
    pub cycles: u64,
    /// See above.
    pub time: Duration,
    /// The publisher's process before, and after.
    pub before: Holdings,
    /// See above.
    pub after: Holdings,
    /// How many times it was told that a prefix is wanted, and that one is not wanted any more.
    pub wanted: u64,
    /// See above.
    pub unwanted: u64,
}

impl Figures {
    /// Whether the publisher holds what it held, up to this much memory, and wants nothing.
    pub fn are_good(&self, bytes_more_max: u64) -> bool {
        self.wanted == self.unwanted && self.after.is_within(self.before, bytes_more_max)
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Figures { cycles, time, before, after, wanted, unwanted } = self;
        let minute = *cycles as f64 * 60.0 / time.as_secs_f64();
        writeln!(f, "{cycles} cycles in {:.0} s: {minute:.0} a minute", time.as_secs_f64())?;
        writeln!(f, "        fds  thr     memory")?;
        writeln!(f, "before {before}")?;
        writeln!(f, "after  {after}")?;
        write!(f, "told: {wanted} wanted, {unwanted} unwanted; {} left", *wanted as i64 - *unwanted as i64)
    }
}

/// A running `oncue demand`, whose lines are counted.
struct Publisher {
    child: Child,
    endpoint: String,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    wanted: AtomicU64,
    unwanted: AtomicU64,
    left: AtomicI64,
}

impl Publisher {
    /// Starts the command `oncue`.
    fn start(oncue: &str) -> Publisher {
        let mut command = Command::new(oncue);
        command.args(["demand", "tcp://127.0.0.1:0"]).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the command oncue");
        let mut said = BufReader::new(child.stderr.take().expect("a pipe"));
        let mut line = String::new();
        said.read_line(&mut line).expect("where it is bound");
        let endpoint = line.trim().split_once(" to ").expect("where it is bound").1.to_owned();
        // What else it says about strangers is read, so that it is never held up.
        thread::spawn(move || said.split(b'\n').for_each(drop));
        let counts = Arc::<Counts>::default();
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        let counted = counts.clone();
        thread::spawn(move || {
            for line in output.split(b'\n').map_while(Result::ok) {
                let (counter, change) = match line.first() {
                    Some(b'+') => (&counted.wanted, 1),
                    Some(b'-') => (&counted.unwanted, -1),
                    _ => continue,
                };
                counter.fetch_add(1, Ordering::SeqCst);
                counted.left.fetch_add(change, Ordering::SeqCst);
            }
        });
        Publisher { child, endpoint, counts }
    }

    /// What the process holds when nothing is wanted and no peer is left.
    fn at_rest(&self) -> Holdings {
        until("all demand has ended", || self.counts.left.load(Ordering::SeqCst) == 0);
        // A refused peer is given a second to read why.
        thread::sleep(Duration::from_millis(1200));
        at_rest(&|| Holdings::of(self.child.id()))
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One subscriber comes and goes.
fn cycle(endpoint: &str, number: u64) {
    let leaves = match number % 10 {
        0..4 => Leaves::Fin,
        4 => Leaves::FinAtOnce,
        5 | 6 => Leaves::Reset,
        7 => Leaves::InGreeting,
        8 => Leaves::InHandshake,
        _ if number.is_multiple_of(3) => Leaves::Reset,
        _ => Leaves::FinAtOnce,
    };
    let version = [Version::V3_1, Version::V3_1, Version::V3_0][(number % 3) as usize];
    let mut peer = Raw::connect(endpoint);
    if matches!(leaves, Leaves::InGreeting | Leaves::InHandshake) {
        let bytes = b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\x01NULL\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\
            \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x04\x19\x05REA";
        peer.write(&bytes[..if leaves == Leaves::InGreeting { 20 } else { bytes.len() }]);
        return if number.is_multiple_of(2) {
            peer.reset()
        };
    }
    peer.greet(version, "SUB", "XPUB");
    let prefixes = if number % 20 == 9 { MANY } else { 3 };
    let mut bytes = subscription(version, true, b"common");
    for prefix in 0..prefixes {
        bytes.extend(subscription(version, true, format!("storm/{number}/{prefix}").as_bytes()));
    }
    if leaves == Leaves::Fin {
        bytes.extend(subscription(version, false, format!("storm/{number}/0").as_bytes()));
    }
    peer.write(&bytes);
    match leaves {
        Leaves::Fin if version == Version::V3_1 => {
            // It answers when it has taken in everything before.
            peer.write(b"\x04\x09\x04PING\0\0xx");
            peer.expect("an answer", b"\x04\x07\x04PONGxx");
        }
        Leaves::Reset => peer.reset(),
        _ => {}
    }
}

/// Runs a storm against the command `oncue` at this path, of `minute` cycles a minute.
pub fn storm(oncue: &str, time: Duration, minute: u64) -> Figures {
    let publisher = Publisher::start(oncue);
    let interval = Duration::from_secs(60) / u32::try_from(minute).expect("a rate");
    let next = AtomicU64::new(0);
    let rounds = |until: &(dyn Fn(u64) -> bool + Sync), start: Instant, first: u64| {
        thread::scope(|scope| {
            for _ in 0..AT_A_TIME {
                scope.spawn(|| {
                    loop {
                        let number = next.fetch_add(1, Ordering::SeqCst);
                        if until(number) {
                            return;
                        }
                        let due = start + interval * u32::try_from(number - first).expect("few enough");
                        thread::sleep(due.saturating_duration_since(Instant::now()));
                        cycle(&publisher.endpoint, number);
                    }
                });
            }
        });
    };
    rounds(&|number| number >= WARM_UP_CYCLES, Instant::now(), 0);
    let (before, first) = (publisher.at_rest(), next.load(Ordering::SeqCst));
    let start = Instant::now();
    let cycles = (time.as_secs_f64() / interval.as_secs_f64()) as u64;
    rounds(&|number| number >= first + cycles, start, first);
    let time = start.elapsed();
    let after = publisher.at_rest();
    let count = |counter: &AtomicU64| counter.load(Ordering::SeqCst);
    let (wanted, unwanted) = (count(&publisher.counts.wanted), count(&publisher.counts.unwanted));
    Figures { cycles, time, before, after, wanted, unwanted }
}
