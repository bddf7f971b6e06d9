//! The keyed hash of prefixes, computed once along a topic for all lengths. Knows bytes and lengths, no map.

/// The key of the hash: four words derived from one seed.
///
/// Strangers choose the prefixes, so the hash must not let them aim collisions: every multiplication has a secret
/// factor, and no hash is ever shown to the outside. A collision costs time, never truth: all users compare bytes.
#[derive(Clone, Debug)]
pub(crate) struct PrefixHash {
    start: u64,
    block: u64,
    tail: u64,
    end: u64,
}

impl PrefixHash {
    /// Derives the key from `seed`, which should be secret and random.
    pub(crate) fn new(seed: u64) -> PrefixHash {
        let word = |n: u64| split_mix(seed.wrapping_add(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        // Even factors would throw bits of the product away.
        PrefixHash { start: word(1), block: word(2) | 1, tail: word(3) | 1, end: word(4) | 1 }
    }

    /// The hash of `prefix`.
    pub(crate) fn hash(&self, prefix: &[u8]) -> u64 {
        self.walk(prefix).at(prefix.len())
    }

    /// Starts a walk that yields the hash of each prefix of `topic` that is asked for.
    #[inline]
    pub(super) fn walk<'a>(&'a self, topic: &'a [u8]) -> Walk<'a> {
        Walk { key: self, topic, state: self.start, done: 0 }
    }

    /// The hash of a sequence of small words, as of the ids of a set in a fixed order.
    pub(crate) fn hash_words(&self, words: impl Iterator<Item = u32>) -> u64 {
        let state = words.fold(self.start, |state, word| fold(state ^ u64::from(word), self.block));
        fold(state, self.end)
    }
}

/// A walk along one topic. The whole blocks before a length are hashed once, whatever lengths follow.
pub(super) struct Walk<'a> {
    key: &'a PrefixHash,
    topic: &'a [u8],
    state: u64,
    done: usize,
}

const BLOCK: usize = 8;

impl Walk<'_> {
    /// The hash of the first `len` bytes. Lengths must not decrease from call to call, nor exceed the topic's.
    #[inline]
    pub(super) fn at(&mut self, len: usize) -> u64 {
        while len - self.done >= BLOCK {
            let block = self.topic[self.done..].first_chunk().expect("a length within the topic");
            self.state = fold(self.state ^ u64::from_le_bytes(*block), self.key.block);
            self.done += BLOCK;
        }
        let tail = fold(self.state ^ self.tail(len - self.done), self.key.tail);
        // The length tells a tail that ends in zero bytes from a shorter one.
        fold(tail ^ len as u64, self.key.end)
    }

    /// The next `len` (< 8) bytes as a word, without reading byte by byte where the topic has eight to read.
    #[inline]
    fn tail(&self, len: usize) -> u64 {
        if len == 0 {
            return 0;
        }
        let mask = (1 << (8 * len)) - 1;
        let rest = &self.topic[self.done..];
        if let Some(chunk) = rest.first_chunk::<BLOCK>() {
            u64::from_le_bytes(*chunk) & mask
        } else if let Some(chunk) = self.topic.last_chunk::<BLOCK>() {
            (u64::from_le_bytes(*chunk) >> (8 * (BLOCK - rest.len()))) & mask
        } else {
            rest[..len].iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte))
        }
    }
}

/// Multiplies to 128 bits and folds the halves together: the cheapest mix in which each bit reaches all others.
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
