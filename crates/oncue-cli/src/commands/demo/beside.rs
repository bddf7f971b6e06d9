//! The page beside the demo: its topics are routes of an `OnDemand`, which counts what is wanted, produced and saved.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use oncue::demand::{Change, Feed};
use oncue::{OnDemand, Prefix, Web, XPub};
use oncue_observe::{Observe, PREFIX};

use crate::args::PAGE_PLACE;
use crate::fail::Fail;
use crate::page;
use crate::publisher::refused;
use crate::stdio::say;

/// The topics that are produced now.
#[derive(Clone, Default)]
struct Feeds(Arc<Mutex<BTreeMap<Prefix, Feed>>>);

/// The routes behind the page. They publish when the demo ticks.
pub(super) struct Beside {
    observe: Observe,
    feeds: Feeds,
    routes: OnDemand,
}

impl Beside {
    /// Begins, and prints where the page is. `topics` are those of the demo itself, `every` is the time between two ticks.
    pub(super) fn open(
        socket: &XPub,
        observe: Observe,
        place: &str,
        endpoint: &str,
        topics: &BTreeSet<&str>,
        every: Duration,
    ) -> Result<Beside, Fail> {
        let feeds = Feeds::default();
        let told = feeds.clone();
        let routes = OnDemand::on(socket.clone())
            .route("{name}")
            .catalogue(topics)
            .pace(every)
            .frames(["{topic} {value}"])
            .manual(move |change| told.follow(change));
        let routes = observe.routes(routes).start()?;
        observe.begin(&routes);
        observe.bound_to(vec![endpoint.to_owned()]);
        say("demo", &open_page(socket, place)?);
        Ok(Beside { observe, feeds, routes })
    }

    /// Whether a prefix is about the demo, not one of its topics.
    pub(super) fn is_own(&self, prefix: &[u8]) -> bool {
        self.observe.is_own(prefix)
    }

    /// What a tick produces: the topics of the routes, and what is wanted beside them, as without a page.
    pub(super) fn due(&self, wanted: &BTreeSet<Prefix>) -> BTreeSet<Prefix> {
        let beside = wanted.iter().filter(|prefix| !self.is_own(prefix));
        self.feeds.lock().keys().chain(beside).cloned().collect()
    }

    /// Publishes a value of a topic. False if no route produces it.
    pub(super) fn publish(&self, topic: &[u8], number: u64) -> bool {
        let feed = self.feeds.lock().get(topic).cloned();
        // A feed that has just stopped sends nothing: nobody wants the value.
        feed.map(|feed| feed.publish(number.to_string())).is_some()
    }

    pub(super) fn end(&self) {
        self.routes.stop();
    }
}

impl Feeds {
    fn follow(&self, change: Change) {
        match change {
            Change::Started(feed) => drop(self.lock().insert(feed.topic().into(), feed)),
            Change::Stopped(feed) => drop(self.lock().remove(feed.topic())),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Prefix, Feed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens the page, on a free port if the usual one is taken. Returns what to say.
fn open_page(socket: &XPub, place: &str) -> Result<String, Fail> {
    let open =
        |place: &str| page::open(socket, &format!("ws://{place}/"), page::web(Web::new(), Some(PREFIX)));
    match open(place) {
        Err(taken) if place == PAGE_PLACE && taken.io_kind() == Some(ErrorKind::AddrInUse) => {
            let url = open("127.0.0.1:0").map_err(|error| refused(error, "--page 127.0.0.1:0"))?;
            Ok(format!("page at {url}/ ({place} is taken)"))
        }
        opened => Ok(format!("page at {}/", opened.map_err(|error| refused(error, "--page 127.0.0.1:0"))?)),
    }
}
