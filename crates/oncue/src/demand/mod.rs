//! Production on demand: routes over topics, and producers that run only while somebody wants what they produce. It
//! uses the public sockets and never reaches the engine; [`oncue_core::feeds`] decides which feeds run.
//!
//! A ZeroMQ subscription is a prefix of topics, and an XPUB is told of it, so it is known exactly what subscribers want:
//!
//! - A prefix that is a whole topic of a route starts that topic's *feed*: one, however many subscribers.
//! - A prefix that is the beginning of topics of a route starts those of the route's catalogue that begin with it.
//!   The catalogue of a route without parameters is its one topic: the empty prefix starts `clock`.
//! - Every prefix is attached to the feeds whose topics begin with it, whichever prefix started them: it keeps them
//!   running, and gets their values.
//!
//! A feed stops when no prefix is attached to it any more and its route's grace has passed. Nothing that its producer
//! publishes from then on is sent; [`Stopped`] tells the producer so, and it should return. The topic starts again only
//! after that, as a feed of another generation: a topic never has two producers at once.
//!
//! A producer that returns, fails or panics ends its own feed alone. One that has returned is started again when the
//! subscriptions that start it have all gone and one has come back; one that has failed is also started again after a
//! pause that grows with each failure, see [`RouteBuilder::backoff`].

mod feed;
mod producers;
mod routes;
mod runner;
#[cfg(test)]
mod tests;

pub use oncue_core::backoff::Backoff;
pub use oncue_pattern::{Pattern, PatternError, Template};

pub use self::feed::{
    Catalogued, Done, FailureCounts, FeedCounts, Histogram, OnDemandStats, Phase, RouteStats, TopicReport,
    TopicStats,
};
pub use self::feed::{Failure, Feed, LastLimits, Produced, Stopped};
pub use self::producers::{Change, Fallible, FeedSet, IntoValue, Plain, Task, Ticks};
pub use self::routes::{Builder, Meter, OnDemand, RouteBuilder};
pub use self::runner::Reloaded;
