//! One publisher, as a SUB or XSUB knows it: what came from it, and what it says was missed.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use oncue_core::command::MissedNews;
use oncue_core::edges::Prefix;

use crate::connection::ConnectedPeer;
use crate::endpoint::Endpoint;
use crate::engine::hub::inbox::Gap;
use crate::engine::hub::publishers::Account;
use crate::missed::{Missed, TOPICS_MAX};
use crate::sync::add_saturating;

/// The messages of one read, in parts that each have one gap at most, before their first message.
type Parts = Vec<(Vec<(u32, u32)>, Option<Box<Gap>>)>;

/// What one read has brought for the user.
#[derive(Default)]
pub(super) struct Brought {
    /// Where each message starts and ends.
    pub(super) spans: Vec<(u32, u32)>,
    /// What was missed, each before the message with this index.
    pub(super) gaps: Vec<(usize, Missed)>,
}

/// One connection with a publisher.
pub(crate) struct Publisher {
    account: Arc<Account>,
    endpoint: Arc<Endpoint>,
    peer: ConnectedPeer,
    /// A gap that was told, and that no message followed.
    gap: Option<Box<Gap>>,
}

impl Publisher {
    pub(crate) fn new(account: Arc<Account>, endpoint: Arc<Endpoint>, peer: ConnectedPeer) -> Publisher {
        Publisher { account, endpoint, peer, gap: None }
    }

    /// One read has brought messages and bytes.
    #[inline]
    pub(crate) fn count(&self, messages: u64, bytes: usize) {
        self.account.received.fetch_add(messages, Ordering::Relaxed);
        self.account.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// The publisher says that messages were missed.
    pub(crate) fn missed(&self, news: &MissedNews<'_>) -> Missed {
        add_saturating(&self.account.missed, news.messages);
        add_saturating(&self.account.unseen, news.unseen);
        let topics = news
            .topics
            .take(TOPICS_MAX)
            .map(|(topic, count)| (Prefix::from(topic), u64::from(count)))
            .collect();
        Missed { messages: news.messages, unseen: news.unseen, topics, ..self.nothing() }
    }

    /// The connection is made again, and was lost while the socket was subscribed.
    pub(crate) fn reconnected(&self) -> Missed {
        Missed { reconnected: true, ..self.nothing() }
    }

    fn nothing(&self) -> Missed {
        let (messages, unseen, reconnected, topics) = Default::default();
        let endpoint = Endpoint::clone(&self.endpoint);
        Missed { endpoint, publisher: self.peer, messages, unseen, reconnected, topics }
    }

    /// Splits messages at the gaps.
    pub(super) fn split(&mut self, brought: Brought) -> Parts {
        let Brought { mut spans, gaps } = brought;
        let (mut parts, mut at) = (Parts::new(), 0);
        let mut open = self.gap.take();
        for (before, missed) in gaps {
            if before > at {
                let rest = spans.split_off(before - at);
                parts.push((std::mem::replace(&mut spans, rest), open.take()));
                at = before;
            }
            match &mut open {
                Some(gap) if !gap.told => gap.missed.merge(missed),
                // What was told is not told again: the two are told apart, and lie at one place.
                Some(told) => {
                    parts.push((Vec::new(), Some(Box::new(Gap { missed: missed.clone(), told: false }))));
                    told.missed.merge(missed);
                }
                None => open = Some(Box::new(Gap { missed, told: false })),
            }
        }
        if spans.is_empty() {
            if let Some(gap) = open {
                self.gap = Some(Box::new(Gap { told: true, ..Gap::clone(&gap) }));
                if !gap.told {
                    parts.push((spans, Some(gap)));
                }
            }
        } else {
            parts.push((spans, open));
        }
        parts
    }

    /// It leaves; `subscribed`: the socket was subscribed.
    pub(crate) fn leave(&self, subscribed: bool) {
        self.account.leave(subscribed);
    }
}
