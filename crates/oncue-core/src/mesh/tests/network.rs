//! Sites in virtual time, and a network between them that loses, repeats, delays, cuts and heals. It carries what a real one does:
//! tokens, heartbeats, deltas, questions and their answers. The caller decides what fails; it checks what each site is told,
//! and compares it with the truth.
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use super::super::{Log, Output, Quotas, Sites, next_epoch};
use super::{DELTA_BYTES, TIMEOUT};
use oncue_testing::Rng;

mod view;

use view::View;

/// Microseconds since the world began.
pub(super) type Time = u64;

pub(super) const SECOND: Time = 1_000_000;
const HEARTBEAT: Time = SECOND / 2;
/// Changes gather for this time.
const FLUSH: Time = 2000;
/// How long a link that carries nothing is kept, and how long a question waits.
const LEASE: Time = 2 * SECOND;

/// What the network does to each payload. 0 is never, n is one in n.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weather {
    pub(super) loss: usize,
    pub(super) repeat: usize,
    /// The least and the greatest delay.
    pub(super) delay: (Time, Time),
}

impl Weather {
    pub(super) const CALM: Weather = Weather { loss: 0, repeat: 0, delay: (1000, 1000) };
}

/// Payloads and bytes that observers got.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Tally {
    pub(super) heartbeats: (u64, u64),
    pub(super) deltas: (u64, u64),
    pub(super) snapshots: (u64, u64),
    pub(super) tokens: u64,
}

#[derive(Clone)]
enum What {
    Token { epoch: u64, alive: bool },
    Heartbeat(Rc<[u8]>),
    Delta(Rc<[u8]>),
    Question { epoch: u64, number: u64 },
    Answer { epoch: u64, number: u64, payload: Option<Rc<[u8]>> },
}

enum Event {
    Beat {
        site: usize,
        life: u32,
    },
    Flush {
        site: usize,
    },
    Wake {
        site: usize,
        life: u32,
    },
    /// To all.
    Broadcast {
        from: usize,
        what: What,
    },
    Arrive {
        from: usize,
        to: usize,
        life: u32,
        what: What,
    },
    /// A question waits no longer.
    Expire {
        site: usize,
        life: u32,
        of: usize,
        epoch: u64,
        number: u64,
    },
    /// A link was idle for the lease since then.
    Lease {
        a: usize,
        b: usize,
        since: Time,
    },
}

pub(super) struct Network {
    pub(super) rng: Rng,
    pub(super) now: Time,
    pub(super) weather: Weather,
    pub(super) tally: Tally,
    quotas: Quotas,
    numbers: u64,
    events: BTreeMap<(Time, u64), Event>,
    pub(super) sites: Vec<Site>,
    /// Since when these are cut from each other; the lower one first.
    cut: BTreeMap<(usize, usize), Time>,
    names: BTreeMap<Arc<str>, usize>,
}

pub(super) struct Site {
    name: Arc<str>,
    /// Which process of it.
    life: u32,
    pub(super) alive: bool,
    pub(super) paused: Option<Time>,
    resumed: Time,
    log: Log,
    /// What it really wants.
    truth: BTreeSet<Vec<u8>>,
    /// What each of its processes ever wanted.
    ever: BTreeMap<u64, BTreeSet<Vec<u8>>>,
    /// What it knows of the others, if it looks.
    pub(super) observer: Option<Observer>,
    inbox: Vec<(usize, What)>,
}

pub(super) struct Observer {
    pub(super) sites: Sites,
    view: View,
    wake: Option<Time>,
    open: BTreeSet<u64>,
}

impl Network {
    /// `count` sites, none of which has started; the first `observers` of them look at what the others want.
    pub(super) fn new(rng: Rng, count: usize, observers: usize, quotas: &Quotas) -> Network {
        let names: Vec<Arc<str>> = (0..count).map(|n| Arc::from(format!("site {n:04}"))).collect();
        let mut network = Network {
            rng,
            now: SECOND,
            weather: Weather::CALM,
            tally: Tally::default(),
            quotas: quotas.clone(),
            numbers: 0,
            events: BTreeMap::new(),
            sites: Vec::new(),
            cut: BTreeMap::new(),
            names: names.iter().cloned().zip(0..).collect(),
        };
        network.sites.extend(names.into_iter().enumerate().map(|(n, name)| Site {
            name,
            life: 0,
            alive: false,
            paused: None,
            resumed: 0,
            log: Log::new(0, 0),
            truth: BTreeSet::new(),
            ever: BTreeMap::new(),
            observer: (n < observers).then(|| Observer::new("", 0, quotas)),
            inbox: Vec::new(),
        }));
        network
    }

    /// A process of the site starts, and wants nothing yet.
    pub(super) fn start(&mut self, n: usize) {
        let (now, quotas) = (self.now, &self.quotas);
        let site = &mut self.sites[n];
        let epoch = next_epoch(now, Some(site.log.epoch()));
        site.life += 1;
        (site.alive, site.paused) = (true, None);
        site.log = Log::new(epoch, n as u64);
        site.truth.clear();
        if let Some(observer) = &mut site.observer {
            *observer = Observer::new(&site.name, epoch, quotas);
        }
        let life = site.life;
        let beat = self.rng.below(HEARTBEAT);
        self.at(beat, Event::Beat { site: n, life });
        self.show_tokens(n, true);
    }

    /// The process ends without a word; its links end.
    pub(super) fn kill(&mut self, n: usize) {
        self.show_token(n, false);
        let site = &mut self.sites[n];
        (site.alive, site.paused) = (false, None);
        site.inbox.clear();
        site.truth.clear();
    }

    pub(super) fn pause(&mut self, n: usize) {
        self.sites[n].paused = Some(self.now);
        for other in 0..self.sites.len() {
            self.watch_link(n, other);
        }
    }

    /// It goes on: what waits for it comes first.
    pub(super) fn resume(&mut self, n: usize) {
        let Some(paused) = self.sites[n].paused.take() else { return };
        self.sites[n].resumed = self.now;
        for (from, what) in core::mem::take(&mut self.sites[n].inbox) {
            self.receive(n, from, what);
        }
        self.wake(n);
        if self.now - paused > LEASE && !self.rng.one_in(4) {
            self.show_tokens(n, true);
        }
    }

    pub(super) fn cut(&mut self, a: usize, b: usize) {
        if a != b {
            self.cut.entry((a.min(b), a.max(b))).or_insert(self.now);
            self.watch_link(a, b);
        }
    }

    /// All links are whole again. A token of a link that had ended comes back, mostly.
    pub(super) fn heal(&mut self) {
        for ((a, b), since) in core::mem::take(&mut self.cut) {
            if self.now - since > LEASE && !self.rng.one_in(4) {
                self.send_token(a, b, true);
                self.send_token(b, a, true);
            }
        }
    }

    /// Changes what the site wants.
    pub(super) fn change(&mut self, n: usize, prefix: Vec<u8>, wanted: bool) {
        let site = &mut self.sites[n];
        if !site.alive || site.paused.is_some() {
            return;
        }
        site.log.change(&prefix, wanted).expect("there is room");
        if wanted {
            site.ever.entry(site.log.epoch()).or_default().insert(prefix.clone());
            site.truth.insert(prefix);
        } else {
            site.truth.remove(&prefix);
        }
        self.at(FLUSH, Event::Flush { site: n });
    }

    pub(super) fn run_until(&mut self, end: Time) {
        while let Some(event) = self.events.first_entry().filter(|event| event.key().0 <= end) {
            let ((at, _), event) = event.remove_entry();
            self.now = self.now.max(at);
            self.turn(event);
        }
        self.now = end;
    }

    fn turn(&mut self, event: Event) {
        match event {
            Event::Beat { site, life } if self.is_life(site, life) => self.beat(site, life),
            Event::Flush { site } => self.flush(site),
            Event::Wake { site, life } if self.is_life(site, life) => self.wake(site),
            Event::Broadcast { from, what } => {
                for to in (0..self.sites.len()).filter(|&to| to != from) {
                    if self.sites[to].observer.is_some() && self.is_linked(from, to) {
                        self.arrive(from, to, what.clone());
                    }
                }
            }
            Event::Arrive { from, to, life, what } if self.is_life(to, life) && self.is_linked(from, to) => {
                self.arrive(from, to, what);
            }
            Event::Expire { site, life, of, epoch, number } if self.is_life(site, life) => {
                let what = What::Answer { epoch, number, payload: None };
                self.arrive(of, site, what);
            }
            Event::Lease { a, b, since } => self.lease_ends(a, b, since),
            Event::Beat { .. } | Event::Wake { .. } | Event::Arrive { .. } | Event::Expire { .. } => {}
        }
    }

    fn beat(&mut self, n: usize, life: u32) {
        if self.sites[n].paused.is_none() {
            self.flush(n);
            let payload = self.sites[n].log.heartbeat().into();
            self.broadcast(n, What::Heartbeat(payload));
        }
        self.at(HEARTBEAT, Event::Beat { site: n, life });
    }

    fn flush(&mut self, n: usize) {
        if !self.sites[n].alive || self.sites[n].paused.is_some() {
            return;
        }
        while let Some(delta) = self.sites[n].log.take_delta(DELTA_BYTES) {
            self.broadcast(n, What::Delta(delta.into()));
        }
    }

    fn wake(&mut self, n: usize) {
        let now = Duration::from_micros(self.now);
        let site = &mut self.sites[n];
        if let Some(observer) = site.observer.as_mut().filter(|_| site.paused.is_none()) {
            observer.wake = None;
            observer.sites.tick(now);
        }
        self.after(n);
    }

    /// What the process does after each input.
    fn after(&mut self, n: usize) {
        let Site { life, observer: Some(observer), .. } = &mut self.sites[n] else { return };
        let life = *life;
        let mut asks = Vec::new();
        while let Some(output) = observer.sites.pop() {
            if let Output::Ask { site, epoch } = &output {
                asks.push((self.names[site], *epoch));
            }
            observer.view.note(output);
        }
        let wake = observer.sites.next_tick().map(|at| at.as_micros() as Time);
        if let Some(wake) = wake.filter(|&wake| observer.wake.is_none_or(|at| wake < at)) {
            observer.wake = Some(wake);
            self.at(wake.saturating_sub(self.now), Event::Wake { site: n, life });
        }
        for (of, epoch) in asks {
            self.ask(n, of, epoch);
        }
    }

    fn ask(&mut self, n: usize, of: usize, epoch: u64) {
        self.numbers += 1;
        let (number, life) = (self.numbers, self.sites[n].life);
        self.sites[n].observer.as_mut().expect("only observers ask").open.insert(number);
        self.send(n, of, What::Question { epoch, number });
        self.at(LEASE, Event::Expire { site: n, life, of, epoch, number });
    }

    fn broadcast(&mut self, from: usize, what: What) {
        if self.weather.loss + self.weather.repeat == 0 && self.weather.delay.0 == self.weather.delay.1 {
            return self.at(self.weather.delay.0, Event::Broadcast { from, what });
        }
        for to in 0..self.sites.len() {
            if self.sites[to].observer.is_some() {
                self.send(from, to, what.clone());
            }
        }
    }

    fn send(&mut self, from: usize, to: usize, what: What) {
        let Weather { loss, repeat, delay: (least, most) } = self.weather;
        let reliable = matches!(what, What::Token { .. });
        if from == to || !self.is_linked(from, to) || (loss > 0 && !reliable && self.rng.one_in(loss)) {
            return;
        }
        let times = if repeat > 0 && self.rng.one_in(repeat) { 2 } else { 1 };
        let life = self.sites[to].life;
        for _ in 0..times {
            let delay = least + self.rng.below(most - least + 1);
            self.at(delay, Event::Arrive { from, to, life, what: what.clone() });
        }
    }

    fn arrive(&mut self, from: usize, to: usize, what: What) {
        let site = &mut self.sites[to];
        match site.paused {
            Some(_) => site.inbox.push((from, what)),
            None => self.receive(to, from, what),
        }
    }

    fn receive(&mut self, n: usize, from: usize, what: What) {
        if let What::Question { epoch, number } = what {
            let payload = self.sites[n].alive.then(|| self.sites[n].log.snapshot().into());
            return self.send(n, from, What::Answer { epoch, number, payload });
        }
        let name = self.sites[from].name.clone();
        let now = Duration::from_micros(self.now);
        let tally = &mut self.tally;
        let Site { alive: true, observer: Some(observer), .. } = &mut self.sites[n] else { return };
        let sites = &mut observer.sites;
        let done = match what {
            What::Token { epoch, alive } => {
                tally.tokens += 1;
                sites.token(&name, epoch, alive, now)
            }
            What::Heartbeat(payload) => {
                count(&mut tally.heartbeats, &payload);
                sites.heartbeat(&name, &payload, now)
            }
            What::Delta(payload) => {
                count(&mut tally.deltas, &payload);
                sites.delta(&name, &payload, now)
            }
            What::Answer { epoch, number, payload } if observer.open.remove(&number) => {
                payload.iter().for_each(|payload| count(&mut tally.snapshots, payload));
                sites.snapshot(&name, epoch, payload.as_deref(), now)
            }
            What::Answer { .. } | What::Question { .. } => Ok(()),
        };
        done.expect("no payload is malformed");
        self.after(n);
    }

    /// The token of `n` is seen by all that it is linked with, or is not any more.
    fn show_token(&mut self, n: usize, alive: bool) {
        (0..self.sites.len()).for_each(|other| self.send_token(n, other, alive));
    }

    /// The same, and `n` sees those of all others.
    fn show_tokens(&mut self, n: usize, alive: bool) {
        self.show_token(n, alive);
        (0..self.sites.len()).for_each(|other| self.send_token(other, n, alive));
    }

    fn send_token(&mut self, from: usize, to: usize, alive: bool) {
        if self.sites[from].alive && self.sites[to].alive && self.sites[to].observer.is_some() {
            let epoch = self.sites[from].log.epoch();
            self.send(from, to, What::Token { epoch, alive });
        }
    }

    fn watch_link(&mut self, a: usize, b: usize) {
        let since = self.now;
        self.at(LEASE, Event::Lease { a, b, since });
    }

    /// The link has ended if nothing went over it since then: both sides see the other's token go.
    fn lease_ends(&mut self, a: usize, b: usize, since: Time) {
        let was_cut = self.cut.get(&(a.min(b), a.max(b))).is_some_and(|&at| at <= since);
        if !was_cut && self.sites[a].paused.is_none_or(|at| at > since) {
            return;
        }
        for (from, to) in [(a, b), (b, a)] {
            if from != to
                && self.sites[from].alive
                && self.sites[to].alive
                && self.sites[to].observer.is_some()
            {
                let epoch = self.sites[from].log.epoch();
                self.arrive(from, to, What::Token { epoch, alive: false });
            }
        }
    }

    fn is_linked(&self, a: usize, b: usize) -> bool {
        !self.cut.contains_key(&(a.min(b), a.max(b)))
    }

    fn is_life(&self, n: usize, life: u32) -> bool {
        self.sites[n].alive && self.sites[n].life == life
    }

    fn at(&mut self, delay: Time, event: Event) {
        self.numbers += 1;
        self.events.insert((self.now + delay, self.numbers), event);
    }

    /// What must hold at any time: no demand is in force of a site that was not heard for the timeout, and none that its process has
    /// never had.
    pub(super) fn check(&self) {
        let late = (TIMEOUT + TIMEOUT / 4).as_micros() as Time;
        for site in self.sites.iter().filter(|site| site.alive && site.paused.is_none()) {
            let Some(observer) = &site.observer else { continue };
            for (name, epoch, prefixes) in observer.view.up() {
                let info = observer.sites.info(name).expect("it is up");
                let heard = info.heard.unwrap_or_default().max(info.since).as_micros() as Time;
                assert!(self.now - heard.max(site.resumed).min(self.now) <= late, "{name} is silent");
                let ever = self.sites[self.names[name]].ever.get(&epoch);
                let all = prefixes.iter().all(|prefix| ever.is_some_and(|ever| ever.contains(&prefix[..])));
                assert!(all, "{name} never wanted this");
            }
        }
    }

    /// The first difference between what an observer has in force and the truth.
    pub(super) fn difference(&self) -> Option<String> {
        let observers = self.sites.iter().enumerate().filter(|(_, site)| site.alive && site.paused.is_none());
        observers.filter_map(|(n, site)| Some((n, site.observer.as_ref()?))).find_map(|(n, observer)| {
            let others = self.sites.iter().enumerate().filter(|&(other, _)| other != n);
            let wrong = others.map(|(_, other)| other).find(|other| !self.is_known(observer, other))?;
            Some(format!("{n} and {}: {:?}", wrong.name, observer.sites.info(&wrong.name)))
        })
    }

    fn is_known(&self, observer: &Observer, other: &Site) -> bool {
        let (view, sites) = (&observer.view, &observer.sites);
        let Some((epoch, prefixes)) = view.of(&other.name) else { return !other.alive };
        let info = sites.info(&other.name).expect("it is up");
        let agrees = sites.prefixes(&other.name).count() == prefixes.len()
            && sites.prefixes(&other.name).all(|prefix| prefixes.contains(prefix));
        let truth = &other.truth;
        other.alive
            && agrees
            && epoch == other.log.epoch()
            && prefixes.iter().all(|prefix| truth.contains(&prefix[..]))
            && prefixes.len() == truth.len().min(self.quotas.prefixes)
            && info.prefixes_refused == (truth.len() - prefixes.len()) as u64
            && info.sequence == other.log.sequence()
    }
}

impl Observer {
    fn new(name: &str, epoch: u64, quotas: &Quotas) -> Observer {
        let sites = Sites::new(name, epoch, TIMEOUT, quotas.clone(), 9);
        Observer { sites, view: View::default(), wake: None, open: BTreeSet::new() }
    }
}

fn count(tally: &mut (u64, u64), payload: &[u8]) {
    tally.0 += 1;
    tally.1 += payload.len() as u64;
}
