//! How sites are linked. Only shapes that keep their state through failures can be written down.

use std::collections::BTreeMap;

/// The part of a site in the network. Endpoints are Zenoh's: `tcp/HOST:PORT`, or `tls/HOST:PORT` with
/// [`MeshOptions::tls`](crate::MeshOptions::tls).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topology {
    /// It dials one of these routers, the next one if that one fails. One or two, which are linked with each other.
    Edge {
        /// The endpoints of the routers.
        routers: Vec<String>,
    },
    /// It routes for others: edges and routers dial it. Routers form a tree, so each dials one other at most.
    Router {
        /// Where it listens.
        listen: Vec<String>,
        /// The router above it; none for the root.
        parent: Option<String>,
    },
    /// A small mesh without routers: every site is linked with every other one, and of two the one whose name is lower dials.
    Peer {
        /// All sites, this one too: the endpoint that each listens at. The same list at all of them.
        sites: BTreeMap<String, String>,
        /// Where this site listens if it is not the endpoint that others dial, as behind a translation of addresses.
        listen: Option<String>,
    },
}
