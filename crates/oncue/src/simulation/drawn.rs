//! Options drawn at random: each that changes what a socket does, within what leaves a history its invariants.

use super::*;
use crate::Keep;

/// What the sockets of one history have in common.
#[derive(Clone, Debug)]
pub(super) struct Draw {
    /// All sockets monitor their peers, so that a line may be cut.
    pub(super) heartbeats: bool,
    /// A full peer may be disconnected: then what it misses is not counted anywhere.
    pub(super) disconnects: bool,
    welcome: bool,
}

impl Draw {
    pub(super) fn new(sim: &Sim, policy: OnFull) -> Draw {
        let heartbeats = sim.below(3) == 0;
        let disconnects = policy == OnFull::Disconnect || sim.below(8) == 0;
        Draw { heartbeats, disconnects, welcome: sim.below(4) == 0 }
    }

    /// What both sides may have.
    fn any(&self, sim: &Sim, options: Options) -> Options {
        let millis = Duration::from_millis;
        let mut options = options
            .handshake_timeout(millis([300, 1000, 30_000][sim.below(3)]))
            .message_timeout(millis([5000, 30_000][sim.below(2)]))
            .linger([Duration::ZERO, millis(5), millis(1000), CALM][sim.below(4)])
            .prefix_length_max([10, 65_526][sim.below(2)])
            .message_bytes_max([2000, 1 << 20][sim.below(2)])
            .listen_backlog(1);
        options = match sim.below(3) {
            0 => options.reconnect(millis(1), millis(1000)),
            1 => options.reconnect(millis(500), millis(500)),
            _ => options,
        };
        if sim.below(2) == 0 {
            options = options.connect_timeout(millis([50, 10_000][sim.below(2)]));
        }
        if sim.below(3) == 0 {
            options = options.metadata("X-Simulated", "yes");
        }
        if !self.heartbeats {
            return options.heartbeat_off();
        }
        // Rare, since most of the time passes in the calm; a line that is cut is noticed within it.
        let interval = Duration::from_secs([20, 30][sim.below(2)]);
        options = options.heartbeat(interval, interval * 2);
        if sim.below(2) == 0 { options.heartbeat_ttl(interval * 2) } else { options }
    }

    pub(super) fn publisher(&self, sim: &Sim, options: &Options) -> Options {
        let mut options = self
            .any(sim, options.clone())
            .outbox_bytes_max([256 << 10, 4 << 20][sim.below(2)])
            .last_values_bytes_max([0, 64 << 20][sim.below(2)])
            .only_first_subscribe(sim.below(2) == 0)
            .discard_messages(sim.below(2) == 0);
        if self.welcome {
            options = options.welcome("welcome");
        }
        match self.disconnects {
            true => options.evict_after(Duration::from_millis([1, 50, 2000][sim.below(3)])),
            false => options,
        }
    }

    pub(super) fn subscriber(&self, sim: &Sim, options: &Options) -> Options {
        let options = self.any(sim, options.clone());
        let options = match sim.below(4) {
            0 => options.received_bytes_max(2000),
            _ => options,
        };
        match sim.below(4) {
            0 => options.keep(Keep::Latest),
            _ => options,
        }
    }
}
