//! Being written.
pub mod null;
