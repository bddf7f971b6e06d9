//! Metrics for Prometheus: as text (version 0.0.4) and as OpenMetrics 1.0, by what the reader accepts. Tables of families of what
//! several subcommands count, and the pages with all of them.

pub(crate) mod family;
pub(crate) mod mesh;
pub(crate) mod pages;
pub(crate) mod process;
pub(crate) mod socket;
pub(crate) mod text;
