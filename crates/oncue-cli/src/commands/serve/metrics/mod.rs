//! What the server counts, for Prometheus: as text (version 0.0.4) and as OpenMetrics 1.0, by what the reader accepts. Labels
//! are routes, states, reasons and quotas, never topics or peers: there are as many samples as the config has routes, times a
//! constant. Reading takes no lock for longer than a copy of the counters.

use std::time::{SystemTime, UNIX_EPOCH};

use oncue::SocketStats;
use oncue::demand::{Meter, OnDemandStats, RouteStats};

use self::families::{FAMILIES, Read};
use self::pages::Phase;
use self::text::{Format, Text};
use super::produce::counts::{Counts, Totals};
use super::program::verdict::Reason;

mod families;
pub(super) mod pages;
#[cfg(test)]
mod tests;
mod text;

/// What is known of the server itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Server {
    /// When it was started, in seconds since 1970.
    started: u64,
    pub(super) phase: Phase,
    /// Whether the config that was read last is in force.
    pub(super) config_in_force: bool,
    /// How often a config has taken the place of the one before, and how often one was not accepted.
    pub(super) reloads: [u64; 2],
}

/// Where everything is counted that is reported.
pub(super) struct Source<'s> {
    pub(super) meter: &'s Meter,
    pub(super) counts: &'s Counts,
    pub(super) server: &'s Server,
    /// Whether a route with this pattern is about the server itself; it is left out.
    pub(super) is_own: &'s dyn Fn(&str) -> bool,
}

/// Everything that is reported, at one time.
struct Snapshot {
    server: Server,
    on_demand: OnDemandStats,
    socket: SocketStats,
    programs: Totals,
    routes: Vec<Route>,
}

/// One route.
struct Route {
    stats: RouteStats,
    /// How often programs and files have failed, by [`Reason::ALL`].
    failures: [u64; Reason::ALL.len()],
}

impl Server {
    /// One that is starting now.
    pub(super) fn starting() -> Server {
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Server { started, phase: Phase::Starting, config_in_force: true, reloads: [0; 2] }
    }
}

impl Source<'_> {
    fn snapshot(&self) -> Snapshot {
        let Source { meter, counts, server, is_own } = *self;
        let route = |stats: RouteStats| Route { failures: counts.of_route(&stats.pattern).get(), stats };
        let routes = meter.route_stats().into_iter().filter(|route| !is_own(&route.pattern));
        Snapshot {
            server: *server,
            on_demand: meter.stats(),
            socket: meter.xpub().stats(),
            programs: counts.totals(),
            routes: routes.map(route).collect(),
        }
    }
}

impl Snapshot {
    fn write(&self, format: Format) -> String {
        let mut text = Text::new(format);
        for family in FAMILIES {
            text.begin(family.name, family.kind, family.unit, family.help);
            let mut add = |labels: &[(&str, &str)], value: u64| text.sample(labels, value);
            match family.read {
                Read::One(read) => add(&[], read(self)),
                Read::By(label, read) => {
                    read(self).into_iter().for_each(|(name, value)| add(&[(label, name)], value));
                }
                Read::Route(read) => {
                    self.routes
                        .iter()
                        .for_each(|route| add(&[("route", &route.stats.pattern)], read(&route.stats)));
                }
                Read::RouteBy(label, read) => {
                    for route in &self.routes {
                        let labelled = read(route).into_iter();
                        labelled.for_each(|(name, value)| {
                            add(&[("route", &route.stats.pattern), (label, name)], value);
                        });
                    }
                }
                Read::RouteTimes(read) => {
                    self.routes.iter().for_each(|route| {
                        text.histogram(&[("route", &route.stats.pattern)], read(&route.stats));
                    });
                }
            }
        }
        text.finish()
    }
}
