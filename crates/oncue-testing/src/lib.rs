//! What the randomized tests of the packages share: seeded random numbers, and a loop that prints the seed of a failure.

use std::fmt::Debug;

/// A small pseudorandom number generator (SplitMix64).
pub struct Rng {
    seed: u64,
    state: u64,
}

impl Rng {
    /// The generator of a seed.
    pub fn new(seed: u64) -> Rng {
        Rng { seed, state: seed.wrapping_mul(0xd134_2543_de82_ef95) }
    }

    /// The seed of this generator.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The next number, of 64 bits.
    #[expect(
        clippy::should_implement_trait,
        reason = "a check draws numbers; it never iterates over all of them"
    )]
    pub fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is not 0.
    pub fn below<N>(&mut self, end: N) -> N
    where
        N: TryInto<u64, Error: Debug> + TryFrom<u64, Error: Debug>,
    {
        let end = end.try_into().expect("the end is positive");
        (self.next() % end).try_into().expect("less than the end")
    }

    /// True with probability 1 / `n`.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// Random bytes.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }

    /// At most `len_max` bytes from an alphabet of two, now and then more than 255 bytes, so that prefixes collide.
    pub fn prefix(&mut self, len_max: usize) -> Vec<u8> {
        let len = if self.one_in(50) { 250 + self.below(20) } else { self.below(len_max + 1) };
        let long_run = len > len_max;
        (0..len).map(|_| if long_run { 0 } else { [0, 0xff][self.below(2)] }).collect()
    }

    /// A length that is often short, and sometimes near the limit of short frames (255).
    pub fn body_len(&mut self) -> usize {
        match self.below(10) {
            0 => 250 + self.below(12),
            1 => self.below(2000),
            _ => self.below(20),
        }
    }

    /// Changes, drops or duplicates a few bytes.
    pub fn damage(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..1 + self.below(4) {
            if bytes.is_empty() {
                return;
            }
            let at = self.below(bytes.len());
            match self.below(4) {
                0 => drop(bytes.remove(at)),
                1 => bytes.insert(at, self.next() as u8),
                2 => bytes[at] ^= 1 << self.below(8),
                _ => bytes[at] = self.next() as u8,
            }
        }
    }
}

/// How many seeds are enough for Miri, which is some hundred times slower: it checks memory, not decisions.
const MIRI_SEEDS_MAX: u64 = 2;

/// Runs `check` once per seed, and prints the seed of a failure.
pub fn for_seeds(seeds: u64, check: impl Fn(&mut Rng)) {
    struct Shown(u64);
    impl Drop for Shown {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("failed with seed {}", self.0);
            }
        }
    }
    let seeds = if cfg!(miri) { seeds.min(MIRI_SEEDS_MAX) } else { seeds };
    for seed in 0..seeds {
        let _shown = Shown(seed);
        check(&mut Rng::new(seed));
    }
}
