//! Hashes for maps: of numbers that the library counts itself, and of topics, which strangers choose.

use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};
use std::sync::OnceLock;

use oncue_core::topic::index::PrefixHash;

/// For maps whose keys are topics, as slices of bytes: keyed, and three times as fast as that of the standard library.
#[derive(Clone, Copy, Default)]
pub(crate) struct BuildTopicHasher;

impl BuildHasher for BuildTopicHasher {
    type Hasher = TopicHasher;

    fn build_hasher(&self) -> TopicHasher {
        static KEY: OnceLock<PrefixHash> = OnceLock::new();
        TopicHasher { key: KEY.get_or_init(|| PrefixHash::new(RandomState::new().hash_one(0))), hash: 0 }
    }
}

/// Hashes one topic.
pub(crate) struct TopicHasher {
    key: &'static PrefixHash,
    hash: u64,
}

impl Hasher for TopicHasher {
    #[inline]
    fn write(&mut self, topic: &[u8]) {
        self.hash = self.key.hash(topic);
    }

    /// The length of the topic, which its hash depends on anyway.
    #[inline]
    fn write_usize(&mut self, _: usize) {}

    #[inline]
    fn finish(&self) -> u64 {
        self.hash
    }
}

/// For maps whose keys consist of such numbers: no peer chooses them.
pub(crate) type BuildCountedHasher = BuildHasherDefault<CountedHasher>;

/// Costs a multiplication for each number.
#[derive(Default)]
pub(crate) struct CountedHasher(u64);

impl Hasher for CountedHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, number: u64) {
        // Fibonacci hashing: neighbours get distant hashes. The map uses the highest bits too.
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn write_isize(&mut self, number: isize) {
        self.write_u64(number as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
