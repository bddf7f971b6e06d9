//! From the routes of a config to those of the library, each with its producer.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use oncue::demand::{Backoff, Builder, Change, RouteBuilder};

use super::config::{Catalogue, Config, Restart, Route, Running, Source};
use super::produce::file::{self, Content, Tail};
use super::produce::listing::Lister;
use super::produce::shared::{Keeper, Shared, Topics, unspeakable};
use super::produce::{Place, Tools, runs, stream};

/// The programs that routes share, by the keys of their routes. They end when they are dropped.
pub(super) type Keepers = BTreeMap<String, Keeper>;

/// Adds the routes of a config, and the programs that they share unless those run already.
///
/// # Errors
/// When the system has no thread left.
pub(super) fn add(
    mut builder: Builder,
    config: &Config,
    tools: &Arc<Tools>,
    keepers: &mut Keepers,
) -> io::Result<Builder> {
    builder = bounded(builder, config);
    for route in &config.routes {
        let (place, key) = (Place::new(tools), key(route));
        let planned = listed(planned(builder, route).key(&key), route, &place);
        builder = produced(planned, route, place, &key, keepers)?;
    }
    Ok(builder)
}

/// Adds the routes of a config with producers that produce nothing: to see what the library says.
pub(super) fn add_idle(mut builder: Builder, config: &Config) -> Builder {
    builder = bounded(builder, config);
    for route in &config.routes {
        builder = planned(builder, route).manual(|_| ());
    }
    builder
}

/// All that a route is made of: routes with one key are the same.
pub(super) fn key(route: &Route) -> String {
    format!("{route:?}")
}

/// What is said outside of routes.
fn bounded(mut builder: Builder, config: &Config) -> Builder {
    builder = builder.feeds_max(config.feeds_max).catalogue_topics_max(config.catalogue_topics_max);
    match &config.status_prefix {
        Some(prefix) => builder.status_prefix(prefix),
        None => builder,
    }
}

/// What a route says besides how it is produced.
fn planned(builder: Builder, route: &Route) -> RouteBuilder {
    let mut planned = builder.route_pattern(route.pattern.clone());
    planned = planned.grace(route.grace).min_run(route.min_run).max_rate(route.min_interval);
    if let Some(feeds) = route.feeds_max {
        planned = planned.feeds_max(feeds);
    }
    if let Some(limits) = route.keep_last {
        planned = planned.keep_last_with(limits);
    }
    if let Catalogue::Topics(topics) = &route.catalogue {
        planned = planned.catalogue(topics);
    }
    match &route.source {
        // A clock is not set going faster by failures.
        Source::Runs(runs) => backed_off(planned.pace(runs.every), runs.program.backoff, runs.every),
        Source::Stream(Running { restart: Restart::Never, .. }) => planned.no_restart(),
        Source::Stream(running) | Source::Shared(running) => {
            backed_off(planned, running.program.backoff, Duration::ZERO)
        }
        Source::Lines(_) | Source::Content(_) => planned,
    }
}

fn backed_off(planned: RouteBuilder, backoff: Backoff, least: Duration) -> RouteBuilder {
    planned.backoff(backoff.min.max(least), backoff.max.max(least))
}

fn listed(planned: RouteBuilder, route: &Route, place: &Place) -> RouteBuilder {
    let Catalogue::Listing(listing) = &route.catalogue else { return planned };
    let (every, listing, pattern) = (listing.every, listing.clone(), route.pattern.clone());
    let lister = Lister { place: place.clone(), pattern, listing, last: Mutex::default() };
    planned.catalogue_with(every, move || lister.list())
}

fn produced(
    planned: RouteBuilder,
    route: &Route,
    place: Place,
    key: &str,
    keepers: &mut Keepers,
) -> io::Result<Builder> {
    Ok(match route.source.clone() {
        Source::Runs(runs) => planned.thread(move |feed| runs::produce(&runs, &place, &feed)),
        Source::Stream(running) => planned.thread(move |feed| stream::produce(&running, &place, &feed)),
        Source::Shared(running) => {
            if !keepers.contains_key(key) {
                let name = route.pattern.to_string().into_bytes();
                let shared = Shared { place: place.clone(), name, running };
                keepers.insert(key.to_owned(), shared.start()?);
            }
            let topics = keepers.get(key).map(Keeper::topics).unwrap_or_default();
            planned.manual(move |change| tell(&place, &topics, change))
        }
        Source::Lines(file) => {
            planned.thread(move |feed| file::produce(&file, &mut Tail::new(file.bytes_max), &place, &feed))
        }
        Source::Content(file) => {
            planned.thread(move |feed| file::produce(&file, &mut Content::new(file.bytes_max), &place, &feed))
        }
    })
}

/// Tells a shared program what is wanted, unless that is not for its ears.
fn tell(place: &Place, topics: &Topics, change: Change) {
    let (Change::Started(feed) | Change::Stopped(feed)) = &change;
    match (&change, unspeakable(feed.topic())) {
        (Change::Started(_), Some(why)) => {
            place.refuse(feed.topic(), why);
            feed.finish();
            return;
        }
        (Change::Stopped(_), Some(_)) => return,
        (Change::Started(_), None) => place.tools.journal.started(feed.topic()),
        (Change::Stopped(_), None) => place.tools.journal.ended(feed.topic()),
    }
    topics.change(change);
}
