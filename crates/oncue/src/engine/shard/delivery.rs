//! From a socket's outbox to its peers: a shard takes what was pushed, matches it, and offers each peer its runs.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use oncue_core::frame;
use oncue_core::ledger::AudienceId;

use crate::engine::hub::Hub;
use crate::engine::hub::Note;
use crate::engine::hub::outbox::Taken;
use crate::engine::peer::outgoing::{count_abandoned, count_missed};
use crate::engine::peer::{Phase, Traffic};
use crate::engine::shard::fanout::Place;
use crate::engine::shard::timers::Timer;
use crate::engine::shard::{Shard, Stuck};
use crate::engine::wire::chunk::{Chunk, Run};
use crate::net::Net;
use crate::options::OnFull;
use crate::permission::PeerKey;

/// How many batches of one socket are sent in one turn.
const BATCHES_PER_TURN: usize = 8;
/// Under [`OnFull::Refuse`] a peer with an empty queue is given this much at a time: enough for a good write, and at
/// most this much beyond its mark.
const PASS_BYTES: u64 = 256 << 10;
/// A peer that has become stuck may be one that reads when this shard polls, as the other end of a pipe does: for this number of
/// turns little is sent at a time, since all of it would be missed.
const SOON_TURNS: u64 = 2;
/// Ends the slots of one audience.
const END: usize = usize::MAX;
/// Write coalescing begins when at least this many messages came with less than this time for each.
const THICK_MESSAGES_MIN: u32 = 4;
const THICK_INTERVAL: Duration = Duration::from_micros(2);
/// How long messages may gather then, unless they become enough for a write before.
const REST_TIME: Duration = Duration::from_micros(50);

impl<N: Net> Shard<N> {
    /// As [`send`](Self::send), without write coalescing, and before waiting senders are woken: what follows comes behind it.
    pub(crate) fn send_at_once(&mut self, hub: &Arc<Hub>) {
        if let Some(served) = self.hubs.get_mut(&hub.id) {
            served.thick = false;
        }
        self.send_batches(hub, false);
    }

    /// Sends what the socket's outbox holds, as far as no peer has to wait for room.
    pub(crate) fn send(&mut self, hub: &Arc<Hub>) {
        self.send_batches(hub, true);
    }

    /// As [`send`](Self::send). `wakes_first`: if senders wait, they are woken before what was taken is written.
    fn send_batches(&mut self, hub: &Arc<Hub>, wakes_first: bool) {
        let Some(served) = self.hubs.get_mut(&hub.id) else { return };
        if served.peers.is_empty() {
            return;
        }
        if let Some((slot, uid)) = served.blocker
            && let Some(peer) = self.peers.get_mut(slot)
            && peer.uid == uid
            && peer.out.room_to_offer() == 0
        {
            return;
        }
        let refuse = hub.options.on_full == OnFull::Refuse;
        for _ in 0..BATCHES_PER_TURN {
            // All peers may have left meanwhile.
            let Some(served) = self.hubs.get_mut(&hub.id).filter(|s| !s.peers.is_empty()) else { return };
            served.blocker = None;
            if served.place.chunk >= served.batch.len() {
                let waiting = self.wakes.len();
                if !self.take_batch(hub) {
                    return;
                }
                if wakes_first && self.wakes.len() > waiting {
                    // Senders fill the outbox again while this batch is written: they are woken between two turns.
                    break;
                }
            }
            let served = self.hubs.get_mut(&hub.id).expect("looked up above");
            if served.batch[served.place.chunk].to().is_some() {
                match self.send_directed(hub) {
                    true => continue,
                    false => return,
                }
            }
            let (number, end) = served.stretch(&self.peers);
            let (batch, from) = (served.batch.clone(), served.place);
            let end = end.min(from.chunk.saturating_add(served.stride));
            let mut blocker = None;
            let place = {
                let ledger = hub.demand.read();
                let peers = &mut self.peers;
                let room = |audience: AudienceId| {
                    let mut room = u64::MAX;
                    for slot in ledger.peers(audience).iter().map(|&peer| ledger.token(peer) as usize) {
                        room = room.min(peers[slot].out.room_to_offer());
                        if room == 0 {
                            blocker = Some((slot, peers[slot].uid));
                            break;
                        }
                    }
                    room
                };
                match refuse {
                    true => self.fanout.route_limited(&ledger, &batch[..end], from, PASS_BYTES, room),
                    false => self.fanout.route(&ledger, &batch[..end], from),
                }
            };
            let served = self.hubs.get_mut(&hub.id).expect("looked up above");
            served.place = place;
            if place == from {
                served.blocker = blocker;
                return;
            }
            // A peer that is lost in the delivery finds the rest of the batch there: what is left waits for the others.
            let hurried = self.deliver(hub, &batch, number);
            // All peers may have left meanwhile; then nothing waits for one.
            let Some(served) = self.hubs.get_mut(&hub.id).filter(|s| !s.peers.is_empty()) else { return };
            // A peer that reads and yet misses messages must be served in smaller steps: it has room again before all
            // is routed.
            served.stride = if hurried { 1 } else { served.stride.saturating_mul(2) };
            if hurried {
                break;
            }
        }
        // Other sockets and peers come first; the rest is sent in the next turn.
        self.mailbox.mail(Note::Outbox(hub.clone()));
    }

    /// Sends the next chunks of a batch, as long as each is for one peer. Returns whether it came to their end; otherwise
    /// one waits for room ([`OnFull::Refuse`]).
    fn send_directed(&mut self, hub: &Arc<Hub>) -> bool {
        loop {
            let Some(served) = self.hubs.get(&hub.id) else { return true };
            let Place { chunk: at, .. } = served.place;
            let Some(chunk) = served.batch.get(at) else { return true };
            let Some(key) = chunk.to() else { return true };
            if let Some(slot) = self.recipient(hub, key, chunk) {
                let (runs, now) = ([Run::new(chunk.clone(), 0, chunk.len())], self.now);
                let peer = &mut self.peers[slot];
                if hub.options.on_full == OnFull::Refuse && peer.out.room_to_offer() == 0 {
                    return false;
                }
                match peer.overtake(&runs, now).and_then(|()| peer.out.offer(&runs)) {
                    Ok(_) => self.written(slot),
                    Err(end) => self.end(slot, end),
                }
            }
            // A peer that is lost may have been the last one, and the batch with it.
            let Some(served) = self.hubs.get_mut(&hub.id) else { return true };
            if served.place.chunk == at && at < served.batch.len() {
                served.place = Place { chunk: at + 1, ..Place::default() };
            }
        }
    }

    /// The slot of the one peer that a chunk is for, if the peer is here and wants its topic.
    fn recipient(&self, hub: &Hub, key: PeerKey, chunk: &Chunk) -> Option<usize> {
        let here = key.shard == self.index;
        let peer = self.peers.get(key.slot).filter(|peer| here && peer.uid == key.uid)?;
        let Phase::Traffic(Traffic { ledger: Some(id), .. }) = peer.phase else { return None };
        let mut wanted = false;
        hub.demand.read().for_each_prefix_of(id, frame::topic(chunk.message(0)), |_| wanted = true);
        wanted.then_some(key.slot)
    }

    /// Takes what the outbox holds. Returns false if that is nothing, or so little that the shard rests for a moment:
    /// under load, a write for each handful of messages costs more than everything else.
    fn take_batch(&mut self, hub: &Arc<Hub>) -> bool {
        let served = self.hubs.get_mut(&hub.id).expect("who sends serves the socket");
        // The buffers of what was sent may be filled again before more is taken.
        served.forget_batch();
        let may_rest = std::mem::take(&mut served.thick);
        let Some(Taken { first, chunks, room }) = hub.outbox.take(self.index, may_rest) else {
            self.timers.set(self.now + REST_TIME, Timer::Rested { hub: hub.id });
            return false;
        };
        // What was dropped since the last call lies behind what is taken now: the outbox was full of it.
        let dropped = hub.counters.outbox_full.load(Ordering::Relaxed);
        let unseen = std::mem::replace(&mut served.unseen, dropped - served.dropped);
        // What a proxy's publishers have dropped lies before it.
        let upstream = hub.counters.missed_upstream.load(Ordering::Relaxed);
        let told = std::mem::replace(&mut served.missed_upstream, upstream);
        let unseen = unseen.saturating_add(upstream - told);
        served.dropped = dropped;
        if unseen > 0 {
            self.tell_unseen(hub, unseen);
        }
        let served = self.hubs.get_mut(&hub.id).expect("who sends serves the socket");
        let messages: u32 = chunks.iter().map(|chunk| chunk.len()).sum();
        let now = hub.now();
        let time = now.saturating_sub(std::mem::replace(&mut served.taken, now));
        served.thick = messages >= THICK_MESSAGES_MIN && time < THICK_INTERVAL * messages;
        (served.batch, served.first) = (Arc::new(chunks), first);
        if room {
            hub.room.take(&mut self.wakes);
        }
        messages > 0
    }

    /// Tells all peers that messages were dropped before it was known who wants them.
    #[cold]
    fn tell_unseen(&mut self, hub: &Arc<Hub>, unseen: u64) {
        for slot in self.slots_of(hub) {
            if let Some(peer) = self.peers.get_mut(slot) {
                peer.out.miss_unoffered(0, unseen);
                self.written(slot);
            }
        }
    }

    /// Writes what was routed of a batch to the peers of each audience that came before chunk `number`. Returns
    /// whether a peer has missed messages that reads, or that may be about to read.
    fn deliver(&mut self, hub: &Arc<Hub>, batch: &[Arc<Chunk>], number: u64) -> bool {
        let (mut hurried, now, turn, mixed) = (false, self.now, self.turns, hub.is_mixed());
        // A peer may be lost in here, and change the ledger, or make a pass of its own.
        let (routed, mut gather) = (self.fanout.take(), std::mem::take(&mut self.gather));
        let mut recipients = std::mem::take(&mut self.recipients);
        {
            let ledger = hub.demand.read();
            for &audience in routed.touched() {
                recipients.extend(ledger.peers(audience).iter().map(|&peer| ledger.token(peer) as usize));
                recipients.push(END);
            }
        }
        let of_each = recipients.split(|&slot| slot == END);
        for (&audience, slots) in routed.touched().iter().zip(of_each) {
            let mut runs = None;
            let mut missed = 0;
            for &slot in slots {
                if let Some(stuck) = self.stuck.get_mut(slot).filter(|stuck| stuck.missed > 0)
                    && !mixed
                {
                    stuck.missed += routed.messages(audience);
                    missed += routed.messages(audience);
                    hurried |= turn - stuck.since <= SOON_TURNS;
                    continue;
                }
                // A peer may have been lost with another one of its dialer.
                let Some(peer) = self.peers.get_mut(slot) else { continue };
                if !matches!(peer.phase, Phase::Traffic(_)) || peer.joined > number {
                    continue;
                }
                let runs = runs.get_or_insert_with(|| routed.runs(audience, batch, &mut gather));
                match peer.overtake(runs, now).and_then(|()| peer.out.offer(runs)) {
                    Ok(offered) => {
                        hurried |= offered.written > 0 && offered.missed > 0;
                        let stuck = offered.missed > 0 && peer.out.is_stuck();
                        self.set_stuck(slot, stuck);
                        self.written(slot);
                    }
                    Err(end) => self.end(slot, end),
                }
            }
            if let Some(runs) = runs {
                gather.recycle(runs);
            }
            if missed > 0 {
                count_missed(hub, missed);
            }
        }
        recipients.clear();
        (self.gather, self.recipients) = (gather, recipients);
        self.fanout.put_back(routed);
        hurried
    }

    /// Nothing more is sent to the socket's peers here: what waits for them is not delivered. What another thread queues
    /// meanwhile is not looked for.
    pub(crate) fn abandon(&mut self, hub: &Arc<Hub>) {
        self.count_batch(hub);
        if let Some(served) = self.hubs.get_mut(&hub.id) {
            served.thick = false;
        }
        if self.take_batch(hub) {
            self.count_batch(hub);
        }
    }

    /// Counts what is left of a batch as undelivered.
    fn count_batch(&mut self, hub: &Arc<Hub>) {
        let mut undelivered = 0;
        while let Some(served) = self.hubs.get(&hub.id)
            && let Some(chunk) = served.batch.get(served.place.chunk)
        {
            if let Some(key) = chunk.to() {
                undelivered += u64::from(self.recipient(hub, key, chunk).is_some());
                let served = self.hubs.get_mut(&hub.id).expect("looked up above");
                served.place = Place { chunk: served.place.chunk + 1, ..Place::default() };
                continue;
            }
            let ledger = hub.demand.read();
            let served = self.hubs.get_mut(&hub.id).expect("looked up above");
            let (number, end) = served.stretch(&self.peers);
            served.place = self.fanout.route(&ledger, &served.batch[..end], served.place);
            let routed = self.fanout.take();
            for &audience in routed.touched() {
                let peers = ledger.peers(audience).iter().map(|&p| &self.peers[ledger.token(p) as usize]);
                let peers =
                    peers.filter(|peer| matches!(peer.phase, Phase::Traffic(_)) && peer.joined <= number);
                undelivered += peers.count() as u64 * routed.messages(audience);
            }
            self.fanout.put_back(routed);
        }
        if let Some(served) = self.hubs.get_mut(&hub.id) {
            served.forget_batch();
        }
        count_abandoned(hub, undelivered);
    }

    /// Notes whether a peer is blocked and full. A peer that stops to be so is told what it has missed meanwhile.
    pub(crate) fn set_stuck(&mut self, slot: usize, stuck: bool) {
        if stuck && self.stuck.len() <= slot {
            self.stuck.resize(slot + 1, Stuck::default());
        }
        let since = self.turns;
        match self.stuck.get_mut(slot) {
            Some(known) if stuck && known.missed == 0 => *known = Stuck { missed: 1, since },
            Some(_) if stuck => {}
            Some(known) => {
                let missed = std::mem::take(known).missed.saturating_sub(1);
                if missed > 0
                    && let Some(peer) = self.peers.get_mut(slot)
                {
                    peer.out.miss_unoffered(missed, 0);
                }
            }
            None => {}
        }
    }
}
