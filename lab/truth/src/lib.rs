//! Plays histories of literal bytes to an implementation of XPUB (or SUB, or a proxy), and compares what it tells its user
//! with what is true.
//!
//! Each implementation has a driver: a small program that obeys lines ([`driver`]). The other side is a raw ZMTP peer
//! ([`peer`]), so every implementation receives the same bytes. [`histories`] has what is played and what is true
//! then; [`verdict`] what was found; [`page`] the table.

pub mod driver;
pub mod histories;
pub mod page;
pub mod peer;
pub mod stage;
pub mod verdict;

/// Why a history could not be played to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The program of the implementation has ended.
    Ended,
    /// The implementation lacks what the history needs; why.
    Cannot(String),
    /// Something that had to come did not.
    Late(&'static str),
}

/// The outcome of a step of a history.
pub type Step<T> = Result<T, Trouble>;
