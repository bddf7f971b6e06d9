//! The process in which something was made. A fork has the memory and descriptors of its parent and none of its threads:
//! what needs a thread would wait for ever there, and what writes to a descriptor would speak for the parent.

use forkguard::atfork::Guard;

/// The process in which something was made.
#[derive(Clone, Default)]
pub(crate) struct Home(Guard);

impl Home {
    /// Whether this process is another one: a fork of it. One load.
    pub(crate) fn is_left(&self) -> bool {
        // The guard notes what it has seen; this copy is thrown away, so that the answer stays the same.
        self.0.clone().detected_fork()
    }
}
