//! The link with real sessions on 127.0.0.1.

mod faults;
mod places;
mod sites;
mod tls;

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use super::{Arrival, Hooks, Link, Payload};
use crate::error::MeshError;
use crate::options::MeshOptions;
use crate::topology::Topology;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(10);

/// A link, and what has come by it.
struct Site {
    link: Link,
    arrivals: Receiver<Arrival>,
}

impl Site {
    fn try_open(options: &MeshOptions, epoch_at_least: u64) -> Result<Site, MeshError> {
        let (arrived, arrivals) = channel();
        let snapshot = format!("snapshot of {}", options.site).into_bytes();
        let hooks = Hooks {
            arrived: Arc::new(move |arrival| drop(arrived.send(arrival))),
            snapshot: Arc::new(move || snapshot.clone()),
        };
        Link::open(options, epoch_at_least, hooks).map(|link| Site::of(link, arrivals))
    }

    /// It hears all sites that tests have, before they join, but for its own name.
    fn of(link: Link, arrivals: Receiver<Arrival>) -> Site {
        let names = ["a", "b", "c", "d", "r", "s", "x"].into_iter().filter(|name| *name != link.keys.site());
        names.for_each(|name| link.hear(name).unwrap());
        Site { link, arrivals }
    }

    /// Opens a link that must open, and announces it.
    fn open(options: &MeshOptions) -> Site {
        let site = Site::try_open(options, 0).unwrap();
        site.link.announce().unwrap();
        site
    }

    /// Waits for the first arrival that `pick` takes. Others before it are lost.
    #[track_caller]
    fn wait<T>(&self, what: &str, mut pick: impl FnMut(Arrival) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.arrivals.recv_timeout(left) {
                Ok(arrival) => {
                    if let Some(picked) = pick(arrival) {
                        return picked;
                    }
                }
                Err(_) => panic!("waited in vain for {what}"),
            }
        }
    }

    /// Waits until a site joins (`alive`) or leaves, and returns its epoch.
    #[track_caller]
    fn wait_token(&self, name: &str, alive: bool) -> u64 {
        self.wait(&format!("token of {name}, alive: {alive}"), |arrival| match arrival {
            Arrival::Token { site, epoch, alive: is } if site == name && is == alive => Some(epoch),
            _ => None,
        })
    }

    #[track_caller]
    fn wait_heartbeat(&self, name: &str) -> Vec<u8> {
        self.wait(&format!("heartbeat of {name}"), |arrival| match arrival {
            Arrival::Heartbeat { site, payload } if site == name => Some(bytes(&payload)),
            _ => None,
        })
    }

    #[track_caller]
    fn wait_data(&self, name: &str) -> Vec<u8> {
        self.wait(&format!("data of {name}"), |arrival| match arrival {
            Arrival::Data { site, payload } if site == name => Some(bytes(&payload)),
            _ => None,
        })
    }
}

fn bytes(payload: &Payload) -> Vec<u8> {
    payload.bytes().into_owned()
}

/// An endpoint whose port is free at this moment.
fn endpoint() -> String {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    format!("tcp/127.0.0.1:{port}")
}

fn options(site: &str, topology: Topology) -> MeshOptions {
    MeshOptions {
        heartbeat: Duration::from_millis(250),
        timeout: Duration::from_secs(1),
        ..MeshOptions::new(site, topology)
    }
}

/// The options of a small mesh's sites, in the order of the names.
fn peers<const N: usize>(names: [&str; N]) -> [MeshOptions; N] {
    let sites: std::collections::BTreeMap<_, _> =
        names.iter().map(|&name| (name.to_owned(), endpoint())).collect();
    names.map(|name| options(name, Topology::Peer { sites: sites.clone(), listen: None }))
}

fn router(site: &str, listen: &str, parent: Option<&str>) -> MeshOptions {
    options(site, Topology::Router { listen: vec![listen.into()], parent: parent.map(Into::into) })
}

fn edge(site: &str, routers: &[&str]) -> MeshOptions {
    options(site, Topology::Edge { routers: routers.iter().map(|&router| router.into()).collect() })
}
