//! What one process measures and reports, and the deadline after which it ends in any case.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::frame::{FIN, PROBE, Shape};

/// What a process reports at its end: one line of JSON.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// Messages sent, or received (over all connections).
    pub messages: u64,
    /// From the first message to the last.
    pub seconds: f64,
    /// Processor time, user and system, of all threads from the first message to the end.
    pub cpu: f64,
    /// Messages missing between the first and the last.
    #[serde(default)]
    pub missing: u64,
    /// How often a send was refused because a queue was full.
    #[serde(default)]
    pub refused: u64,
    /// Skipped ticks; only catalogue publishers have any.
    #[serde(default)]
    pub skipped: u64,
    /// Microseconds, sorted: the duration of each round trip, or from a subscription to its first value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub micros: Vec<f64>,
    /// Messages received by the subscribers of W11 whose topics do not change.
    #[serde(default)]
    pub fixed: u64,
    /// From the time when a message was to be sent until a subscriber had it; only W11 has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
}

/// Quantiles in microseconds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Latency {
    pub p50: f64,
    pub p99: f64,
    pub p999: f64,
}

/// The time of the clock that all processes of the machine share, in nanoseconds.
pub fn now_nanos() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// The processor time of this process so far, in seconds.
pub fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Measures the duration and the processor time of one run.
pub struct Stopwatch {
    start: Instant,
    cpu: f64,
}

impl Stopwatch {
    /// Starts now.
    pub fn start() -> Stopwatch {
        Stopwatch { start: Instant::now(), cpu: cpu_seconds() }
    }

    /// Wall-clock time since the start.
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Seconds of processor time since the start.
    pub fn cpu(&self) -> f64 {
        cpu_seconds() - self.cpu
    }
}

/// The counters of a subscriber.
pub struct Tally {
    shape: Shape,
    watch: Option<Stopwatch>,
    next: u64,
    probed: bool,
    report: Report,
    finished: bool,
}

impl Tally {
    /// Nothing counted yet.
    pub fn new(shape: Shape) -> Tally {
        let report = Report::default();
        Tally { shape, watch: None, next: 0, probed: false, report, finished: false }
    }

    /// Counts one message. Returns whether it was the first probe.
    #[inline]
    pub fn count(&mut self, message: &[u8]) -> bool {
        match self.shape.seq(message) {
            Some(seq) if seq < PROBE => {
                if self.watch.is_none() {
                    self.watch = Some(Stopwatch::start());
                }
                if seq != self.next {
                    assert!(seq > self.next, "message {seq} came when {} was due", self.next);
                    self.report.missing += seq - self.next;
                }
                self.next = seq + 1;
                self.report.messages += 1;
                false
            }
            Some(FIN) => {
                self.finish();
                false
            }
            Some(_) => !std::mem::replace(&mut self.probed, true),
            None => panic!("a message of {} bytes does not belong to this run", message.len()),
        }
    }

    /// Whether the run is over.
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    fn finish(&mut self) {
        if let (false, Some(watch)) = (self.finished, &self.watch) {
            self.report.seconds = watch.elapsed().as_secs_f64();
            self.report.cpu = watch.cpu();
        }
        self.finished = true;
    }

    /// The final report.
    pub fn into_report(self) -> Report {
        self.report
    }
}

/// Ends the process with exit code 3 after `limit`, so that a hanging run counts as failed and does not block the others.
pub fn end_after(limit: Duration) {
    std::thread::spawn(move || {
        std::thread::sleep(limit);
        eprintln!("bench: not finished after {limit:?}");
        std::process::exit(3);
    });
}
