//! What came over the links and waits for the keeper.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use crate::bell::{Bell, lock};
use crate::link::{Arrival, Payload};

/// How many bytes of changes and heartbeats may wait. What does not fit is lost, as on a link, and a snapshot replaces it.
const BYTES_MAX: usize = 64 << 20;
/// What an arrival takes beside its bytes.
const OVERHEAD: usize = 128;

/// A bounded queue in front of one thread.
pub(crate) struct Letters {
    waiting: Mutex<Waiting>,
    bell: Arc<Bell>,
}

#[derive(Default)]
struct Waiting {
    arrivals: VecDeque<Arrival>,
    bytes: usize,
}

impl Letters {
    pub(crate) fn new(bell: Arc<Bell>) -> Letters {
        Letters { waiting: Mutex::default(), bell }
    }

    /// Never blocks.
    pub(crate) fn put(&self, arrival: Arrival) {
        let mut waiting = lock(&self.waiting);
        let weight = weight(&arrival);
        if waiting.bytes + weight > BYTES_MAX && may_be_lost(&arrival) {
            return;
        }
        waiting.bytes += weight;
        waiting.arrivals.push_back(arrival);
        drop(waiting);
        self.bell.ring();
    }

    pub(crate) fn take(&self) -> VecDeque<Arrival> {
        let mut waiting = lock(&self.waiting);
        waiting.bytes = 0;
        std::mem::take(&mut waiting.arrivals)
    }
}

fn weight(arrival: &Arrival) -> usize {
    OVERHEAD
        + match arrival {
            Arrival::Delta { payload, .. } | Arrival::Heartbeat { payload, .. } => payload.len(),
            Arrival::Snapshot { answer, .. } => answer.as_ref().map_or(0, Payload::len),
            _ => 0,
        }
}

/// Answers are bounded by what was asked; the others are repeated, or a gap shows that they are missing.
fn may_be_lost(arrival: &Arrival) -> bool {
    matches!(arrival, Arrival::Delta { .. } | Arrival::Heartbeat { .. } | Arrival::Token { .. })
}
