//! Makes routes of the library, with their producers, of those of a config.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use oncue::OnDemand;
use oncue::demand::{Backoff, Builder, Change, RouteBuilder};
use oncue_observe::Observe;

use super::produce::file::{self, Content, Tail};
use super::produce::listing::Lister;
use super::produce::shared::{Keeper, Shared, Topics, cannot_be_told};
use super::produce::{Place, Tools, runs, stream};
use crate::config::{Catalogue, Config, Framing, Problem, Restart, Route, Running, Source};
use crate::fail::Fail;

/// The shared programs of a server. A program ends when its keeper is dropped.
#[derive(Default)]
pub(super) struct Keepers {
    /// By the keys of their routes.
    running: BTreeMap<String, Keeper>,
    /// Those that wait for programs of routes that have gone. A program may take its time to end: the main thread has the
    /// supervisor's watchdog to feed meanwhile.
    ending: Vec<JoinHandle<()>>,
}

/// Adds the routes of a config, and starts keepers for shared programs that have none.
///
/// # Errors
/// When the system has no thread left.
pub(super) fn add(
    mut builder: Builder,
    config: &Config,
    observe: Option<&Observe>,
    tools: &Arc<Tools>,
    keepers: &mut Keepers,
) -> Result<Builder, Fail> {
    builder = observed(bounded(builder, config), observe);
    for route in &config.routes {
        let (place, key) = (Place::new(tools, route.pattern.to_string()), key(route));
        let planned = listed(planned(builder, route).key(&key), route, &place);
        builder = produced(planned, route, place, &key, keepers)?;
    }
    Ok(builder)
}

/// Checks the routes of a config as the library does, without starting anything.
///
/// # Errors
/// The library's, at the first route that is wrong or contradicts one before it.
pub(super) fn check(config: &Config) -> Result<(), Problem> {
    let first = |routes: usize| {
        let observe = config.observe.as_ref().and_then(|prefix| Observe::new(prefix.clone()).ok());
        let builder = observed(bounded(OnDemand::routes(), config), observe.as_ref());
        let routes = config.routes.iter().take(routes);
        routes.fold(builder, |builder, route| planned(builder, route).thread(|_| Ok(()))).check()
    };
    let (mut right, mut wrong) = (0, config.routes.len());
    let Err(mut error) = first(wrong) else { return Ok(()) };
    // If some routes are wrong, so are they with more routes: a binary search.
    while wrong - right > 1 {
        let middle = right.midpoint(wrong);
        match first(middle) {
            Ok(()) => right = middle,
            Err(why) => (wrong, error) = (middle, why),
        }
    }
    let at = config.places.get(right).copied().unwrap_or_default();
    Err(Problem { at, text: error.to_string() })
}

/// The key of a route, which stands for everything that the config says about it.
pub(super) fn key(route: &Route) -> String {
    format!("{route:?}")
}

/// Sets what the config says outside of routes.
fn bounded(mut builder: Builder, config: &Config) -> Builder {
    builder = builder.feeds_max(config.feeds_max).catalogue_topics_max(config.catalogue_topics_max);
    builder = builder.starts_per_minute_max(config.starts_per_minute_max);
    match &config.status_prefix {
        Some(prefix) => builder.status_prefix(prefix),
        None => builder,
    }
}

/// Adds the routes of the topics about the server itself.
fn observed(builder: Builder, observe: Option<&Observe>) -> Builder {
    match observe {
        Some(observe) => observe.routes(builder),
        None => builder,
    }
}

/// Sets what a route says, except for its producer.
fn planned(builder: Builder, route: &Route) -> RouteBuilder {
    let mut planned = builder.route_pattern(route.pattern.clone());
    planned = planned.grace(route.grace).min_run(route.min_run).max_rate(route.min_interval);
    if let Some(feeds) = route.feeds_max {
        planned = planned.feeds_max(feeds);
    }
    if let Some(limits) = route.keep_last {
        planned = planned.keep_last_with(limits);
    }
    if let Some(policy) = route.on_full {
        planned = planned.on_full(policy);
    }
    if let Some(time) = route.fresh_for {
        planned = planned.fresh_for(time);
    }
    planned = planned.once(route.once).frames(&route.frames);
    if let Catalogue::Topics(topics) = &route.catalogue {
        planned = planned.catalogue(topics);
    }
    match &route.source {
        // Failures must not make it run more often than `every`.
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

impl Keepers {
    /// Ends the shared programs of other keys than these, all at the same time, and does not wait for them.
    pub(super) fn retain(&mut self, stays: impl Fn(&String) -> bool) {
        let (stay, end): (BTreeMap<_, _>, BTreeMap<_, _>) =
            std::mem::take(&mut self.running).into_iter().partition(|(key, _)| stays(key));
        self.running = stay;
        self.ending.retain(|thread| !thread.is_finished());
        if end.is_empty() {
            return;
        }
        end.values().for_each(Keeper::close);
        let waiting = thread::Builder::new().name("oncue-ending".into()).spawn(move || drop(end));
        // Without a thread they were waited for here.
        self.ending.extend(waiting);
    }

    /// Ends all, and waits until they have ended.
    pub(super) fn end(&mut self) {
        self.retain(|_| false);
        for thread in self.ending.drain(..) {
            // After a panic, which has been printed, its programs have ended too.
            let _ = thread.join();
        }
    }
}

fn produced(
    planned: RouteBuilder,
    route: &Route,
    place: Place,
    key: &str,
    keepers: &mut Keepers,
) -> Result<Builder, Fail> {
    Ok(match route.source.clone() {
        Source::Runs(runs) => planned.thread(move |feed| runs::produce(&runs, &place, &feed)),
        Source::Stream(running) => planned.thread(move |feed| stream::produce(&running, &place, &feed)),
        Source::Shared(running) => {
            let framing = running.framing;
            if !keepers.running.contains_key(key) {
                let shared = Shared { place: place.clone(), running };
                keepers.running.insert(key.to_owned(), shared.start()?);
            }
            let topics = keepers.running.get(key).map(Keeper::topics).unwrap_or_default();
            planned.manual(move |change| tell(&place, &topics, framing, change))
        }
        Source::Lines(file) => {
            planned.thread(move |feed| file::produce(&file, &mut Tail::new(file.bytes_max), &place, &feed))
        }
        Source::Content(file) => planned.thread(move |feed| {
            file::produce(&file, &mut Content::new(file.bytes_max, file.trim), &place, &feed)
        }),
    })
}

/// Passes a change of demand to a shared program, unless its topic cannot be told.
fn tell(place: &Place, topics: &Topics, framing: Framing, change: Change) {
    let (Change::Started(feed) | Change::Stopped(feed)) = &change;
    match (&change, cannot_be_told(feed.topic(), framing)) {
        (Change::Started(_), Some(why)) => {
            place.refuse(feed.topic(), why);
            feed.finish();
            return;
        }
        (Change::Stopped(_), Some(_)) => return,
        (Change::Started(_), None) => place.log.started(feed.topic()),
        (Change::Stopped(_), None) => place.log.ended(feed.topic()),
    }
    topics.change(change);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_text(text: &str) -> Result<(), (usize, String)> {
        let config = Config::parse(text, std::path::Path::new("/")).expect("a config");
        check(&config).map_err(|Problem { at, text: why }| (text[..at].matches('\n').count() + 1, why))
    }

    #[test]
    fn keys_that_contradict_each_other_are_refused() {
        let check = |keys: &str| {
            let route = format!("[[route]]\ntopic = 'x'\ncommand = ['x']\nevery = '1s'\n{keys}\n");
            check_text(&format!("bind = 'tcp://127.0.0.1:0'\n{route}")).map_err(|(_, why)| why)
        };
        let why = check("fresh_for = '2s'\nkeep_last = { age_max = '1s' }").expect_err("too short");
        assert!(why.contains("`age_max` at least as long as `fresh_for`"), "{why}");
        let why = check("frames = ['{value}']").expect_err("no topic");
        assert!(why.contains("the route `x`") && why.contains("begin with `{topic}`"), "{why}");
        assert_eq!(check("fresh_for = '2s'\nonce = true\nframes = ['{topic}', '{count}']"), Ok(()));
    }

    #[test]
    fn routes_that_contradict_each_other_are_refused_at_the_second() {
        let route = |topic: &str| format!("[[route]]\ntopic = '{topic}'\nfile = 'x'\n");
        let two = |a: &str, b: &str| {
            format!("bind = 'tcp://127.0.0.1:0'\n{}{}{}", route(a), route(b), route("last"))
        };
        let (line, why) = check_text(&two("a/{x}", "{y}/b")).expect_err("an overlap");
        assert!(line == 6 && why.starts_with("the routes `a/{x}` and `{y}/b` share topics"), "{line}: {why}");
        let (line, why) = check_text(&two("a/{x}", "a/{y}")).expect_err("the same topics");
        assert!(
            line == 6 && why.starts_with("the routes `a/{x}` and `a/{y}` have the same topics"),
            "{line}: {why}"
        );
        assert_eq!(check_text(&two("a/{x}", "a/b")), Ok(()));
        let bad = two("a", "last");
        assert_eq!(check_text(&bad).expect_err("the same topics").0, 9, "{bad}");
    }
}
