//! What the feeds of one route have in common.

use std::time::Duration;

use super::counts::Counters;
use super::keep::Keep;

/// The part of a route that its feeds use. What decides when they run is the runner's part.
pub(crate) struct FeedRoute {
    /// The least time between two values of a topic.
    pub(crate) spacing: Option<Duration>,
    pub(crate) keep: Option<Keep>,
    pub(crate) counters: Counters,
}
