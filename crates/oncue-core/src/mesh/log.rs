//! What the subscribers of this site want, as a log that other sites follow. It does not know which sites follow it.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::codec::{Change, DeltaWriter, Heartbeat, Snapshot, change_bytes_max};
use super::hash::SetHash;
use crate::topic::index::{EntryId, IndexFull, PrefixMap};

/// What the subscribers of this site want, as a log that other sites follow.
///
/// The log has a *told* state: that of all deltas taken so far. Sequence, heartbeat and snapshot are those of the told state, so
/// a snapshot and the deltas that are taken after it have no gap and no overlap. Changes that are not taken yet wait, each
/// prefix at most once: a prefix that comes and goes in the meantime is not told at all. So the memory is bounded by the
/// prefixes that are told or wanted.
///
/// ```
/// use oncue_core::mesh::Log;
///
/// let mut log = Log::new(1, 7);
/// assert_eq!(log.change(b"weather/", true), Ok(true));
/// assert_eq!(log.change(b"weather/", true), Ok(false));
/// assert_eq!((log.sequence(), log.has_untold()), (0, true));
/// let delta = log.take_delta(32 << 10).unwrap();
/// assert_eq!((log.sequence(), log.len(), log.has_untold()), (1, 1, false));
/// assert_eq!(delta.len(), 18 + 1 + 8);
/// ```
pub struct Log {
    epoch: u64,
    marks: PrefixMap<Mark>,
    /// Entries whose wish has changed, in the order in which it did first. Each stays in `marks` until it is taken.
    untold: VecDeque<EntryId>,
    sequence: u64,
    /// Prefixes told to be wanted, and their hash.
    told: u64,
    hash: SetHash,
}

/// What is known of a prefix.
#[derive(Clone, Copy, Default)]
struct Mark {
    told: bool,
    wanted: bool,
    /// Whether it is in `untold`.
    queued: bool,
}

impl Log {
    /// The log of a process that starts; nothing is wanted. `epoch`: see [`next_epoch`](super::next_epoch). `seed` keys the hash
    /// of the index and should be random, since peers choose prefixes; it does not show on the wire.
    pub fn new(epoch: u64, seed: u64) -> Log {
        Log {
            epoch,
            marks: PrefixMap::new(seed),
            untold: VecDeque::new(),
            sequence: 0,
            told: 0,
            hash: SetHash::new(),
        }
    }

    /// Says whether `prefix` is wanted from now on. Returns whether that is news.
    ///
    /// # Errors
    /// When the prefixes of the log would have more bytes than can be addressed; nothing has changed then.
    pub fn change(&mut self, prefix: &[u8], wanted: bool) -> Result<bool, IndexFull> {
        let id = match self.marks.find(prefix) {
            Some(id) => id,
            None if !wanted => return Ok(false),
            None => self.marks.get_or_insert_with(prefix, Mark::default)?.0,
        };
        let mark = self.marks.value_mut(id).expect("an entry that was just found");
        if mark.wanted == wanted {
            return Ok(false);
        }
        mark.wanted = wanted;
        if !mark.queued {
            mark.queued = true;
            self.untold.push_back(id);
        }
        Ok(true)
    }

    /// The next delta to tell, as bytes: as many changes as fit into `bytes_max`, and at least one. None if there are none. To be
    /// called until then, and each result sent before the next heartbeat or answer.
    pub fn take_delta(&mut self, bytes_max: usize) -> Option<Vec<u8>> {
        let mut writer = None;
        while let Some(&id) = self.untold.front() {
            let prefix = self.marks.prefix(id).expect("an untold prefix stays in the index");
            let needed = change_bytes_max(prefix);
            if writer.as_ref().is_some_and(|writer: &DeltaWriter| writer.len() + needed > bytes_max) {
                break;
            }
            self.untold.pop_front();
            if let Some(wanted) = self.tell(id) {
                let writer = writer.get_or_insert_with(|| DeltaWriter::new(self.epoch, self.sequence));
                let prefix = self.marks.prefix(id).expect("it was there before it was told");
                writer.put(Change { prefix, wanted });
            }
            self.forget(id);
        }
        self.shrink();
        writer.map(DeltaWriter::finish)
    }

    /// Changes the told state to what is wanted of this prefix; None if nothing changes.
    fn tell(&mut self, id: EntryId) -> Option<bool> {
        let mark = self.marks.value_mut(id).expect("an untold prefix stays in the index");
        mark.queued = false;
        if mark.told == mark.wanted {
            return None;
        }
        mark.told = mark.wanted;
        let wanted = mark.wanted;
        self.sequence += 1;
        self.told = if wanted { self.told + 1 } else { self.told - 1 };
        self.hash.change(self.marks.prefix(id).expect("its mark is there"), wanted);
        Some(wanted)
    }

    /// Removes a prefix that is neither told nor wanted.
    fn forget(&mut self, id: EntryId) {
        if self.marks.value(id).is_some_and(|mark| !mark.wanted) {
            self.marks.remove_id(id);
        }
    }

    /// Frees the memory of a burst.
    fn shrink(&mut self) {
        if self.untold.capacity() / 4 > self.untold.len() {
            self.untold.shrink_to(2 * self.untold.len());
        }
    }

    /// The heartbeat of the told state, as bytes.
    pub fn heartbeat(&self) -> Vec<u8> {
        self.head().encode()
    }

    /// The told state, as bytes: the answer to a site that asks. All deltas that were taken must have been sent before.
    pub fn snapshot(&self) -> Vec<u8> {
        let told = self.marks.iter().filter(|(_, _, mark)| mark.told);
        Snapshot::encode(self.head(), told.map(|(_, prefix, _)| prefix))
    }

    fn head(&self) -> Heartbeat {
        Heartbeat { epoch: self.epoch, sequence: self.sequence, hash: self.hash.sum(), count: self.told }
    }

    /// The epoch.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// How many changes were told.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// How many prefixes are told to be wanted.
    pub fn len(&self) -> usize {
        self.told as usize
    }

    /// Whether no prefix is told to be wanted.
    pub fn is_empty(&self) -> bool {
        self.told == 0
    }

    /// Whether there may be changes to take.
    pub fn has_untold(&self) -> bool {
        !self.untold.is_empty()
    }
}
