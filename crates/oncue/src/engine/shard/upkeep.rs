//! What a shard does for its peers besides messages: heartbeats, eviction of full peers, verdicts about subscriptions,
//! states of topics.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use oncue_core::command;
use oncue_core::frame::Version;

use super::Shard;
use super::timers::Check;
use crate::authentication::Refusal;
use crate::engine::hub::announced::{is_of_prefix, put_value};
use crate::engine::hub::confirmations::Confirmation;
use crate::engine::hub::{Hub, Verdict};
use crate::engine::peer::Phase;
use crate::engine::peer::end::End;
use crate::engine::peer::pulse::Beat;
use crate::msg::Msg;
use crate::net::{Net, Stream};
use crate::peers::PeerStatus;
use crate::permission::{PeerKey, Reason};
use crate::user::User;

impl<N: Net> Shard<N> {
    /// A peer's handshake is done: from now on its silence is noticed, if the socket's options say so.
    pub(crate) fn begin_watch(&mut self, slot: usize) {
        let (now, chance) = (self.now, self.chance());
        let peer = &mut self.peers[slot];
        let (Phase::Traffic(traffic), Some(pace)) = (&peer.phase, peer.hub.options.pace()) else { return };
        if !peer.out.stream.may_fall_silent() {
            return;
        }
        if traffic.version < Version::V3_1 {
            peer.out.stream.probe(pace.interval, pace.timeout);
            if !peer.out.stream.has_pings() {
                return;
            }
        }
        // Thousands of peers that came at once are not all pinged in one turn.
        let first = pace.interval.mul_f64(1.0 - chance / 2.0);
        peer.pulse.begin(pace, now.saturating_add(first));
    }

    /// Sets the timer for a peer's next check.
    pub(crate) fn set_look(&mut self, slot: usize) {
        let now = self.now;
        let Some(peer) = self.peers.get_mut(slot) else { return };
        let paused = peer.is_paused();
        peer.pulse.pause(paused, now);
        if matches!(peer.phase, Phase::Traffic(_))
            && let Some(at) = peer.pulse.set_timer()
        {
            self.set_timer(slot, at, Check::Look);
        }
    }

    /// A timer of a peer has fired.
    pub(crate) fn look(&mut self, slot: usize) {
        if !self.peers[slot].pulse.timer_fired(self.now) {
            return;
        }
        if self.beat(slot) == Beat::Dead {
            // What arrived while the shard served others has not been read yet.
            self.read(slot);
            if self.beat(slot) == Beat::Dead {
                return self.end(slot, End::Silent);
            }
        }
        self.set_look(slot);
    }

    /// Does what is due for a peer, except ending it. Returns what that was.
    fn beat(&mut self, slot: usize) -> Beat {
        let now = self.now;
        let Some(peer) = self.peers.get_mut(slot) else { return Beat::Nothing };
        if peer.is_paused() {
            // It is this side that does not read.
            peer.pulse.hear(now);
        }
        let beat = peer.pulse.beat(now);
        let sent = match beat {
            // It would queue behind what the peer has not taken; taking that is a sign of life as well.
            _ if peer.out.queue().is_blocked() => Ok(()),
            Beat::Ping { .. } if peer.out.stream.has_pings() => {
                if !peer.out.stream.ping() {
                    peer.pulse.excuse();
                }
                Ok(())
            }
            Beat::Ping { ttl_ds } => {
                peer.out.control(|out| command::put_ping(out, ttl_ds, b""));
                peer.out.flush()
            }
            Beat::Assure => {
                peer.out.control(|out| command::put_pong(out, b""));
                peer.out.flush()
            }
            Beat::Dead | Beat::Nothing => Ok(()),
        };
        let failed = sent.is_err();
        self.wrote(slot, sent);
        if failed { Beat::Nothing } else { beat }
    }

    /// Notes how full a peer is, after something was queued for it or written to it.
    pub(crate) fn gauge(&mut self, slot: usize) {
        let Some(peer) = self.peers.get_mut(slot) else { return };
        if peer.gauge(self.now, &mut self.wakes)
            && let Some(time) = peer.hub.options.evict_after
            && !std::mem::replace(&mut peer.evict_set, true)
        {
            self.set_timer(slot, self.now.saturating_add(time), Check::Evict);
        }
    }

    /// The marks of a socket have changed: each of its peers has room, or lacks it, as they say now.
    pub(crate) fn marks_changed(&mut self, hub: &Arc<Hub>) {
        for slot in self.slots_of(hub) {
            if let Some(peer) = self.peers.get_mut(slot) {
                peer.marks_changed();
            }
            self.set_stuck(slot, false);
            self.written(slot);
        }
        self.retry_batch(hub);
    }

    /// Evicts a peer that has been full for too long.
    pub(crate) fn evict(&mut self, slot: usize) {
        let peer = &mut self.peers[slot];
        peer.evict_set = false;
        let (Some(since), Some(time)) = (peer.full_since.get(), peer.hub.options.evict_after) else { return };
        if !matches!(peer.phase, Phase::Traffic(_)) {
            return;
        }
        let over = since.saturating_add(time);
        if self.now < over {
            peer.evict_set = true;
            return self.set_timer(slot, over, Check::Evict);
        }
        peer.hub.counters.peers_evicted.fetch_add(1, Ordering::Relaxed);
        self.end(slot, End::too_slow());
    }

    /// Asks all publishers of a socket whether they have a subscription in force, which they have been told.
    pub(crate) fn ask_publishers(&mut self, hub: &Arc<Hub>, confirmation: &Arc<Confirmation>) {
        for slot in self.slots_of(hub) {
            if let Some(peer) = self.peers.get_mut(slot) {
                let asked = peer.ask(confirmation);
                self.wrote(slot, asked);
            }
        }
        confirmation.shard_asked(&mut self.wakes);
    }

    /// Asks a publisher that has just connected what is asked for more publishers than there were.
    pub(crate) fn ask_late_publisher(&mut self, slot: usize, hub: &Hub) {
        for confirmation in hub.confirmations.open().iter().filter(|open| open.wants_more()) {
            let Some(peer) = self.peers.get_mut(slot) else { return };
            // The subscription may be newer than what it was told in its handshake.
            let asked = peer.tell_subscriptions().and_then(|()| peer.ask(confirmation));
            self.wrote(slot, asked);
        }
    }

    /// A decision about one peer of a socket, if the peer is still there.
    pub(crate) fn decided(&mut self, hub: &Arc<Hub>, key: PeerKey, prefix: &[u8], verdict: Verdict) {
        let slot = key.slot;
        let Some((peer, mut cx)) = self.with_context(slot) else { return };
        if peer.uid != key.uid || peer.hub.id != hub.id {
            return;
        }
        if let Err(end) = peer.decided(prefix, verdict, &mut cx) {
            return self.end(slot, end);
        }
        self.written(slot);
        self.retry_batch(hub);
    }

    /// The authenticator has decided about a peer, if it is still there.
    pub(crate) fn authenticated(&mut self, slot: usize, uid: u64, answer: Result<User, Refusal>) {
        if let Some(peer) = self.peer(slot, uid) {
            peer.authenticated(answer);
            self.read_soon(slot);
        }
    }

    /// Appends how the peers of a socket stand.
    pub(crate) fn statuses(&self, hub: &Hub, found: &mut Vec<PeerStatus>) {
        let (ledger, now) = (hub.demand.read(), hub.now());
        let stuck = |slot: usize| self.stuck.get(slot).map_or(0, |stuck| stuck.missed.saturating_sub(1));
        let slots = self.slots_of(hub).into_iter();
        found.extend(slots.filter_map(|slot| self.peers[slot].status(&ledger, stuck(slot), now)));
    }

    /// The user disconnects a peer, if it is still there.
    pub(crate) fn dismiss(&mut self, hub: &Hub, key: PeerKey, reason: Option<Reason>) {
        if self.peer(key.slot, key.uid).is_some_and(|peer| peer.hub.id == hub.id) {
            self.end(key.slot, End::Dismissed(reason));
        }
    }

    pub(crate) fn revoke_all(&mut self, hub: &Arc<Hub>, prefix: &[u8], status: &Reason) {
        for slot in self.slots_of(hub) {
            if let Some(peer) = self.peers.get(slot) {
                let key = PeerKey { shard: self.index, slot, uid: peer.uid };
                self.decided(hub, key, prefix, Verdict::Revoke(status.clone()));
            }
        }
    }

    /// Tells a state to the peers that want its topic, or have subscribed to exactly its prefix, behind the messages that were
    /// sent before it.
    pub(crate) fn tell_state(&mut self, hub: &Arc<Hub>, value: &Msg) {
        self.send_at_once(hub);
        let slots: Vec<_> = {
            let ledger = hub.demand.read();
            let audiences = self.fanout.audiences(&ledger, value.topic());
            let peers = audiences.iter().flat_map(|&audience| ledger.peers(audience));
            let exact = is_of_prefix(value);
            let peers = peers.filter(|&&peer| !exact || ledger.contains(peer, value.topic()));
            peers.map(|&peer| ledger.token(peer) as usize).collect()
        };
        let mut out = Vec::new();
        put_value(&mut out, value);
        for slot in slots {
            let Some(peer) = self.peers.get_mut(slot).filter(|peer| peer.understands()) else { continue };
            peer.out.tell_states(out.clone(), 1);
            let flushed = peer.out.flush();
            self.wrote(slot, flushed);
        }
    }
}
