//! The heartbeats of a session, on a thread of their own: whatever the keeper has to read of others, this site does not fall silent.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;

use oncue_core::mesh::Log;

use super::shared::Shared;
use crate::bell::{Bell, lock};
use crate::link::{Arrival, Link};

/// Ends the thread when it is dropped.
#[derive(Default)]
pub(super) struct Stop {
    bell: Arc<Bell>,
    stopped: Arc<AtomicBool>,
}

impl Drop for Stop {
    fn drop(&mut self) {
        self.stopped.store(true, Relaxed);
        self.bell.ring();
    }
}

/// Sends heartbeats until it is stopped, or the session breaks.
pub(super) fn beat<'a>(shared: &'a Shared, link: &'a Link, stop: &Stop) -> impl FnOnce() + Send + use<'a> {
    let (bell, stopped) = (stop.bell.clone(), stop.stopped.clone());
    move || {
        while !stopped.load(Relaxed) {
            let next = Instant::now() + shared.options.heartbeat;
            // The log is locked while changes are sent: a heartbeat that counts them is sent after them.
            let heartbeat = lock(&shared.log).as_ref().map(Log::heartbeat);
            if let Some(Err(broken)) = heartbeat.map(|bytes| link.heartbeat(bytes)) {
                shared.put(Arrival::Ended(broken));
                return;
            }
            shared.links.store(link.links(), Relaxed);
            while Instant::now() < next && !stopped.load(Relaxed) {
                bell.wait(Some(next));
            }
        }
    }
}
