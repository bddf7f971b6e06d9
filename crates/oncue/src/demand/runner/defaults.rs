//! What holds for all routes.

use std::sync::Arc;
use std::time::Duration;

use oncue_core::feeds::Limits;

/// The settings of routes that have none of their own.
#[derive(Debug, Clone, Default)]
pub(crate) struct Defaults {
    pub(crate) grace: Duration,
    pub(crate) limits: Limits,
    /// Where states of topics are published.
    pub(crate) status_prefix: Option<Arc<[u8]>>,
}
