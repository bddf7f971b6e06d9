//! Another site as a subscriber of the trunk: it is subscribed to what the site wants, and a thread of its own puts what it
//! receives into batches. So a slow or stopped site fills its own queue, and misses its own messages.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};

use oncue::{Engine, Options, Prefix, Received, Result, TopicState, XSub};
use oncue_core::command::{STATE_TEXT_BYTES_MAX, STATE_TOPIC_BYTES_MAX, StateNews};
use oncue_core::mesh::data::{Ended, Writer};

use crate::bell::{Bell, lock};
use crate::border::Border;
use crate::link::DataPublisher;
use crate::options::Quotas;
use crate::status::Flow;

/// How much is copied at a time: a batch is larger than [`BATCH_BYTES`] by less than that, but for a larger message.
const RUN_BYTES: usize = 4 << 10;
/// A batch of this size is sent. One that has a larger message has it alone, or at its end. With the run that fills it, it is one
/// batch of Zenoh too, which has 64 KiB at most: each batch wakes a thread after the other at both sites, which costs more than
/// to copy it.
const BATCH_BYTES: usize = 56 << 10;
/// Batches that follow each other within this time are under load, and the next one waits for more messages...
const LOAD: Duration = Duration::from_micros(300);
/// ...for this long at most.
const GATHERING: Duration = Duration::from_micros(500);

/// What was sent to a site.
#[derive(Default)]
pub(crate) struct Sent {
    messages: AtomicU64,
    bytes: AtomicU64,
    batches: AtomicU64,
    missed: AtomicU64,
    forbidden: AtomicU64,
    /// How far the newest stream has come.
    stream: Mutex<Ended>,
}

impl Sent {
    pub(crate) fn flow(&self) -> Flow {
        Flow {
            messages: self.messages.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            batches: self.batches.load(Relaxed),
        }
    }

    pub(crate) fn missed(&self) -> u64 {
        self.missed.load(Relaxed)
    }

    pub(crate) fn forbidden(&self) -> u64 {
        self.forbidden.load(Relaxed)
    }
}

/// What an export is made for.
pub(crate) struct Destination {
    pub(crate) site: String,
    /// The number of the stream.
    pub(crate) stream: u64,
    pub(crate) border: Arc<Border>,
    pub(crate) publisher: DataPublisher,
    pub(crate) sent: Arc<Sent>,
}

/// The subscriptions of a site at the trunk, and the thread that serves them. It ends when this is dropped.
pub(crate) struct Export {
    socket: XSub,
    border: Arc<Border>,
    /// Prefixes of which nothing may cross.
    forbidden: usize,
}

impl Export {
    pub(crate) fn open(engine: &Engine, trunk: &str, to: Destination, quotas: &Quotas) -> io::Result<Export> {
        let options = Options::new()
            .recv_hwm(quotas.queue_messages)
            .queue_bytes_max(quotas.queue_bytes as u64)
            .received_bytes_max(quotas.queue_bytes as u64)
            .metadata("X-Site", to.site.as_bytes());
        let socket = XSub::new(engine, options).map_err(io::Error::other)?;
        socket.connect(trunk).map_err(io::Error::other)?;
        let border = to.border.clone();
        let name = format!("mesh {}", to.site);
        let sender = Sender::new(socket.clone(), to, quotas);
        thread::Builder::new().name(name).spawn(move || sender.run())?;
        Ok(Export { socket, border, forbidden: 0 })
    }

    /// The site wants other prefixes.
    pub(crate) fn change(&mut self, changes: &[(Prefix, bool)]) -> Result<()> {
        let mut narrowed = Vec::with_capacity(changes.len());
        for (prefix, wanted) in changes {
            let before = narrowed.len();
            narrowed.extend(self.border.narrow(prefix).map(|part| (part, *wanted)));
            match (narrowed.len() == before, wanted) {
                (true, true) => self.forbidden += 1,
                (true, false) => self.forbidden = self.forbidden.saturating_sub(1),
                _ => {}
            }
        }
        self.socket.change_subscriptions(narrowed)
    }

    /// How many of its prefixes may not cross, in no part.
    pub(crate) fn forbidden(&self) -> usize {
        self.forbidden
    }
}

impl Drop for Export {
    fn drop(&mut self) {
        // Its thread ends; what it has not sent is not wanted any more.
        let _ = self.socket.close_within(Duration::ZERO).wait_timeout(Duration::ZERO);
    }
}

/// What the thread of an export holds.
struct Sender {
    socket: XSub,
    to: Destination,
    message_bytes_max: usize,
    batch: Writer,
    /// Messages in the batch; it may have states too.
    messages: u64,
    /// The stream, the number of the next message or state, and how many were missed.
    so_far: Ended,
    /// The stream to this site before this one.
    earlier: Ended,
    bell: Arc<Bell>,
}

/// What comes from the trunk.
enum News {
    Messages(Received),
    State(TopicState),
}

impl Sender {
    fn new(socket: XSub, to: Destination, quotas: &Quotas) -> Sender {
        let (batch, bell) = (Writer::new(), Arc::default());
        let message_bytes_max = quotas.message_bytes;
        let so_far = Ended { stream: to.stream, next: 1, missed: 0 };
        let earlier = *lock(&to.sent.stream);
        Sender { socket, to, message_bytes_max, batch, messages: 0, so_far, earlier, bell }
    }

    fn run(mut self) {
        let mut sent: Option<Instant> = None;
        while let Some(news) = self.news(None) {
            let begun = Instant::now();
            let under_load = sent.is_some_and(|sent| begun.duration_since(sent) < LOAD);
            self.take(news);
            let until = if under_load { begun + GATHERING } else { begun };
            while self.batch.bytes() < BATCH_BYTES
                && let Some(news) = self.news(Some(until))
            {
                self.take(news);
            }
            self.flush();
            sent = Some(Instant::now());
        }
    }

    /// What comes next, until a deadline that may have passed; none then, or once the socket is closed.
    fn news(&self, until: Option<Instant>) -> Option<News> {
        let (mut messages, mut state) = (self.socket.recv_many(), self.socket.state());
        let waker = self.bell.waker();
        let mut context = Context::from_waker(&waker);
        loop {
            if let Poll::Ready(received) = Pin::new(&mut messages).poll(&mut context) {
                return received.ok().map(News::Messages);
            }
            if let Poll::Ready(state) = Pin::new(&mut state).poll(&mut context) {
                return state.ok().map(News::State);
            }
            if until.is_some_and(|until| until <= Instant::now()) {
                return None;
            }
            self.bell.wait(until);
        }
    }

    fn take(&mut self, news: News) {
        match news {
            News::Messages(received) => self.take_messages(&received),
            News::State(state) => self.take_state(&state),
        }
    }

    fn take_messages(&mut self, received: &Received) {
        if let Some(missed) = received.missed() {
            self.miss(missed.messages.saturating_add(missed.unseen));
        }
        if self.to.border.is_open() {
            let run_bytes_max = RUN_BYTES.min(self.message_bytes_max);
            return received.runs(run_bytes_max).for_each(|(messages, wire)| self.put(messages, wire));
        }
        for message in received.iter() {
            match self.to.border.permits(message.topic()) {
                true => self.put(1, message.wire()),
                false => _ = self.to.sent.forbidden.fetch_add(1, Relaxed),
            }
        }
    }

    /// Puts messages into the batch. One that is too large comes alone.
    fn put(&mut self, messages: usize, wire: &[u8]) {
        if wire.len() > self.message_bytes_max {
            return self.miss(messages as u64);
        }
        self.batch.messages(messages as u32, wire);
        self.messages += messages as u64;
        if self.batch.bytes() >= BATCH_BYTES {
            self.flush();
        }
    }

    /// States of topics cross; what one publisher says of a prefix, such as that it has no route for it, does not hold for the
    /// whole mesh.
    fn take_state(&mut self, state: &TopicState) {
        let TopicState { topic, state, text, .. } = state;
        let fits = topic.len() <= STATE_TOPIC_BYTES_MAX && text.len() <= STATE_TEXT_BYTES_MAX;
        if fits && !state.is_of_prefix() && self.to.border.permits(topic) {
            self.batch.state(&StateNews { state: *state, topic, text: text.as_bytes() });
        }
    }

    fn miss(&mut self, messages: u64) {
        self.so_far.missed = self.so_far.missed.saturating_add(messages);
        self.to.sent.missed.fetch_add(messages, Relaxed);
    }

    /// Sends the batch. What the network does not take is lost, which the numbers tell the other side.
    fn flush(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let count = self.batch.count();
        let payload = self.batch.take(self.so_far, self.earlier);
        self.so_far.next += count;
        self.note();
        let sent = &self.to.sent;
        sent.messages.fetch_add(std::mem::take(&mut self.messages), Relaxed);
        sent.bytes.fetch_add(payload.len() as u64, Relaxed);
        sent.batches.fetch_add(1, Relaxed);
        // A broken session is told to the keeper.
        let _ = self.to.publisher.put(payload);
    }

    /// Tells the next stream how far this one has come. This thread may still send when that one has begun.
    fn note(&self) {
        let mut newest = lock(&self.to.sent.stream);
        if newest.stream <= self.so_far.stream {
            *newest = self.so_far;
        }
    }
}
