//! The states of topics: what a publisher says of them to the peers that understand it (docs/WIRE.md), and what a
//! subscriber has heard.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Waker;

use oncue_core::command::{
    ONCUE_PROPERTY, STATE_TEXT_BYTES_MAX, STATE_TOPIC_BYTES_MAX, State, StateNews, put_state,
};
use oncue_core::connection::PeerInfo;
use oncue_core::edges::Prefix;

use crate::engine::hub::Hub;
use crate::engine::hub::kept::{Asking, Cursor, Fresh, LastValues, PORTION};
use crate::engine::peer::intake::Intake;
use crate::engine::peer::{End, Peer, Phase, Traffic};
use crate::engine::shard::Shard;
use crate::engine::shard::mailbox::Note;
use crate::error::{Error, Result};
use crate::msg::Msg;
use crate::net::{Net, Stream};
use crate::op::Waiters;
use crate::permission::Reason;
use crate::sync::lock;

/// How much the states take that a publisher keeps for new subscribers.
const PUBLISHED_BYTES_MAX: u64 = 16 << 20;
/// How many states, and how many bytes of them, wait for a subscriber's user; beyond it the oldest go.
const HEARD_MAX: usize = 10_000;
const HEARD_BYTES_MAX: usize = 4 << 20;

/// What a publisher has said of a topic.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TopicState {
    /// The topic; with [`State::Rejected`] it may be a prefix that was subscribed to.
    pub topic: Prefix,
    /// What is so.
    pub state: State,
    /// Why, for people to read; often empty.
    pub text: String,
}

impl fmt::Debug for TopicState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is {} ({:?})", self.topic, self.state, self.text)
    }
}

/// The states of one socket's topics.
pub(crate) struct States {
    /// By topic, each a message of the topic, the state's number and the text.
    published: LastValues,
    /// News that peers missed, since they did not read.
    pub(crate) missed: AtomicU64,
    heard: Mutex<Heard>,
    pub(crate) waiters: Waiters,
    pub(crate) heard_missed: AtomicU64,
}

#[derive(Default)]
struct Heard {
    queue: VecDeque<TopicState>,
    bytes: usize,
}

impl States {
    pub(crate) fn new() -> States {
        let (missed, heard, waiters, heard_missed) = Default::default();
        States { published: LastValues::new(PUBLISHED_BYTES_MAX), missed, heard, waiters, heard_missed }
    }

    /// Takes in what a publisher says.
    pub(crate) fn hear(&self, news: &StateNews<'_>, wakes: &mut Vec<Waker>) {
        let text = String::from_utf8_lossy(news.text).into_owned();
        let heard = TopicState { topic: Prefix::from(news.topic), state: news.state, text };
        let mut all = lock(&self.heard);
        all.bytes += heard.bytes();
        all.queue.push_back(heard);
        while all.queue.len() > HEARD_MAX || all.bytes > HEARD_BYTES_MAX {
            all.pop();
            self.heard_missed.fetch_add(1, Ordering::Relaxed);
        }
        self.waiters.take(wakes);
    }

    pub(crate) fn pop(&self) -> Option<TopicState> {
        lock(&self.heard).pop()
    }
}

impl Heard {
    fn pop(&mut self) -> Option<TopicState> {
        let oldest = self.queue.pop_front()?;
        self.bytes -= oldest.bytes();
        Some(oldest)
    }
}

impl TopicState {
    fn bytes(&self) -> usize {
        size_of::<TopicState>() + self.topic.len() + self.text.len()
    }
}

/// Whether a peer understands states.
pub(crate) fn understands(info: &PeerInfo) -> bool {
    info.version.has_commands() && info.properties.get(ONCUE_PROPERTY.0.as_bytes()).is_some()
}

impl Hub {
    /// Tells all who want the topic and understand it, and whoever subscribes later.
    pub(crate) fn set_state(self: &Arc<Self>, topic: &[u8], state: State, text: &Reason) -> Result<()> {
        self.check_open()?;
        if topic.len() > STATE_TOPIC_BYTES_MAX {
            let len = topic.len();
            return Err(Error::misuse(format!(
                "cannot tell a state: the topic is {len} bytes long; {STATE_TOPIC_BYTES_MAX} is the most"
            )));
        }
        let value = Msg::from_frames([topic, &[state.number()], text.text().as_bytes()]);
        let published = &self.states.published;
        // All shards hear the states in the order in which they are kept.
        let mut store = published.open();
        store.keep(value.clone(), None, None, published.bytes_max);
        self.mail_all(|| Note::State { hub: self.clone(), value: value.clone() });
        Ok(())
    }

    pub(crate) fn clear_state(&self, topic: &[u8]) -> bool {
        self.states.published.forget(topic)
    }
}

/// The news that a kept state is.
fn put_value(out: &mut Vec<u8>, value: &Msg) {
    let mut frames = value.frames();
    let (Some(topic), Some(&[number]), Some(text)) = (frames.next(), frames.next(), frames.next()) else {
        unreachable!("a state is kept as a topic, a number and a text");
    };
    let state = State::from_number(number).expect("as it was kept");
    put_state(out, &StateNews { state, topic, text: &text[..text.len().min(STATE_TEXT_BYTES_MAX)] });
}

impl<S: Stream> Intake<'_, S> {
    /// Whether a new subscriber may have to be told something.
    pub(crate) fn tells_states(&self) -> bool {
        self.understands && self.hub.states.published.is_used()
    }

    /// Tells the states of what the peer newly wants.
    pub(crate) fn answer_states(&mut self, fresh: &Fresh) -> Result<(), End> {
        let (later, passed) = Default::default();
        let (peer, now) = (self.peer, self.now);
        let asking = Asking { peer, prefixes: fresh, later: &later, passed: &passed, now };
        let (mut at, mut done) = (Cursor::default(), false);
        while !done {
            let (mut out, mut count) = (Vec::new(), 0);
            done = self.hub.states.published.pass(&self.hub.ledger(), &asking, &mut at, PORTION, |value| {
                put_value(&mut out, value);
                count += 1;
            });
            self.tell(out, count)?;
        }
        Ok(())
    }

    /// The peer does not get a prefix.
    pub(crate) fn refused(&mut self, prefix: &[u8], status: &Reason) {
        if self.understands && prefix.len() <= STATE_TOPIC_BYTES_MAX {
            let mut out = Vec::new();
            let (state, text) = (State::Rejected, status.text().as_bytes());
            put_state(&mut out, &StateNews { state, topic: prefix, text });
            if !self.out.answer(out) {
                self.hub.states.missed.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn tell(&mut self, out: Vec<u8>, count: u64) -> Result<(), End> {
        if !self.out.answer(out) {
            self.hub.states.missed.fetch_add(count, Ordering::Relaxed);
        }
        self.out.flush()
    }
}

impl<S: Stream> Peer<S> {
    fn understands(&self) -> bool {
        matches!(&self.phase, Phase::Traffic(Traffic { understands: true, .. }))
    }
}

impl<N: Net> Shard<N> {
    /// Tells a state to the peers that want its topic, behind the messages that were sent before it.
    pub(crate) fn tell_state(&mut self, hub: &Arc<Hub>, value: &Msg) {
        self.send_at_once(hub);
        let slots: Vec<_> = {
            let ledger = hub.ledger();
            let audiences = self.fanout.audiences(&ledger, value.topic());
            let peers = audiences.iter().flat_map(|&audience| ledger.peers(audience));
            peers.map(|&peer| ledger.token(peer) as usize).collect()
        };
        let mut out = Vec::new();
        put_value(&mut out, value);
        for slot in slots {
            let Some(peer) = self.peers.get_mut(slot).filter(|peer| peer.understands()) else { continue };
            if !peer.out.answer(out.clone()) {
                hub.states.missed.fetch_add(1, Ordering::Relaxed);
            }
            match peer.flush() {
                Ok(()) => self.written(slot),
                Err(end) => self.end(slot, end),
            }
        }
    }
}
