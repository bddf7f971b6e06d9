//! The demand log of a mesh of sites, and the numbered streams of values between them. Transport, sockets, time and randomness
//! are not known here: the caller carries bytes and says what time it is.
//!
//! Each site has one [`Log`] of what its own subscribers want, and one [`Sites`] with what every other site wants. A log tells
//! its changes as numbered deltas, answers questions with snapshots, and says in heartbeats what it has told so far: with a hash
//! of the set, so that a receiver that has missed or misread anything finds out and asks for a snapshot.
//!
//! | payload | from | when | format |
//! |---|---|---|---|
//! | delta | [`Log::take_delta`] | the set has changed | [`codec`] |
//! | heartbeat | [`Log::heartbeat`] | periodically | [`codec`] |
//! | snapshot | [`Log::snapshot`] | asked for | [`codec`] |
//! | batch | [`data::Writer`] | there are values for a site | [`data`] |
//!
//! An *epoch* is one process of a site: greater than that of each earlier process of the same name ([`next_epoch`]).
pub mod codec;
pub mod data;
mod error;
mod hash;
mod log;
mod sites;
mod stream;
#[cfg(test)]
mod tests;

pub use error::Malformed;
pub use log::Log;
pub use sites::{Changes, Output, Phase, Quotas, SiteInfo, Sites, Why};
pub use stream::{Stream, Verdict};

/// The longest name of a site, in bytes.
pub const SITE_BYTES_MAX: usize = 64;

/// The epoch of a process that starts: the wall clock in microseconds since 1970, or one more than the greatest epoch of its own
/// name that is `seen`, if the clock is behind that.
pub fn next_epoch(wall_clock_us: u64, seen: Option<u64>) -> u64 {
    seen.map_or(wall_clock_us, |seen| wall_clock_us.max(seen.saturating_add(1)))
}
