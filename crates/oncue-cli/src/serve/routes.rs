//! From the routes of a config to those of the library, each with its producer.

use std::io;
use std::sync::Arc;

use oncue::demand::{Builder, Change, RouteBuilder};

use super::config::{Config, Route, Source};
use super::produce::file::{Files, Values};
use super::produce::runs::Runs;
use super::produce::shared::{Keeper, Shared, unspeakable};
use super::produce::stream::Stream;
use super::produce::{Place, Tools};

/// Adds the routes of a config. The keepers hold the programs that routes share; they end them when they are dropped.
///
/// # Errors
/// When the system has no thread left.
pub(super) fn add(
    mut builder: Builder,
    config: &Config,
    tools: &Arc<Tools>,
) -> io::Result<(Builder, Vec<Keeper>)> {
    let mut keepers = Vec::new();
    for route in &config.routes {
        builder = produced(planned(builder, route), route, Place::new(tools), &mut keepers)?;
    }
    Ok((builder, keepers))
}

/// Adds the routes of a config with producers that produce nothing: to see what the library says.
pub(super) fn add_idle(mut builder: Builder, config: &Config) -> Builder {
    for route in &config.routes {
        builder = planned(builder, route).manual(|_| ());
    }
    builder
}

/// What all bounds and times outside of routes say.
pub(super) fn bounded(mut builder: Builder, config: &Config) -> Builder {
    builder = builder.grace(config.grace);
    if let Some(feeds) = config.feeds_max {
        builder = builder.feeds_max(feeds);
    }
    if let Some(topics) = config.catalogue_topics_max {
        builder = builder.catalogue_topics_max(topics);
    }
    builder
}

fn planned(builder: Builder, route: &Route) -> RouteBuilder {
    let planned = builder.route_pattern(route.pattern.clone()).catalogue(&route.catalogue);
    match route.grace {
        Some(grace) => planned.grace(grace),
        None => planned,
    }
}

fn produced(
    planned: RouteBuilder,
    route: &Route,
    place: Place,
    keepers: &mut Vec<Keeper>,
) -> io::Result<Builder> {
    Ok(match route.source.clone() {
        Source::Runs { program, every, timeout, output_bytes_max } => {
            let runs = Runs { place, program, every, timeout, output_bytes_max };
            planned.thread(move |feed| runs.produce(&feed))
        }
        Source::Stream { program, restart, line_bytes_max } => {
            let stream = Stream { place, program, restart, line_bytes_max };
            planned.thread(move |feed| stream.produce(&feed))
        }
        Source::Shared { program, restart, line_bytes_max } => {
            let name = route.pattern.to_string().into_bytes();
            let shared = Shared { place: place.clone(), name, program, restart, line_bytes_max };
            let keeper = shared.start()?;
            let topics = keeper.topics();
            keepers.push(keeper);
            planned.manual(move |change| match &change {
                Change::Started(feed) => match unspeakable(feed.topic()) {
                    Some(why) => place.refuse(feed.topic(), why),
                    None => {
                        place.tools.journal.started(feed.topic());
                        topics.change(change);
                    }
                },
                Change::Stopped(feed) => {
                    if unspeakable(feed.topic()).is_none() {
                        place.tools.journal.ended(feed.topic());
                        topics.change(change);
                    }
                }
            })
        }
        Source::Lines { path, every, line_bytes_max } => {
            let files = Files { place, path, every, values: Values::Lines { line_bytes_max } };
            planned.thread(move |feed| files.produce(&feed))
        }
        Source::Content { path, every, output_bytes_max } => {
            let files = Files { place, path, every, values: Values::Content { output_bytes_max } };
            planned.thread(move |feed| files.produce(&feed))
        }
    })
}
