//! The keyed hash of prefixes, computed incrementally along a topic for all lengths. Maps are not known here.

/// The key of the hash: three words derived from one seed.
///
/// Untrusted peers choose the prefixes, and must not be able to construct collisions: every multiplication has a secret
/// factor, and no hash is ever visible outside. A collision costs only time, since all users compare bytes.
#[derive(Clone, Debug)]
pub struct PrefixHash {
    start: u64,
    block: u64,
    tail: u64,
}

impl PrefixHash {
    /// Derives the key from `seed`, which should be secret and random.
    pub fn new(seed: u64) -> PrefixHash {
        let word = |n: u64| split_mix(seed.wrapping_add(n.wrapping_mul(GOLDEN)));
        // Even factors would lose bits of the product.
        PrefixHash { start: word(1), block: word(2) | 1, tail: word(3) | 1 }
    }

    /// The hash of `prefix`.
    #[inline]
    pub fn hash(&self, prefix: &[u8]) -> u64 {
        self.walk(prefix).at(prefix.len())
    }

    /// The hash of `prefix` together with a number.
    pub(crate) fn hash_of_pair(&self, number: u64, prefix: &[u8]) -> u64 {
        fold(self.hash(prefix) ^ number, self.block)
    }

    /// Starts a walk that computes the hashes of prefixes of `topic`.
    #[inline]
    pub(super) fn walk<'a>(&'a self, topic: &'a [u8]) -> Walk<'a> {
        Walk { key: self, topic, state: self.start, done: 0, word: word_at(topic, 0) }
    }

    /// The hash of a sequence of small words, such as the ids of a set in a fixed order.
    pub(crate) fn hash_words(&self, words: impl Iterator<Item = u32>) -> u64 {
        let state = words.fold(self.start, |state, word| fold(state ^ u64::from(word), self.block));
        fold(state, self.tail)
    }
}

/// A walk along one topic. Each whole block is hashed once, whatever lengths follow.
pub(super) struct Walk<'a> {
    key: &'a PrefixHash,
    topic: &'a [u8],
    /// The hash of the first `done` bytes, a multiple of the block size.
    state: u64,
    done: usize,
    /// The block after them.
    word: u64,
}

const BLOCK: usize = 8;
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

impl Walk<'_> {
    /// The hash of the first `len` bytes. Lengths must not decrease from call to call, nor exceed the topic's length.
    #[inline]
    pub(super) fn at(&mut self, len: usize) -> u64 {
        while len - self.done >= BLOCK {
            self.state = fold(self.state ^ self.word, self.key.block);
            self.done += BLOCK;
            self.word = word_at(self.topic, self.done);
        }
        let tail = self.word & ((1 << (8 * (len - self.done))) - 1);
        // The length distinguishes a tail that ends in zero bytes from a shorter one.
        fold(self.state ^ tail, self.key.tail.wrapping_add((len as u64).wrapping_mul(GOLDEN)))
    }
}

/// The block of `topic` from `at` on, padded with zeros after the end.
#[inline]
fn word_at(topic: &[u8], at: usize) -> u64 {
    let rest = topic.get(at..).unwrap_or_default();
    if let Some(block) = rest.first_chunk::<BLOCK>() {
        u64::from_le_bytes(*block)
    } else if let Some(block) = topic.last_chunk::<BLOCK>()
        && !rest.is_empty()
    {
        // Byte by byte would cost more than all the rest of a short match.
        u64::from_le_bytes(*block) >> (8 * (BLOCK - rest.len()))
    } else {
        rest.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte))
    }
}

/// Multiplies to 128 bits and combines the halves by XOR: the cheapest mix in which each bit affects all others.
#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let wide = u128::from(a) * u128::from(b);
    (wide as u64) ^ ((wide >> 64) as u64)
}

fn split_mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
