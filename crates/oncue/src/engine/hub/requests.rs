//! The prefixes that peers have asked for and that are not decided yet.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use oncue_core::ledger::{DETACH_PREFIX_BYTES_MAX, DETACH_PREFIXES_MAX, PeerId};

use crate::peers::PeerProfile;

/// The open requests of all peers of one socket.
#[derive(Default)]
pub(crate) struct Requests {
    by_peer: HashMap<PeerId, Asked>,
    /// Peers that have left, and what they had asked for, as far as it is not withdrawn yet.
    left: VecDeque<(Arc<PeerProfile>, BTreeSet<Vec<u8>>)>,
}

/// Which peer has asked.
pub(crate) enum Asker<'a> {
    /// One that is attached.
    Peer(PeerId),
    /// One that has left.
    Left(&'a Arc<PeerProfile>),
}

/// What one peer has asked for.
#[derive(Default)]
struct Asked {
    prefixes: BTreeSet<Vec<u8>>,
    bytes: u64,
}

impl Requests {
    /// How many prefixes a peer has asked for, and how many bytes they have in all.
    pub(crate) fn of(&self, peer: PeerId) -> (u64, u64) {
        self.by_peer.get(&peer).map_or((0, 0), |asked| (asked.prefixes.len() as u64, asked.bytes))
    }

    pub(crate) fn contains(&self, peer: PeerId, prefix: &[u8]) -> bool {
        self.by_peer.get(&peer).is_some_and(|asked| asked.prefixes.contains(prefix))
    }

    /// Adds a request, which must be new.
    pub(crate) fn insert(&mut self, peer: PeerId, prefix: &[u8]) {
        let asked = self.by_peer.entry(peer).or_default();
        asked.bytes += prefix.len() as u64;
        asked.prefixes.insert(prefix.to_vec());
    }

    /// Removes a request. Returns whether there was one.
    pub(crate) fn remove(&mut self, peer: PeerId, prefix: &[u8]) -> bool {
        let Some(asked) = self.by_peer.get_mut(&peer) else { return false };
        let known = asked.prefixes.remove(prefix);
        if known {
            asked.bytes -= prefix.len() as u64;
        }
        if asked.prefixes.is_empty() {
            self.by_peer.remove(&peer);
        }
        known
    }

    /// A peer has left: calls `withdrawn` with what it had asked for if that is little; otherwise [`release`](Self::release)
    /// does, a part at a time.
    pub(crate) fn leave(&mut self, peer: PeerId, profile: &Arc<PeerProfile>, withdrawn: impl FnMut(&[u8])) {
        let Some(Asked { prefixes, bytes }) = self.by_peer.remove(&peer) else { return };
        match prefixes.len() <= DETACH_PREFIXES_MAX && bytes <= DETACH_PREFIX_BYTES_MAX {
            true => prefixes.iter().map(Vec::as_slice).for_each(withdrawn),
            false => self.left.push_back((profile.clone(), prefixes)),
        }
    }

    /// Withdraws up to `prefixes_max` requests of the peer that has left first.
    pub(crate) fn release(
        &mut self,
        prefixes_max: usize,
        mut withdrawn: impl FnMut(&Arc<PeerProfile>, &[u8]),
    ) {
        let Some((profile, prefixes)) = self.left.front_mut() else { return };
        let mut bytes = 0;
        for _ in 0..prefixes_max {
            let Some(prefix) = prefixes.pop_first() else { break };
            withdrawn(profile, &prefix);
            bytes += prefix.len() as u64;
            if bytes > DETACH_PREFIX_BYTES_MAX {
                break;
            }
        }
        if prefixes.is_empty() {
            self.left.pop_front();
        }
    }

    pub(crate) fn is_releasing(&self) -> bool {
        !self.left.is_empty()
    }

    /// Calls `found` with each open request.
    pub(crate) fn for_each(&self, mut found: impl FnMut(Asker<'_>, &[u8])) {
        for (&peer, asked) in &self.by_peer {
            asked.prefixes.iter().for_each(|prefix| found(Asker::Peer(peer), prefix));
        }
        for (profile, prefixes) in &self.left {
            prefixes.iter().for_each(|prefix| found(Asker::Left(profile), prefix));
        }
    }
}
