//! Topics: the index of prefixes. The patterns of routes are a package of their own, `oncue-pattern`.
pub mod index;
