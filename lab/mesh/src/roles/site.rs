//! A site of the mesh.

use std::thread;
use std::time::Duration;

use oncue::{Engine, Sub, XPub, XSub};
use oncue_mesh::{Mesh, MeshEvent, MeshOptions, MeshStatus, SitePhase, SiteStatus, Topology};

use super::load::{Reader, publish};
use super::options;
use crate::Outcome;
use crate::clock::now;
use crate::protocol::{Answer, Ask, Flow, Other, Place, SiteRole, Status, serve};

/// A pause between two looks at the status.
const PAUSE: Duration = Duration::from_micros(500);

struct Site {
    mesh: Mesh,
    inside: Option<Inside>,
    next: u64,
}

/// The publisher and the subscriber of a site that has them itself.
struct Inside {
    publisher: XPub,
    subscriber: Sub,
    reader: Reader,
}

/// Joins, and answers until standard input ends.
pub(super) fn play(role: &SiteRole) -> Outcome<()> {
    let mut site = join(role).map_err(|why| why.to_string())?;
    serve(|ask| site.answer(ask));
    Ok(())
}

fn join(role: &SiteRole) -> Result<Site, Box<dyn std::error::Error>> {
    let engine = Engine::start()?;
    let local = XPub::new(&engine, options(role.timeout_ms).discard_messages(true))?;
    let told = say_events(&role.site);
    let builder = Mesh::builder(&engine, mesh_options(role)).subscribers(&local).on_event(told);
    let (builder, inside) = if role.inside {
        let publisher = XPub::new(&engine, options(role.timeout_ms).discard_messages(true))?;
        local.bind(&format!("inproc://{}", role.site))?;
        let subscriber = Sub::new(&engine, options(role.timeout_ms))?;
        subscriber.connect(&format!("inproc://{}", role.site))?;
        let reader = Reader::of(subscriber.clone());
        (builder.publisher(&publisher), Some(Inside { publisher, subscriber, reader }))
    } else {
        let sources = XSub::new(&engine, options(role.timeout_ms))?;
        sources.bind(&role.sources)?;
        local.bind(&role.local)?;
        (builder.publishers(&sources), None)
    };
    Ok(Site { mesh: builder.start()?, inside, next: 0 })
}

/// Events on standard error, if asked for.
fn say_events(site: &str) -> impl FnMut(MeshEvent) + Send + 'static {
    let (site, begin) = (site.to_owned(), now());
    let says = std::env::var_os("MESH_LAB_EVENTS").is_some();
    move |event| {
        if says {
            eprintln!("{:8.3} {site}: {event:?}", (now() - begin) as f64 / 1e9);
        }
    }
}

fn mesh_options(role: &SiteRole) -> MeshOptions {
    let topology = match role.place.clone() {
        Place::Edge(routers) => Topology::Edge { routers },
        Place::Router(listen, parent) => Topology::Router { listen: vec![listen], parent },
        Place::Peer(sites, listen) => Topology::Peer { sites, listen: Some(listen) },
    };
    let mut options = MeshOptions::new(&role.site, topology);
    options.timeout = Duration::from_millis(role.timeout_ms);
    options.heartbeat = options.timeout / 4;
    options
}

impl Site {
    fn answer(&mut self, ask: Ask) -> Answer {
        match (ask, &self.inside) {
            (Ask::Status, _) => Answer::Status(Box::new(told(&self.mesh.status()))),
            (Ask::Known { sites, prefixes }, _) => Answer::Done(self.wait_for(sites, prefixes)),
            (Ask::Publish(flow), Some(inside)) => offer(inside, &flow, &mut self.next),
            (Ask::Change { subscribe, .. }, Some(inside)) => {
                let done =
                    subscribe.iter().try_for_each(|prefix| inside.subscriber.subscribe(prefix).map(drop));
                done.map_or_else(|why| Answer::Failed(why.to_string()), |()| Answer::Done(now()))
            }
            (Ask::Received, Some(inside)) => Answer::Received(inside.reader.take()),
            (other, _) => Answer::Failed(format!("this site cannot do {other:?}")),
        }
    }

    /// Waits until so many other sites want so many prefixes each.
    fn wait_for(&self, sites: usize, prefixes: usize) -> u64 {
        loop {
            let status = self.mesh.status();
            let knows = |site: &&SiteStatus| site.phase == SitePhase::Live && site.prefixes == prefixes;
            if status.sites.iter().filter(knows).count() >= sites {
                return now();
            }
            thread::sleep(PAUSE);
        }
    }
}

fn offer(inside: &Inside, flow: &Flow, next: &mut u64) -> Answer {
    match publish(&inside.publisher, flow, next) {
        Ok(sent) => Answer::Sent(sent),
        Err(why) => Answer::Failed(why.to_string()),
    }
}

fn told(status: &MeshStatus) -> Status {
    let other = |site: &SiteStatus| Other {
        name: site.name.clone(),
        phase: site.phase.name().to_owned(),
        prefixes: site.prefixes,
        snapshots: site.snapshots,
        log_gaps: site.log_gaps,
        sent: [site.sent.messages, site.sent.batches],
        missed: site.missed,
        received: [site.received.messages, site.received.batches],
        lost: site.lost,
    };
    let sites = status.sites.iter().map(other).collect();
    Status { prefixes: status.prefixes, links: status.links, sites }
}
