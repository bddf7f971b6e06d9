//! One other site: which process of it lives, and how far its demand is known.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use super::asking::Asking;
use super::demand::Demand;
use super::info::{Phase, SiteInfo};
use super::output::{Output, Why};
use super::pending::Pending;
use super::quotas::Quotas;
use crate::edges::Prefix;
use crate::mesh::codec::{Delta, Heartbeat, Snapshot};

/// What an input takes place in.
pub(super) struct Turn<'a> {
    pub(super) now: Duration,
    /// Silence before this time does not count: this process did not run.
    pub(super) awake: Duration,
    pub(super) timeout: Duration,
    pub(super) quotas: &'a Quotas,
    pub(super) out: &'a mut VecDeque<Output>,
}

/// One other site.
pub(super) struct Site {
    name: Arc<str>,
    epoch: u64,
    life: Life,
    /// Since when `life` is so.
    since: Duration,
    heard: Option<Duration>,
    /// Whether `demand` is the site's at `sequence`.
    synced: bool,
    sequence: u64,
    demand: Demand,
    /// Changes of demand that are not output yet.
    edges: Vec<(Prefix, bool)>,
    pending: Pending,
    asking: Asking,
    snapshots: u64,
    gaps: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Life {
    Alive,
    Silent,
    Gone,
}

impl Site {
    /// A site of which nothing is known. `seed` keys the index of its prefixes.
    pub(super) fn new(name: Arc<str>, seed: u64, now: Duration) -> Site {
        Site {
            name,
            epoch: 0,
            life: Life::Gone,
            since: now,
            heard: None,
            synced: false,
            sequence: 0,
            demand: Demand::new(seed),
            edges: Vec::new(),
            pending: Pending::default(),
            asking: Asking::default(),
            snapshots: 0,
            gaps: 0,
        }
    }

    pub(super) fn is_alive(&self) -> bool {
        self.life == Life::Alive
    }

    /// Since when it is alive, or not.
    pub(super) fn since(&self) -> Duration {
        self.since
    }

    /// Whether something of this epoch would make it alive.
    pub(super) fn is_woken_by(&self, epoch: u64) -> bool {
        !self.is_alive() && epoch >= self.epoch
    }

    /// Its liveness token has come or gone.
    pub(super) fn token(&mut self, epoch: u64, alive: bool, turn: &mut Turn<'_>) {
        match alive {
            true if epoch > self.epoch || self.is_woken_by(epoch) => self.begin(epoch, turn),
            false if epoch == self.epoch && self.is_alive() => self.end(Why::Left, turn),
            false if epoch == self.epoch && self.life == Life::Silent => self.rest(Life::Gone, turn),
            _ => {}
        }
        self.ask(turn);
    }

    pub(super) fn heartbeat(&mut self, heartbeat: &Heartbeat, turn: &mut Turn<'_>) {
        if !self.hear(heartbeat.epoch, turn) {
            return;
        }
        let Heartbeat { sequence, hash, count, .. } = *heartbeat;
        let differs = sequence == self.sequence && self.demand.claimed() != (count, hash);
        if self.follows() && (sequence > self.sequence || differs) {
            self.gap(turn);
        }
        self.ask(turn);
    }

    pub(super) fn delta(&mut self, delta: &Delta<'_>, payload: &[u8], turn: &mut Turn<'_>) {
        if !self.hear(delta.epoch, turn) {
            return;
        }
        if self.follows() {
            self.apply(delta, payload, turn);
        } else {
            self.pending.keep(delta, payload, turn.quotas.pending_bytes);
        }
        self.tell(turn);
        self.ask(turn);
    }

    /// The question to the process `asked` has been answered, or has failed. Without need it is nothing.
    pub(super) fn snapshot(&mut self, asked: u64, answer: Option<&Snapshot<'_>>, turn: &mut Turn<'_>) {
        if !self.is_alive() || asked != self.epoch || self.follows() {
            return;
        }
        match answer {
            Some(snapshot) if self.is_current(&snapshot.head) => self.become_what(snapshot, turn),
            _ => self.asking.failed(turn.now),
        }
        if self.synced {
            self.catch_up(turn);
        }
        self.tell(turn);
        self.ask(turn);
    }

    /// Time has passed.
    pub(super) fn tick(&mut self, turn: &mut Turn<'_>) {
        if self.silent_at(turn.awake, turn.timeout).is_some_and(|at| at <= turn.now) {
            self.end(Why::Silent, turn);
        }
        self.ask(turn);
    }

    /// When to call [`tick`](Self::tick).
    pub(super) fn deadline(&self, awake: Duration, timeout: Duration) -> Option<Duration> {
        let silent = self.silent_at(awake, timeout)?;
        Some(self.asking.deadline().map_or(silent, |ask| ask.min(silent)))
    }

    /// When it counts as silent if nothing comes.
    fn silent_at(&self, awake: Duration, timeout: Duration) -> Option<Duration> {
        let last = self.heard.map_or(self.since, |heard| heard.max(self.since));
        self.is_alive().then(|| last.max(awake).saturating_add(timeout))
    }

    /// Something of its log has come. Returns whether it is of the newest process.
    fn hear(&mut self, epoch: u64, turn: &mut Turn<'_>) -> bool {
        if epoch < self.epoch {
            return false;
        }
        if epoch > self.epoch || !self.is_alive() {
            self.begin(epoch, turn);
        }
        self.heard = Some(turn.now);
        true
    }

    /// Whether deltas take effect at once.
    fn follows(&self) -> bool {
        self.synced && !self.asking.is_asked()
    }

    /// Whether an answer is of this process or a later one, and no older than what is known.
    fn is_current(&self, head: &Heartbeat) -> bool {
        head.epoch > self.epoch || (head.epoch == self.epoch && head.sequence >= self.sequence)
    }

    fn become_what(&mut self, snapshot: &Snapshot<'_>, turn: &mut Turn<'_>) {
        if snapshot.head.epoch > self.epoch {
            self.begin(snapshot.head.epoch, turn);
        }
        self.asking.answered(turn.now);
        self.heard = Some(turn.now);
        self.demand.replace(snapshot, turn.quotas, &mut self.edges);
        self.sequence = snapshot.head.sequence;
        self.synced = true;
    }

    /// Applies what has waited, up to the next gap.
    fn catch_up(&mut self, turn: &mut Turn<'_>) {
        while self.follows()
            && let Some(payload) = self.pending.pop()
        {
            let delta = Delta::decode(&payload).expect("it was decoded before it was kept");
            self.apply(&delta, &payload, turn);
        }
    }

    fn apply(&mut self, delta: &Delta<'_>, payload: &[u8], turn: &mut Turn<'_>) {
        if delta.last <= self.sequence {
            return;
        }
        if delta.first > self.sequence + 1 {
            self.gap(turn);
            self.pending.keep(delta, payload, turn.quotas.pending_bytes);
            return;
        }
        let seen = self.sequence + 1 - delta.first;
        let before = self.edges.len();
        for change in delta.changes().skip(usize::try_from(seen).unwrap_or(usize::MAX)) {
            if self.demand.change(change, turn.quotas, &mut self.edges).is_err() {
                return self.gap(turn);
            }
            self.sequence += 1;
        }
        let left = self.edges[before..].iter().any(|(_, wanted)| !wanted);
        if left && self.demand.may_grow(turn.quotas) {
            self.asking.want(turn.now);
        }
    }

    /// What is known is not what the site has told. It stays in force until the snapshot comes.
    fn gap(&mut self, turn: &mut Turn<'_>) {
        self.synced = false;
        self.gaps += 1;
        self.asking.want(turn.now);
    }

    /// A process of it lives.
    fn begin(&mut self, epoch: u64, turn: &mut Turn<'_>) {
        if self.is_alive() {
            self.end(Why::Replaced, turn);
        }
        if epoch > self.epoch {
            self.heard = None;
        }
        self.epoch = epoch;
        self.rest(Life::Alive, turn);
        turn.out.push_back(Output::Up { site: self.name.clone(), epoch });
        self.asking.want(turn.now);
    }

    /// Its demand is void.
    fn end(&mut self, why: Why, turn: &mut Turn<'_>) {
        self.edges.clear();
        self.pending.clear();
        self.demand.clear();
        self.asking.cancel(turn.now);
        self.sequence = 0;
        self.synced = false;
        self.rest(if why == Why::Silent { Life::Silent } else { Life::Gone }, turn);
        turn.out.push_back(Output::Down { site: self.name.clone(), epoch: self.epoch, why });
    }

    fn rest(&mut self, life: Life, turn: &Turn<'_>) {
        self.life = life;
        self.since = turn.now;
    }

    /// Outputs the changes of demand.
    fn tell(&mut self, turn: &mut Turn<'_>) {
        if !self.edges.is_empty() {
            let changes = core::mem::take(&mut self.edges);
            turn.out.push_back(Output::Changes { site: self.name.clone(), epoch: self.epoch, changes });
        }
    }

    /// Asks if it is time to. A question without an answer has failed, and what has waited for it may take effect.
    fn ask(&mut self, turn: &mut Turn<'_>) {
        let waited = self.asking.is_asked();
        if self.asking.turn(turn.now) {
            self.snapshots += 1;
            turn.out.push_back(Output::Ask { site: self.name.clone(), epoch: self.epoch });
        } else if waited && self.follows() {
            self.catch_up(turn);
            self.tell(turn);
        }
    }

    /// What is known of it.
    pub(super) fn info(&self) -> SiteInfo<'_> {
        SiteInfo {
            name: &self.name,
            epoch: self.epoch,
            phase: match self.life {
                Life::Alive if self.follows() => Phase::Live,
                Life::Alive => Phase::Joining,
                Life::Silent => Phase::Silent,
                Life::Gone => Phase::Gone,
            },
            since: self.since,
            heard: self.heard,
            sequence: self.sequence,
            prefixes: self.demand.len(),
            prefixes_refused: self.demand.refused(),
            snapshots: self.snapshots,
            log_gaps: self.gaps,
            pending_bytes: self.pending.bytes(),
            allocated_bytes: size_of::<Site>() + self.demand.allocated_bytes() + self.pending.bytes(),
        }
    }

    /// Its prefixes in force.
    pub(super) fn prefixes(&self) -> impl Iterator<Item = &[u8]> {
        self.demand.prefixes()
    }
}
