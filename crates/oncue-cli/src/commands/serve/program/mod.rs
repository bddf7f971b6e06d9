//! One program from its start to the end of its process group: how many run at once, how one is started, what it writes,
//! and what is said about it.

pub(crate) mod journal;
pub(crate) mod launch;
pub(crate) mod permits;
pub(crate) mod process;
