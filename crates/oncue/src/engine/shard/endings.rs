//! How connections and sockets end: what a peer had goes at once, what is queued for it goes out first where that was promised.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use oncue_core::command;

use crate::engine::hub::Hub;
use crate::engine::hub::Note;
use crate::engine::peer::end::End;
use crate::engine::peer::{Peer, Phase};
use crate::engine::shard::fanout::Place;
use crate::engine::shard::link::Outcome;
use crate::engine::shard::timers::Timer;
use crate::engine::shard::{REFUSAL_TIME, Shard};
use crate::net::{Net, Stream};

/// The work of taking a peer out of its socket, with as many prefixes as go at once.
const RETIRE_WORK: u32 = 1000;

impl<N: Net> Shard<N> {
    /// A connection is over: its prefixes go at once; a dialer tries again.
    pub(crate) fn end(&mut self, slot: usize, end: End) {
        if let Some(peer) = self.peers.get(slot) {
            // Before anybody hears that it is gone, and looks at the counts.
            peer.say_end(&end);
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
                command::put_error(&mut out, &reason.to_string());
                peer.out.control(out);
            }
            if !matches!(peer.phase, Phase::Draining) && peer.flush().is_ok() {
                self.timers.set(self.now + REFUSAL_TIME, Timer::Drain { slot, uid });
                self.drain(slot);
                return self.redial(dialer, link, outcome, &end);
            }
        }
        let peer = self.peers.remove(slot);
        let hub = peer.hub.clone();
        self.net.release(peer.out.stream);
        self.redial(dialer, link, outcome, &end);
        self.drain_if_closing(&hub);
    }

    /// Nothing more goes out to the peer; what still comes is read and thrown away, until the peer closes too. A close
    /// with bytes unread would make the system throw away what the peer has not read yet.
    pub(crate) fn drain(&mut self, slot: usize) {
        let peer = &mut self.peers[slot];
        peer.dialer = None;
        peer.out.stream.shutdown_write();
        peer.phase = Phase::Draining;
        peer.forget_partial();
        let uid = peer.uid;
        self.read_soon(slot, uid);
    }

    /// Takes a peer out of its socket: from now on nothing goes out to it, and what it wanted it wants no more.
    pub(crate) fn retire(&mut self, slot: usize) {
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
    pub(crate) fn release(&mut self, hub: &Arc<Hub>) {
        let Some(served) = self.hubs.get_mut(&hub.id) else { return };
        served.releasing = hub.release(&mut self.wakes);
        match served.releasing {
            true => self.mailbox.mail(Note::Release(hub.clone())),
            false => self.drain_if_closing(hub),
        }
    }

    /// The user has closed the socket: nothing new comes in or is dialled, what is queued goes out.
    pub(crate) fn close(&mut self, hub: &Arc<Hub>) {
        // Nothing comes after this: what is taken now is all, and a later rest finds nothing to keep waiting.
        self.send_at_once(hub);
        self.unlink_all(hub);
        let Some(served) = self.hubs.get_mut(&hub.id) else { return hub.shard_done(&mut self.wakes) };
        served.closing = true;
        let unready = |peer: &Peer<_>| !matches!(peer.phase, Phase::Traffic(_));
        let slots: Vec<_> = self.peers.iter().filter(|(_, p)| p.hub.id == hub.id && unready(p)).collect();
        let slots: Vec<_> = slots.into_iter().map(|(slot, _)| slot).collect();
        for slot in slots {
            self.end(slot, End::Done);
        }
        self.timers.set(self.now.saturating_add(hub.options.linger), Timer::Linger { hub: hub.id });
        self.drain_hub(hub);
    }

    pub(crate) fn drain_if_closing(&mut self, hub: &Arc<Hub>) {
        if self.hubs.get(&hub.id).is_some_and(|served| served.closing) {
            self.drain_hub(hub);
        }
    }

    /// Shuts the peers of a closed socket down whose queues are empty. The user need not wait for what follows: the
    /// socket is forgotten when the peers have closed too.
    pub(crate) fn drain_hub(&mut self, hub: &Arc<Hub>) {
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
    pub(crate) fn give_up(&mut self, hub: u64) {
        let Some(served) = self.hubs.get_mut(&hub) else { return };
        let hub = served.hub.clone();
        served.batch.clear();
        let slots: Vec<_> =
            self.peers.iter().filter(|(_, p)| p.hub.id == hub.id).map(|(slot, _)| slot).collect();
        for slot in slots {
            if self.peers.contains(slot) {
                self.end(slot, End::Done);
            }
        }
        self.drain_hub(&hub);
    }
}
