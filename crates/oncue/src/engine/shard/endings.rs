//! How connections and sockets end: demand ends at once; what is queued is written first if that was promised.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use oncue_core::command;

use crate::engine::hub::Hub;
use crate::engine::hub::Note;
use crate::engine::hub::limits::Limit;
use crate::engine::peer::end::End;
use crate::engine::peer::{Peer, Phase};
use crate::engine::shard::link::Outcome;
use crate::engine::shard::timers::{Check, Timer};
use crate::engine::shard::{REFUSAL_TIME, Shard};
use crate::error::Error;
use crate::net::Net;
use crate::permission::PeerKey;

/// The work of taking a peer out of its socket, with as many prefixes as are released at once.
const RETIRE_WORK: u32 = 1000;

impl<N: Net> Shard<N> {
    /// A connection has ended: its demand ends at once, and a dialer tries again.
    pub(crate) fn end(&mut self, slot: usize, end: End) {
        if let Some(peer) = self.peers.get(slot) {
            // Before any waiter can see that it is gone and read the counters.
            peer.say_end(&end);
        }
        let departure = self.departure(slot, &end);
        self.retire(slot);
        let Some(peer) = self.peers.get_mut(slot) else { return };
        let (dialer, link) = (peer.dialer.take(), peer.link);
        let outcome = match peer.phase {
            Phase::Connecting => Outcome::Nothing,
            _ => Outcome::Connection { since: peer.since.get(), unnamed: peer.left_unnamed(&end) },
        };
        if let Some(word) = end.last_word() {
            if let Phase::Traffic(traffic) = &peer.phase
                && traffic.version.has_commands()
            {
                peer.out.control(|out| command::put_error(out, &word));
            }
            // No peer can read a reason on a connection that was not made: it is released at once.
            if !matches!(peer.phase, Phase::Draining | Phase::Connecting) && peer.out.flush().is_ok() {
                self.set_timer(slot, self.now + REFUSAL_TIME, Check::Drain);
                self.drain(slot);
                return self.redial(dialer, link, (outcome, departure), &end);
            }
        }
        let mut peer = self.peers.remove(slot);
        peer.out.give_up();
        let hub = peer.hub.clone();
        self.net.release(peer.out.stream.into_stream());
        self.redial(dialer, link, (outcome, departure), &end);
        self.drain_if_closing(&hub);
    }

    fn drain(&mut self, slot: usize) {
        self.peers[slot].drain();
        self.read_soon(slot);
    }

    /// Takes a peer out of its socket: nothing more goes out to it, and its demand ends.
    pub(crate) fn retire(&mut self, slot: usize) {
        self.set_stuck(slot, false);
        let Some(peer) = self.peers.get(slot) else { return };
        let (hub, key) = (peer.hub.clone(), PeerKey { shard: self.index, slot, uid: peer.uid });
        peer.leave_publisher();
        if self.hubs.get(&hub.id).is_some_and(|served| served.peers == [slot]) {
            self.abandon(&hub);
        }
        let Phase::Traffic(traffic) = &mut self.peers[slot].phase else { return };
        let ledger = traffic.ledger.take();
        hub.publisher_left(key, &mut self.wakes);
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
            hub.gauge.forget(ledger, &mut self.wakes);
            let mut edit = hub.demand.edit();
            self.work += RETIRE_WORK;
            if edit.detach(ledger) && !std::mem::replace(&mut served.releasing, true) {
                self.mailbox.mail(Note::Release(hub.clone()));
            }
            edit.finish(&mut self.wakes);
            if served.peers.is_empty() {
                hub.outbox.leave(self.index);
                hub.room.take(&mut self.wakes);
            }
        }
        self.retry_batch(&hub);
    }

    /// The handshake of a peer of a socket gives way to others, unless it is done by now.
    pub(crate) fn give_way(&mut self, hub: &Hub, key: PeerKey) {
        let max = hub.options.handshakes_max;
        if self.peer(key.slot, key.uid).is_some_and(|peer| matches!(peer.phase, Phase::Handshake(_))) {
            let text = format!(
                "its handshake was the oldest of those from its address when {max} others were in flight (handshakes_max)"
            );
            self.end(key.slot, End::Exceeded(Limit::Handshakes, Error::peer(text)));
        }
    }

    /// Releases one more part of what departed peers left behind; other work is done in between.
    pub(crate) fn release(&mut self, hub: &Arc<Hub>) {
        let Some(served) = self.hubs.get_mut(&hub.id) else { return };
        let mut edit = hub.demand.edit();
        served.releasing = edit.release();
        edit.finish(&mut self.wakes);
        hub.gauge.demand_changed(&mut self.wakes);
        match served.releasing {
            true => self.mailbox.mail(Note::Release(hub.clone())),
            false => self.drain_if_closing(hub),
        }
    }

    /// The user has closed the socket: nothing new is accepted or dialled, what is queued is written.
    pub(crate) fn close(&mut self, hub: &Arc<Hub>) {
        // This is the last send: write coalescing would find nothing to keep the socket for.
        self.send_at_once(hub);
        let links = self.links.iter().filter(|(_, link)| link.hub.id == hub.id);
        for slot in links.map(|(slot, _)| slot).collect::<Vec<_>>() {
            self.links.remove(slot).shut();
        }
        let Some(served) = self.hubs.get_mut(&hub.id) else { return hub.shard_done(&mut self.wakes) };
        served.closing = true;
        self.end_peers(|peer| peer.hub.id == hub.id && !matches!(peer.phase, Phase::Traffic(_)));
        self.linger(hub, hub.options.linger);
        self.drain_if_closing(hub);
    }

    /// Shuts down the peers of a closed socket whose queues are empty. The user need not wait for what follows: the
    /// socket is dropped when its peers have closed too.
    pub(crate) fn drain_if_closing(&mut self, hub: &Arc<Hub>) {
        let Some(served) = self.hubs.get(&hub.id).filter(|served| served.closing) else { return };
        if served.batch.is_empty() {
            for slot in served.peers.clone() {
                if self.peers[slot].out.queue().is_empty() && !self.peers[slot].owes() {
                    self.retire(slot);
                    self.drain(slot);
                }
            }
        }
        let Some(served) = self.hubs.get_mut(&hub.id) else { return };
        if served.releasing {
            // Watches get all changes before the socket goes.
            return;
        }
        if served.peers.is_empty() && !std::mem::replace(&mut served.done, true) {
            hub.shard_done(&mut self.wakes);
        }
        if !self.peers.iter().any(|(_, peer)| peer.hub.id == hub.id) {
            self.hubs.remove(&hub.id);
        }
    }

    /// The linger of a closed socket ends after `time`, unless it ends before.
    pub(crate) fn linger(&mut self, hub: &Arc<Hub>, time: Duration) {
        if self.hubs.get(&hub.id).is_some_and(|served| served.closing) {
            self.timers.set(self.now.saturating_add(time), Timer::Linger { hub: hub.id });
        }
    }

    /// The linger time of a closed socket is over: what is still queued is dropped.
    pub(crate) fn give_up(&mut self, hub: u64) {
        let Some(served) = self.hubs.get(&hub) else { return };
        let hub = served.hub.clone();
        self.abandon(&hub);
        self.end_peers(|peer| peer.hub.id == hub.id);
        self.drain_if_closing(&hub);
    }

    /// This side needs the connections of some peers no more.
    pub(crate) fn end_peers(&mut self, which: impl Fn(&Peer<N::Stream>) -> bool) {
        let peers = self.peers.iter().filter(|(_, peer)| which(peer));
        for slot in peers.map(|(slot, _)| slot).collect::<Vec<_>>() {
            if self.peers.contains(slot) {
                self.end(slot, End::Done);
            }
        }
    }
}
