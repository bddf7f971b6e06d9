//! Floor 3: one connection, from its first byte to its last. It knows its socket (the hub), and no shard.
//!
//! A peer holds its phase, its way out (`Outgoing`: stream and queue), what it has begun to send (`Partial`), its sign
//! of life (`Pulse`), and the last values that it is owed (`Owed`). It has no lock: the shard
//! that owns it calls it, under the shard's lock, and lends it a `Context`. What it needs of the socket it takes from
//! the hub, lock by lock, and holds none while it writes.
//!
//! Order of calls: `new` - `start` once the stream is there - `read` whenever there is something to read - `flush`,
//! `pay`, `overtake` as the stream takes bytes - `say_end`, once, when a call has returned an `End`. After that the
//! shard takes it out of the socket; a peer never ends itself.

mod asking;
mod beginning;
pub(crate) mod commands;
pub(crate) mod end;
mod handshake;
pub(crate) mod intake;
pub(crate) mod outgoing;
pub(crate) mod owed;
mod partial;
mod pauses;
mod publisher;
pub(crate) mod pulse;
mod rare;
mod receive;
mod untold;

use std::io;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use oncue_core::command::{self, Standing};
use oncue_core::frame::{Scanner, Version};
use oncue_core::ledger::{Ledger, PeerId};

use self::asking::{Asking, Later};
use self::beginning::Beginning;
use self::end::{End, Progress, Stage};
use self::intake::{PASS_WORK, PEER_WORK_MAX};
use self::outgoing::Outgoing;
use self::owed::{Owed, Payee};
use self::partial::{Left, Partial};
use self::publisher::Publisher;
use self::pulse::Pulse;
use self::rare::Rare;
use self::untold::{TOLD_BYTES_MAX, Untold};
use super::hub::announced::Listener;
use super::hub::confirmations::Confirmation;
use super::hub::inbox::flow::Flow;
use super::hub::limits::Limit;
use super::hub::members::Seat;
use super::hub::outbox::Number;
use super::hub::{Hub, Verdict};
use super::wire::chunk::Run;
use crate::bucket::Bucket;
use crate::buffer::Pool;
use crate::connection::{Cause, ConnectedPeer};
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::events;
use crate::net::Stream;
use crate::peers::{PeerProfile, PeerStatus};
use crate::sync::{Moment, read_lock};

/// How often one peer is read in one turn.
const READS_PER_TURN: usize = 4;

/// The work of one read, and the bytes that cost one unit more, in the units of the shard's turn.
const READ_WORK: u32 = 30;
const BYTES_PER_WORK: usize = 256;

/// One connection of one socket.
pub(crate) struct Peer<S> {
    /// Never used again in this engine, unlike the slot.
    pub(crate) uid: u64,
    pub(crate) hub: Arc<Hub>,
    /// The uid of the dialer or listener that it belongs to.
    pub(crate) link: u64,
    /// The endpoint of that, as the user knows it.
    pub(crate) endpoint: Arc<Endpoint>,
    /// The slot of its dialer, if this side connects.
    pub(crate) dialer: Option<usize>,
    pub(crate) out: Outgoing<S>,
    pub(crate) phase: Phase,
    /// Received bytes that are not a complete item.
    partial: Partial,
    /// The number of the first chunk of the outbox that is for it.
    pub(crate) joined: u64,
    /// The stream has ended behind what is there: it is read to its end, since nothing more will be reported.
    pub(crate) ended: bool,
    pub(crate) pulse: Pulse,
    /// Questions about subscriptions that are deferred.
    later: Rare<Later>,
    /// Last values that wait for room.
    owed: Rare<Owed>,
    /// Changes of our subscriptions that wait until it reads.
    untold: Rare<Untold>,
    /// Since when its queue has been full.
    pub(crate) full_since: Moment,
    /// Messages that give way to none leave no room in it.
    lacks_room: bool,
    /// Whether a timer is set that evicts it.
    pub(crate) evict_set: bool,
    /// It is among the peers that the shard writes more to in its next turn.
    pub(crate) writes_on: bool,
    /// It is among the peers that the shard will read.
    pub(crate) reads_on: bool,
    /// Whether `partial` holds complete items, and why.
    left: Left,
    /// The changes of its subscriptions that it may still make.
    changes: Bucket,
    /// Its place among the members, if it came by a listener.
    pub(crate) seat: Option<Seat>,
    /// Why it is turned away: it is told when its handshake is done.
    pub(crate) turned_away: Option<String>,
    /// How many of its messages were received.
    received: u64,
    /// When its handshake was done.
    pub(crate) since: Moment,
    /// A byte of it has arrived.
    has_spoken: bool,
    /// It is to tell its socket type before this side does: the peer before it left when it had read ours.
    pub(crate) ready_last: bool,
    /// While it is being connected: whether a timer is set that tries another address.
    pub(crate) next_address_set: bool,
}

pub(crate) enum Phase {
    /// The stream is being connected.
    Connecting,
    Handshake(Box<Beginning>),
    Traffic(Traffic),
    /// Everything is written and the writing side is shut down; what arrives is dropped.
    Draining,
}

/// The state of a connection after its handshake.
pub(crate) struct Traffic {
    pub(crate) version: Version,
    pub(crate) profile: Arc<PeerProfile>,
    scanner: Scanner,
    /// Its entry in the ledger, if messages go out to it.
    pub(crate) ledger: Option<PeerId>,
    /// The account of messages that are handed to the user.
    flow: Option<Arc<Flow>>,
    /// The version of our subscriptions that it knows, if it is told.
    subscriptions: Option<u64>,
    /// What it is asked about them, if it is told.
    asking: Option<Box<Asking>>,
    /// What came from it, if it is a publisher.
    publisher: Option<Box<Publisher>>,
    /// Reading waits until the user has made room.
    paused: bool,
    /// How many messages the last read brought: a guess for the next one.
    expected: usize,
    /// It understands states of topics.
    pub(crate) understands: bool,
    _listener: Option<Listener>,
    /// A message of a subscriber, and how many of its frames are taken in: the share of work was used up amid it.
    begun: Option<Box<(Vec<u8>, usize)>>,
}

/// What a peer is lent by its shard while it works.
pub(crate) struct Context<'a> {
    pub(crate) shard: u16,
    pub(crate) slot: usize,
    pub(crate) now: Duration,
    /// The number of the first message that the shard has not sent yet, if the socket keeps last values.
    pub(crate) unrouted: Option<Number>,
    pub(crate) pool: &'a Pool,
    pub(crate) wakes: &'a mut Vec<Waker>,
    /// The work done for the peer, in the units of the shard's turn.
    pub(crate) work: u32,
    /// Until when the peer is not read, since it has changed its subscriptions too fast.
    pub(crate) rests_until: Option<Duration>,
}

impl<S: Stream> Peer<S> {
    /// A peer that came by the listener or dialer `link`, whose endpoint this is.
    pub(crate) fn new(
        uid: u64,
        hub: Arc<Hub>,
        (link, endpoint): (u64, Arc<Endpoint>),
        dialer: Option<usize>,
        stream: S,
    ) -> Peer<S> {
        let (out, phase, partial) =
            (Outgoing::new(stream, hub.clone()), Phase::Connecting, Partial::default());
        Peer {
            uid,
            hub,
            link,
            endpoint,
            dialer,
            out,
            phase,
            partial,
            joined: 0,
            ended: false,
            pulse: Pulse::default(),
            later: Rare::default(),
            owed: Rare::default(),
            untold: Rare::default(),
            full_since: Moment::NONE,
            lacks_room: false,
            evict_set: false,
            writes_on: false,
            reads_on: false,
            left: Left::default(),
            changes: Bucket::default(),
            seat: None,
            turned_away: None,
            received: 0,
            since: Moment::NONE,
            has_spoken: false,
            ready_last: false,
            next_address_set: false,
        }
    }

    /// Tells the operator why the connection ends, and counts it.
    pub(crate) fn say_end(&self, end: &End) {
        let (socket, address) = (self.hub.id, &self.out.stream.address());
        match (end, &self.phase) {
            (End::Served, _) => {}
            (End::Exceeded(Limit::Handshakes, error), _) => {
                // The user is told of these together: a flood is not worth a line each.
                self.hub.counters.refusals.count(&Cause::TurnedAway);
                self.hub.counters.met.count(Limit::Handshakes);
                events::peer_lost(socket, self.uid, address, error);
            }
            (End::Refused(_, error) | End::Exceeded(_, error), _) => {
                if let End::Exceeded(limit, _) = end {
                    self.hub.counters.met.count(*limit);
                }
                let cause = end.explain(Stage::Traffic).0;
                self.hub.counters.refusals.count(&cause);
                self.hub.members.refused(*address, cause, error.clone());
                events::peer_refused(socket, self.uid, address, error);
            }
            (end, Phase::Handshake(beginning)) if end.is_by_peer() => {
                events::peer_lost(socket, self.uid, address, &beginning.handshake.closed_by_peer());
            }
            (_, Phase::Traffic(_) | Phase::Handshake(_)) => events::peer_lost(socket, self.uid, address, end),
            (_, Phase::Connecting | Phase::Draining) => {}
        }
    }

    /// Why the connection ends, for a watch: the cause, and the error in full.
    pub(crate) fn explain(&self, end: &End) -> (Cause, Error) {
        end.explain(match &self.phase {
            Phase::Connecting => Stage::Connecting,
            Phase::Handshake(beginning) => Stage::Handshake(&beginning.handshake),
            Phase::Traffic(_) | Phase::Draining => Stage::Traffic,
        })
    }

    /// The peer, once its handshake is done.
    pub(crate) fn connected(&self) -> Option<ConnectedPeer> {
        let Phase::Traffic(traffic) = &self.phase else { return None };
        Some(traffic.profile.connected())
    }

    /// How the peer stands, once its handshake is done. `missed`: what it has missed beside what it was offered.
    pub(crate) fn status(&self, ledger: &Ledger, missed: u64, now: Duration) -> Option<PeerStatus> {
        let Phase::Traffic(Traffic { profile, ledger: id, .. }) = &self.phase else { return None };
        // The peers of an XSUB hold a prefix too, which nobody has subscribed to.
        let id = id.filter(|_| self.hub.socket_type.publishes());
        let (prefixes, prefix_bytes) = id.map_or((0, 0), |id| ledger.held(id));
        let backlog = &self.out.queue().backlog;
        Some(PeerStatus {
            profile: profile.clone(),
            prefixes,
            prefix_bytes,
            requests: id.map_or(0, |id| self.hub.demand.asked(id)),
            queued: backlog.messages,
            queued_bytes: backlog.bytes,
            delivered: self.out.delivered,
            missed: self.out.missed + missed,
            received: self.received,
            connected_for: now.saturating_sub(self.since.get().unwrap_or(now)),
            silent_for: now.saturating_sub(self.pulse.heard()),
        })
    }

    /// Sends last values that wait, as far as there is room, up to a share. Returns the work.
    pub(crate) fn pay(&mut self, now: Duration) -> Result<u32, End> {
        let Some((owed, mut payee)) = self.payee(now) else { return Ok(0) };
        owed.pay(&mut payee)?;
        let passes = owed.take_passes();
        self.owed.drop_if(Owed::is_empty);
        Ok(passes.saturating_mul(PASS_WORK))
    }

    /// Whether last values wait to be sent.
    pub(crate) fn owes(&self) -> bool {
        self.owed.get().is_some_and(|owed| !owed.is_empty())
    }

    /// Whether more can be written to it now: what is queued, changes of our subscriptions, or last values.
    pub(crate) fn has_more(&self) -> bool {
        let queue = self.out.queue();
        queue.has_more()
            || self.owes() && queue.takes_messages()
            || self.untold.get().is_some_and(|untold| !untold.is_empty()) && !queue.is_blocked()
    }

    /// Messages are about to be offered: the values of their topics that wait are older.
    pub(crate) fn overtake(&mut self, runs: &[Run], now: Duration) -> Result<(), End> {
        let Some((owed, mut payee)) = self.payee(now) else { return Ok(()) };
        owed.pass(runs, &mut payee)?;
        self.owed.drop_if(Owed::is_empty);
        Ok(())
    }

    /// The last values that wait, if there are any.
    #[inline]
    fn payee(&mut self, now: Duration) -> Option<(&mut Owed, Payee<'_, S>)> {
        let owed = self.owed.get_mut().filter(|owed| !owed.is_empty())?;
        let Phase::Traffic(Traffic { ledger: Some(peer), .. }) = self.phase else { return None };
        Some((owed, Payee { peer, out: &mut self.out, now }))
    }

    /// Tells the peer what has changed in our subscriptions since it was told last.
    pub(crate) fn tell_subscriptions(&mut self) -> Result<(), End> {
        let Phase::Traffic(Traffic { version, subscriptions: Some(known), .. }) = &mut self.phase else {
            return Ok(());
        };
        let (version, ours, untold) = (*version, read_lock(&self.hub.subscriptions), &mut self.untold);
        let room = self.out.control_room(TOLD_BYTES_MAX);
        *known = self.out.control(|out| {
            ours.changes_since(*known, |subscribe, prefix| {
                match untold.get().is_none_or(Untold::is_empty) && out.len() < room {
                    true => put_change(out, version, subscribe, prefix),
                    false => untold.open().change(subscribe, prefix),
                }
            })
        });
        drop(ours);
        self.out.flush()
    }

    /// Tells the peer changes of our subscriptions that waited, as far as there is room.
    pub(crate) fn tell_untold(&mut self) {
        let Phase::Traffic(Traffic { version, .. }) = &self.phase else { return };
        let version = *version;
        let Some(untold) = self.untold.get_mut() else { return };
        let room = self.out.control_room(TOLD_BYTES_MAX);
        if room == 0 {
            return;
        }
        self.out.control(|out| {
            while out.len() < room
                && let Some((subscribe, prefix)) = untold.pop()
            {
                put_change(out, version, subscribe, &prefix);
            }
        });
        self.untold.drop_if(Untold::is_empty);
    }

    /// Asks whether it has a subscription in force, which it has been told.
    pub(crate) fn ask(&mut self, confirmation: &Arc<Confirmation>) -> Result<(), End> {
        if let Phase::Traffic(Traffic { version, asking: Some(asking), .. }) = &mut self.phase {
            let untold = self.untold.get_mut().and_then(|untold| untold.take(&confirmation.prefix));
            self.out.control(|out| {
                if let Some(subscribe) = untold {
                    put_change(out, *version, subscribe, &confirmation.prefix);
                }
                asking.ask(confirmation, out);
            });
        }
        self.out.flush()
    }

    /// A publisher leaves.
    pub(crate) fn leave_publisher(&self) {
        if let Phase::Traffic(Traffic { publisher: Some(publisher), .. }) = &self.phase {
            publisher.leave(!read_lock(&self.hub.subscriptions).is_empty());
        }
    }

    /// The marks have changed: reading goes on if there is room now.
    pub(crate) fn marks_changed(&mut self) {
        self.out.marks_changed();
        if let Phase::Traffic(Traffic { flow: Some(flow), .. }) = &self.phase {
            flow.resume_if_room();
        }
    }

    /// The memory of what it has sent that is not processed yet.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn received_bytes(&self) -> usize {
        let begun = match &self.phase {
            Phase::Traffic(traffic) => traffic.begun.as_ref().map_or(0, |begun| begun.0.capacity()),
            _ => 0,
        };
        self.partial.capacity() + begun
    }

    /// Nothing more goes out. What still arrives is read and dropped until the peer closes too: a close with unread
    /// bytes would make the system drop what the peer has not read yet.
    pub(crate) fn drain(&mut self) {
        self.dialer = None;
        self.out.give_up();
        self.owed = Rare::default();
        self.out.stream.shutdown_write();
        self.phase = Phase::Draining;
        self.partial = Partial::default();
    }

    /// Reads what is there, up to a fair share.
    pub(crate) fn read(&mut self, cx: &mut Context<'_>) -> Result<Progress, End> {
        self.carry_out(cx)?;
        for _ in 0..READS_PER_TURN {
            if self.pauses(cx.now) {
                return Ok(Progress::Idle);
            }
            if std::mem::take(&mut self.left) != Left::Nothing {
                let buffer = self.partial.take(cx.pool);
                self.process(buffer, cx)?;
                if self.left != Left::Nothing {
                    return Ok(Progress::More);
                }
            }
            let mut buffer = self.partial.take(cx.pool);
            let spare = buffer.capacity() - buffer.len();
            let read = match self.out.stream.read(&mut buffer) {
                Ok(0) => Err(End::Closed),
                Ok(n) => Ok(Some(n)),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(None),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(Some(spare)),
                Err(e) => Err(End::from(e)),
            };
            let Some(n) = read? else {
                if self.out.stream.take_sign_of_life() {
                    self.pulse.hear(cx.now);
                }
                self.partial.keep(buffer, 0, cx.now, cx.pool);
                self.partial.lies_on(self.out.stream.held_bytes(), cx.now);
                return Ok(Progress::Idle);
            };
            self.pulse.hear(cx.now);
            cx.work += READ_WORK + (n / BYTES_PER_WORK) as u32;
            self.partial.lies_on(0, cx.now);
            self.process(buffer, cx)?;
            self.partial.lies_on(self.out.stream.held_bytes(), cx.now);
            if self.left != Left::Nothing || cx.work >= PEER_WORK_MAX {
                return Ok(Progress::More);
            }
            // A short read has emptied the stream; the network reports when more arrives.
            if n < spare && !self.ended && !self.out.stream.holds_more() {
                return Ok(Progress::Idle);
            }
        }
        Ok(Progress::More)
    }

    fn process(&mut self, mut buffer: Vec<u8>, cx: &mut Context<'_>) -> Result<(), End> {
        let mut consumed;
        (buffer, consumed) = self.shake(buffer, cx)?;
        match &self.phase {
            Phase::Traffic(_) if self.hub.socket_type.publishes() => {
                consumed += self.process_demand(&mut buffer[consumed..], cx)?;
            }
            Phase::Traffic(_) => return self.process_messages(buffer, consumed, cx),
            Phase::Draining => consumed = buffer.len(),
            Phase::Connecting | Phase::Handshake(_) => {}
        }
        self.partial.keep(buffer, consumed, cx.now, cx.pool);
        Ok(())
    }

    /// Tells the hub whether this peer is full. Returns whether it has become full.
    pub(crate) fn gauge(&mut self, now: Duration, wakes: &mut Vec<Waker>) -> bool {
        let Phase::Traffic(Traffic { ledger: Some(id), .. }) = &self.phase else { return false };
        let was = self.full_since.is_some();
        let full = self.out.is_full(was);
        if full != was {
            self.full_since = full.then_some(now).into();
        }
        let lacks_room = self.out.lacks_room(self.lacks_room);
        if lacks_room != std::mem::replace(&mut self.lacks_room, lacks_room) {
            self.hub.gauge.set(*id, lacks_room, wakes);
        }
        if let Some(topics) = self.out.changed_topics() {
            self.hub.gauge.hold(*id, topics, wakes);
        }
        full && !was
    }

    pub(crate) fn understands(&self) -> bool {
        matches!(&self.phase, Phase::Traffic(Traffic { understands: true, .. }))
    }

    pub(crate) fn decided(
        &mut self,
        prefix: &[u8],
        verdict: Verdict,
        cx: &mut Context<'_>,
    ) -> Result<(), End> {
        let Some((mut intake, _)) = self.intake(cx) else { return Ok(()) };
        let refused_upstream = matches!(verdict, Verdict::Upstream { in_force: false });
        let decided = intake.decided(prefix, verdict);
        let standing = if refused_upstream { Standing::Absent } else { intake.standing(prefix) };
        decided.and(intake.finish())?;
        if standing != Standing::Deferred {
            let mut answers = Vec::new();
            if let Some(later) = self.later.get_mut() {
                later.decided(prefix, standing, &mut answers);
            }
            self.later.drop_if(Later::is_empty);
            self.out.answer_questions(answers);
        }
        self.out.flush()
    }
}

fn put_change(out: &mut Vec<u8>, version: Version, subscribe: bool, prefix: &[u8]) {
    match subscribe {
        true => command::put_subscribe(out, version, prefix),
        false => command::put_cancel(out, version, prefix),
    }
}
