//! Subscribers that subscribe and cancel as they are told.

use std::collections::VecDeque;
use std::thread;
use std::time::Duration;

use oncue::{Engine, Sub};

use super::load::Reader;
use super::options;
use super::producer::STAMP;
use crate::clock::now;
use crate::protocol::{Answer, Ask, Received, SocketRole};

/// Prefixes that a churning subscriber holds.
const HELD: usize = 100;

/// SUBs that connect, one for each endpoint.
pub(super) struct Subscriber {
    sockets: Vec<(Sub, Reader)>,
}

impl Subscriber {
    /// Connects.
    pub(super) fn new(role: &SocketRole) -> oncue::Result<Subscriber> {
        let engine = Engine::start()?;
        let sockets = role.endpoints.iter().map(|endpoint| {
            let socket = Sub::new(&engine, options(role.timeout_ms))?;
            socket.connect(endpoint)?;
            Ok((socket.clone(), Reader::of(socket)))
        });
        Ok(Subscriber { sockets: sockets.collect::<oncue::Result<_>>()? })
    }

    /// Answers one question.
    pub(super) fn answer(&mut self, ask: Ask) -> Answer {
        let done = match ask {
            Ask::Change { socket, subscribe, cancel } => self.change(socket, &subscribe, &cancel),
            Ask::Declare { stem, count } => self.declare(&stem, count),
            Ask::Churn { stem, per_second, millis } => self.churn(&stem, per_second, millis),
            Ask::Received => return Answer::Received(self.received()),
            other => return Answer::Failed(format!("a subscriber cannot do {other:?}")),
        };
        done.map_or_else(|why| Answer::Failed(why.to_string()), Answer::Done)
    }

    fn change(&self, socket: usize, subscribe: &[String], cancel: &[String]) -> oncue::Result<u64> {
        let begin = now();
        let (socket, _) = &self.sockets[socket];
        for prefix in subscribe {
            socket.subscribe(prefix)?;
        }
        for prefix in cancel {
            socket.unsubscribe(prefix)?;
        }
        Ok(begin)
    }

    fn declare(&self, stem: &str, count: usize) -> oncue::Result<u64> {
        let begin = now();
        for number in 0..count {
            self.sockets[0].0.subscribe(format!("{stem}{number:06}"))?;
        }
        Ok(begin)
    }

    /// At an even pace, one change after the other.
    fn churn(&self, stem: &str, per_second: u64, millis: u64) -> oncue::Result<u64> {
        let (socket, _) = &self.sockets[0];
        let (begin, changes) = (now(), per_second * millis / 1000);
        let mut held = VecDeque::new();
        for change in 0..changes {
            let due = begin + change * 1_000_000_000 / per_second;
            thread::sleep(Duration::from_nanos(due.saturating_sub(now())));
            if change % 2 == 1 && held.len() >= HELD {
                socket.unsubscribe(held.pop_front().unwrap_or_default())?;
                continue;
            }
            let prefix = format!("{stem}{change:06}{STAMP}{}", now());
            socket.subscribe(&prefix)?;
            held.push_back(prefix);
        }
        for prefix in held {
            socket.unsubscribe(prefix)?;
        }
        Ok(begin)
    }

    /// Of the first socket.
    fn received(&self) -> Received {
        self.sockets[0].1.take()
    }
}
