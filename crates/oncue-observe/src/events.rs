//! The topic of events: what happens while somebody looks. Nothing is queued before.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use oncue::demand::{Feed, Produced};
use oncue::{ConnectionEventKind, DemandEvent, XPub};

use crate::read::now;
use crate::schema::{Event, What, text};

/// How long after it happened an event is told at most.
const PAUSE: Duration = Duration::from_millis(100);
/// How many events are told in each pause; the others are counted.
const EVENTS_AT_A_TIME: u64 = 200;
/// How many failures wait for the next pause.
const FAILURES_MAX: usize = 200;

/// Failures that wait to be told, while somebody wants events.
#[derive(Default)]
pub(crate) struct Events(Mutex<Failures>);

#[derive(Default)]
struct Failures {
    wanted: bool,
    waiting: VecDeque<What>,
    left_out: u64,
}

impl Events {
    /// The producer of a topic has failed.
    pub(crate) fn failed(&self, topic: &[u8], error: &str) {
        let mut failures = self.lock();
        if !failures.wanted {
            return;
        }
        if failures.waiting.len() == FAILURES_MAX {
            failures.left_out += 1;
            return;
        }
        let (topic, topic_base64) = text(topic);
        failures.waiting.push_back(What::Failed { topic, topic_base64, error: error.to_owned() });
    }

    /// Tells what happens until nobody wants to know. What is about topics under `own` is left out.
    pub(crate) fn tell(&self, feed: &Feed, socket: &XPub, own: &[u8]) -> Produced {
        self.lock().wanted = true;
        let told = self.tell_all(feed, socket, own);
        *self.lock() = Failures::default();
        told
    }

    fn tell_all(&self, feed: &Feed, socket: &XPub, own: &[u8]) -> Produced {
        let (connections, demand) = (socket.events(), socket.demand());
        loop {
            let mut telling = Telling { feed, told: 0, left_out: 0 };
            while let Some(event) = connections.try_next()? {
                what_of(event.kind).map_or(Ok(()), |what| telling.tell(what))?;
            }
            while let Some(event) = demand.try_next()? {
                change_of(&event, own).map_or(Ok(()), |what| telling.tell(what))?;
            }
            let failures =
                std::mem::replace(&mut *self.lock(), Failures { wanted: true, ..Failures::default() });
            telling.left_out += failures.left_out;
            failures.waiting.into_iter().try_for_each(|what| telling.tell(what))?;
            telling.end()?;
            feed.sleep(PAUSE)?;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Failures> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is told in one pause.
struct Telling<'a> {
    feed: &'a Feed,
    told: u64,
    left_out: u64,
}

impl Telling<'_> {
    fn tell(&mut self, what: What) -> Produced {
        if self.told == EVENTS_AT_A_TIME {
            self.left_out += 1;
            return Ok(());
        }
        self.told += 1;
        self.publish(what)
    }

    fn end(&self) -> Produced {
        match self.left_out {
            0 => Ok(()),
            count => self.publish(What::Skipped { count }),
        }
    }

    fn publish(&self, what: What) -> Produced {
        Ok(self.feed.publish(serde_json::to_vec(&Event { time: now(), what })?)?)
    }
}

fn what_of(kind: ConnectionEventKind) -> Option<What> {
    Some(match kind {
        ConnectionEventKind::Accepted { peer } | ConnectionEventKind::Connected { peer } => {
            What::Connected { peer: peer.key.number(), address: peer.address.to_string() }
        }
        ConnectionEventKind::Disconnected { peer, cause, .. }
        | ConnectionEventKind::Lost { peer, cause, .. } => {
            let (peer, address) = (peer.key.number(), peer.address.to_string());
            What::Disconnected { peer, address, cause: cause.to_string() }
        }
        ConnectionEventKind::Refused { address, cause, error } => {
            let (address, cause, error) = (address.to_string(), cause.to_string(), error.to_string());
            What::Refused { address, cause, error }
        }
        _ => return None,
    })
}

fn change_of(event: &DemandEvent, own: &[u8]) -> Option<What> {
    let (DemandEvent::Wanted(of) | DemandEvent::Unwanted(of)) = event;
    if of.starts_with(own) {
        return None;
    }
    let (prefix, prefix_base64) = text(of);
    Some(match event {
        DemandEvent::Wanted(_) => What::Wanted { prefix, prefix_base64 },
        DemandEvent::Unwanted(_) => What::Unwanted { prefix, prefix_base64 },
    })
}
