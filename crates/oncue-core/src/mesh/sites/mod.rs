//! What all other sites want, as this site knows it. Transport and sockets are not known here, nor what the demand is used for.
//!
//! The rules, by which demand is exact soon after any failure:
//!
//! - A site is *up* from the first sign of a process of it (token, heartbeat, delta), and asked for a snapshot. Its demand is in force
//!   when the answer has come. What comes of its log meanwhile waits, and is applied after the snapshot.
//! - A delta that does not follow the last one, a heartbeat with a later sequence or with another hash, and a change that
//!   contradicts an earlier one are *gaps*: the site is asked again, and what is in force stays in force until the answer replaces it.
//! - A greater epoch ends the lower one at once; what comes of a lower one is ignored.
//! - A token that goes ends its own epoch, and no other. Silence for the timeout ends it too. Any later sign of the same process
//!   begins anew, with a snapshot.
//! - Beyond a quota prefixes are counted and are not in force. When a prefix in force leaves, and so makes room, the site is asked for
//!   a snapshot, from which the room is filled.
//! - Questions that fail are repeated after 20 ms, 40 ms, and so on up to 2 s. The same pauses are between questions that
//!   succeed, if they come within 2 s of each other.
mod asking;
mod demand;
mod info;
mod output;
mod pending;
mod quotas;
mod site;

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use core::time::Duration;

pub use self::info::{Phase, SiteInfo};
pub use self::output::{Changes, Output, Why};
pub use self::quotas::Quotas;
use self::site::{Site, Turn};
use super::SITE_BYTES_MAX;
use super::codec::{Delta, Heartbeat, Snapshot};
use super::error::Malformed;

/// What all other sites want.
///
/// The caller gives it what comes, each with the time since any start; time that goes back counts as standing still. After each
/// input it takes all outputs with [`pop`](Self::pop). It calls [`tick`](Self::tick) when [`next_tick`](Self::next_tick) says,
/// but first gives it all payloads that wait: they are signs of life. If there was no call for half of the timeout, this
/// process was stopped itself (or its machine slept), and all sites get a whole timeout from then on to say something; so that a caller
/// that is always late finds silent sites all the same, this holds only if the call before was in time.
///
/// ```
/// use core::time::Duration;
/// use oncue_core::mesh::{Log, Output, Quotas, Sites};
///
/// let mut paris = Log::new(100, 1);
/// paris.change(b"weather/", true).unwrap();
/// paris.take_delta(1000);
/// let at = Duration::from_millis;
/// let mut rome = Sites::new("rome", 200, at(2000), Quotas::default(), 2);
///
/// rome.token("paris", 100, true, at(0)).unwrap();
/// assert_eq!(rome.pop(), Some(Output::Up { site: "paris".into(), epoch: 100 }));
/// assert_eq!(rome.pop(), Some(Output::Ask { site: "paris".into(), epoch: 100 }));
/// rome.snapshot("paris", 100, Some(&paris.snapshot()), at(5)).unwrap();
/// let changes = vec![("weather/".into(), true)];
/// assert_eq!(rome.pop(), Some(Output::Changes { site: "paris".into(), epoch: 100, changes }));
/// assert_eq!(rome.pop(), None);
/// ```
pub struct Sites {
    own_name: Arc<str>,
    own_epoch: u64,
    fenced: bool,
    timeout: Duration,
    quotas: Quotas,
    seed: u64,
    sites: BTreeMap<Arc<str>, Site>,
    refusals: u64,
    out: VecDeque<Output>,
    clock: Clock,
    /// No site has anything to do before. None: no site is up.
    earliest: Option<Duration>,
}

/// The time of the caller, and whether it has jumped.
#[derive(Default)]
struct Clock {
    now: Duration,
    /// When this process was last found to have been stopped.
    awake: Duration,
    jumped: bool,
}

impl Sites {
    /// No site is known. `own_name` and `own_epoch` are this process; a site is silent after `timeout`; `seed` keys the index of
    /// prefixes and should be random, since other sites choose them.
    pub fn new(own_name: &str, own_epoch: u64, timeout: Duration, quotas: Quotas, seed: u64) -> Sites {
        Sites {
            own_name: own_name.into(),
            own_epoch,
            fenced: false,
            timeout,
            quotas,
            seed,
            sites: BTreeMap::new(),
            refusals: 0,
            out: VecDeque::new(),
            clock: Clock::default(),
            earliest: None,
        }
    }

    /// The liveness token of a site has come (`alive`) or gone.
    ///
    /// # Errors
    /// [`Malformed::Name`]
    pub fn token(&mut self, site: &str, epoch: u64, alive: bool, now: Duration) -> Result<(), Malformed> {
        let wakes = alive.then_some(epoch);
        self.input(site, wakes, now, |site, turn| site.token(epoch, alive, turn))
    }

    /// A heartbeat has come.
    ///
    /// # Errors
    /// [`Malformed`]; nothing has changed then.
    pub fn heartbeat(&mut self, site: &str, payload: &[u8], now: Duration) -> Result<(), Malformed> {
        let heartbeat = Heartbeat::decode(payload)?;
        self.input(site, Some(heartbeat.epoch), now, |site, turn| site.heartbeat(&heartbeat, turn))
    }

    /// A delta has come.
    ///
    /// # Errors
    /// [`Malformed`]; nothing has changed then.
    pub fn delta(&mut self, site: &str, payload: &[u8], now: Duration) -> Result<(), Malformed> {
        let delta = Delta::decode(payload)?;
        self.input(site, Some(delta.epoch), now, |site, turn| site.delta(&delta, payload, turn))
    }

    /// A question has ended: [`Output::Ask`] of this `site` and `epoch`. `answer`: the snapshot, or none if nothing came.
    ///
    /// # Errors
    /// [`Malformed`]; then it counts as not answered.
    pub fn snapshot(
        &mut self,
        site: &str,
        epoch: u64,
        answer: Option<&[u8]>,
        now: Duration,
    ) -> Result<(), Malformed> {
        let decoded = answer.map(Snapshot::decode).transpose();
        let answer = decoded.as_ref().ok().and_then(Option::as_ref);
        self.input(site, None, now, |site, turn| site.snapshot(epoch, answer, turn))?;
        decoded.map(drop)
    }

    /// Time has passed: sites may be silent, questions due. All payloads that wait must have been given before.
    pub fn tick(&mut self, now: Duration) {
        self.clock.advance(now, self.timeout);
        if self.earliest.is_none_or(|earliest| earliest > self.clock.now) {
            return;
        }
        let Sites { sites, out, clock, timeout, quotas, .. } = self;
        let mut earliest = None;
        for site in sites.values_mut() {
            site.tick(&mut Turn { now: clock.now, awake: clock.awake, timeout: *timeout, quotas, out });
            earliest = sooner(earliest, site.deadline(clock.awake, *timeout));
        }
        self.earliest = earliest;
    }

    /// When to call [`tick`](Self::tick) at the latest: a quarter of the timeout after the last call of any kind, or earlier. None
    /// while no site is up.
    pub fn next_tick(&self) -> Option<Duration> {
        self.earliest.map(|earliest| earliest.min(self.clock.now.saturating_add(self.timeout / 4)))
    }

    /// The next thing to do.
    pub fn pop(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// The same, if it is a change of demand.
    pub fn pop_changes(&mut self) -> Option<(Arc<str>, Changes)> {
        match self.out.pop_front()? {
            Output::Changes { site, changes, .. } => Some((site, changes)),
            other => {
                self.out.push_front(other);
                None
            }
        }
    }

    /// Whether there is something to do.
    pub fn has_output(&self) -> bool {
        !self.out.is_empty()
    }

    /// All sites that are known, by name.
    pub fn infos(&self) -> impl Iterator<Item = SiteInfo<'_>> {
        self.sites.values().map(Site::info)
    }

    /// A site.
    pub fn info(&self, site: &str) -> Option<SiteInfo<'_>> {
        self.sites.get(site).map(Site::info)
    }

    /// The prefixes of a site that are in force, in no particular order.
    pub fn prefixes(&self, site: &str) -> impl Iterator<Item = &[u8]> {
        self.sites.get(site).into_iter().flat_map(Site::prefixes)
    }

    /// How often a site was not let up since [`Quotas::sites`] were up. One that stays counts again with each heartbeat.
    pub fn refusals(&self) -> u64 {
        self.refusals
    }

    /// Something of a site. `wakes`: the epoch that it is a sign of life of. An unknown site without one is ignored.
    fn input(
        &mut self,
        name: &str,
        wakes: Option<u64>,
        now: Duration,
        what: impl FnOnce(&mut Site, &mut Turn<'_>),
    ) -> Result<(), Malformed> {
        if name.is_empty() || name.len() > SITE_BYTES_MAX {
            return Err(Malformed::Name);
        }
        self.clock.advance(now, self.timeout);
        if name == &*self.own_name {
            self.fence(wakes);
            return Ok(());
        }
        if !self.admit(name, wakes) {
            return Ok(());
        }
        let Sites { sites, out, clock, timeout, quotas, .. } = self;
        let Some(site) = sites.get_mut(name) else { return Ok(()) };
        what(site, &mut Turn { now: clock.now, awake: clock.awake, timeout: *timeout, quotas, out });
        self.earliest = sooner(self.earliest, site.deadline(clock.awake, *timeout));
        Ok(())
    }

    /// Something has the name of this site.
    fn fence(&mut self, epoch: Option<u64>) {
        if let Some(epoch) = epoch.filter(|&epoch| epoch > self.own_epoch && !self.fenced) {
            self.fenced = true;
            self.out.push_back(Output::Fenced { epoch });
        }
    }

    /// Whether a site may have this input: it is up, or may come up, or the input does not wake it.
    fn admit(&mut self, name: &str, wakes: Option<u64>) -> bool {
        let known = self.sites.get(name);
        let comes_up = wakes.is_some_and(|epoch| known.is_none_or(|site| site.is_woken_by(epoch)));
        if !comes_up {
            return true;
        }
        if self.sites.values().filter(|site| site.is_alive()).count() >= self.quotas.sites {
            self.refusals += 1;
            return false;
        }
        if known.is_none() {
            self.make_room();
            let name: Arc<str> = name.into();
            self.sites.insert(name.clone(), Site::new(name, self.seed, self.clock.now));
        }
        true
    }

    /// Forgets the site that is gone for the longest time if there are too many.
    fn make_room(&mut self) {
        if self.sites.len() < self.quotas.sites.saturating_add(self.quotas.gone) {
            return;
        }
        let gone = self.sites.iter().filter(|(_, site)| !site.is_alive());
        if let Some(name) = gone.min_by_key(|(_, site)| site.since()).map(|(name, _)| name.clone()) {
            self.sites.remove(&name);
        }
    }
}

impl Clock {
    fn advance(&mut self, now: Duration, timeout: Duration) {
        let passed = now.saturating_sub(self.now);
        self.now += passed;
        let jumped = passed > timeout / 2;
        if jumped && !self.jumped {
            self.awake = self.now;
        }
        self.jumped = jumped;
    }
}

fn sooner(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
