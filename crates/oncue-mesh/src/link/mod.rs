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
mod names;
mod neighbours;
mod session;
mod speaker;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use zenoh::liveliness::LivelinessToken;
use zenoh::pubsub::Subscriber;
use zenoh::qos::{CongestionControl, Priority};
use zenoh::sample::{Locality, Sample, SampleKind};
use zenoh::{Session, Wait};

pub use config::{RUNTIME_FOR_TLS, RUNTIME_VARIABLE};

pub(crate) use arrival::{Arrival, Hooks, Payload};
pub(crate) use speaker::Speaker as DataPublisher;

use crate::bell::lock;
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
    heard: Mutex<Heard>,
}

/// The subscriptions, which end with this.
#[derive(Default)]
struct Heard {
    /// To what is for this site alone.
    always: Vec<Subscriber<()>>,
    /// To what a site says to all, by its name.
    sites: BTreeMap<String, [Subscriber<()>; 2]>,
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
        Link::join(session, options, keys, epoch, hooks)
    }

    fn join(
        session: Session,
        options: &MeshOptions,
        keys: Keys,
        epoch: u64,
        hooks: Hooks,
    ) -> Result<Link, MeshError> {
        let health = Arc::<Health>::default();
        // Both with one priority, so that no heartbeat overtakes the changes that it counts.
        let speaker = |key| Speaker::new(&session, &health, key, Priority::InteractiveHigh, false);
        let own = keys.site();
        let (heartbeats, deltas) = (speaker(keys.heartbeats(own))?, speaker(keys.log(own))?);
        let (timeout, arrived) = (options.timeout, Arc::clone(&hooks.arrived));
        let (token, heard) = (Mutex::new(None), Mutex::default());
        let link = Link { session, keys, epoch, timeout, arrived, health, heartbeats, deltas, token, heard };
        link.listen(options, hooks).map_err(|why| {
            MeshError::session(format!(
                "the Zenoh session of `{}` is not usable: {}",
                options.site,
                session::reason(&why)
            ))
        })?;
        Ok(link)
    }

    /// Payloads go to the hook as they are; names and epochs are checked first.
    fn listen(&self, options: &MeshOptions, hooks: Hooks) -> zenoh::Result<()> {
        let Link { session, keys, epoch, .. } = self;
        let data = self.hear_all(keys.data(), |site, payload| Arrival::Data { site, payload })?;
        let about = |key, arrival: fn(String, u64) -> Arrival| {
            let (arrived, own) = (Arc::clone(&self.arrived), *epoch);
            self.subscribe(key, move |sample| {
                let by = keys::last_site(sample.key_expr().as_str());
                if let (Some(by), Some(epoch)) = (by, told_epoch(sample).filter(|told| *told > own)) {
                    arrived(arrival(by.to_owned(), epoch));
                }
            })
        };
        // Of another process with this name.
        let own = keys.heartbeats(keys.site());
        let own = self.hear_all(own, |site, payload| Arrival::Heartbeat { site, payload })?;
        let newer = about(keys.newer_than_this(), |by, epoch| Arrival::Newer { by, epoch })?;
        let past = about(keys.past_of_this(), |by, epoch| Arrival::Past { by, epoch })?;
        lock(&self.heard).always.extend([data, own, newer, past]);
        let (tokens, told) = (session.liveliness().declare_subscriber(keys.tokens()), self.told_token());
        tokens.history(true).callback(move |sample| told(&sample)).background().wait()?;
        ask::answer_at_once(session, keys.ping(keys.site()), String::new)?;
        ask::answer_with(session, keys.snapshot(keys.site()), hooks.snapshot)?;
        neighbours::watch(session, options, keys, hooks.arrived)
    }

    /// Subscribes to what sites say by keys that end with their names.
    fn hear_all(
        &self,
        key: String,
        arrival: fn(String, Payload) -> Arrival,
    ) -> zenoh::Result<Subscriber<()>> {
        let arrived = Arc::clone(&self.arrived);
        self.subscribe(key, move |sample| {
            if let Some(site) = keys::last_site(sample.key_expr().as_str()) {
                arrived(arrival(site.to_owned(), Payload::new(sample.payload())));
            }
        })
    }

    fn subscribe(
        &self,
        key: String,
        take: impl Fn(&Sample) + Send + Sync + 'static,
    ) -> zenoh::Result<Subscriber<()>> {
        let subscriber = self.session.declare_subscriber(key).allowed_origin(Locality::Remote);
        subscriber.callback(move |sample| take(&sample)).wait()
    }

    /// Tells of a token that has come or gone, unless it is this process's own.
    fn told_token(&self) -> impl Fn(&Sample) + Send + Sync + 'static {
        let (arrived, own, epoch) = (Arc::clone(&self.arrived), self.keys.site().to_owned(), self.epoch);
        move |sample| {
            let Some(token) = keys::token_site(sample.key_expr().as_str()) else { return };
            if (token.site, token.epoch) != (&own, epoch) {
                let alive = sample.kind() == SampleKind::Put;
                arrived(Arrival::Token { site: token.site.to_owned(), epoch: token.epoch, alive });
            }
        }
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

    /// Hears a site's heartbeats and changes from now on, if it does not yet.
    pub(crate) fn hear(&self, site: &str) -> Result<(), MeshError> {
        let mut heard = lock(&self.heard);
        if heard.sites.contains_key(site) {
            return Ok(());
        }
        let subscriptions = self.health.try_zenoh(|| {
            Ok([
                self.hear_all(self.keys.log(site), |site, payload| Arrival::Delta { site, payload })?,
                self.hear_all(self.keys.heartbeats(site), |site, payload| Arrival::Heartbeat {
                    site,
                    payload,
                })?,
            ])
        })?;
        heard.sites.insert(site.to_owned(), subscriptions);
        Ok(())
    }

    /// Hears only these sites.
    pub(crate) fn hear_only(&self, is_known: impl Fn(&str) -> bool) {
        lock(&self.heard).sites.retain(|site, _| is_known(site));
    }

    /// Looks for tokens of which nothing was said when they came. Those that are known come again.
    pub(crate) fn look_for_tokens(&self) {
        let told = self.told_token();
        let _ = self.health.try_zenoh(|| {
            let tokens = self.session.liveliness().get(self.keys.tokens()).timeout(self.timeout);
            tokens.callback(move |reply| reply.result().into_iter().for_each(&told)).wait()
        });
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
        Speaker::new(&self.session, &self.health, self.keys.data_to(site), Priority::Data, true)
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
        let (session, heard) = (self.session.clone(), std::mem::take(&mut *lock(&self.heard)));
        session::close(session, move || {
            if let Some(token) = token {
                let _ = token.undeclare().wait();
            }
            drop(heard);
        });
    }
}

/// The epoch that a message tells.
fn told_epoch(sample: &Sample) -> Option<u64> {
    keys::epoch_of(std::str::from_utf8(&sample.payload().to_bytes()).ok()?)
}
