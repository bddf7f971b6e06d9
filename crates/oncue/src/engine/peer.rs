//! One connection: from its first byte to its last. Which peers there are, and when they are retried, is the
//! shard's to know.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Waker;
use std::time::Duration;

use oncue_core::command::{self, Command, ONCUE_PROPERTY, StateNews, Subscription};
use oncue_core::connection::{Handshake, HandshakeConfig, PeerInfo, SocketType};
use oncue_core::frame::{self, Scan, Scanner, Stop, Version};
use oncue_core::ledger::PeerId;

use super::admission::Pending;
use super::hub::Hub;
use super::inbound::{Delivery, Flow};
use super::intake::Intake;
use super::outbox::Number;
use super::outgoing::Outgoing;
use super::states;
use crate::admission::PeerKey;
use crate::buffer::{Buffer, Pool, READ_BYTES};
use crate::net::Stream;
use crate::sync::read_lock;

/// What one read brought is handed over in the read buffer itself from this size on, and copied out below it.
const HAND_OVER_BYTES_MIN: usize = READ_BYTES / 4;
/// How often one peer is read before others get their turn.
const READS_PER_TURN: usize = 4;

/// One connection of one socket.
pub(crate) struct Peer<S> {
    /// Never used again in this engine, unlike the slot.
    pub(crate) uid: u64,
    pub(crate) hub: Arc<Hub>,
    /// The uid of the dialer or listener that it came by.
    pub(crate) link: u64,
    /// The slot of the dialer, where we connect.
    pub(crate) dialer: Option<usize>,
    pub(crate) out: Outgoing<S>,
    pub(crate) phase: Phase,
    /// Received bytes that are no whole item yet.
    partial: Vec<u8>,
    /// The number of the first chunk of its socket's outbox that is for it.
    pub(crate) joined: u64,
    /// The stream has ended behind what is there: it is read to the end, as no more will be reported.
    pub(crate) ended: bool,
    /// When something came last.
    pub(crate) heard: Duration,
    /// What it has asked for and may perhaps have later.
    pending: Pending,
    /// Since when its queue is full.
    pub(crate) full_since: Option<Duration>,
    /// Whether a timer runs that looks at that.
    pub(crate) evict_set: bool,
    /// Since when its handshake is done.
    pub(crate) since: Option<Duration>,
    /// While it is being connected: whether a timer runs that tries another address.
    pub(crate) next_address_set: bool,
}

pub(crate) enum Phase {
    /// The stream is being connected.
    Connecting,
    Handshake(Box<Handshake>),
    Traffic(Traffic),
    /// All is written and the writing side is shut down; what comes is thrown away.
    Draining,
}

/// What a connection is after its handshake.
pub(crate) struct Traffic {
    pub(crate) version: Version,
    scanner: Scanner,
    /// In the ledger, if messages go out to it.
    pub(crate) ledger: Option<PeerId>,
    /// For messages that come in and are handed to the user.
    flow: Option<Arc<Flow>>,
    /// The version of our own subscriptions that it knows, if it is told.
    subscriptions: Option<u64>,
    /// Reading waits until the user has made room.
    paused: bool,
    /// How many messages the last read brought: the next one brings about as many.
    expected: usize,
    /// It can be told the states of topics.
    pub(super) understands: bool,
}

/// What a peer needs of its shard while it works.
pub(crate) struct Context<'a> {
    pub(crate) shard: u16,
    pub(crate) slot: usize,
    pub(crate) now: Duration,
    /// The number of the first message that the shard has not sent yet, if the socket keeps last values.
    pub(crate) unrouted: Option<Number>,
    pub(crate) pool: &'a Pool,
    pub(crate) wakes: &'a mut Vec<Waker>,
}

/// Why a connection ends.
#[derive(Debug)]
pub(crate) enum End {
    /// The stream has ended or failed.
    Lost,
    /// It broke the protocol or a bound, or refuses us; the text says which.
    Refused(String),
}

impl End {
    /// A peer that should not be full is.
    pub(super) fn too_slow() -> End {
        End::Refused("too slow: the queue of this subscriber is full".to_owned())
    }
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> End {
        End::Lost
    }
}

/// What reading came to.
#[derive(PartialEq, Eq)]
pub(crate) enum Progress {
    /// All that was there is read, or reading is paused.
    Idle,
    /// There may be more to read; others come first.
    More,
}

impl<S: Stream> Peer<S> {
    pub(crate) fn new(uid: u64, hub: Arc<Hub>, link: u64, dialer: Option<usize>, stream: S) -> Peer<S> {
        let (out, phase, partial) = (Outgoing::new(stream, hub.clone()), Phase::Connecting, Vec::new());
        Peer {
            uid,
            hub,
            link,
            dialer,
            out,
            phase,
            partial,
            joined: 0,
            ended: false,
            heard: Duration::ZERO,
            pending: Pending::default(),
            full_since: None,
            evict_set: false,
            since: None,
            next_address_set: false,
        }
    }

    /// The stream is there: greets the peer.
    pub(crate) fn start(&mut self) -> Result<(), End> {
        let mut config = HandshakeConfig::new(self.hub.socket_type);
        let (name, value) = ONCUE_PROPERTY;
        config.properties.push((name.to_owned(), value.to_owned()));
        let mut handshake = Handshake::new(config);
        let mut out = Vec::new();
        handshake.start(&mut out);
        self.phase = Phase::Handshake(Box::new(handshake));
        self.out.control(out);
        self.flush()
    }

    /// Writes what is queued.
    pub(crate) fn flush(&mut self) -> Result<(), End> {
        self.out.flush()
    }

    /// Queues a command.
    pub(crate) fn control(&mut self, put: impl FnOnce(&mut Vec<u8>)) -> Result<(), End> {
        let mut out = Vec::new();
        put(&mut out);
        self.out.control(out);
        self.flush()
    }

    /// Tells the peer what has changed in our own subscriptions since it was told last.
    pub(crate) fn tell_subscriptions(&mut self) -> Result<(), End> {
        let Phase::Traffic(Traffic { version, subscriptions: Some(known), .. }) = &mut self.phase else {
            return Ok(());
        };
        let version = *version;
        let mut out = Vec::new();
        *known =
            read_lock(&self.hub.subscriptions).changes_since(*known, |subscribe, prefix| match subscribe {
                true => command::put_subscribe(&mut out, version, prefix),
                false => command::put_cancel(&mut out, version, prefix),
            });
        self.out.control(out);
        self.flush()
    }

    /// Reading may go on.
    pub(crate) fn resume(&mut self) {
        if let Phase::Traffic(traffic) = &mut self.phase {
            traffic.paused = false;
        }
    }

    /// Reads what is there, up to a fair share.
    pub(crate) fn read(&mut self, cx: &mut Context<'_>) -> Result<Progress, End> {
        for _ in 0..READS_PER_TURN {
            if matches!(&self.phase, Phase::Connecting)
                || matches!(&self.phase, Phase::Traffic(t) if t.paused)
            {
                return Ok(Progress::Idle);
            }
            let mut buffer = self.take_buffer(cx);
            let spare = buffer.capacity() - buffer.len();
            let read = match self.out.stream.read(&mut buffer) {
                Ok(0) => Err(End::Lost),
                Ok(n) => Ok(Some(n)),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(None),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(Some(spare)),
                Err(_) => Err(End::Lost),
            };
            let Some(n) = read? else {
                self.put_back(buffer, 0, cx);
                return Ok(Progress::Idle);
            };
            self.heard = cx.now;
            self.process(buffer, cx)?;
            // A short read has emptied the stream; the network reports when more comes.
            if n < spare && !self.ended {
                return Ok(Progress::Idle);
            }
        }
        Ok(Progress::More)
    }

    /// A buffer that holds what is partial, and has room to read into.
    fn take_buffer(&mut self, cx: &mut Context<'_>) -> Vec<u8> {
        if self.partial.len() >= READ_BYTES / 2 {
            // A large message: it grows in place, by as much as has come already.
            let mut buffer = std::mem::take(&mut self.partial);
            buffer.reserve(buffer.len().max(READ_BYTES));
            return buffer;
        }
        let mut buffer = cx.pool.get();
        buffer.extend_from_slice(&self.partial);
        self.partial = Vec::new();
        buffer
    }

    /// Keeps what follows the first `consumed` bytes for the next read.
    fn put_back(&mut self, mut buffer: Vec<u8>, consumed: usize, cx: &mut Context<'_>) {
        if buffer.len() - consumed >= READ_BYTES / 2 {
            buffer.drain(..consumed);
            self.partial = buffer;
            return;
        }
        self.partial = buffer[consumed..].to_vec();
        cx.pool.put(buffer);
    }

    fn process(&mut self, mut buffer: Vec<u8>, cx: &mut Context<'_>) -> Result<(), End> {
        let mut consumed = 0;
        if let Phase::Handshake(handshake) = &mut self.phase {
            let mut out = Vec::new();
            let progress = handshake.receive(&buffer, &mut out);
            self.out.control(out);
            self.flush()?;
            let progress = progress.map_err(|e| End::Refused(e.to_string()))?;
            consumed = progress.consumed;
            if let Some(info) = progress.done {
                self.begin(info, cx)?;
            }
        }
        match &self.phase {
            Phase::Traffic(_) if self.hub.publishes() => {
                consumed += self.process_demand(&mut buffer[consumed..], cx)?;
                self.put_back(buffer, consumed, cx);
                Ok(())
            }
            Phase::Traffic(_) => self.process_messages(buffer, consumed, cx),
            Phase::Draining => {
                let all = buffer.len();
                self.put_back(buffer, all, cx);
                Ok(())
            }
            Phase::Connecting | Phase::Handshake(_) => {
                self.put_back(buffer, consumed, cx);
                Ok(())
            }
        }
    }

    /// The handshake is done: the peer becomes one of the socket's.
    fn begin(&mut self, info: PeerInfo, cx: &mut Context<'_>) -> Result<(), End> {
        let hub = self.hub.clone();
        let ledger = hub.sends().then(|| {
            self.joined = hub.outbox.join(cx.shard);
            let mut edit = hub.edit();
            let peer = edit.attach(cx.shard, cx.slot);
            if !hub.publishes() {
                // An XSUB's messages go to all of its peers.
                edit.subscribe(peer, b"").expect("a quota has room for the empty prefix");
                edit.settle(peer);
            }
            edit.finish(cx.wakes);
            peer
        });
        let flow = (hub.socket_type != SocketType::Pub).then(|| {
            let options = &hub.options;
            let port = hub.port(cx.shard);
            Arc::new(Flow::new(options.recv_messages_max(), options.queue_bytes_max, port, cx.slot, self.uid))
        });
        let mut out = Vec::new();
        let subscriptions = hub.subscribes().then(|| {
            read_lock(&hub.subscriptions)
                .snapshot(|prefix| command::put_subscribe(&mut out, info.version, prefix))
        });
        let scanner = Scanner::new(info.version, hub.message_bytes_max());
        let (version, understands) = (info.version, states::understands(&info));
        self.phase = Phase::Traffic(Traffic {
            version,
            scanner,
            ledger,
            flow,
            subscriptions,
            paused: false,
            expected: 0,
            understands,
        });
        hub.counters.peers.fetch_add(1, Ordering::Relaxed);
        self.out.control(out);
        self.flush()
    }

    /// What takes in the subscriptions of a subscriber, and what cuts them out.
    pub(super) fn intake<'a>(
        &'a mut self,
        cx: &'a mut Context<'_>,
    ) -> Option<(Intake<'a, S>, &'a mut Scanner)> {
        let Peer { phase, out, hub, joined, pending, .. } = self;
        let Phase::Traffic(Traffic { scanner, ledger: Some(peer), understands, .. }) = phase else {
            return None;
        };
        let intake = Intake {
            hub,
            peer: *peer,
            key: PeerKey { shard: cx.shard, slot: cx.slot, uid: self.uid },
            understands: *understands,
            out,
            pending,
            wakes: cx.wakes,
            now: cx.now,
            unrouted: cx.unrouted.map(|unrouted| unrouted.max((*joined, 0))),
            edit: None,
            fresh: Vec::new(),
            turns: 0,
        };
        Some((intake, scanner))
    }

    /// Takes subscriptions and commands from a subscriber; yields how many bytes.
    fn process_demand(&mut self, buffer: &mut [u8], cx: &mut Context<'_>) -> Result<usize, End> {
        let to_user = self.hub.socket_type != SocketType::Pub;
        let Some((mut intake, scanner)) = self.intake(cx) else { return Ok(0) };
        let (mut consumed, mut control, mut data) = (0, Vec::new(), Vec::new());
        let result = loop {
            let rest = &mut buffer[consumed..];
            let item = match scanner.next(rest) {
                Ok(item) => item,
                Err(e) => break Err(End::Refused(e.to_string())),
            };
            let step = match item {
                Scan::Incomplete { .. } => break Ok(()),
                Scan::Message { len, wire_len } => {
                    consumed += wire_len;
                    take_message(&rest[..len], to_user, &mut data, |s| intake.take(s))
                }
                Scan::Command { len, body } => {
                    consumed += len;
                    take_command(&rest[body], &mut control, |s| intake.take(s))
                }
                Scan::CommandInside { body } => take_command(&rest[body], &mut control, |s| intake.take(s)),
            };
            if let Err(end) = step {
                break Err(end);
            }
        };
        let result = result.and(intake.finish());
        if let Phase::Traffic(Traffic { flow: Some(flow), .. }) = &self.phase {
            for message in data {
                hand_over_one(&self.hub, flow, message, cx);
            }
        }
        self.out.answer(control);
        let flushed = self.flush();
        result.and(flushed).map(|()| consumed)
    }

    /// Hands the messages of a publisher to the user; the buffer goes with them.
    fn process_messages(
        &mut self,
        mut buffer: Vec<u8>,
        start: usize,
        cx: &mut Context<'_>,
    ) -> Result<(), End> {
        let Phase::Traffic(Traffic { scanner, flow: Some(_), paused, expected, .. }) = &mut self.phase else {
            return Ok(());
        };
        let (mut consumed, mut control) = (start, Vec::new());
        let mut spans = Vec::with_capacity(*expected);
        let (mut messages, mut inside) = (0, 0..0);
        let result = {
            let subscriptions = read_lock(&self.hub.subscriptions);
            let filter = self.hub.socket_type == SocketType::Sub && !subscriptions.everything();
            let mut keep = |buffer: &[u8], start: usize, end: usize| {
                messages += 1;
                if !filter || subscriptions.matches(frame::topic(&buffer[start..end])) {
                    spans.push((start as u32, end as u32));
                }
            };
            loop {
                let base = consumed;
                let batch = scanner.scan_messages(&buffer[base..], usize::MAX, |start, end| {
                    keep(&buffer, base + start, base + end);
                });
                consumed += batch.consumed;
                match batch.stop {
                    Stop::Incomplete { .. } | Stop::Enough => break Ok(()),
                    Stop::Command => {}
                    Stop::Error(e) => break Err(End::Refused(e.to_string())),
                }
                let item = match scanner.next(&mut buffer[consumed..]) {
                    Ok(item) => item,
                    Err(e) => break Err(End::Refused(e.to_string())),
                };
                match item {
                    Scan::Incomplete { .. } => break Ok(()),
                    Scan::Message { len, wire_len } => {
                        keep(&buffer, consumed, consumed + len);
                        consumed += wire_len;
                    }
                    Scan::Command { len, body } => {
                        inside = consumed + body.start..consumed + body.end;
                        consumed += len;
                    }
                    Scan::CommandInside { body } => inside = consumed + body.start..consumed + body.end,
                }
                let taken = take_publishers(&buffer[std::mem::take(&mut inside)], &mut control, |news| {
                    if !filter || subscriptions.matches(news.topic) {
                        self.hub.states.hear(news, cx.wakes);
                    }
                });
                if let Err(end) = taken {
                    break Err(end);
                }
            }
        };
        self.hub.counters.received.fetch_add(messages, Ordering::Relaxed);
        *paused = false;
        *expected = spans.len();
        // What came whole counts, whatever was wrong with what follows it.
        self.hand_over(buffer, consumed, spans, cx);
        self.out.answer(control);
        let flushed = self.flush();
        result.and(flushed)
    }

    /// Hands the messages at `spans` to the user, and keeps what follows the first `consumed` bytes.
    fn hand_over(
        &mut self,
        mut buffer: Vec<u8>,
        consumed: usize,
        spans: Vec<(u32, u32)>,
        cx: &mut Context<'_>,
    ) {
        let Phase::Traffic(Traffic { flow: Some(flow), .. }) = &self.phase else { return };
        let flow = flow.clone();
        if spans.is_empty() {
            self.put_back(buffer, consumed, cx);
        } else {
            let rest = buffer[consumed..].to_vec();
            let bytes = match consumed >= HAND_OVER_BYTES_MIN {
                true => {
                    buffer.truncate(consumed);
                    cx.pool.share(buffer)
                }
                false => {
                    let bytes = Buffer::from(buffer[..consumed].to_vec());
                    cx.pool.put(buffer);
                    bytes
                }
            };
            self.partial = rest;
            self.hub.inbound.push(Delivery { bytes, spans, flow: flow.clone() }, cx.wakes);
        }
        if flow.pause()
            && let Phase::Traffic(traffic) = &mut self.phase
        {
            traffic.paused = true;
        }
    }
}

/// Looks at each frame of a subscriber's message for a subscription (RFC 29); the other frames are the user's.
fn take_message(
    wire: &[u8],
    to_user: bool,
    data: &mut Vec<Buffer>,
    mut subscription: impl FnMut(Subscription<'_>) -> Result<(), End>,
) -> Result<(), End> {
    let mut rest = Vec::new();
    for body in frame::frames(wire) {
        match Subscription::from_message_frame(body) {
            Some(s) => subscription(s)?,
            None if to_user => rest.push(body),
            None => {}
        }
    }
    if !rest.is_empty() {
        let mut out = Vec::new();
        frame::put_message(&mut out, rest);
        data.push(out.into());
    }
    Ok(())
}

/// Takes a command during traffic; what it wants answered goes to `control`.
fn take_command(
    body: &[u8],
    control: &mut Vec<u8>,
    mut subscription: impl FnMut(Subscription<'_>) -> Result<(), End>,
) -> Result<(), End> {
    match Command::parse(body).map_err(|e| End::Refused(e.to_string()))? {
        Command::Subscribe(prefix) => subscription(Subscription::Subscribe(prefix)),
        Command::Cancel(prefix) => subscription(Subscription::Cancel(prefix)),
        Command::Ping { context, .. } => {
            command::put_pong(control, context);
            Ok(())
        }
        Command::Error { reason } => {
            Err(End::Refused(format!("the peer ended the connection: {}", reason.escape_ascii())))
        }
        Command::Pong { .. } | Command::Ready { .. } | Command::State(_) | Command::Unknown { .. } => Ok(()),
    }
}

/// Takes a publisher's command, if there is one. It subscribes to nothing: only PING and the states of topics matter.
fn take_publishers(
    body: &[u8],
    control: &mut Vec<u8>,
    mut hear: impl FnMut(&StateNews<'_>),
) -> Result<(), End> {
    if body.is_empty() {
        return Ok(());
    }
    if let Ok(Command::State(news)) = Command::parse(body) {
        hear(&news);
    }
    take_command(body, control, |_| Ok(()))
}

/// Hands a subscriber's message to the XPUB's user, who may not be looking: beyond the mark it is dropped.
fn hand_over_one(hub: &Hub, flow: &Arc<Flow>, wire: Buffer, cx: &mut Context<'_>) {
    if flow.is_full() {
        hub.counters.received_missed.fetch_add(1, Ordering::Relaxed);
        return;
    }
    hub.counters.received.fetch_add(1, Ordering::Relaxed);
    let spans = vec![(0, wire.len() as u32)];
    hub.inbound.push(Delivery { bytes: wire, spans, flow: flow.clone() }, cx.wakes);
}
