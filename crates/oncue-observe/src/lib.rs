//! What a server of Oncue says about itself, over its own socket: topics under a prefix, produced only while somebody wants
//! them. [`schema`] has what they say; docs/OBSERVE.md is the same for people.
//!
//! ```
//! use std::time::Duration;
//! use oncue::{Engine, OnDemand, Options, Sub, XPub};
//! use oncue_observe::{Observe, PREFIX, schema::Stats};
//!
//! let engine = Engine::start()?;
//! let observe = Observe::new(PREFIX)?;
//! let socket = XPub::new(&engine, observe.hide(Options::new().discard_messages(true)))?;
//! let endpoint = socket.bind("tcp://127.0.0.1:*")?;
//! let routes = OnDemand::on(socket).route("clock").every(Duration::from_secs(1), |_| "tick");
//! let server = observe.routes(routes).start()?;
//! observe.begin(&server);
//!
//! let viewer = Sub::new(&engine, Options::new())?;
//! viewer.connect(&endpoint.to_string())?;
//! viewer.subscribe("$oncue/stats")?;
//! let stats: Stats = serde_json::from_slice(viewer.recv().wait()?.frame(1).unwrap())?;
//! assert_eq!((stats.peers, stats.running), (1, 0)); // nobody wants the clock
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![deny(missing_docs)]

mod events;
mod process;
mod read;
pub mod schema;

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use oncue::demand::{Builder, Feed, Meter, Produced, RouteBuilder, Stopped};
use oncue::{OnDemand, Options};
use serde::Serialize;

use crate::events::Events;
use crate::read::Source;

/// The usual prefix of the topics.
pub const PREFIX: &str = "$oncue/";

/// The names of the topics, after the prefix.
pub mod topic {
    /// [`Routes`](crate::schema::Routes).
    pub const ROUTES: &str = "routes";
    /// [`Demand`](crate::schema::Demand).
    pub const DEMAND: &str = "demand";
    /// [`Peers`](crate::schema::Peers).
    pub const PEERS: &str = "peers";
    /// [`Stats`](crate::schema::Stats).
    pub const STATS: &str = "stats";
    /// [`Event`](crate::schema::Event), one a message.
    pub const EVENTS: &str = "events";
    /// [`Mesh`](crate::schema::Mesh), of a site of a mesh alone.
    pub const MESH: &str = "mesh";
}

/// How many topics each server has.
const TOPICS: usize = 5;

/// A subscriber may come before [`Observe::begin`]: how often that is looked for.
const BEGIN_PAUSE: Duration = Duration::from_millis(10);
/// How often a topic that is wanted is produced.
const PERIOD: Duration = Duration::from_secs(1);

/// The topics of one server about itself. All clones are the same.
#[derive(Clone)]
pub struct Observe(Arc<Inner>);

/// Reads the mesh; None when it has ended.
type ReadMesh = Box<dyn Fn() -> Option<schema::Mesh> + Send + Sync>;

struct Inner {
    prefix: String,
    started: Instant,
    /// Empty until the routes are at work.
    meter: OnceLock<Meter>,
    endpoints: Mutex<Vec<String>>,
    events: Events,
    /// Empty unless the server is a site of a mesh.
    mesh: OnceLock<ReadMesh>,
}

/// A prefix that topics cannot have: it is empty, or has braces or control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadPrefix(String);

impl fmt::Display for BadPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} cannot begin the topics about a server; use a text without braces, such as {PREFIX:?}",
            self.0
        )
    }
}

impl std::error::Error for BadPrefix {}

impl Observe {
    /// Topics under this prefix.
    ///
    /// # Errors
    /// [`BadPrefix`] if it is empty, or has braces or control characters.
    pub fn new(prefix: impl Into<String>) -> Result<Observe, BadPrefix> {
        let prefix = prefix.into();
        if prefix.is_empty() || prefix.contains(|c: char| c.is_control() || "{}".contains(c)) {
            return Err(BadPrefix(prefix));
        }
        let (meter, endpoints, events, mesh) = <(OnceLock<_>, Mutex<_>, Events, OnceLock<_>)>::default();
        Ok(Observe(Arc::new(Inner { prefix, started: Instant::now(), meter, endpoints, events, mesh })))
    }

    /// The options of the server's socket: who subscribes to everything does not get these topics.
    pub fn hide(&self, options: Options) -> Options {
        options.hidden_topics(&self.0.prefix)
    }

    /// Adds the routes of these topics.
    pub fn routes(&self, builder: Builder) -> Builder {
        let builder = self.periodic(builder, topic::ROUTES, read::routes);
        let builder = self.periodic(builder, topic::DEMAND, read::demand);
        let builder = self.periodic(builder, topic::PEERS, read::peers);
        let builder = self.periodic(builder, topic::STATS, read::stats);
        let inner = self.0.clone();
        let builder = self.route(builder, topic::EVENTS).thread(move |feed| inner.tell_events(&feed));
        self.mesh_route(builder)
    }

    /// The server is a site of a mesh, which `read` reads; it returns None when the mesh has ended. To be called before
    /// [`routes`](Self::routes), which then add a topic about the mesh.
    pub fn mesh(&self, read: impl Fn() -> Option<schema::Mesh> + Send + Sync + 'static) {
        // A server is a site of one mesh.
        let _ = self.0.mesh.set(Box::new(read));
    }

    /// Adds the topic about the mesh alone, for a process that passes on what others say about themselves.
    pub fn mesh_route(&self, builder: Builder) -> Builder {
        if self.0.mesh.get().is_none() {
            return builder;
        }
        let inner = self.0.clone();
        self.route(builder, topic::MESH).keep_last().thread(move |feed| inner.tell_mesh(&feed))
    }

    /// How many topics [`routes`](Self::routes) adds.
    pub fn topics(&self) -> usize {
        TOPICS + usize::from(self.0.mesh.get().is_some())
    }

    /// The routes are at work: from now on the topics have something to say.
    pub fn begin(&self, server: &OnDemand) {
        // A second server would be another one's topics.
        let _ = self.0.meter.set(server.meter());
    }

    /// Where the server is bound, for [`Stats`](schema::Stats).
    pub fn bound_to(&self, endpoints: Vec<String>) {
        *self.0.endpoints.lock().unwrap_or_else(PoisonError::into_inner) = endpoints;
    }

    /// Whether a topic, or a pattern, is one of these.
    pub fn is_own(&self, topic: &[u8]) -> bool {
        topic.starts_with(self.0.prefix.as_bytes())
    }

    /// The producer of a topic has failed: an event, if somebody wants events.
    pub fn failed(&self, topic: &[u8], error: &str) {
        self.0.events.failed(topic, error);
    }

    fn periodic<T: Serialize + 'static>(
        &self,
        builder: Builder,
        name: &str,
        read: fn(&Source<'_>) -> T,
    ) -> Builder {
        let inner = self.0.clone();
        // A thread, which is there only while somebody looks: a server of other kinds of routes has no workers.
        self.route(builder, name).keep_last().thread(move |feed| inner.tell(&feed, read))
    }

    /// The same route whenever the server's routes are replaced.
    fn route(&self, builder: Builder, name: &str) -> RouteBuilder {
        builder.route(&format!("{}{name}", self.0.prefix)).key("oncue-observe")
    }
}

impl Inner {
    /// What is read, again and again.
    fn tell<T: Serialize>(&self, feed: &Feed, read: fn(&Source<'_>) -> T) -> Produced {
        let meter = self.meter(feed)?;
        loop {
            feed.publish(self.read(meter, read)?)?;
            feed.sleep(PERIOD)?;
        }
    }

    fn tell_mesh(&self, feed: &Feed) -> Produced {
        loop {
            if let Some(mesh) = self.mesh.get().and_then(|read| read()) {
                feed.publish(serde_json::to_vec(&mesh)?)?;
            }
            feed.sleep(PERIOD)?;
        }
    }

    fn tell_events(&self, feed: &Feed) -> Produced {
        let meter = self.meter(feed)?;
        self.events.tell(feed, meter.xpub(), self.prefix.as_bytes())
    }

    /// The counts, once the routes are at work.
    fn meter(&self, feed: &Feed) -> Result<&Meter, Stopped> {
        loop {
            match self.meter.get() {
                Some(meter) => return Ok(meter),
                None => feed.sleep(BEGIN_PAUSE)?,
            }
        }
    }

    fn read<T: Serialize>(&self, meter: &Meter, read: fn(&Source<'_>) -> T) -> serde_json::Result<Vec<u8>> {
        let Inner { prefix, started, endpoints, .. } = self;
        let source = Source { meter, prefix, started: *started, endpoints };
        serde_json::to_vec(&read(&source))
    }
}
