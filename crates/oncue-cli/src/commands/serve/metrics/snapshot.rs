//! Everything that is reported, as it is at one time.

use oncue::SocketStats;
use oncue::demand::{Meter, OnDemandStats, RouteStats};
use oncue_observe::schema::Mesh;

use crate::commands::serve::produce::counts::{Counts, Totals};
use crate::commands::serve::program::verdict::Reason;
use crate::metrics::pages::Phase;
use crate::metrics::process::Started;

/// What is known of the server itself.
#[derive(Debug, Clone, Copy)]
pub(in crate::commands::serve) struct Server {
    pub(super) started: Started,
    pub(in crate::commands::serve) phase: Phase,
    /// Whether the config that was read last is in force.
    pub(in crate::commands::serve) config_in_force: bool,
    /// How often a config has taken the place of the one before, and how often one was not accepted.
    pub(in crate::commands::serve) reloads: [u64; 2],
}

/// Where everything is counted that is reported.
pub(in crate::commands::serve) struct Source<'s> {
    pub(in crate::commands::serve) meter: &'s Meter,
    pub(in crate::commands::serve) counts: &'s Counts,
    pub(in crate::commands::serve) server: &'s Server,
    /// Whether a route with this pattern is about the server itself; it is left out.
    pub(in crate::commands::serve) is_own: &'s dyn Fn(&str) -> bool,
    /// The mesh, if it is a site of one.
    pub(in crate::commands::serve) mesh: Option<Mesh>,
}

/// Everything that is reported, at one time.
pub(in crate::commands::serve) struct Snapshot {
    pub(super) server: Server,
    pub(super) on_demand: OnDemandStats,
    pub(super) socket: SocketStats,
    pub(super) programs: Totals,
    pub(super) routes: Vec<Route>,
    pub(super) mesh: Option<Mesh>,
}

/// One route.
pub(super) struct Route {
    pub(super) stats: RouteStats,
    /// How often programs and files have failed, by [`Reason::ALL`].
    pub(super) failures: [u64; Reason::ALL.len()],
}

impl Server {
    /// One that is starting now.
    pub(in crate::commands::serve) fn starting() -> Server {
        Server { started: Started::now(), phase: Phase::Starting, config_in_force: true, reloads: [0; 2] }
    }
}

impl Source<'_> {
    pub(in crate::commands::serve) fn snapshot(self) -> Snapshot {
        let Source { meter, counts, server, is_own, mesh } = self;
        let route = |stats: RouteStats| Route { failures: counts.of_route(&stats.pattern).get(), stats };
        let routes = meter.route_stats().into_iter().filter(|route| !is_own(&route.pattern));
        Snapshot {
            server: *server,
            on_demand: meter.stats(),
            socket: meter.xpub().stats(),
            programs: counts.totals(),
            routes: routes.map(route).collect(),
            mesh,
        }
    }
}
