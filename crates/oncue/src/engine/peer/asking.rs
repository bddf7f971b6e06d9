//! The questions about subscriptions between one publisher and one subscriber (docs/WIRE.md): those that a subscriber asks,
//! and those that a publisher answers later.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Weak};
use std::task::Waker;

use oncue_core::command::{
    Answer, ONCUE_LEVEL_2, PING_CONTEXT_BYTES_MAX, QUESTION_PREFIX_BYTES_MAX, Question, Standing, put_answer,
    put_ping, put_question,
};
use oncue_core::frame::Version;

use crate::engine::hub::confirmations::{Confirmation, Said};
use crate::permission::PeerKey;

/// How many questions may be unanswered at a time; the others wait. The answers never fill the publisher's queue.
const UNANSWERED_MAX: usize = 256;
/// How many questions a publisher answers later, for one peer.
const LATER_MAX: usize = 1024;
/// The context of a PING behind subscriptions begins with this. That of a heartbeat is empty.
const CONTEXT: &[u8; 8] = b"oncue-s\0";

/// How a publisher can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// By a question.
    Question,
    /// By a PING behind the subscriptions: its PONG says that they were read.
    Ping,
    /// Not at all.
    None,
}

/// What one publisher is asked.
pub(crate) struct Asking {
    way: Way,
    publisher: PeerKey,
    /// The TTL of its PINGs: a PING with another one would revoke it.
    ttl_ds: u16,
    /// By number; those that nobody waits for any more stay until they are answered.
    unanswered: BTreeMap<u64, Weak<Confirmation>>,
    /// The publisher has answered that it will answer.
    deferred: BTreeMap<u64, Weak<Confirmation>>,
    /// Not asked yet.
    waiting: VecDeque<Weak<Confirmation>>,
    /// The number of the last PING, and what its PONG answers. While that is nothing, none is due.
    pings: u64,
    pinged: Vec<Weak<Confirmation>>,
}

impl Asking {
    /// For a publisher of this version and level; `None`: it does not have our property.
    pub(crate) fn new(publisher: PeerKey, version: Version, level: Option<u32>, ttl_ds: u16) -> Asking {
        let way = match level {
            Some(ONCUE_LEVEL_2..) => Way::Question,
            _ if version >= Version::V3_1 => Way::Ping,
            _ => Way::None,
        };
        let (unanswered, deferred, waiting, pings, pinged) = Default::default();
        Asking { way, publisher, ttl_ds, unanswered, deferred, waiting, pings, pinged }
    }

    /// Asks, as soon as may be. The bytes to send are appended to `out`.
    pub(crate) fn ask(&mut self, confirmation: &Arc<Confirmation>, out: &mut Vec<u8>) {
        let said = if self.way == Way::None { Said::Unknown } else { Said::Nothing };
        if confirmation.asked(self.publisher, said) && self.way != Way::None {
            if self.waiting.len() >= UNANSWERED_MAX && self.waiting.len().is_power_of_two() {
                self.waiting.retain(|waiting| waiting.strong_count() > 0);
            }
            self.waiting.push_back(Arc::downgrade(confirmation));
            self.ask_more(out);
        }
    }

    fn ask_more(&mut self, out: &mut Vec<u8>) {
        while let Some(next) = self.waiting.pop_front() {
            let Some(confirmation) = next.upgrade() else { continue };
            let (number, prefix) = (confirmation.number, &confirmation.prefix);
            let by_ping = self.way == Way::Ping || prefix.len() > QUESTION_PREFIX_BYTES_MAX;
            // One PING at a time asks for all that came before it.
            let is_free =
                if by_ping { self.pinged.is_empty() } else { self.unanswered.len() < UNANSWERED_MAX };
            if !is_free {
                return self.waiting.push_front(next);
            }
            match by_ping {
                true => {
                    self.pinged = vec![next];
                    if self.way == Way::Ping {
                        self.pinged.extend(self.waiting.drain(..));
                    }
                    self.pings += 1;
                    put_ping(out, self.ttl_ds, &context(self.pings));
                }
                false => {
                    put_question(out, &Question { number, prefix });
                    self.unanswered.insert(number, next);
                }
            }
        }
    }

    /// An answer has come.
    pub(crate) fn answer(&mut self, answer: Answer, out: &mut Vec<u8>, wakes: &mut Vec<Waker>) {
        let Answer { number, standing } = answer;
        let asked = self.unanswered.remove(&number).or_else(|| self.deferred.remove(&number));
        let Some(asked) = asked else { return };
        if let Some(confirmation) = asked.upgrade() {
            confirmation.answered(self.publisher, Said::Standing(standing), wakes);
            if standing == Standing::Deferred {
                if self.deferred.len() >= LATER_MAX && self.deferred.len().is_power_of_two() {
                    self.deferred.retain(|_, asked| asked.strong_count() > 0);
                }
                self.deferred.insert(number, asked);
            }
        }
        self.ask_more(out);
    }

    /// A PONG has come, to one of our PINGs or to a heartbeat.
    pub(crate) fn pong(&mut self, of: &[u8], out: &mut Vec<u8>, wakes: &mut Vec<Waker>) {
        if of != context(self.pings) {
            return;
        }
        for confirmation in self.pinged.drain(..).filter_map(|asked| asked.upgrade()) {
            confirmation.answered(self.publisher, Said::Received, wakes);
        }
        self.ask_more(out);
    }
}

/// The context of a PING of ours.
fn context(number: u64) -> [u8; PING_CONTEXT_BYTES_MAX] {
    let mut context = [0; PING_CONTEXT_BYTES_MAX];
    context[..CONTEXT.len()].copy_from_slice(CONTEXT);
    context[CONTEXT.len()..].copy_from_slice(&number.to_be_bytes());
    context
}

/// The questions of one subscriber about prefixes that are not decided yet.
#[derive(Default)]
pub(crate) struct Later {
    numbers: BTreeMap<Vec<u8>, Vec<u64>>,
    count: usize,
}

impl Later {
    /// Whether no question is to be answered later.
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether one more question can be answered later.
    pub(crate) fn has_room(&self) -> bool {
        self.count < LATER_MAX
    }

    /// Answers a question. One about a deferred prefix is answered once more, if few wait for that. Returns whether it is
    /// the first about this prefix that is.
    pub(crate) fn answer(&mut self, question: &Question<'_>, standing: Standing, out: &mut Vec<u8>) -> bool {
        put_answer(out, Answer { number: question.number, standing });
        if standing != Standing::Deferred || !self.has_room() {
            return false;
        }
        self.count += 1;
        let numbers = self.numbers.entry(question.prefix.to_vec()).or_default();
        numbers.push(question.number);
        numbers.len() == 1
    }

    /// A prefix is decided.
    pub(crate) fn decided(&mut self, prefix: &[u8], standing: Standing, out: &mut Vec<u8>) {
        for number in self.numbers.remove(prefix).unwrap_or_default() {
            self.count -= 1;
            put_answer(out, Answer { number, standing });
        }
    }
}
