//! Patterns of routes over topics: literals (`clock`) and parameters (`prices/{symbol}`, `proc/{pid:int}/rss`). What a
//! pattern says about a topic and about a prefix is decided here; feeds, peers and demand are unknown to it.
//!
//! A parameter stands for one or more bytes other than `/`. Where a value ends is decided by the literals alone: at
//! the first place where the literal after it follows, and for the last parameter at the end of the topic. So a match
//! is unique and needs no backtracking. A kind of parameter may refuse a value, never move its end.
//!
//! Each pattern is made into one deterministic automaton of a bounded size when it is read. So what a stranger sends
//! costs a step a byte, and what a prefix means, what two patterns share and which is the narrower are exact.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod automaton;
mod compare;
mod error;
mod expression;
mod join;
mod kind;
mod parse;
mod pattern;
#[cfg(test)]
mod tests;

pub use error::{PatternError, PatternProblem, TopicError};
pub use kind::Kind;
pub use pattern::{Params, Pattern, PrefixMeaning};
