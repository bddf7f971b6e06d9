//! What subscriptions do, in the order in which they came: to the ledger, and for the subscriber itself, which gets
//! the last values of what it newly wants before any other message of it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Waker;
use std::time::Duration;

use oncue_core::command::{STATE_TOPIC_BYTES_MAX, Standing, State, StateNews, Subscription, put_state};
use oncue_core::ledger::PeerId;

use super::end::End;
use super::outgoing::Outgoing;
use super::owed::{Owed, Payee};
use super::rare::Rare;
use crate::bucket::{Bucket, Rate};
use crate::engine::hub::announced::put_value;
use crate::engine::hub::demand::Edit;
use crate::engine::hub::kept::{Asking, Cursor, Fresh, PORTION};
use crate::engine::hub::limits::Limit;
use crate::engine::hub::outbox::Number;
use crate::engine::hub::{Hub, Verdict};
use crate::error::Error;
use crate::net::Stream;
use crate::options::Options;
use crate::permission::{Admission, PeerKey, Reason, SubscribeRequest};
use crate::user::User;

/// How often, within one read, last values are sent between a subscription and its cancellation. A peer that
/// alternates more often gets the values of what it wants in the end; what it cancels at once costs nothing.
const TURNS_MAX: u32 = 8;

/// The subscriptions of one read of one peer, while they are taken in.
pub(crate) struct Intake<'a, S> {
    pub(crate) hub: &'a Arc<Hub>,
    pub(crate) peer: PeerId,
    pub(crate) key: PeerKey,
    pub(crate) user: Option<&'a User>,
    /// Whether the peer understands states of topics.
    pub(crate) understands: bool,
    /// Last values that wait for room.
    pub(crate) owed: &'a mut Rare<Owed>,
    pub(crate) out: &'a mut Outgoing<S>,
    pub(crate) wakes: &'a mut Vec<Waker>,
    pub(crate) now: Duration,
    /// Messages from this number on reach the peer by the normal way; `None` while nothing is kept.
    pub(crate) unrouted: Option<Number>,
    pub(crate) edit: Option<Edit<'a>>,
    /// Newly in force, and not yet answered with last values.
    pub(crate) fresh: Vec<Vec<u8>>,
    pub(crate) turns: u32,
    /// The work done so far, in the units of the shard's turn.
    pub(crate) work: &'a mut u32,
    /// The changes that the peer may still make, and how fast these grow.
    pub(crate) changes: &'a mut Bucket,
    pub(crate) rate: Rate,
}

/// How often one subscription is asked about at most, if all permissions are reconsidered meanwhile.
const ASKS_MAX: u32 = 100;

/// A peer that has caused this much work waits for its next turn.
pub(crate) const PEER_WORK_MAX: u32 = 20_000;
/// The work of a subscription, of the bytes of its prefix, and of searching one portion of the last values.
const SUBSCRIPTION_WORK: u32 = 8;
const PREFIX_BYTES_PER_WORK: usize = 64;
pub(super) const PASS_WORK: u32 = 5000;
/// How many entries of the ledger, or events of watches, are moved for one unit of work.
const MOVED_PER_WORK: u64 = 2;

impl<'a, S: Stream> Intake<'a, S> {
    pub(crate) fn take(&mut self, subscription: Subscription<'_>) -> Result<(), End> {
        let (Subscription::Subscribe(prefix) | Subscription::Cancel(prefix)) = subscription;
        *self.work += SUBSCRIPTION_WORK + (prefix.len() / PREFIX_BYTES_PER_WORK) as u32;
        self.changes.take(self.rate, self.now);
        match subscription {
            Subscription::Subscribe(prefix) => self.subscribe(prefix),
            Subscription::Cancel(prefix) => self.cancel(prefix),
        }
    }

    /// Whether the peer waits for its next turn: its share of work is used up, or it rests.
    pub(crate) fn has_done_enough(&self) -> bool {
        *self.work >= PEER_WORK_MAX || self.rests()
    }

    /// Whether the peer has changed its subscriptions too fast.
    pub(crate) fn rests(&self) -> bool {
        self.changes.is_overdrawn(self.rate, self.now)
    }

    /// What has become of a subscription.
    pub(crate) fn standing(&mut self, prefix: &[u8]) -> Standing {
        *self.work += SUBSCRIPTION_WORK + (prefix.len() / PREFIX_BYTES_PER_WORK) as u32;
        let peer = self.peer;
        let edit = self.edit();
        match edit.contains(peer, prefix) {
            true => Standing::InForce,
            false if edit.is_asked(peer, prefix) => Standing::Deferred,
            false => Standing::Absent,
        }
    }

    fn subscribe(&mut self, prefix: &[u8]) -> Result<(), End> {
        let max = self.hub.options.prefix_length_max;
        if prefix.len() > max {
            let text = format!("a prefix may have at most {max} bytes (prefix_length_max)");
            return Err(End::Exceeded(Limit::PrefixLength, Error::peer(text)));
        }
        if self.may(prefix)? && !self.admit(prefix)? {
            let peer = self.peer;
            self.edit().repeat(peer, prefix);
        }
        Ok(())
    }

    /// Puts a prefix into force. Returns whether it is new.
    pub(crate) fn admit(&mut self, prefix: &[u8]) -> Result<bool, End> {
        let peer = self.peer;
        let edit = self.edit();
        let new = edit.subscribe(peer, prefix)?;
        self.count_moved();
        if new && (self.unrouted.is_some() || self.tells_states()) {
            self.fresh.push(prefix.to_vec());
        }
        Ok(new)
    }

    pub(crate) fn cancel(&mut self, prefix: &[u8]) -> Result<(), End> {
        let peer = self.peer;
        self.edit().close_request(peer, prefix, false);
        self.end(prefix)
    }

    /// Ends a subscription that is in force.
    fn end(&mut self, prefix: &[u8]) -> Result<(), End> {
        let peer = self.peer;
        let answers = !self.fresh.is_empty() || self.owed.get().is_some_and(|owed| !owed.is_empty());
        if answers && self.edit().contains(peer, prefix) {
            if self.fresh.is_empty() {
                self.release();
            } else if self.turns < TURNS_MAX {
                // What the peer has now decides what is new to it.
                self.turns += 1;
                self.answer()?;
            } else {
                *self.work += self.fresh.len() as u32 / SUBSCRIPTION_WORK;
                self.fresh.retain(|fresh| fresh != prefix);
                self.release();
            }
            self.owe(|owed, payee| owed.cancel(prefix, payee))?;
        }
        self.edit().cancel(peer, prefix);
        self.count_moved();
        Ok(())
    }

    /// Moving entries to make room for a change counts as work of the peer that asked for the change.
    fn count_moved(&mut self) {
        let moved = self.edit().take_moved() / MOVED_PER_WORK;
        *self.work = self.work.saturating_add(moved as u32);
    }

    /// Ends the intake.
    pub(crate) fn finish(mut self) -> Result<(), End> {
        let peer = self.peer;
        if let Some(edit) = &mut self.edit {
            edit.settle(peer);
        }
        self.answer()
    }

    fn edit(&mut self) -> &mut Edit<'a> {
        let hub = self.hub;
        self.edit.get_or_insert_with(|| hub.demand.edit())
    }

    /// Sends the peer what is kept of what it newly wants: values, then states.
    fn answer(&mut self) -> Result<(), End> {
        self.release();
        if self.fresh.is_empty() {
            return Ok(());
        }
        let from = self.unrouted.unwrap_or_default();
        let fresh: Fresh = std::mem::take(&mut self.fresh).into_iter().map(|prefix| (prefix, from)).collect();
        let states = self.tells_states().then(|| fresh.clone());
        if self.unrouted.is_some() {
            self.owe(|owed, payee| owed.add(fresh, payee))?;
        }
        states.map_or(Ok(()), |fresh| self.answer_states(&fresh))
    }

    /// Changes what the peer is owed; searching the store counts as work.
    fn owe(
        &mut self,
        change: impl FnOnce(&mut Owed, &mut Payee<'_, S>) -> Result<(), End>,
    ) -> Result<(), End> {
        let owed = self.owed.open();
        let changed = change(owed, &mut Payee { peer: self.peer, out: self.out, now: self.now });
        let passes = owed.take_passes();
        self.owed.drop_if(Owed::is_empty);
        *self.work = self.work.saturating_add(passes.saturating_mul(PASS_WORK));
        changed
    }

    /// Releases the lock of the ledger.
    pub(crate) fn release(&mut self) {
        if let Some(edit) = self.edit.take() {
            edit.finish(self.wakes);
            self.hub.gauge.demand_changed(self.wakes);
        }
    }

    /// Asks whether the peer may have a prefix. A prefix that it has, or has asked for already, is not asked again.
    pub(crate) fn may(&mut self, prefix: &[u8]) -> Result<bool, End> {
        let Options { admission, manual, .. } = &self.hub.options;
        if admission.is_none() && !manual {
            return Ok(true);
        }
        // The user's function may read the ledger.
        self.release();
        let (hub, peer) = (self.hub, self.peer);
        let (has, is_first) = {
            let ledger = hub.demand.read();
            (ledger.contains(peer, prefix), !ledger.has(prefix))
        };
        if has {
            self.edit().repeat(peer, prefix);
            return Ok(false);
        }
        if hub.demand.is_asked(peer, prefix) {
            return Ok(false);
        }
        let address = self.out.stream.address();
        let user = self.user;
        let request = SubscribeRequest { peer: self.key, address, user, prefix, in_force: false, is_first };
        let mut tries = 0;
        let answer = loop {
            let asked_at = hub.reconsiderations();
            let answer = admission.as_ref().map_or(Admission::Defer, |gate| gate.ask(&request));
            if answer != Admission::Accept {
                break answer;
            }
            // Under the lock of the ledger, which stays locked until the prefix is in force: everything was asked about once
            // more since, without this prefix, or will be with it.
            self.edit();
            if hub.reconsiderations() == asked_at || tries == ASKS_MAX {
                break answer;
            }
            tries += 1;
            self.release();
        };
        match answer {
            Admission::Accept => return Ok(true),
            Admission::Reject(status) => {
                hub.counters.rejected.fetch_add(1, Ordering::Relaxed);
                self.refused(prefix, &status);
            }
            Admission::Defer => {
                self.edit().check(peer, prefix.len(), hub.options.quota())?;
                hub.counters.deferred.fetch_add(1, Ordering::Relaxed);
                self.edit().ask(peer, prefix);
            }
        }
        Ok(false)
    }

    pub(crate) fn decided(&mut self, prefix: &[u8], verdict: Verdict) -> Result<(), End> {
        let (hub, peer) = (self.hub, self.peer);
        let closes = !matches!(verdict, Verdict::Withdraw);
        let deferred = closes && self.edit().close_request(peer, prefix, true);
        let counts = &hub.counters;
        match verdict {
            Verdict::Admit if deferred => _ = self.admit(prefix)?,
            Verdict::Reject(status) if deferred => {
                counts.rejected.fetch_add(1, Ordering::Relaxed);
                self.refused(prefix, &status);
            }
            Verdict::Revoke(status) => {
                if self.edit().contains(peer, prefix) || deferred {
                    counts.revoked.fetch_add(1, Ordering::Relaxed);
                    self.end(prefix)?;
                    self.refused(prefix, &status);
                }
            }
            Verdict::Grant => {
                // The peer has not asked for it, so the connection stays if it would exceed the quota.
                match self.edit().check(peer, prefix.len(), hub.options.quota()) {
                    Ok(()) => _ = self.admit(prefix)?,
                    Err(_) => _ = counts.rejected.fetch_add(1, Ordering::Relaxed),
                }
            }
            Verdict::Withdraw => self.end(prefix)?,
            Verdict::Admit | Verdict::Reject(_) | Verdict::Upstream { .. } => {}
        }
        Ok(())
    }

    /// Whether a new subscriber may have states to hear.
    pub(crate) fn tells_states(&self) -> bool {
        self.understands && self.hub.states.published.is_used()
    }

    /// Tells the states of what the peer newly wants.
    pub(crate) fn answer_states(&mut self, fresh: &Fresh) -> Result<(), End> {
        let (later, passed) = Default::default();
        let (peer, now) = (self.peer, self.now);
        let asking = Asking { peer, prefixes: fresh, later: &later, passed: &passed, now };
        let (mut at, mut done) = (Cursor::default(), false);
        while !done {
            let (mut out, mut count) = (Vec::new(), 0);
            done =
                self.hub.states.published.pass(&self.hub.demand.read(), &asking, &mut at, PORTION, |value| {
                    put_value(&mut out, value);
                    count += 1;
                });
            self.out.tell_states(out, count);
            self.out.flush()?;
        }
        Ok(())
    }

    /// Tells the peer that it does not get a prefix.
    pub(crate) fn refused(&mut self, prefix: &[u8], status: &Reason) {
        if self.understands && prefix.len() <= STATE_TOPIC_BYTES_MAX {
            let mut out = Vec::new();
            let (state, text) = (State::Rejected, status.text().as_bytes());
            put_state(&mut out, &StateNews { state, topic: prefix, text });
            self.out.tell_states(out, 1);
        }
    }
}
