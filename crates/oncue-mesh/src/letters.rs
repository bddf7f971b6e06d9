//! What came over the links and is to be taken in.

use std::collections::VecDeque;
use std::sync::Mutex;

use crate::bell::lock;
use crate::link::{Arrival, Payload};

/// How many bytes of changes and heartbeats may wait. What does not fit is lost, as on a link, and a snapshot replaces it.
const BYTES_MAX: usize = 64 << 20;
/// What an arrival takes beside its bytes.
const OVERHEAD: usize = 128;

/// A change of demand with more bytes takes more time than a thread has that reads for all links: it is the keeper's.
const LIGHT_BYTES: usize = 4 << 10;

/// A bounded queue.
#[derive(Default)]
pub(crate) struct Letters(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    arrivals: VecDeque<Arrival>,
    bytes: usize,
}

impl Letters {
    /// Never blocks.
    pub(crate) fn put(&self, arrival: Arrival) {
        let mut waiting = lock(&self.0);
        let weight = weight(&arrival);
        if waiting.bytes + weight > BYTES_MAX && may_be_lost(&arrival) {
            return;
        }
        waiting.bytes += weight;
        waiting.arrivals.push_back(arrival);
    }

    /// The oldest one.
    pub(crate) fn take(&self) -> Option<Arrival> {
        lock(&self.0).take()
    }

    /// The oldest one, if it is a small change of demand.
    pub(crate) fn take_light(&self) -> Option<(String, Payload)> {
        let mut waiting = lock(&self.0);
        if !waiting.arrivals.front().is_some_and(is_light) {
            return None;
        }
        match waiting.take()? {
            Arrival::Delta { site, payload } => Some((site, payload)),
            _ => unreachable!("only a delta is light"),
        }
    }

    pub(crate) fn len(&self) -> usize {
        lock(&self.0).arrivals.len()
    }

    /// Whether the oldest one is a small change of demand.
    pub(crate) fn begins_light(&self) -> bool {
        lock(&self.0).arrivals.front().is_some_and(is_light)
    }
}

impl Waiting {
    fn take(&mut self) -> Option<Arrival> {
        let arrival = self.arrivals.pop_front()?;
        self.bytes -= weight(&arrival);
        Some(arrival)
    }
}

fn is_light(arrival: &Arrival) -> bool {
    matches!(arrival, Arrival::Delta { payload, .. } if payload.len() <= LIGHT_BYTES)
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
