//! The hash of maps whose keys are numbers that the library counts itself.

use std::hash::{BuildHasherDefault, Hasher};

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
