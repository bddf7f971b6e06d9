//! Floor 4: one I/O thread's state. It knows its peers, their sockets, and no thread.
//!
//! A shard holds the peers and links (listeners, dialers) that were assigned to it, per socket a batch of chunks that
//! is being sent, the fan-out, timers, and the lists of peers that want to be read or written. It never waits and
//! reads no clock: `turn` gets the time and the network's reports, and says when it wants the next turn and what to
//! wake.
//!
//! One thread at a time calls it, under the lock of its `Station`: the I/O thread (`turn`), a guest (`turn`), a sender
//! (`send_now`), a thread that binds, connects, unbinds or disconnects. Everything else reaches it as a note in its
//! mailbox.
//!
//! Order of a turn: reports, reading, notes, writing, timers. A turn ends by counted work, not by a clock; what is
//! left is done in the next turn, which is then due at once. Wakers are collected and called when the lock is
//! released. Other shards are reached by their mailboxes alone.

mod delivery;
mod endings;
pub(crate) mod fanout;
#[cfg(any(test, fuzzing))]
pub(crate) mod holding;
pub(crate) mod link;
mod links;
pub(crate) mod mailbox;
pub(crate) mod short_way;
mod telling;
pub(crate) mod timers;
mod upkeep;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Waker;
use std::time::Duration;

use slab::Slab;

use crate::buffer::Pool;
use crate::engine::hub::Hub;
use crate::engine::hub::Note;
use crate::engine::hub::members::Seat;
use crate::engine::hub::outbox::Number;
use crate::engine::peer::end::{End, Progress};
use crate::engine::peer::{Context, Peer, Phase};
use crate::engine::shard::fanout::{Fanout, Place};
use crate::engine::shard::link::{Kind, Link};
use crate::engine::shard::mailbox::{Letter, Mailbox};
use crate::engine::shard::timers::{Check, Timer, Timers};
use crate::engine::wire::chunk::Chunk;
use crate::engine::wire::gather::Gather;
use crate::hashing::BuildCountedHasher;
use crate::net::{Net, Ready};
use crate::sync::read_lock;

/// How long a refused peer may take to read the reason.
pub(crate) const REFUSAL_TIME: Duration = Duration::from_secs(1);
/// How long a peer may take to tell its socket type where ours waits for it.
const READY_TIME: Duration = Duration::from_secs(1);
/// The shortest time between two checks of a begun message.
const MESSAGE_LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// Work is counted in units of about 100 ns, as measured where it matters. A turn stops reading with the first peer
/// that brings it to this, so that it takes a few milliseconds whatever peers send.
pub(crate) const TURN_WORK_MAX: u32 = 50_000;
/// How many peers are written to in one turn beyond their first share.
const UNWRITTEN_PER_TURN: usize = 4;

/// One I/O thread's state.
pub(crate) struct Shard<N: Net> {
    pub(crate) index: u16,
    pub(crate) net: N,
    pub(crate) mailbox: Arc<Mailbox<N::Stream>>,
    /// All shards of the engine, this one too: accepted streams are distributed.
    pub(crate) mailboxes: Vec<Arc<Mailbox<N::Stream>>>,
    pub(crate) peers: Slab<Peer<N::Stream>>,
    pub(crate) links: Slab<Link<N::Listener>>,
    pub(crate) hubs: HashMap<u64, Served, BuildCountedHasher>,
    pub(crate) timers: Timers,
    pub(crate) now: Duration,
    /// For jitter.
    pub(crate) random: u64,
    pub(crate) next_uid: u64,
    pub(crate) next_shard: usize,
    /// Peers that may have something to read, each once.
    pub(crate) unread: VecDeque<(usize, u64)>,
    /// The work of this turn, see [`TURN_WORK_MAX`].
    pub(crate) work: u32,
    /// Peers whose streams may take more and whose share was used up, each once.
    pub(crate) unwritten: VecDeque<(usize, u64)>,
    pub(crate) fanout: Fanout,
    pub(crate) gather: Gather,
    /// The slots of the peers that are written to in one pass, while it lasts.
    pub(crate) recipients: Vec<usize>,
    pool: Pool,
    letters: Vec<Letter<N::Stream>>,
    /// To be called when the shard is unlocked.
    pub(crate) wakes: Vec<Waker>,
    /// Per slot: the peer is blocked and full, so every message to it is missed; 1 and the number of those since, or 0. Ten
    /// thousand such peers must not cost a look at each.
    pub(crate) stuck: Vec<Stuck>,
    /// The number of this turn.
    pub(crate) turns: u64,
    /// How long its thread sleeps, if nothing happens.
    pub(crate) planned: Option<Duration>,
    /// Its thread has ended.
    pub(crate) ended: bool,
}

/// What a shard holds of a socket that it serves.
/// A peer that is blocked and full.
#[derive(Clone, Copy, Default)]
pub(crate) struct Stuck {
    /// What it has missed meanwhile, and 1; 0 if it is not stuck.
    pub(crate) missed: u64,
    /// The turn in which it became so.
    pub(crate) since: u64,
}

pub(crate) struct Served {
    pub(crate) hub: Arc<Hub>,
    /// Slots of the peers whose handshake is done.
    pub(crate) peers: Vec<usize>,
    /// The chunks of the batch, and how far they are sent.
    pub(crate) batch: Arc<Vec<Arc<Chunk>>>,
    pub(crate) place: Place,
    /// The peer that the message at `place` waits for, by slot and uid, if that is known ([`OnFull::Refuse`](crate::OnFull)).
    pub(crate) blocker: Option<(usize, u64)>,
    /// The number of the batch's first chunk.
    pub(crate) first: u64,
    /// How many chunks are sent before the network is polled again.
    pub(crate) stride: usize,
    /// [`Peer::joined`] of the newest peer.
    pub(crate) newest: u64,
    pub(crate) closing: bool,
    /// A note is under way that releases what departed peers have left behind.
    pub(crate) releasing: bool,
    /// When a batch was taken last, and whether its messages came fast enough for write coalescing.
    pub(crate) taken: Duration,
    pub(crate) thick: bool,
    /// Everything that was queued is written, and the hub knows.
    pub(crate) done: bool,
    /// How many messages the full outbox had dropped when a batch was taken last, and how many of these the peers have still
    /// to be told of.
    pub(crate) dropped: u64,
    pub(crate) unseen: u64,
    /// What a proxy's publishers had dropped by then.
    pub(crate) missed_upstream: u64,
    /// When a message was last sent by the user's own thread, or could have been.
    pub(crate) direct_at: Option<Duration>,
}

impl Served {
    /// Whether messages were dropped of which the peers are not told yet: the next batch tells them.
    fn has_untold(&self) -> bool {
        let counters = &self.hub.counters;
        self.unseen > 0
            || self.dropped != counters.outbox_full.load(Ordering::Relaxed)
            || self.missed_upstream != counters.missed_upstream.load(Ordering::Relaxed)
    }

    /// Nothing of the batch is left to send.
    fn forget_batch(&mut self) {
        (self.batch, self.place, self.blocker) = (Arc::default(), Place::default(), None);
    }

    /// The number of the first message that shard `index` has not sent yet. What it takes from now on has a higher
    /// one.
    fn unrouted(&self, index: u16) -> Number {
        match self.place.chunk < self.batch.len() {
            true => (self.first + self.place.chunk as u64, self.place.message),
            // Without a peer it takes nothing, and the first peer knows from where on it is served.
            false => (self.hub.outbox.next(index).unwrap_or(0), 0),
        }
    }

    /// The number of the chunk that is sent next, and up to which chunk of the batch the peers are the same: peers that
    /// came amid the batch get nothing that was sent before, and a chunk may be for one peer alone.
    fn stretch<S>(&self, peers: &Slab<Peer<S>>) -> (u64, usize) {
        let number = self.first + self.place.chunk as u64;
        let mut end = self.batch.len();
        if self.newest > number {
            let joined = self.peers.iter().map(|&slot| peers[slot].joined).filter(|&joined| joined > number);
            end = joined.min().map_or(end, |joined| end.min((joined - self.first) as usize));
        }
        let directed = self.batch[self.place.chunk..end].iter().position(|chunk| chunk.to().is_some());
        end = directed.map_or(end, |ahead| self.place.chunk + ahead);
        (number, end)
    }
}

/// The token of a peer's stream; odd tokens are links.
pub(crate) fn peer_token(slot: usize) -> usize {
    slot << 1
}

pub(crate) fn link_token(slot: usize) -> usize {
    slot << 1 | 1
}

impl<N: Net> Shard<N> {
    /// Shard `index` of the engine with these mailboxes. `seed` decides its jitter.
    pub(crate) fn new(index: u16, net: N, mailboxes: Vec<Arc<Mailbox<N::Stream>>>, seed: u64) -> Shard<N> {
        Shard {
            index,
            net,
            mailbox: mailboxes[usize::from(index)].clone(),
            mailboxes,
            peers: Slab::new(),
            links: Slab::new(),
            hubs: HashMap::default(),
            timers: Timers::default(),
            now: Duration::ZERO,
            random: seed | 1,
            next_uid: 0,
            next_shard: usize::from(index),
            unread: VecDeque::new(),
            work: 0,
            unwritten: VecDeque::new(),
            fanout: Fanout::new(index),
            gather: Gather::default(),
            recipients: Vec::new(),
            pool: Pool::default(),
            letters: Vec::new(),
            wakes: Vec::new(),
            stuck: Vec::new(),
            turns: 0,
            planned: None,
            ended: false,
        }
    }

    /// Does everything that can be done now. Returns when the next turn is due; now, if there is more to do.
    pub(crate) fn turn(&mut self, now: Duration, ready: &[Ready]) -> Option<Duration> {
        (self.now, self.work) = (now, 0);
        self.turns += 1;
        for &report in ready {
            self.ready(report);
        }
        self.read_unread();
        self.read_letters();
        self.write_unwritten();
        while let Some(timer) = self.timers.due(now) {
            self.fire(timer);
        }
        self.sweep_timers();
        if self.has_more() { Some(now) } else { self.timers.next() }
    }

    /// Ends the shard: closes its mailbox and everything that it holds, in whatever state.
    pub(crate) fn finish(&mut self) {
        self.ended = true;
        std::mem::take(&mut self.links).into_iter().for_each(|(_, link)| link.shut());
        for (_, mut peer) in std::mem::take(&mut self.peers) {
            peer.out.give_up();
            self.net.release(peer.out.stream.into_stream());
        }
        self.hubs.clear();
        self.timers = Timers::default();
        self.unread.clear();
        self.unwritten.clear();
        self.letters.clear();
        self.mailbox.close();
    }

    /// Whether there is something to do that nothing will report.
    pub(crate) fn has_more(&self) -> bool {
        !self.unread.is_empty() || !self.unwritten.is_empty()
    }

    pub(crate) fn uid(&mut self) -> u64 {
        self.next_uid += 1;
        self.next_uid
    }

    pub(crate) fn serve(&mut self, hub: &Arc<Hub>) {
        self.hubs.entry(hub.id).or_insert_with(|| Served {
            hub: hub.clone(),
            peers: Vec::new(),
            batch: Arc::default(),
            place: Place::default(),
            blocker: None,
            first: 0,
            stride: usize::MAX,
            newest: 0,
            closing: false,
            releasing: false,
            taken: Duration::ZERO,
            thick: false,
            done: false,
            dropped: hub.counters.outbox_full.load(Ordering::Relaxed),
            missed_upstream: hub.counters.missed_upstream.load(Ordering::Relaxed),
            unseen: 0,
            direct_at: None,
        });
    }

    fn read_letters(&mut self) {
        let mut letters = std::mem::take(&mut self.letters);
        self.mailbox.take(&mut letters);
        for letter in letters.drain(..) {
            let note = match letter {
                Letter::Note(note) => note,
                Letter::Accepted(accepted) => {
                    self.adopt(accepted);
                    continue;
                }
            };
            match note {
                Note::Outbox(hub) => self.send_and_drain(&hub),
                Note::Subscriptions(hub) => self.tell_subscriptions(&hub),
                Note::Confirm { hub, confirmation } => {
                    self.tell_subscriptions(&hub);
                    self.ask_publishers(&hub, &confirmation);
                }
                Note::Resume { slot, uid } => {
                    let now = self.now;
                    if let Some(peer) = self.peer(slot, uid) {
                        peer.resume(now);
                        self.read_soon(slot);
                    }
                }
                Note::Authenticated { slot, uid, answer } => self.authenticated(slot, uid, answer),
                Note::Verdict { hub, peer, prefix, verdict } => self.decided(&hub, peer, &prefix, verdict),
                Note::Dismiss { hub, peer, reason } => self.dismiss(&hub, peer, reason),
                Note::GiveWay { hub, peer } => self.give_way(&hub, peer),
                Note::RevokeAll { hub, prefix, status } => self.revoke_all(&hub, &prefix, &status),
                Note::Release(hub) => self.release(&hub),
                Note::State { hub, value } => self.tell_state(&hub, &value),
                Note::Ready(ready) => self.ready(ready),
                Note::Marks(hub) => self.marks_changed(&hub),
                Note::Close(hub) => self.close(&hub),
                Note::Alarm { hub, at } => self.timers.set(at, Timer::Alarm { hub: hub.id }),
                // An error means that it is not waited for any more.
                Note::Probe(sender) => drop(sender.send(())),
                Note::Linger { hub, time } => self.linger(&hub, time),
                // The turn itself is what was wanted.
                Note::Stop => {}
            }
        }
        self.letters = letters;
    }

    pub(crate) fn peer(&mut self, slot: usize, uid: u64) -> Option<&mut Peer<N::Stream>> {
        self.peers.get_mut(slot).filter(|peer| peer.uid == uid)
    }

    fn ready(&mut self, ready: Ready) {
        let slot = ready.token >> 1;
        if ready.token & 1 == 1 {
            return self.accept(slot);
        }
        let Some(peer) = self.peers.get_mut(slot) else { return };
        // While it is being connected, the report may be about another address that has failed.
        if matches!(peer.phase, Phase::Connecting) && !self.connecting(slot) {
            return;
        }
        self.peers[slot].ended |= ready.ended;
        if ready.writable {
            self.writable(slot);
        }
        if ready.readable {
            self.read_soon(slot);
        }
    }

    /// A stream is there: the handshake begins.
    pub(crate) fn start(&mut self, slot: usize) {
        let peer = &mut self.peers[slot];
        peer.pulse.hear(self.now);
        let time = match peer.turned_away {
            None => peer.hub.options.handshake_timeout,
            Some(_) => REFUSAL_TIME,
        };
        let started = peer.start();
        if peer.ready_last {
            self.set_timer(slot, self.now + READY_TIME, Check::Ready);
        }
        self.set_timer(slot, self.now.saturating_add(time), Check::Handshake);
        if let Err(end) = started {
            self.end(slot, end);
        }
    }

    /// The peer's stream takes bytes again.
    fn writable(&mut self, slot: usize) {
        let now = self.now;
        let Some(peer) = self.peers.get_mut(slot) else { return };
        if peer.out.queue().is_blocked() {
            // It has taken at least a part of what it had been given.
            peer.pulse.hear(now);
        }
        peer.out.unblock();
        self.set_stuck(slot, false);
        self.write_on(slot, self.work < TURN_WORK_MAX);
    }

    /// Writes what is queued for a peer, and last values that wait, if it `pays` them now.
    fn write_on(&mut self, slot: usize, pays: bool) {
        let (now, peer) = (self.now, &mut self.peers[slot]);
        peer.tell_untold();
        match peer.out.flush().and_then(|()| if pays { peer.pay(now) } else { Ok(0) }) {
            Ok(work) => self.work = self.work.saturating_add(work),
            Err(end) => return self.end(slot, end),
        }
        let hub = peer.hub.clone();
        self.written(slot);
        if self.hubs.get(&hub.id).is_some_and(|served| !served.batch.is_empty()) {
            // A batch waits for room; there may be some now.
            return self.send_and_drain(&hub);
        }
        self.drain_if_closing(&hub);
    }

    fn send_and_drain(&mut self, hub: &Arc<Hub>) {
        self.send(hub);
        self.drain_if_closing(hub);
    }

    /// As [`written`](Self::written), or that has failed.
    pub(crate) fn wrote(&mut self, slot: usize, result: Result<(), End>) {
        match result {
            Ok(()) => self.written(slot),
            Err(end) => self.end(slot, end),
        }
    }

    /// Something was queued for a peer or written to it.
    pub(crate) fn written(&mut self, slot: usize) {
        if let Some(peer) = self.peers.get_mut(slot)
            && peer.has_more()
            && !std::mem::replace(&mut peer.writes_on, true)
        {
            self.unwritten.push_back((slot, peer.uid));
        }
        self.gauge(slot);
    }

    /// Writes more to some of the peers whose share was used up.
    fn write_unwritten(&mut self) {
        for nth in 0..self.unwritten.len().min(UNWRITTEN_PER_TURN) {
            let Some((slot, uid)) = self.unwritten.pop_front() else { return };
            if let Some(peer) = self.peer(slot, uid) {
                peer.writes_on = false;
                // However much is read, one peer is paid.
                self.write_on(slot, nth == 0 || self.work < TURN_WORK_MAX);
            }
        }
    }

    /// There may be something to read of a peer: it waits behind the peers that came before it.
    pub(crate) fn read_soon(&mut self, slot: usize) {
        if let Some(peer) = self.peers.get_mut(slot)
            && !std::mem::replace(&mut peer.reads_on, true)
        {
            self.unread.push_back((slot, peer.uid));
        }
    }

    fn read_unread(&mut self) {
        for _ in 0..self.unread.len() {
            if self.work >= TURN_WORK_MAX {
                return;
            }
            let Some((slot, uid)) = self.unread.pop_front() else { return };
            if let Some(peer) = self.peer(slot, uid) {
                peer.reads_on = false;
                self.read(slot);
            }
        }
    }

    pub(crate) fn read(&mut self, slot: usize) {
        let Some((peer, mut cx)) = self.with_context(slot) else { return };
        let before = matches!(peer.phase, Phase::Traffic(_));
        let progress = peer.read(&mut cx);
        let (work, rests_until) = (cx.work, cx.rests_until);
        let begun = !before && matches!(peer.phase, Phase::Traffic(_));
        self.work = self.work.saturating_add(work);
        if begun {
            self.begun(slot);
        }
        if let Some(at) = rests_until {
            self.set_timer(slot, at, Check::Changes);
        }
        self.set_look(slot);
        if let Some(peer) = self.peers.get_mut(slot) {
            let (hub, due) = (peer.hub.clone(), peer.watch_partial());
            if let Some(due) = due {
                self.set_timer(slot, due, Check::Message);
            }
            self.retry_batch(&hub);
        }
        self.written(slot);
        match progress {
            Ok(Progress::Idle) => {}
            Ok(Progress::More) => self.read_soon(slot),
            Err(end) => self.end(slot, end),
        }
    }

    /// A peer, and what it is lent while it works.
    pub(crate) fn with_context(&mut self, slot: usize) -> Option<(&mut Peer<N::Stream>, Context<'_>)> {
        let Shard { index, peers, hubs, pool, wakes, now, .. } = self;
        let peer = peers.get_mut(slot)?;
        let served = hubs.get(&peer.hub.id).filter(|served| served.hub.last.is_used());
        let unrouted = served.map(|served| served.unrouted(*index));
        Some((
            peer,
            Context { shard: *index, slot, now: *now, unrouted, pool, wakes, work: 0, rests_until: None },
        ))
    }

    /// The slots of a socket's peers.
    pub(crate) fn slots_of(&self, hub: &Hub) -> Vec<usize> {
        self.hubs.get(&hub.id).map(|served| served.peers.clone()).unwrap_or_default()
    }

    /// A peer's handshake is done.
    fn begun(&mut self, slot: usize) {
        let peer = &mut self.peers[slot];
        peer.since = self.now.into();
        peer.seat.iter_mut().for_each(Seat::shaken);
        let hub = peer.hub.clone();
        self.tell_begun(slot);
        let peer = &self.peers[slot];
        if let Some(Link { kind: Kind::Dialer { ready_last, .. }, .. }) =
            peer.dialer.and_then(|dialer| self.links.get_mut(dialer))
        {
            *ready_last = false;
        }
        let joined = peer.joined;
        let served = self.hubs.get_mut(&hub.id).expect("a peer's socket is served");
        served.peers.push(slot);
        hub.has_peers(self.index, true);
        served.newest = joined;
        self.begin_watch(slot);
        self.ask_late_publisher(slot, &hub);
    }

    /// A batch that waits for room may go on: a full peer has left, or wants something else now.
    pub(crate) fn retry_batch(&mut self, hub: &Arc<Hub>) {
        if let Some(served) = self.hubs.get_mut(&hub.id).filter(|served| !served.batch.is_empty()) {
            served.blocker = None;
            self.mailbox.mail(Note::Outbox(hub.clone()));
        }
    }

    fn tell_subscriptions(&mut self, hub: &Arc<Hub>) {
        let version = read_lock(&hub.subscriptions).version();
        for slot in self.slots_of(hub) {
            let told = self.peers[slot].tell_subscriptions();
            self.wrote(slot, told);
        }
        hub.told(self.index, version);
    }

    fn fire(&mut self, timer: Timer) {
        match timer {
            Timer::Peer { check, slot, uid } => {
                let Some(peer) = self.peer(slot, uid) else { return };
                match (check, &peer.phase) {
                    (Check::Connect, Phase::Connecting) | (Check::Handshake, Phase::Handshake(_)) => {
                        let late = self.peers[slot].too_late();
                        self.end(slot, late);
                    }
                    (Check::Waiting, Phase::Connecting | Phase::Handshake(_)) => self.tell_waiting(slot),
                    (Check::Ready, Phase::Handshake(_)) => {
                        let sent = self.peers[slot].send_ready();
                        self.wrote(slot, sent);
                    }
                    (Check::Message, _) => self.check_partial(slot),
                    (Check::Look, Phase::Traffic(_)) => self.look(slot),
                    (Check::Drain, Phase::Draining) => self.end(slot, End::Done),
                    (Check::Evict, _) => self.evict(slot),
                    (Check::Changes, _) => {
                        self.peers[slot].rested(self.now);
                        self.read_soon(slot);
                    }
                    (Check::NextAddress, Phase::Connecting) => self.next_address(slot),
                    _ => {}
                }
            }
            Timer::Link { slot, uid } => match self.links.get(slot).filter(|link| link.uid == uid) {
                Some(Link { kind: Kind::Listener(_), .. }) => self.accept(slot),
                Some(Link { kind: Kind::Dialer { .. }, .. }) => self.dial(slot),
                None => {}
            },
            Timer::Linger { hub } => self.give_up(hub),
            Timer::Alarm { hub } => {
                if let Some(served) = self.hubs.get(&hub) {
                    served.hub.alarms.take(&mut self.wakes);
                }
            }
            Timer::Rested { hub } => {
                if let Some(hub) = self.hubs.get(&hub).map(|served| served.hub.clone()) {
                    self.send_and_drain(&hub);
                }
            }
        }
    }

    /// A message that a peer has begun should be complete by now.
    fn check_partial(&mut self, slot: usize) {
        let (now, peer) = (self.now, &mut self.peers[slot]);
        if let Err(end) = peer.check_partial(now) {
            self.end(slot, end);
        } else if let Some(due) = peer.watch_partial() {
            self.set_timer(slot, due.max(now + MESSAGE_LOOK_INTERVAL), Check::Message);
        }
    }

    /// Checks a peer at this time, if it is still there.
    pub(crate) fn set_timer(&mut self, slot: usize, at: Duration, check: Check) {
        if let Some(Peer { uid, .. }) = self.peers.get(slot) {
            self.timers.set(at, Timer::Peer { check, slot, uid: *uid });
        }
    }

    fn sweep_timers(&mut self) {
        let Shard { timers, peers, links, hubs, .. } = self;
        timers.sweep(|timer| match *timer {
            Timer::Peer { check, slot, uid } => peers.get(slot).is_some_and(|peer| {
                let matters = match check {
                    Check::Connect | Check::NextAddress => matches!(peer.phase, Phase::Connecting),
                    Check::Handshake | Check::Waiting | Check::Ready => {
                        !matches!(peer.phase, Phase::Traffic(_) | Phase::Draining)
                    }
                    Check::Changes => peer.is_resting(),
                    Check::Message | Check::Look | Check::Evict | Check::Drain => true,
                };
                peer.uid == uid && matters
            }),
            Timer::Link { slot, uid } => links.get(slot).is_some_and(|link| link.uid == uid),
            Timer::Linger { hub } | Timer::Rested { hub } | Timer::Alarm { hub } => hubs.contains_key(&hub),
        });
    }
}
