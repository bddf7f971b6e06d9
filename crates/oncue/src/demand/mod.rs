//! Production on demand: routes over topics, and producers that run only while somebody wants what they produce. It
//! sits on the public sockets and never reaches the engine; which feeds run is decided in [`oncue_core::feeds`].
//!
//! What subscribers want is known exactly, since a ZeroMQ subscription is a prefix that an XPUB is told of:
//!
//! - A prefix that is a whole topic of a route starts that topic's *feed*: one, however many subscribers.
//! - A prefix that is the beginning of topics of a route starts those of the route's catalogue that begin with it.
//!   A route without parameters has a catalogue of one: the empty prefix starts `clock`.
//! - Every prefix is attached to the feeds that begin with it, whoever started them: it keeps them running, and gets
//!   their values.
//!
//! A feed stops when no prefix is attached to it any more and its route's grace has passed. Nothing that its producer
//! publishes from then on is sent; the producer is told so by [`Stopped`], and should return. Only when it has does the
//! topic start again, as a feed of another generation: a topic never has two producers at once.
//!
//! A producer that returns, fails or panics ends its feed alone. One that has returned is started again when the
//! subscriptions that start it have all gone and one has come back; one that has failed, after a pause that grows from
//! failure to failure as well, see [`RouteBuilder::backoff`].

mod feed;
mod producers;
mod routes;
mod runner;
#[cfg(test)]
mod tests;

pub use oncue_pattern::{Pattern, PatternError};

pub use self::feed::Feed;
pub use self::feed::counts::{Done, OnDemandStats, RouteStats, TopicStats};
pub use self::feed::failure::{Failure, Produced, Stopped};
pub use self::feed::keep::LastLimits;
pub use self::producers::batch::FeedSet;
pub use self::producers::value::{Fallible, IntoValue, Plain};
pub use self::producers::{Change, Task};
pub use self::routes::builder::Builder;
pub use self::routes::on_demand::OnDemand;
pub use self::routes::route::RouteBuilder;
pub use self::runner::plan::Reloaded;
