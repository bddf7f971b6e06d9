//! What is known of every process.

use std::time::{SystemTime, UNIX_EPOCH};

use super::family::{Family, Plain, seconds};
use super::text::Kind;

/// When a process was started, in seconds since 1970.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Started(u64);

impl Started {
    pub(crate) fn now() -> Started {
        Started(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
    }
}

#[rustfmt::skip]
pub(crate) const FAMILIES: &[Family<Plain<Started>>] = &[
    Family {
        name: "oncue_build", kind: Kind::Info, unit: None, help: "The version of oncue, in a label.",
        read: Plain::By("version", |_| vec![(env!("CARGO_PKG_VERSION"), 1)]),
    },
    seconds("oncue_start_time_seconds", Kind::Gauge, Plain::One(|started| started.0),
        "When the process was started, in seconds since 1970."),
];
