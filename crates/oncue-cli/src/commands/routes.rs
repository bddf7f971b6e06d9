//! `oncue routes`: the routes of a server, as they are now.

use clap::{ArgMatches, Command, arg};
use oncue_observe::schema::{Route, Routes};
use oncue_observe::topic;

use crate::fail::Fail;
use crate::output::escaped;
use crate::signals::Stop;
use crate::stdio;
use crate::table::{Align, Table, seconds};
use crate::viewer::{self, Viewer};

/// How many topics of a catalogue are printed without `--catalogue`.
const TOPICS_SHOWN: usize = 8;

pub(crate) fn command() -> Command {
    Command::new("routes")
        .about("Print the routes of a server: what each has, what is wanted of it, what it saved")
        .after_help(
            "The server is an oncue serve, or a program that publishes the same topics about itself (docs/OBSERVE.md). Nothing of it is \
             disturbed.\n\n\
             WANTED are topics with a subscriber, RUNNING those that are produced, VALUES were sent since the start, SAVED were not \
             produced since nobody wanted them (known where a route has a period and a catalogue), FIRST is the mean time from the \
             moment a topic was wanted to its first value, SPENT the time spent producing.\n\n\
             Example:\n  oncue routes tcp://127.0.0.1:8888",
        )
        .args(viewer::options())
        .arg(arg!(--catalogue "Print all topics of the catalogues, up to 1000 of each"))
        .arg(arg!(--json "Print what the server says, as JSON"))
}

pub(crate) fn run(args: &ArgMatches, stop: &Stop) -> Result<(), Fail> {
    let mut viewer = Viewer::open("routes", args, &[topic::ROUTES], stop)?;
    let Some((_, value)) = viewer.next()? else { return stop.unfinished() };
    let routes: Routes = viewer.parse(topic::ROUTES, &value)?;
    if args.get_flag("json") {
        stdio::line(value);
        return Ok(());
    }
    let shown = if args.get_flag("catalogue") { usize::MAX } else { TOPICS_SHOWN };
    table(&routes.routes).lines().for_each(|line| stdio::line(line.into_bytes()));
    for route in routes.routes.iter().filter(|route| route.catalogue_total > 0) {
        stdio::line(catalogue(route, shown).into_bytes());
    }
    Ok(())
}

fn table(routes: &[Route]) -> Table {
    let mut table = Table::new(&[
        ("ROUTE", Align::Left),
        ("WANTED", Align::Right),
        ("RUNNING", Align::Right),
        ("WAITING", Align::Right),
        ("FAILING", Align::Right),
        ("VALUES", Align::Right),
        ("SAVED", Align::Right),
        ("FAILURES", Align::Right),
        ("FIRST", Align::Right),
        ("SPENT", Align::Right),
    ]);
    for route in routes {
        let first = if route.first_values > 0 { seconds(route.first_value_seconds) } else { "-".to_owned() };
        table.row([
            escaped(route.pattern.as_bytes()),
            route.wanted.to_string(),
            route.running.to_string(),
            route.waiting.to_string(),
            route.failing.to_string(),
            route.values.to_string(),
            route.avoided.to_string(),
            route.failures.to_string(),
            first,
            seconds(route.production_seconds),
        ]);
    }
    table
}

fn catalogue(route: &Route, shown: usize) -> String {
    let topics: Vec<_> = route.catalogue.iter().take(shown).map(|topic| escaped(topic.as_bytes())).collect();
    let left = route.catalogue_total.saturating_sub(topics.len() as u64);
    let more = if left > 0 { format!(" and {left} more") } else { String::new() };
    format!("{} lists {}{more}", escaped(route.pattern.as_bytes()), topics.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_catalogue_is_cut_and_the_rest_counted() {
        let topics = (0..20).map(|n| format!("n/{n}")).collect();
        let route =
            Route { pattern: "n/{n}".to_owned(), catalogue: topics, catalogue_total: 25, ..Route::default() };
        assert_eq!(catalogue(&route, 2), "n/{n} lists n/0 n/1 and 23 more");
        assert!(catalogue(&route, usize::MAX).ends_with("n/19 and 5 more"));
    }
}
