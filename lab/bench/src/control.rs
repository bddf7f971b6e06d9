//! The protocol between the runner and its processes: lines of JSON to the runner, words to the process. No other module knows
//! the format.

use std::io::{BufRead, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU16, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::measure::Report;

/// What a process reports to the runner.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "at", rename_all = "lowercase")]
pub enum Event {
    /// It listens on this port.
    Bound {
        /// On 127.0.0.1.
        port: u16,
    },
    /// Its connections are made. Earlier probes would fill buffers that no thread empties yet.
    Connected,
    /// All its subscriptions are in force.
    Ready {
        /// Since it began to subscribe.
        seconds: f64,
    },
    /// The run is over.
    Done(Report),
}

/// Reports to the runner.
pub fn tell(event: &Event) {
    let line = serde_json::to_string(event).expect("an event is JSON");
    let mut out = std::io::stdout().lock();
    // A failed write means that the runner has ended: standard input then ends too, and with it the run.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

const WAIT: u8 = 0;
const PROBE: u8 = 1;
const GO: u8 = 2;
const END: u8 = 3;

/// What the runner has sent so far: `port N` if the role needs one later, `probe`, `go`, then the end of standard
/// input.
#[derive(Clone)]
pub struct Control(Arc<Heard>);

struct Heard {
    state: AtomicU8,
    port: AtomicU16,
}

impl Control {
    /// Listens to standard input from now on.
    pub fn listen() -> Control {
        let control = Control(Arc::new(Heard { state: AtomicU8::new(WAIT), port: AtomicU16::new(0) }));
        let heard = control.0.clone();
        std::thread::spawn(move || {
            for line in std::io::stdin().lock().lines() {
                let Ok(line) = line else { break };
                match line.strip_prefix("port ").map(str::parse) {
                    Some(port) => {
                        heard.port.store(port.expect("the runner sends a number"), Ordering::Relaxed)
                    }
                    None if line == "probe" => heard.state.store(PROBE, Ordering::Relaxed),
                    None => heard.state.store(GO, Ordering::Relaxed),
                }
            }
            heard.state.store(END, Ordering::Relaxed);
        });
        control
    }

    /// Probes may be sent.
    pub fn may_probe(&self) -> bool {
        self.0.state.load(Ordering::Relaxed) >= PROBE
    }

    /// The run may begin.
    pub fn may_go(&self) -> bool {
        self.0.state.load(Ordering::Relaxed) >= GO
    }

    /// The run must end.
    pub fn must_end(&self) -> bool {
        self.0.state.load(Ordering::Relaxed) == END
    }

    /// Waits for the port that this process has to connect to.
    pub fn wait_for_port(&self) -> u16 {
        loop {
            match self.0.port.load(Ordering::Relaxed) {
                0 => std::thread::sleep(Duration::from_millis(2)),
                port => return port,
            }
        }
    }
}
