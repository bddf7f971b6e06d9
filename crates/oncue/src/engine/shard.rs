//! A shard: one I/O thread's state, and nobody else's. It is turned by whoever holds it, with what the network
//! reports; it never waits and knows no clock.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Waker;
use std::time::Duration;

use oncue_core::command;
use slab::Slab;

use super::chunk::Chunk;
use super::dial::{Link, Outcome};
use super::fanout::{Fanout, Place};
use super::hub::Hub;
use super::mailbox::{Accepted, Mailbox, Note};
use super::outbox::Number;
use super::peer::{Context, End, Peer, Phase, Progress};
use super::timers::{Timer, Timers};
use crate::buffer::Pool;
use crate::net::{Net, Ready, Stream};
use crate::sync::read_lock;

/// How long a refused peer may take to hear why.
const REFUSAL_TIME: Duration = Duration::from_secs(1);
/// The shortest time between two looks at a message that has begun.
const MESSAGE_LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// Work is counted in units of about 100 ns, as it was measured where it matters: a turn ends the reading with the first
/// peer that brings it to this, so that it takes a few milliseconds whatever peers send.
pub(crate) const TURN_WORK_MAX: u32 = 50_000;
/// The work of taking a peer out of its socket, with as many prefixes as go at once.
const RETIRE_WORK: u32 = 1000;
/// How many peers are written to in one turn beyond their first share.
const UNWRITTEN_PER_TURN: usize = 4;

/// One I/O thread's state.
pub(crate) struct Shard<N: Net> {
    pub(super) index: u16,
    pub(super) net: N,
    pub(super) mailbox: Arc<Mailbox<N::Stream>>,
    /// All shards of the engine, this one too: accepted streams are shared out.
    pub(super) mailboxes: Vec<Arc<Mailbox<N::Stream>>>,
    pub(super) peers: Slab<Peer<N::Stream>>,
    pub(super) links: Slab<Link<N::Listener>>,
    pub(super) hubs: HashMap<u64, Served>,
    pub(super) timers: Timers,
    pub(super) now: Duration,
    /// For jitter.
    pub(super) random: u64,
    pub(super) next_uid: u64,
    pub(super) next_shard: usize,
    /// Peers that may have something to be read, each once.
    pub(super) unread: VecDeque<(usize, u64)>,
    /// What this turn has done so far, see [`TURN_WORK_MAX`].
    pub(super) work: u32,
    /// Peers whose streams may take more when their share was up, each once.
    pub(super) unwritten: VecDeque<(usize, u64)>,
    pub(super) fanout: Fanout,
    pool: Pool,
    notes: Vec<Note>,
    streams: Vec<Accepted<N::Stream>>,
    /// To be woken once the shard is let go of.
    pub(super) wakes: Vec<Waker>,
    /// By slot, who misses whatever is offered until its stream takes bytes again: ten thousand such peers must not cost
    /// a look at each.
    pub(super) stuck: Vec<bool>,
    /// Until when its thread sleeps, if nothing happens.
    pub(super) planned: Option<Duration>,
    /// Its thread has ended: it serves nobody any more.
    pub(super) ended: bool,
}

/// What a shard keeps of a socket that it serves.
pub(super) struct Served {
    hub: Arc<Hub>,
    /// Slots of the peers whose handshake is done.
    pub(super) peers: Vec<usize>,
    /// Chunks taken, and how far they are sent.
    pub(super) batch: Vec<Arc<Chunk>>,
    pub(super) place: Place,
    /// The number of the batch's first chunk.
    pub(super) first: u64,
    /// How many chunks are sent before the network is looked at again.
    pub(super) stride: usize,
    /// The newest peer's [`Peer::joined`].
    pub(super) newest: u64,
    pub(super) closing: bool,
    /// What peers have left behind is being released, and a note tells to go on.
    releasing: bool,
    /// When a batch was taken last, and whether its messages had come thick and fast.
    pub(super) taken: Duration,
    pub(super) thick: bool,
    /// All that was queued is written, and the user has been told.
    done: bool,
    /// When a message was last sent, or could have been, by the user's own thread.
    pub(super) direct_at: Option<Duration>,
}

impl Served {
    /// The number of the first message that shard `index` has not sent yet. What it takes from now on is behind it.
    fn unrouted(&self, index: u16) -> Number {
        match self.place.chunk < self.batch.len() {
            true => (self.first + self.place.chunk as u64, self.place.message),
            // Without a peer it takes nothing, and the first one knows itself from where on it is served.
            false => (self.hub.outbox.next(index).unwrap_or(0), 0),
        }
    }
}

/// What a turn came to.
pub(crate) struct Turned {
    /// When the next turn is due; now, if there is more to do.
    pub(crate) deadline: Option<Duration>,
    /// To be woken, once the shard is let go of.
    pub(crate) wakes: Vec<Waker>,
}

/// A peer's token; odd ones are links.
pub(super) fn peer_token(slot: usize) -> usize {
    slot << 1
}

pub(super) fn link_token(slot: usize) -> usize {
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
            hubs: HashMap::new(),
            timers: Timers::default(),
            now: Duration::ZERO,
            random: seed | 1,
            next_uid: 0,
            next_shard: usize::from(index),
            unread: VecDeque::new(),
            work: 0,
            unwritten: VecDeque::new(),
            fanout: Fanout::new(index),
            pool: Pool::default(),
            notes: Vec::new(),
            streams: Vec::new(),
            wakes: Vec::new(),
            stuck: Vec::new(),
            planned: None,
            ended: false,
        }
    }

    /// Does all that can be done now.
    pub(crate) fn turn(&mut self, now: Duration, ready: &[Ready]) -> Turned {
        (self.now, self.work) = (now, 0);
        for &report in ready {
            self.ready(report);
        }
        self.read_unread();
        self.read_notes();
        self.write_unwritten();
        while let Some(timer) = self.timers.due(now) {
            self.fire(timer);
        }
        self.sweep_timers();
        let deadline = if self.has_more() { Some(now) } else { self.timers.next() };
        Turned { deadline, wakes: std::mem::take(&mut self.wakes) }
    }

    /// Ends the shard: closes its mailbox and all that it holds of sockets, streams and listeners, whatever state they are
    /// in. Yields those who are still to be woken.
    pub(crate) fn finish(&mut self) -> Vec<Waker> {
        self.ended = true;
        std::mem::take(&mut self.links).into_iter().for_each(|(_, link)| link.shut());
        for (_, peer) in std::mem::take(&mut self.peers) {
            self.net.release(peer.out.stream);
        }
        self.hubs.clear();
        self.timers = Timers::default();
        self.unread.clear();
        self.unwritten.clear();
        self.notes.clear();
        self.streams.clear();
        self.mailbox.close();
        std::mem::take(&mut self.wakes)
    }

    /// Whether there is something to do that nothing will report.
    pub(super) fn has_more(&self) -> bool {
        !self.unread.is_empty() || !self.unwritten.is_empty()
    }

    /// The sockets that this shard serves.
    pub(crate) fn hubs(&self) -> impl Iterator<Item = &Arc<Hub>> {
        self.hubs.values().map(|served| &served.hub)
    }

    pub(super) fn uid(&mut self) -> u64 {
        self.next_uid += 1;
        self.next_uid
    }

    pub(super) fn serve(&mut self, hub: &Arc<Hub>) {
        self.hubs.entry(hub.id).or_insert_with(|| Served {
            hub: hub.clone(),
            peers: Vec::new(),
            batch: Vec::new(),
            place: Place::default(),
            first: 0,
            stride: usize::MAX,
            newest: 0,
            closing: false,
            releasing: false,
            taken: Duration::ZERO,
            thick: false,
            done: false,
            direct_at: None,
        });
    }

    fn read_notes(&mut self) {
        let (mut notes, mut streams) = (std::mem::take(&mut self.notes), std::mem::take(&mut self.streams));
        self.mailbox.take(&mut notes, &mut streams);
        for accepted in streams.drain(..) {
            self.adopt(accepted);
        }
        for note in notes.drain(..) {
            match note {
                Note::Outbox(hub) => {
                    self.send(&hub);
                    self.drain_if_closing(&hub);
                }
                Note::Subscriptions(hub) => self.tell_subscriptions(&hub),
                Note::Resume { slot, uid } => {
                    let now = self.now;
                    if let Some(peer) = self.peer(slot, uid) {
                        peer.resume(now);
                        self.read_soon(slot, uid);
                    }
                }
                Note::Verdict { hub, peer, prefix, verdict } => self.decided(&hub, peer, &prefix, verdict),
                Note::RevokeAll { hub, prefix, status } => self.revoke_all(&hub, &prefix, &status),
                Note::Release(hub) => self.release(&hub),
                Note::State { hub, value } => self.tell_state(&hub, &value),
                Note::Ready(ready) => self.ready(ready),
                Note::Close(hub) => self.close(&hub),
                // The turn itself is what was wanted.
                Note::Stop => {}
            }
        }
        (self.notes, self.streams) = (notes, streams);
    }

    pub(super) fn peer(&mut self, slot: usize, uid: u64) -> Option<&mut Peer<N::Stream>> {
        self.peers.get_mut(slot).filter(|peer| peer.uid == uid)
    }

    fn ready(&mut self, ready: Ready) {
        let slot = ready.token >> 1;
        if ready.token & 1 == 1 {
            return self.accept(slot);
        }
        let Some(peer) = self.peers.get_mut(slot) else { return };
        let uid = peer.uid;
        // While it is being connected, the report may be of another address that has failed.
        if matches!(peer.phase, Phase::Connecting) && !self.connecting(slot) {
            return;
        }
        if let Some(peer) = self.peer(slot, uid) {
            peer.ended |= ready.ended;
        }
        if ready.writable {
            self.writable(slot, uid);
        }
        if ready.readable {
            self.read_soon(slot, uid);
        }
    }

    /// A stream is there: the handshake begins.
    pub(super) fn start(&mut self, slot: usize) {
        let peer = &mut self.peers[slot];
        peer.pulse.hear(self.now);
        let time = match peer.turned_away {
            None => peer.hub.options.handshake_timeout,
            Some(_) => REFUSAL_TIME,
        };
        let uid = peer.uid;
        self.timers.set(self.now.saturating_add(time), Timer::Handshake { slot, uid });
        if let Err(end) = peer.start() {
            self.end(slot, end);
        }
    }

    /// The peer's stream takes bytes again.
    fn writable(&mut self, slot: usize, uid: u64) {
        let now = self.now;
        let Some(peer) = self.peer(slot, uid) else { return };
        if peer.out.is_blocked() {
            // What it had been given it has taken, in part at least.
            peer.pulse.hear(now);
        }
        peer.out.unblock();
        self.set_stuck(slot, false);
        self.write_on(slot, uid);
    }

    /// Writes what is queued for a peer.
    fn write_on(&mut self, slot: usize, uid: u64) {
        let now = self.now;
        let Some(peer) = self.peer(slot, uid) else { return };
        if let Err(end) = peer.flush().and_then(|()| peer.pay(now)) {
            return self.end(slot, end);
        }
        let hub = peer.hub.clone();
        self.written(slot);
        if self.hubs.get(&hub.id).is_some_and(|served| !served.batch.is_empty()) {
            // A batch waits for room; there may be some now.
            self.send(&hub);
        }
        self.drain_if_closing(&hub);
    }

    /// Something was queued for a peer, or written to it.
    pub(super) fn written(&mut self, slot: usize) {
        if let Some(peer) = self.peers.get_mut(slot)
            && peer.out.has_more()
            && !std::mem::replace(&mut peer.writes_on, true)
        {
            self.unwritten.push_back((slot, peer.uid));
        }
        self.gauge(slot);
    }

    /// Writes more to some of those whose share was up.
    fn write_unwritten(&mut self) {
        for _ in 0..self.unwritten.len().min(UNWRITTEN_PER_TURN) {
            let Some((slot, uid)) = self.unwritten.pop_front() else { return };
            if let Some(peer) = self.peer(slot, uid) {
                peer.writes_on = false;
                self.write_on(slot, uid);
            }
        }
    }

    /// There may be something to read of a peer: it is its turn when it was that of those before it.
    fn read_soon(&mut self, slot: usize, uid: u64) {
        if let Some(peer) = self.peer(slot, uid)
            && !std::mem::replace(&mut peer.reads_on, true)
        {
            self.unread.push_back((slot, uid));
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
                self.read(slot, uid);
            }
        }
    }

    pub(super) fn read(&mut self, slot: usize, uid: u64) {
        let Some((peer, mut cx)) = self.with_context(slot, uid) else { return };
        let before = matches!(peer.phase, Phase::Traffic(_));
        let progress = peer.read(&mut cx);
        let work = cx.work;
        let begun = !before && matches!(peer.phase, Phase::Traffic(_));
        self.work = self.work.saturating_add(work);
        if begun {
            self.begun(slot);
        }
        self.set_look(slot);
        if let Some(peer) = self.peer(slot, uid) {
            let (hub, due) = (peer.hub.clone(), peer.watch_partial());
            if let Some(due) = due {
                self.timers.set(due, Timer::Message { slot, uid });
            }
            self.retry_batch(&hub);
        }
        self.written(slot);
        match progress {
            Ok(Progress::Idle) => {}
            Ok(Progress::More) => self.read_soon(slot, uid),
            Err(end) => self.end(slot, end),
        }
    }

    /// A peer, and what it needs while it works.
    pub(super) fn with_context(
        &mut self,
        slot: usize,
        uid: u64,
    ) -> Option<(&mut Peer<N::Stream>, Context<'_>)> {
        let Shard { index, peers, hubs, pool, wakes, now, .. } = self;
        let peer = peers.get_mut(slot).filter(|peer| peer.uid == uid)?;
        let served = hubs.get(&peer.hub.id).filter(|served| served.hub.last.is_used());
        let unrouted = served.map(|served| served.unrouted(*index));
        Some((peer, Context { shard: *index, slot, now: *now, unrouted, pool, wakes, work: 0 }))
    }

    /// The slots of a socket's peers.
    pub(super) fn slots_of(&self, hub: &Hub) -> Vec<usize> {
        self.hubs.get(&hub.id).map(|served| served.peers.clone()).unwrap_or_default()
    }

    /// A peer's handshake is done.
    fn begun(&mut self, slot: usize) {
        let peer = &mut self.peers[slot];
        peer.since = Some(self.now);
        let hub = peer.hub.clone();
        let joined = peer.joined;
        let served = self.hubs.get_mut(&hub.id).expect("a peer's socket is served");
        served.peers.push(slot);
        hub.has_peers(self.index, true);
        served.newest = joined;
        self.begin_watch(slot);
    }

    /// A connection is over: its prefixes go at once; a dialer tries again.
    pub(super) fn end(&mut self, slot: usize, end: End) {
        if let (Some(peer), End::Refused(_)) = (self.peers.get(slot), &end) {
            // Before anybody hears that it is gone, and looks at the counts.
            peer.hub.counters.peers_refused.fetch_add(1, Ordering::Relaxed);
        }
        self.retire(slot);
        let Some(peer) = self.peers.get_mut(slot) else { return };
        let (uid, dialer, link) = (peer.uid, peer.dialer.take(), peer.link);
        let outcome = match peer.phase {
            Phase::Connecting => Outcome::Nothing,
            _ => Outcome::Connection { since: peer.since },
        };
        if let End::Refused(reason) = &end {
            if let Phase::Traffic(traffic) = &peer.phase
                && traffic.version.has_commands()
            {
                let mut out = Vec::new();
                command::put_error(&mut out, reason);
                peer.out.control(out);
            }
            if !matches!(peer.phase, Phase::Draining) && peer.flush().is_ok() {
                self.timers.set(self.now + REFUSAL_TIME, Timer::Drain { slot, uid });
                self.drain(slot);
                self.redial(dialer, link, outcome);
                return;
            }
        }
        let peer = self.peers.remove(slot);
        let hub = peer.hub.clone();
        self.net.release(peer.out.stream);
        self.redial(dialer, link, outcome);
        self.drain_if_closing(&hub);
    }

    /// Nothing more goes out to the peer; what still comes is read and thrown away, until the peer closes too. A close
    /// with bytes unread would make the system throw away what the peer has not read yet.
    fn drain(&mut self, slot: usize) {
        let peer = &mut self.peers[slot];
        peer.dialer = None;
        peer.out.stream.shutdown_write();
        peer.phase = Phase::Draining;
        peer.forget_partial();
        let uid = peer.uid;
        self.read_soon(slot, uid);
    }

    /// Takes a peer out of its socket: from now on nothing goes out to it, and what it wanted it wants no more.
    fn retire(&mut self, slot: usize) {
        self.set_stuck(slot, false);
        let Some(peer) = self.peers.get_mut(slot) else { return };
        let Phase::Traffic(traffic) = &mut peer.phase else { return };
        let hub = peer.hub.clone();
        let ledger = traffic.ledger.take();
        let Some(served) = self.hubs.get_mut(&hub.id) else { return };
        let known = served.peers.len();
        served.peers.retain(|&s| s != slot);
        if served.peers.len() == known {
            return;
        }
        hub.counters.peers.fetch_sub(1, Ordering::Relaxed);
        hub.counters.peers_lost.fetch_add(1, Ordering::Relaxed);
        if served.peers.is_empty() {
            hub.has_peers(self.index, false);
        }
        if let Some(ledger) = ledger {
            Self::ungauge(&hub, ledger, &mut self.wakes);
            let mut edit = hub.edit();
            self.work += RETIRE_WORK;
            if edit.detach(ledger) && !std::mem::replace(&mut served.releasing, true) {
                self.mailbox.mail(Note::Release(hub.clone()));
            }
            edit.finish(&mut self.wakes);
            if served.peers.is_empty() {
                hub.outbox.leave(self.index);
                served.batch.clear();
                served.place = Place::default();
                hub.room.take(&mut self.wakes);
            }
        }
        self.retry_batch(&hub);
    }

    /// Releases one more slice of what departed peers left behind; other work gets in between.
    fn release(&mut self, hub: &Arc<Hub>) {
        let Some(served) = self.hubs.get_mut(&hub.id) else { return };
        served.releasing = hub.release(&mut self.wakes);
        match served.releasing {
            true => self.mailbox.mail(Note::Release(hub.clone())),
            false => self.drain_if_closing(hub),
        }
    }

    /// A batch that waits for somebody's room need wait no longer, perhaps: who was full has gone, or wants something
    /// else now.
    pub(super) fn retry_batch(&self, hub: &Arc<Hub>) {
        if self.hubs.get(&hub.id).is_some_and(|served| !served.batch.is_empty()) {
            self.mailbox.mail(Note::Outbox(hub.clone()));
        }
    }

    fn tell_subscriptions(&mut self, hub: &Arc<Hub>) {
        let version = read_lock(&hub.subscriptions).version();
        for slot in self.slots_of(hub) {
            match self.peers[slot].tell_subscriptions() {
                Ok(()) => self.written(slot),
                Err(end) => self.end(slot, end),
            }
        }
        hub.told(self.index, version);
    }

    fn fire(&mut self, timer: Timer) {
        match timer {
            Timer::Handshake { slot, uid } => {
                let late = self
                    .peer(slot, uid)
                    .is_some_and(|p| matches!(p.phase, Phase::Connecting | Phase::Handshake(_)));
                if late {
                    self.end(slot, End::Refused("the handshake took too long".to_owned()));
                }
            }
            Timer::Message { slot, uid } => self.check_partial(slot, uid),
            Timer::Look { slot, uid } => self.look(slot, uid),
            Timer::Drain { slot, uid } => {
                if self.peer(slot, uid).is_some_and(|p| matches!(p.phase, Phase::Draining)) {
                    self.end(slot, End::Lost);
                }
            }
            Timer::Evict { slot, uid } => self.evict(slot, uid),
            Timer::NextAddress { slot, uid } => self.next_address(slot, uid),
            Timer::Redial { slot, uid } => self.dial(slot, uid),
            Timer::Accept { slot, uid } => {
                if self.links.get(slot).is_some_and(|link| link.uid == uid) {
                    self.accept(slot);
                }
            }
            Timer::Linger { hub } => self.give_up(hub),
            Timer::Rested { hub } => {
                if let Some(hub) = self.hubs.get(&hub).map(|served| served.hub.clone()) {
                    self.send(&hub);
                    self.drain_if_closing(&hub);
                }
            }
        }
    }

    /// A message that a peer has begun should be whole by now.
    fn check_partial(&mut self, slot: usize, uid: u64) {
        let now = self.now;
        let Some(peer) = self.peer(slot, uid) else { return };
        if let Err(end) = peer.check_partial(now) {
            self.end(slot, end);
        } else if let Some(due) = peer.watch_partial() {
            self.timers.set(due.max(now + MESSAGE_LOOK_INTERVAL), Timer::Message { slot, uid });
        }
    }

    fn sweep_timers(&mut self) {
        let Shard { timers, peers, links, hubs, .. } = self;
        timers.sweep(|timer| match *timer {
            Timer::Handshake { slot, uid } | Timer::NextAddress { slot, uid } => peers
                .get(slot)
                .is_some_and(|p| p.uid == uid && matches!(p.phase, Phase::Connecting | Phase::Handshake(_))),
            Timer::Look { slot, uid }
            | Timer::Evict { slot, uid }
            | Timer::Drain { slot, uid }
            | Timer::Message { slot, uid } => peers.get(slot).is_some_and(|peer| peer.uid == uid),
            Timer::Redial { slot, uid } | Timer::Accept { slot, uid } => {
                links.get(slot).is_some_and(|link| link.uid == uid)
            }
            Timer::Linger { hub } | Timer::Rested { hub } => hubs.contains_key(&hub),
        });
    }

    /// The user has closed the socket: nothing new comes in or is dialled, what is queued goes out.
    fn close(&mut self, hub: &Arc<Hub>) {
        // Nothing comes after this: what is taken now is all, and a later rest finds nothing to keep waiting.
        self.send_at_once(hub);
        self.unlink_all(hub);
        let Some(served) = self.hubs.get_mut(&hub.id) else { return hub.shard_done(&mut self.wakes) };
        served.closing = true;
        let unready = |peer: &Peer<_>| !matches!(peer.phase, Phase::Traffic(_));
        let slots: Vec<_> = self.peers.iter().filter(|(_, p)| p.hub.id == hub.id && unready(p)).collect();
        let slots: Vec<_> = slots.into_iter().map(|(slot, _)| slot).collect();
        for slot in slots {
            self.end(slot, End::Lost);
        }
        self.timers.set(self.now.saturating_add(hub.options.linger), Timer::Linger { hub: hub.id });
        self.drain_hub(hub);
    }

    fn drain_if_closing(&mut self, hub: &Arc<Hub>) {
        if self.hubs.get(&hub.id).is_some_and(|served| served.closing) {
            self.drain_hub(hub);
        }
    }

    /// Shuts the peers of a closed socket down whose queues are empty. The user need not wait for what follows: the
    /// socket is forgotten when the peers have closed too.
    fn drain_hub(&mut self, hub: &Arc<Hub>) {
        let Some(served) = self.hubs.get(&hub.id) else { return };
        if served.batch.is_empty() {
            for slot in served.peers.clone() {
                if self.peers[slot].out.is_empty() {
                    self.retire(slot);
                    self.drain(slot);
                }
            }
        }
        let Some(served) = self.hubs.get_mut(&hub.id) else { return };
        if served.releasing {
            // Those who watch are told to the end.
            return;
        }
        if served.peers.is_empty() && !std::mem::replace(&mut served.done, true) {
            hub.shard_done(&mut self.wakes);
        }
        if !self.peers.iter().any(|(_, peer)| peer.hub.id == hub.id) {
            self.hubs.remove(&hub.id);
        }
    }

    /// A closed socket's time is up: what is still queued is dropped.
    fn give_up(&mut self, hub: u64) {
        let Some(served) = self.hubs.get_mut(&hub) else { return };
        let hub = served.hub.clone();
        served.batch.clear();
        let slots: Vec<_> =
            self.peers.iter().filter(|(_, p)| p.hub.id == hub.id).map(|(slot, _)| slot).collect();
        for slot in slots {
            if self.peers.contains(slot) {
                self.end(slot, End::Lost);
            }
        }
        self.drain_hub(&hub);
    }
}
