//! What the owner of [`Sites`](super::Sites) has to do.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::edges::Prefix;

/// Prefixes, and whether each is wanted now.
pub type Changes = Vec<(Prefix, bool)>;

/// What the owner has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// A process of a site is there. It wants nothing yet.
    Up {
        /// The site.
        site: Arc<str>,
        /// Its process.
        epoch: u64,
    },
    /// It is to be asked for a snapshot. The answer, or that there was none, goes to [`Sites::snapshot`](super::Sites::snapshot).
    Ask {
        /// The site.
        site: Arc<str>,
        /// Its process.
        epoch: u64,
    },
    /// Its demand in force has changed, in this order. Each is a real change.
    Changes {
        /// The site.
        site: Arc<str>,
        /// Its process.
        epoch: u64,
        /// The prefixes, and whether each is wanted from now on.
        changes: Changes,
    },
    /// All that it wanted is void. No change says so for each prefix.
    Down {
        /// The site.
        site: Arc<str>,
        /// Its process.
        epoch: u64,
        /// The reason.
        why: Why,
    },
    /// Another process has joined with the name of this site. This one has to end. Comes once.
    Fenced {
        /// The epoch of the other one.
        epoch: u64,
    },
}

/// Why the demand of a process of a site is void.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Its token has gone.
    Left,
    /// It has said nothing for the timeout.
    Silent,
    /// Another process of the same site has come.
    Replaced,
}
