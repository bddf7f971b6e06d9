//! Topics: the index of prefixes, and the patterns of routes.
pub mod index;
pub mod pattern;
