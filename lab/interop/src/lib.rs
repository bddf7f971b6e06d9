//! Drives the other side of a test: a program through its lines, other libraries through a program of each language, ZMTP
//! through literal bytes.
//!
//! A failure here panics with what was expected and what was received instead: this package is only for tests. Every wait
//! is bounded by [`PATIENCE`].

pub mod allocation;
pub mod directory;
pub mod exchange;
pub mod foreign;
pub mod forked;
pub mod http;
pub mod leftovers;
pub mod peers;
pub mod program;
pub mod raw;
pub mod relay;
pub mod sealed;
pub mod secured;
pub mod storm;

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// The longest that an expected event may take.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The time limit of a whole test.
const TEST_PATIENCE: Duration = Duration::from_secs(60);

/// Runs the body of a test, and fails the test if it takes longer than a minute: a peer that hangs must not hang
/// the run.
pub fn within_a_minute(body: impl FnOnce() + Send + 'static) {
    let (done, outcome) = channel();
    let worker = std::thread::spawn(move || {
        body();
        let _ = done.send(());
    });
    match outcome.recv_timeout(TEST_PATIENCE) {
        Err(RecvTimeoutError::Timeout) => panic!("the test took longer than {TEST_PATIENCE:?}"),
        Ok(()) | Err(RecvTimeoutError::Disconnected) => {
            if let Err(panic) = worker.join() {
                std::panic::resume_unwind(panic);
            }
        }
    }
}

/// Polls until `condition` holds, for conditions without an event to wait for.
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
