//! What a shard does for its peers by the clock: heartbeats, and the end of those that are silent.

use oncue_core::command;
use oncue_core::frame::Version;

use crate::engine::peer::pulse::Beat;
use crate::engine::peer::{End, Phase};
use crate::engine::shard::Shard;
use crate::engine::shard::timers::Timer;
use crate::net::{Net, Stream};

impl<N: Net> Shard<N> {
    /// A peer's handshake is done: from now on its silence has an end, where the socket's options say so.
    pub(crate) fn begin_watch(&mut self, slot: usize) {
        let (now, chance) = (self.now, self.chance());
        let peer = &mut self.peers[slot];
        let (Phase::Traffic(traffic), Some(pace)) = (&peer.phase, peer.hub.options.pace()) else { return };
        if !peer.out.stream.may_fall_silent() {
            return;
        }
        if traffic.version < Version::V3_1 {
            return peer.out.stream.probe(pace.interval, pace.timeout);
        }
        // Thousands that came at once are not all pinged in one turn.
        let first = pace.interval.mul_f64(1.0 - chance / 2.0);
        peer.pulse.begin(pace, now.saturating_add(first));
    }

    /// Sees to it that a peer is looked at in time.
    pub(crate) fn set_look(&mut self, slot: usize) {
        let now = self.now;
        let Some(peer) = self.peers.get_mut(slot) else { return };
        let paused = peer.is_paused();
        peer.pulse.pause(paused, now);
        if matches!(peer.phase, Phase::Traffic(_))
            && let Some(at) = peer.pulse.set_timer()
        {
            self.timers.set(at, Timer::Look { slot, uid: peer.uid });
        }
    }

    /// A timer of a peer has fired.
    pub(crate) fn look(&mut self, slot: usize, uid: u64) {
        let now = self.now;
        let Some(peer) = self.peer(slot, uid) else { return };
        if !matches!(peer.phase, Phase::Traffic(_)) || !peer.pulse.timer_fired(now) {
            return;
        }
        if self.beat(slot, uid) == Beat::Dead {
            // What came while the shard saw to others has not been looked at yet.
            self.read(slot, uid);
            if self.beat(slot, uid) == Beat::Dead {
                return self.end(slot, End::Lost);
            }
        }
        self.set_look(slot);
    }

    /// Does what is to be done about a peer now, but for ending it.
    fn beat(&mut self, slot: usize, uid: u64) -> Beat {
        let now = self.now;
        let Some(peer) = self.peer(slot, uid) else { return Beat::Nothing };
        if peer.is_paused() {
            // It is we who do not listen.
            peer.pulse.hear(now);
        }
        let beat = peer.pulse.beat(now);
        let sent = match beat {
            // It would come behind what the peer has not taken yet, and taking that is a sign of life as well.
            _ if peer.out.is_blocked() => Ok(()),
            Beat::Ping { ttl_ds } => peer.control(|out| command::put_ping(out, ttl_ds, b"")),
            Beat::Assure => peer.control(|out| command::put_pong(out, b"")),
            Beat::Dead | Beat::Nothing => Ok(()),
        };
        match sent {
            Ok(()) => self.written(slot),
            Err(end) => {
                self.end(slot, end);
                return Beat::Nothing;
            }
        }
        beat
    }
}
