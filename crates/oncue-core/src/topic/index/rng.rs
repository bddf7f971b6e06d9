//! The seeded random numbers of the model checks of this crate.
use alloc::vec::Vec;

/// A SplitMix64 sequence.
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Rng {
        Rng(seed.wrapping_mul(0xd134_2543_de82_ef95))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `0..end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// Bytes over an alphabet of two, of at most `len_max` bytes, now and then of more than 255: so that prefixes meet.
    pub(crate) fn bytes(&mut self, len_max: usize) -> Vec<u8> {
        let len = if self.below(50) == 0 { 250 + self.below(20) } else { self.below(len_max + 1) };
        let long_run = len > len_max;
        (0..len).map(|_| if long_run { 0 } else { [0, 0xff][self.below(2)] }).collect()
    }
}

/// Runs `check` for each seed and names the seed that fails.
pub(crate) fn for_seeds(seeds: u64, check: impl Fn(u64) + std::panic::RefUnwindSafe) {
    for seed in 0..seeds {
        if let Err(panic) = std::panic::catch_unwind(|| check(seed)) {
            std::eprintln!("failing seed: {seed}");
            std::panic::resume_unwind(panic);
        }
    }
}
