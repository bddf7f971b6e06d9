//! A producer: what is wanted of it, as its XPUB tells, and when it was told.

use std::collections::BTreeSet;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use oncue::{DemandEvent, DemandWatch, Engine, OnFull, Prefix, XPub};

use super::load::publish;
use super::options;
use crate::clock::now;
use crate::protocol::{Answer, Ask, SocketRole};

/// The separator of a prefix and the time when it was subscribed to.
pub(super) const STAMP: char = '@';

/// An XPUB that connects.
pub(super) struct Producer {
    socket: XPub,
    told: Arc<Told>,
    next: u64,
}

#[derive(Default)]
struct Told {
    known: Mutex<Known>,
    changed: Condvar,
}

#[derive(Default)]
struct Known {
    wanted: BTreeSet<Prefix>,
    changed_at: u64,
    latencies: Vec<(Prefix, u64)>,
}

impl Producer {
    /// Connects, and watches its demand.
    pub(super) fn new(role: &SocketRole) -> oncue::Result<Producer> {
        let options = options(role.timeout_ms).discard_messages(true).on_full(OnFull::Refuse);
        let socket = XPub::new(&Engine::start()?, options)?;
        let told = Arc::<Told>::default();
        let (watch, shared) = (socket.demand(), told.clone());
        thread::spawn(move || follow(&watch, &shared));
        for endpoint in &role.endpoints {
            socket.connect(endpoint)?;
        }
        Ok(Producer { socket, told, next: 0 })
    }

    /// Answers one question.
    pub(super) fn answer(&mut self, ask: Ask) -> Answer {
        match ask {
            Ask::Demand => Answer::Demand(self.told.lock().wanted.iter().map(ToString::to_string).collect()),
            Ask::DemandCount(count) => Answer::Done(self.told.wait_for(count)),
            Ask::Latencies(but) => {
                let latencies = std::mem::take(&mut self.told.lock().latencies);
                let others = latencies.into_iter().filter(|(prefix, _)| !prefix.starts_with(but.as_bytes()));
                Answer::Latencies(others.map(|(_, latency)| latency).collect())
            }
            Ask::Publish(flow) => match publish(&self.socket, &flow, &mut self.next) {
                Ok(sent) => Answer::Sent(sent),
                Err(why) => Answer::Failed(why.to_string()),
            },
            other => Answer::Failed(format!("a producer cannot do {other:?}")),
        }
    }
}

impl Told {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until so many prefixes are wanted. Returns when the last change was told.
    fn wait_for(&self, count: usize) -> u64 {
        let known = self.changed.wait_while(self.lock(), |known| known.wanted.len() != count);
        known.unwrap_or_else(PoisonError::into_inner).changed_at
    }
}

fn follow(watch: &DemandWatch, told: &Told) {
    while let Ok(event) = watch.next().wait() {
        let (time, mut known) = (now(), told.lock());
        known.changed_at = time;
        match event {
            DemandEvent::Wanted(prefix) => {
                known
                    .latencies
                    .extend(stamp(&prefix).map(|sent| (prefix.clone(), time.saturating_sub(sent))));
                known.wanted.insert(prefix);
            }
            DemandEvent::Unwanted(prefix) => _ = known.wanted.remove(&prefix),
        }
        told.changed.notify_all();
    }
}

/// The time in a prefix.
fn stamp(prefix: &Prefix) -> Option<u64> {
    let text = std::str::from_utf8(prefix).ok()?;
    text.rsplit_once(STAMP)?.1.parse().ok()
}
