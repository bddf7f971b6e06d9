//! Which wanted prefixes no feed comes of, and which of them have been announced. The routes decide it; the number of those
//! announced is bounded, since peers choose the prefixes.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;

use super::routes::Unserved;

/// The most unserved prefixes that are announced at the same time. Further ones are only counted: a peer with a million
/// prefixes costs no more than its subscriptions.
const ANNOUNCED_MAX: usize = 1024;
/// The most bytes that they have together.
const ANNOUNCED_BYTES_MAX: usize = 256 << 10;

/// The unserved prefixes that were announced.
#[derive(Default)]
pub(super) struct Announced {
    prefixes: BTreeMap<Arc<[u8]>, Unserved>,
    bytes: usize,
}

impl Announced {
    /// Notes whether a prefix is unserved now. Returns the prefix if that is to be announced.
    pub(super) fn set(&mut self, prefix: &[u8], why: Option<Unserved>) -> Option<Arc<[u8]>> {
        match (self.prefixes.get_key_value(prefix), why) {
            (Some((known, before)), why) if why != Some(*before) => {
                let known = known.clone();
                match why {
                    Some(why) => drop(self.prefixes.insert(known.clone(), why)),
                    None => {
                        self.prefixes.remove(prefix);
                        self.bytes -= prefix.len();
                    }
                }
                Some(known)
            }
            (None, Some(why)) => {
                let fits = self.prefixes.len() < ANNOUNCED_MAX;
                if !fits || self.bytes + prefix.len() > ANNOUNCED_BYTES_MAX {
                    return None;
                }
                let prefix: Arc<[u8]> = prefix.into();
                self.bytes += prefix.len();
                self.prefixes.insert(prefix.clone(), why);
                Some(prefix)
            }
            _ => None,
        }
    }
}
