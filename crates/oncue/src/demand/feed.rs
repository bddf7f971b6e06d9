//! A feed as its producer sees it: what to produce, where to publish it, and when to stop.

use std::future::{Future, poll_fn};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::{fmt, str};

use oncue_core::demand::FeedId;
use oncue_core::topic::pattern::Params;

use super::shared::{Note, Shared};
use crate::error::ErrorKind;
use crate::op::{Op, Waiters};
use crate::socket::XPub;
use crate::sync::lock;

/// One running production: one topic, one generation. Cheap to clone; all clones are the same feed, and may be used
/// on any thread.
///
/// A feed is active from the moment its producer gets it until nobody wants its topic any more, or its producer has
/// ended. After that nothing can be published with it, ever: the topic's next production is another feed.
#[derive(Clone)]
pub struct Feed(Arc<Inner>);

/// The feed is not active any more: nobody wants its topic, or its producer has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped;

struct Inner {
    id: FeedId,
    generation: u64,
    topic: Arc<[u8]>,
    params: Params,
    /// The values that are not UTF-8, as near as it gets.
    lossy: Vec<(Range<usize>, String)>,
    /// Where to publish, while the feed is active. Held while publishing: once it is `None`, nothing is sent.
    socket: Mutex<Option<XPub>>,
    /// The same as `socket.is_some()`, to look at without a lock.
    active: AtomicBool,
    waiters: Waiters,
    shared: Arc<Shared>,
}

impl Feed {
    pub(super) fn new(
        (id, generation): (FeedId, u64),
        topic: Arc<[u8]>,
        params: Params,
        socket: XPub,
        shared: Arc<Shared>,
    ) -> Feed {
        let values = params.iter().map(|(_, value)| value);
        let broken = values.filter(|value| str::from_utf8(&topic[value.clone()]).is_err());
        let lossy = broken.map(|value| {
            let text = String::from_utf8_lossy(&topic[value.clone()]).into_owned();
            (value, text)
        });
        Feed(Arc::new(Inner {
            id,
            generation,
            lossy: lossy.collect(),
            topic,
            params,
            socket: Mutex::new(Some(socket)),
            active: AtomicBool::new(true),
            waiters: Waiters::default(),
            shared,
        }))
    }

    /// The topic to produce.
    pub fn topic(&self) -> &[u8] {
        &self.0.topic
    }

    /// The value of a parameter of the route, as text. What is not UTF-8 in it is replaced by U+FFFD: two topics may
    /// then have one text, see [`param_bytes`](Feed::param_bytes).
    ///
    /// # Panics
    /// If the route has no parameter of this name.
    pub fn param(&self, name: &str) -> &str {
        let value = self.range(name);
        let text = str::from_utf8(&self.0.topic[value.clone()]).ok();
        text.unwrap_or_else(|| {
            let lossy = self.0.lossy.iter().find(|(range, _)| *range == value);
            lossy.map_or("", |(_, text)| text)
        })
    }

    /// The value of a parameter of the route, as it is: one or more bytes, none of them `/`. Strangers choose it.
    ///
    /// # Panics
    /// If the route has no parameter of this name.
    pub fn param_bytes(&self, name: &str) -> &[u8] {
        &self.0.topic[self.range(name)]
    }

    /// The parameters of the route and their values, in the order of the pattern.
    pub fn params(&self) -> impl ExactSizeIterator<Item = (&str, &[u8])> {
        self.0.params.iter().map(|(name, value)| (name, &self.0.topic[value]))
    }

    /// The number of this activation. No other feed of the same [`OnDemand`](super::OnDemand) has it.
    pub fn generation(&self) -> u64 {
        self.0.generation
    }

    /// Sends a message of two frames, the topic and this payload. Never waits: a subscriber whose queue is full
    /// misses it, or the socket's [`OnFull`](crate::OnFull) decides; a value that the socket refuses is counted in
    /// [`refused`](super::OnDemandStats::refused) and is no error.
    ///
    /// # Errors
    /// [`Stopped`]: nothing was sent, and nothing will be. The producer should return.
    pub fn publish(&self, payload: impl AsRef<[u8]>) -> Result<(), Stopped> {
        let counters = &self.0.shared.counters;
        let socket = lock(&self.0.socket);
        let Some(xpub) = &*socket else {
            drop(socket);
            counters.late.fetch_add(1, Ordering::Relaxed);
            return Err(Stopped);
        };
        match xpub.send((&*self.0.topic, payload.as_ref())) {
            Ok(()) => counters.produced.fetch_add(1, Ordering::Relaxed),
            Err(error) if error.kind() == ErrorKind::Closed => return Err(Stopped),
            Err(_) => counters.refused.fetch_add(1, Ordering::Relaxed),
        };
        Ok(())
    }

    /// Whether a value published now would be sent.
    pub fn is_active(&self) -> bool {
        self.0.active.load(Ordering::SeqCst)
    }

    /// Waits until the feed is not active any more: to be awaited, or waited for with a time limit.
    pub fn stopped(&self) -> Op<impl Future<Output = ()> + Send + Unpin + '_> {
        Op(poll_fn(move |context| self.0.waiters.poll(context, || (!self.is_active()).then_some(()))))
    }

    /// Blocks this thread until the feed is not active any more.
    pub fn wait_stopped(&self) {
        self.stopped().wait();
    }

    /// Blocks this thread for `time`, or until the feed is not active any more.
    ///
    /// # Errors
    /// [`Stopped`] as soon as the feed is not active.
    pub fn sleep(&self, time: Duration) -> Result<(), Stopped> {
        match self.stopped().wait_timeout(time) {
            Some(()) => Err(Stopped),
            None => Ok(()),
        }
    }

    /// After this nothing of the feed is sent: a value being published meanwhile has been handed over before.
    pub(super) fn stop(&self) {
        let socket = lock(&self.0.socket).take();
        self.0.active.store(false, Ordering::SeqCst);
        drop(socket);
        self.0.waiters.wake();
    }

    /// Stops the feed and tells the runner that its producer has ended.
    pub(super) fn end(&self) {
        self.stop();
        self.0.shared.tell(Note::Ended { id: self.0.id, generation: self.0.generation });
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.0.shared
    }

    fn range(&self, name: &str) -> Range<usize> {
        let value = self.0.params.get(name);
        value.unwrap_or_else(|| panic!("the route of this feed has no parameter `{name}`"))
    }
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (topic, generation) = (self.0.topic.escape_ascii(), self.0.generation);
        write!(f, "Feed(`{topic}`, generation {generation}, active: {})", self.is_active())
    }
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the feed has stopped: nobody wants its topic any more")
    }
}

impl std::error::Error for Stopped {}
