//! The link of a site to the others: the only part that knows Zenoh. It carries bytes whose meaning it does not know, and keeps no
//! state of other sites.
//!
//! Zenoh has its own threads, the same for all sessions of a process (`app`, `acc`, `tx`, `net`, two `rx`): they call the hooks. A link
//! has a thread that answers for snapshots, `oncue-mesh-snap`, and, if it is a router with a parent or a peer, one that looks at its
//! neighbours, `oncue-mesh-look`. No call needs a runtime of the caller.

mod arrival;
mod ask;
mod config;
mod hello;
mod keys;
mod neighbours;
mod session;
mod speaker;
#[cfg(test)]
mod tests;
mod tree;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use zenoh::liveliness::LivelinessToken;
use zenoh::qos::{CongestionControl, Priority};
use zenoh::sample::{Locality, Sample, SampleKind};
use zenoh::{Session, Wait};

pub(crate) use arrival::{Arrival, Hooks, Payload};
pub(crate) use speaker::Speaker as DataPublisher;

use crate::bell::lock;
use crate::check::is_name;
use crate::error::MeshError;
use crate::options::MeshOptions;
use crate::topology::Topology;
use keys::Keys;
use session::Health;
use speaker::Speaker;

/// The least time that a snapshot may take to come.
const SNAPSHOT_WAIT_MIN: Duration = Duration::from_secs(5);

type Arrived = Arc<dyn Fn(Arrival) + Send + Sync>;

/// A session, as one process of a site uses it. All methods may be called by several threads. Once one has failed, all fail: then a
/// new link must be opened.
pub(crate) struct Link {
    session: Session,
    keys: Keys,
    epoch: u64,
    timeout: Duration,
    arrived: Arrived,
    health: Arc<Health>,
    heartbeats: Speaker,
    deltas: Speaker,
    token: Mutex<Option<LivelinessToken>>,
}

impl Link {
    /// Opens a session, and takes an epoch that is higher than that of each earlier process of this site that can be seen, and at
    /// least `epoch_at_least`. From now on things arrive, also before this returns, and questions are answered; but others do not count this
    /// site as one that lives until [`announce`](Link::announce).
    ///
    /// A router or a peer need not have a neighbour for that: its links are dialled again until they come. An edge needs one of its
    /// routers.
    ///
    /// # Errors
    /// `Config`: the options are wrong, or the site cannot listen. `Unreachable`: no router of an edge answers now; another attempt may
    /// succeed. `Conflict`: this router would close a cycle, or what is dialled as a router is none.
    pub(crate) fn open(options: &MeshOptions, epoch_at_least: u64, hooks: Hooks) -> Result<Link, MeshError> {
        options.check()?;
        let keys = Keys::new(&options.mesh, &options.site);
        neighbours::check_before_start(options, &keys)?;
        let session = session::open(options)?;
        if let Topology::Edge { routers } = &options.topology {
            neighbours::check_is_router(&session, "routers", &routers.join(" or "))?;
        }
        let epoch = session::choose_epoch(&session, &keys, epoch_at_least);
        let health = Arc::<Health>::default();
        // Both with one priority, so that no heartbeat overtakes the changes that it counts.
        let speaker =
            |key| Speaker::new(&session, &health, key, &options.site, Priority::InteractiveHigh, false);
        let (heartbeats, deltas) = (speaker(keys.heartbeats())?, speaker(keys.logs())?);
        let (timeout, arrived) = (options.timeout, Arc::clone(&hooks.arrived));
        let token = Mutex::new(None);
        let link = Link { session, keys, epoch, timeout, arrived, health, heartbeats, deltas, token };
        link.listen(options, hooks).map_err(|why| {
            MeshError::session(format!(
                "the Zenoh session of `{}` is not usable: {}",
                options.site,
                session::reason(&why)
            ))
        })?;
        Ok(link)
    }

    fn listen(&self, options: &MeshOptions, hooks: Hooks) -> zenoh::Result<()> {
        let Link { session, keys, epoch, .. } = self;
        subscribe(session, keys, *epoch, &hooks.arrived)?;
        ask::answer_at_once(session, keys.ping(keys.site()), String::new)?;
        ask::answer_with(session, keys.snapshot(keys.site()), hooks.snapshot)?;
        neighbours::watch(session, options, keys, hooks.arrived)
    }

    /// This process of the site.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Tells others that this site lives. They then ask for its snapshot.
    pub(crate) fn announce(&self) -> Result<(), MeshError> {
        let token = self
            .health
            .try_zenoh(|| self.session.liveliness().declare_token(self.keys.token(self.epoch)).wait())?;
        *lock(&self.token) = Some(token);
        Ok(())
    }

    /// Sends a heartbeat to all sites.
    pub(crate) fn heartbeat(&self, bytes: Vec<u8>) -> Result<(), MeshError> {
        self.heartbeats.put(bytes)
    }

    /// Sends changes of this site's demand to all sites, in the order of the calls, as long as they are not made at once.
    pub(crate) fn delta(&self, bytes: Vec<u8>) -> Result<(), MeshError> {
        self.deltas.put(bytes)
    }

    /// Asks a site for its snapshot. One [`Arrival::Snapshot`] comes, after the timeout or 5 s at the latest.
    pub(crate) fn ask_snapshot(&self, site: &str) {
        let (arrived, name) = (Arc::clone(&self.arrived), site.to_owned());
        let end = move |answer: Option<&_>| {
            arrived(Arrival::Snapshot { site: name, answer: answer.map(Payload::new) })
        };
        self.ask(self.keys.snapshot(site), self.timeout.max(SNAPSHOT_WAIT_MIN), end);
    }

    /// Measures how long a question to a site and its answer take. One [`Arrival::RoundTrip`] comes, after the timeout at the latest.
    pub(crate) fn ping(&self, site: &str) {
        let (arrived, name, asked) = (Arc::clone(&self.arrived), site.to_owned(), Instant::now());
        let end = move |answer: Option<&_>| {
            arrived(Arrival::RoundTrip { site: name, time: answer.map(|_| asked.elapsed()) });
        };
        self.ask(self.keys.ping(site), self.timeout, end);
    }

    fn ask(
        &self,
        key: String,
        timeout: Duration,
        end: impl FnOnce(Option<&zenoh::bytes::ZBytes>) + Send + Sync + 'static,
    ) {
        let _ = self.health.try_zenoh(|| {
            ask::ask_one(&self.session, key, timeout, end);
            Ok(())
        });
    }

    /// What sends batches of data to a site. It may outlive the link: then each `put` fails. The receiver sees from the numbers in the
    /// batches what was dropped.
    pub(crate) fn data_to(&self, site: &str) -> Result<Speaker, MeshError> {
        let key = self.keys.data(site);
        Speaker::new(&self.session, &self.health, key, self.keys.site(), Priority::Data, true)
    }

    /// Tells an old process of a site that a newer one has joined: in a small mesh the two are not linked with each other.
    pub(crate) fn tell_newer(&self, site: &str, epoch: u64) -> Result<(), MeshError> {
        self.tell(self.keys.newer(site), epoch)
    }

    /// Tells the process of a site that an earlier one, which is gone, had a higher epoch: its clock has gone back.
    pub(crate) fn tell_past(&self, site: &str, epoch: u64) -> Result<(), MeshError> {
        self.tell(self.keys.past(site), epoch)
    }

    fn tell(&self, key: String, epoch: u64) -> Result<(), MeshError> {
        self.health.try_zenoh(|| {
            let put = self.session.put(key, epoch.to_string()).congestion_control(CongestionControl::Drop);
            put.allowed_destination(Locality::Remote).wait()
        })
    }

    /// How many other sessions this one is linked with at this moment: routers, edges and peers.
    pub(crate) fn links(&self) -> usize {
        self.session.info().transports().wait().count()
    }

    /// Tells others that this site leaves, and closes the session. It returns after 2 s at the latest; what is not done then goes
    /// on in the background.
    pub(crate) fn close(self) {}
}

impl Drop for Link {
    fn drop(&mut self) {
        let token = lock(&self.token).take();
        let session = self.session.clone();
        session::close(session, move || {
            if let Some(token) = token {
                let _ = token.undeclare().wait();
            }
        });
    }
}

/// Subscribes to what all sites say. Payloads go to the hook as they are; names and epochs are checked first.
fn subscribe(session: &Session, keys: &Keys, epoch: u64, arrived: &Arrived) -> zenoh::Result<()> {
    fn listen(
        session: &Session,
        key: String,
        arrived: &Arrived,
        read: impl Fn(&Sample) -> Option<Arrival> + Send + Sync + 'static,
    ) -> zenoh::Result<()> {
        let arrived = Arc::clone(arrived);
        session
            .declare_subscriber(key)
            .allowed_origin(Locality::Remote)
            .callback(move |sample| read(&sample).into_iter().for_each(|arrival| arrived(arrival)))
            .background()
            .wait()
    }
    fn of_site(arrival: fn(String, Payload) -> Arrival) -> impl Fn(&Sample) -> Option<Arrival> {
        move |sample| Some(arrival(site_of(sample)?, Payload::new(sample.payload())))
    }
    listen(
        session,
        keys.heartbeats(),
        arrived,
        of_site(|site, payload| Arrival::Heartbeat { site, payload }),
    )?;
    listen(session, keys.logs(), arrived, of_site(|site, payload| Arrival::Delta { site, payload }))?;
    let own = keys.site();
    listen(session, keys.data(own), arrived, of_site(|site, payload| Arrival::Data { site, payload }))?;
    let site = own.to_owned();
    listen(session, keys.newer(own), arrived, move |sample| {
        let epoch = told_epoch(sample).filter(|told| *told != epoch)?;
        Some(Arrival::Token { site: site.clone(), epoch, alive: true })
    })?;
    listen(session, keys.past(own), arrived, move |sample| {
        Some(Arrival::Past { epoch: told_epoch(sample).filter(|told| *told > epoch)? })
    })?;
    let (arrived, own) = (Arc::clone(arrived), own.to_owned());
    let token = move |sample: Sample| {
        let Some(token) = keys::token_site(sample.key_expr().as_str()) else { return };
        if (token.site, token.epoch) != (&own, epoch) {
            let alive = sample.kind() == SampleKind::Put;
            arrived(Arrival::Token { site: token.site.to_owned(), epoch: token.epoch, alive });
        }
    };
    session.liveliness().declare_subscriber(keys.tokens()).history(true).callback(token).background().wait()
}

/// The site that has sent a message; none if that is not a name.
fn site_of(sample: &Sample) -> Option<String> {
    let name = sample.attachment()?.to_bytes();
    std::str::from_utf8(&name).ok().filter(|name| is_name(name)).map(str::to_owned)
}

/// The epoch that a message tells.
fn told_epoch(sample: &Sample) -> Option<u64> {
    keys::epoch_of(std::str::from_utf8(&sample.payload().to_bytes()).ok()?)
}
