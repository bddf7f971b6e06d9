//! What the user of an XPUB is told of demand, one queue over all handles: the changes of demand, or the events of each peer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use oncue_core::edges::{Edge, Prefix};

use super::demand::Demand;
use super::watches::{Holding, PeerWatch, Watch};
use crate::op::Waiters;
use crate::options::{Options, Verbose};
use crate::sync::lock;

/// What the user has not taken yet.
pub(crate) enum Reports {
    /// The changes of demand.
    Demand(Arc<Watch>),
    /// Every event of each peer.
    Peers(Arc<PeerWatch>),
    /// Both, or parts of both.
    Mixed {
        watch: Arc<PeerWatch>,
        verbose: Verbose,
        /// How many peers the user was told to have each prefix: the first and the last of them are changes of demand. Its
        /// lock is held while an event is taken from the watch, so that the counts keep to the order of the events.
        told: Mutex<HashMap<Prefix, u32>>,
    },
}

/// One event for the user.
pub(crate) enum Report {
    Wanted(Prefix),
    Unwanted(Prefix),
    /// An event of one peer.
    Peer(Edge<Holding>),
}

impl Reports {
    /// A queue that begins with what there is now. `waiters` wait for it.
    pub(crate) fn begin(demand: &Demand, options: &Options, waiters: Arc<Waiters>) -> Reports {
        match (options.verbose, options.manual) {
            (Verbose::Off, false) => Reports::Demand(demand.queue(waiters)),
            (Verbose::All, _) => Reports::Peers(demand.queue_peers(waiters, true)),
            (verbose, _) => Reports::Mixed {
                watch: demand.queue_peers(waiters, verbose == Verbose::Subscribes),
                verbose,
                told: Mutex::default(),
            },
        }
    }

    /// The next event.
    pub(crate) fn pop(&self) -> Option<Report> {
        match self {
            Reports::Demand(watch) => watch.pop().map(|edge| match edge.wanted {
                true => Report::Wanted(edge.prefix),
                false => Report::Unwanted(edge.prefix),
            }),
            Reports::Peers(watch) => watch.pop_undecided().map(Report::Peer),
            Reports::Mixed { watch, verbose, told } => {
                let mut told = lock(told);
                loop {
                    let edge = watch.pop_undecided()?;
                    if let Some(report) = mixed(edge, *verbose, &mut told) {
                        return Some(report);
                    }
                }
            }
        }
    }
}

/// What the user is told of an event of one peer.
fn mixed(edge: Edge<Holding>, verbose: Verbose, told: &mut HashMap<Prefix, u32>) -> Option<Report> {
    if edge.subject.asks || edge.repeated {
        return Some(Report::Peer(edge));
    }
    let peers = told.entry(edge.prefix.clone()).or_default();
    if edge.wanted {
        *peers += 1;
        let is_first = *peers == 1;
        return match verbose {
            Verbose::Off => is_first.then_some(Report::Wanted(edge.prefix)),
            Verbose::Subscribes | Verbose::All => Some(Report::Peer(edge)),
        };
    }
    *peers -= 1;
    if *peers > 0 {
        return None;
    }
    told.remove(&edge.prefix);
    Some(Report::Unwanted(edge.prefix))
}
