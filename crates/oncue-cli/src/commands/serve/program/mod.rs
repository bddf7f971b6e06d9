//! Programs: how many run at the same time, how one is started, how it runs until its process group has ended, what ends it if
//! `oncue` is killed, and what is logged about it.

pub(crate) mod confine;
pub(crate) mod guardian;
pub(crate) mod journal;
pub(crate) mod launch;
pub(crate) mod permits;
pub(crate) mod process;
mod starter;
pub(crate) mod verdict;
