//! Who may subscribe to what, as a peer's connection sees it: what was asked and is not decided yet, and decisions that
//! come later.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use oncue_core::ledger::QuotaExceeded;

use crate::engine::hub::Hub;
use crate::engine::peer::intake::Intake;
use crate::engine::peer::{Context, End, Peer};
use crate::engine::shard::Shard;
use crate::engine::shard::mailbox::Note;
use crate::net::{Net, Stream};
use crate::permission::{Admission, PeerKey, Reason, SubscribeRequest};

/// What one peer has asked for and nobody has decided yet.
#[derive(Default)]
pub(crate) struct Pending {
    prefixes: BTreeSet<Vec<u8>>,
    bytes: u64,
    /// Where the peer is, once it was asked.
    address: Option<String>,
}

impl Pending {
    pub(crate) fn remove(&mut self, prefix: &[u8]) -> bool {
        let known = self.prefixes.remove(prefix);
        if known {
            self.bytes -= prefix.len() as u64;
        }
        known
    }
}

/// A decision about a peer's prefix.
#[derive(Clone)]
pub(crate) enum Verdict {
    /// What was deferred comes in force.
    Admit,
    /// What was deferred is forgotten.
    Reject(Reason),
    /// What is in force ends, and what was deferred is forgotten.
    Revoke(Reason),
}

/// Counts of decisions.
#[derive(Default)]
pub(crate) struct Decisions {
    pub(crate) rejected: AtomicU64,
    pub(crate) deferred: AtomicU64,
    pub(crate) revoked: AtomicU64,
}

impl Hub {
    /// Tells the peer's shard what was decided.
    pub(crate) fn decide(self: &Arc<Self>, peer: PeerKey, prefix: &[u8], verdict: Verdict) {
        let note = Note::Verdict { hub: self.clone(), peer, prefix: prefix.to_vec(), verdict };
        self.mail_to(peer.shard, note);
    }

    /// Takes a prefix from all peers that have it.
    pub(crate) fn revoke_all(self: &Arc<Self>, prefix: &[u8], status: &Reason) {
        self.mail_all(|| Note::RevokeAll {
            hub: self.clone(),
            prefix: prefix.to_vec(),
            status: status.clone(),
        });
    }
}

impl<S: Stream> Intake<'_, S> {
    /// Asks whether the peer may have a prefix. What it has, or has asked for already, is not asked again.
    pub(crate) fn may(&mut self, prefix: &[u8]) -> Result<bool, End> {
        let Some(gate) = &self.hub.options.admission else { return Ok(true) };
        // The user's function may look at the ledger.
        self.release();
        if self.pending.prefixes.contains(prefix) || self.hub.ledger().contains(self.peer, prefix) {
            return Ok(false);
        }
        let address = self.pending.address.get_or_insert_with(|| self.out.stream.address().to_string());
        let counts = &self.hub.decisions;
        match gate.ask(&SubscribeRequest { peer: self.key, address, prefix }) {
            Admission::Accept => return Ok(true),
            Admission::Reject(status) => {
                counts.rejected.fetch_add(1, Ordering::Relaxed);
                self.refused(prefix, &status);
            }
            Admission::Defer => {
                self.check_quota(prefix)?;
                counts.deferred.fetch_add(1, Ordering::Relaxed);
                self.pending.bytes += prefix.len() as u64;
                self.pending.prefixes.insert(prefix.to_vec());
            }
        }
        Ok(false)
    }

    /// What is deferred and what is in force together keep to the peer's quota.
    fn check_quota(&self, prefix: &[u8]) -> Result<(), End> {
        let (held, held_bytes) = self.hub.ledger().held(self.peer);
        let options = &self.hub.options;
        let quota = if held as usize + self.pending.prefixes.len() >= options.prefixes_max as usize {
            QuotaExceeded::Prefixes(options.prefixes_max)
        } else if held_bytes + self.pending.bytes + prefix.len() as u64 > options.prefix_bytes_max {
            QuotaExceeded::PrefixBytes(options.prefix_bytes_max)
        } else {
            return Ok(());
        };
        Err(End::Refused(quota.to_string()))
    }

    fn decided(&mut self, prefix: &[u8], verdict: Verdict) -> Result<(), End> {
        let deferred = self.pending.remove(prefix);
        let counts = &self.hub.decisions;
        match verdict {
            Verdict::Admit if deferred => self.admit(prefix)?,
            Verdict::Reject(status) if deferred => {
                counts.rejected.fetch_add(1, Ordering::Relaxed);
                self.refused(prefix, &status);
            }
            Verdict::Revoke(status) => {
                let held = self.hub.ledger().contains(self.peer, prefix);
                if held || deferred {
                    counts.revoked.fetch_add(1, Ordering::Relaxed);
                    self.cancel(prefix)?;
                    self.refused(prefix, &status);
                }
            }
            Verdict::Admit | Verdict::Reject(_) => {}
        }
        Ok(())
    }
}

impl<S: Stream> Peer<S> {
    fn decided(&mut self, prefix: &[u8], verdict: Verdict, cx: &mut Context<'_>) -> Result<(), End> {
        let Some((mut intake, _)) = self.intake(cx) else { return Ok(()) };
        let decided = intake.decided(prefix, verdict);
        decided.and(intake.finish())?;
        self.flush()
    }
}

impl<N: Net> Shard<N> {
    /// A decision about one peer of a socket, if it is still there.
    pub(crate) fn decided(&mut self, hub: &Arc<Hub>, key: PeerKey, prefix: &[u8], verdict: Verdict) {
        let (slot, uid) = (key.slot, key.uid);
        let Some((peer, mut cx)) = self.with_context(slot, uid) else { return };
        if peer.hub.id != hub.id {
            return;
        }
        if let Err(end) = peer.decided(prefix, verdict, &mut cx) {
            return self.end(slot, end);
        }
        self.written(slot);
        self.retry_batch(hub);
    }

    pub(crate) fn revoke_all(&mut self, hub: &Arc<Hub>, prefix: &[u8], status: &Reason) {
        for slot in self.slots_of(hub) {
            if let Some(peer) = self.peers.get(slot) {
                let key = PeerKey { shard: self.index, slot, uid: peer.uid };
                self.decided(hub, key, prefix, Verdict::Revoke(status.clone()));
            }
        }
    }
}
