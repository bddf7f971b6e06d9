//! Patterns of routes over topics: literals (`clock`) and parameters (`prices/{symbol}`, `proc/{pid:int}/rss`). This
//! package decides what a pattern says about a topic and about a prefix. It knows no feeds, peers or demand.
//!
//! A parameter matches one or more bytes other than `/`. Only the literals decide where a value ends: at the first place
//! where the literal after it follows, and for the last parameter at the end of the topic. So a match is unique and needs
//! no backtracking. The kind of a parameter may refuse a value, but never moves its end.
//!
//! Each pattern is compiled into one deterministic automaton of a bounded size when it is parsed. So a topic from an
//! untrusted peer costs one step per byte, and prefixes, overlap and specificity are decided exactly.

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
mod template;
#[cfg(test)]
mod tests;

pub use error::{PatternError, PatternProblem, TopicError};
pub use kind::Kind;
pub use pattern::{Params, Pattern, PrefixMeaning};
pub use template::Template;
