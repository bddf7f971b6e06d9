//! Random histories of the state machine against a naive model, which recomputes at every step and for every topic which
//! prefixes want and start it. It uses neither counts nor ranges nor patterns.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::time::Duration;

use super::super::{Decision, End, FeedId, FeedState, Feeds, Limits, RouteId, Unserved};
use super::ms;
use super::naive::{NaiveRoute, naive_match, naive_route, real_route, strings};
use oncue_testing::Rng;

mod rules;

const SEEDS: u64 = 500;
const STEPS: usize = 200;
const PEERS: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Model {
    Waiting { rank: (Reverse<usize>, u64) },
    Running { generation: u64 },
    Grace { generation: u64, deadline: Duration },
    Stopping { generation: u64 },
    Failed { until: Duration },
    Cooling { until: Duration },
    Ended,
}

impl Model {
    fn live(self) -> Option<u64> {
        match self {
            Model::Running { generation }
            | Model::Grace { generation, .. }
            | Model::Stopping { generation } => Some(generation),
            _ => None,
        }
    }

    fn deadline(self) -> Option<Duration> {
        match self {
            Model::Grace { deadline, .. } => Some(deadline),
            Model::Failed { until } | Model::Cooling { until } => Some(until),
            _ => None,
        }
    }
}

/// One topic of the universe. Sets of prefixes are bit sets over the pool.
struct Topic {
    topic: Vec<u8>,
    wanted_by: u64,
    /// This and the next field are derived from the routes.
    started_by: u64,
    owner: Option<RouteId>,
    /// The route that started the live generation.
    line: Option<RouteId>,
    state: Option<Model>,
    told: FeedState,
    started: Duration,
    failures: u32,
    /// The machine's id of the feed: among equal deadlines the smaller comes first.
    id: Option<FeedId>,
}

struct History {
    feeds: Feeds,
    feeds_max: usize,
    now: Duration,
    routes: BTreeMap<RouteId, NaiveRoute>,
    pool: Vec<Vec<u8>>,
    /// Which prefixes of the pool each peer wants.
    peers: [u64; PEERS],
    topics: Vec<Topic>,
    turns: u64,
    generations: u64,
    /// By topic, the generation that the machine started and that has not ended.
    live: BTreeMap<Vec<u8>, (FeedId, u64)>,
    ended: Vec<(FeedId, u64)>,
    /// By prefix of the pool, why it was unserved at the last comparison.
    unserved: Vec<Option<Unserved>>,
    /// The decisions that the model expects since the last comparison.
    expected: Vec<String>,
    steps: String,
}

impl History {
    fn new(random: &mut Rng) -> History {
        loop {
            let routes: Vec<NaiveRoute> = (0..1 + random.below(3)).map(|_| naive_route(random)).collect();
            let feeds_max = if random.one_in(3) { 1 + random.below(4) } else { 1000 };
            let limits = Limits { feeds_max, ..Limits::default() };
            // Conflicting routes are tested elsewhere.
            let Ok(feeds) =
                Feeds::new(random.below(usize::MAX) as u64, routes.iter().map(real_route).collect(), limits)
            else {
                continue;
            };
            let ids = feeds.routes().map(|(id, _)| id).collect::<Vec<_>>();
            let pool = strings(b"ab/", 3);
            let mut history = History {
                feeds_max,
                now: Duration::ZERO,
                topics: universe(&pool),
                unserved: vec![None; pool.len()],
                pool,
                peers: [0; PEERS],
                turns: 0,
                generations: 0,
                live: BTreeMap::new(),
                ended: Vec::new(),
                expected: Vec::new(),
                steps: format!("feeds_max {feeds_max}, {routes:?}"),
                routes: ids.into_iter().zip(routes).collect(),
                feeds,
            };
            history.survey();
            return history;
        }
    }

    fn step(&mut self, random: &mut Rng) {
        let at = self.pass_time(random);
        match random.below(40) {
            0..16 => self.subscribe(random, at),
            16..24 => self.cancel(random, at),
            24 => self.disconnect(random, at),
            25..28 => self.tick(at),
            28..31 => self.produce(random, at),
            31..36 => self.end_one(random, at),
            36 => self.count(random, at),
            37 | 38 => self.relist(random, at),
            _ => self.reroute(random, at),
        }
        self.compare();
    }

    /// The time to pass: now and then it is in the past.
    fn pass_time(&mut self, random: &mut Rng) -> Duration {
        match (random.below(5), self.feeds.next_deadline()) {
            (0, Some(deadline)) => self.now = self.now.max(deadline),
            (1, Some(deadline)) => self.now = self.now.max(deadline.saturating_sub(Duration::from_nanos(1))),
            (2, _) => self.now += ms(random.below(12) as u64),
            (3, _) => return self.now.saturating_sub(ms(random.below(5) as u64)),
            _ => {}
        }
        self.now
    }

    fn tick(&mut self, at: Duration) {
        self.note(format_args!("tick"));
        self.feeds.tick(at);
        self.expire();
    }

    fn subscribe(&mut self, random: &mut Rng, at: Duration) {
        let (peer, bit) = (random.below(PEERS), random.below(self.pool.len()));
        let first = self.wanted() & 1 << bit == 0;
        self.peers[peer] |= 1 << bit;
        if !first && !random.one_in(10) {
            return self.tick(at);
        }
        let prefix = self.pool[bit].clone();
        self.note(format_args!("want {}", prefix.escape_ascii()));
        self.feeds.wanted(&self.pool[bit], at);
        self.expire();
        self.reconsider();
        self.fill();
    }

    fn cancel(&mut self, random: &mut Rng, at: Duration) {
        let peer = random.below(PEERS);
        let held: Vec<_> = (0..self.pool.len()).filter(|bit| self.peers[peer] & 1 << bit != 0).collect();
        let bit = if held.is_empty() || random.one_in(10) {
            random.below(self.pool.len())
        } else {
            held[random.below(held.len())]
        };
        self.unwant(peer, bit, at, random.one_in(10));
    }

    fn disconnect(&mut self, random: &mut Rng, at: Duration) {
        let peer = random.below(PEERS);
        self.tick(at);
        for bit in 0..self.pool.len() {
            if self.peers[peer] & 1 << bit != 0 {
                self.unwant(peer, bit, at, false);
                self.compare();
            }
        }
    }

    fn unwant(&mut self, peer: usize, bit: usize, at: Duration, again: bool) {
        let held = self.peers[peer] & 1 << bit != 0;
        self.peers[peer] &= !(1 << bit);
        let last = held && self.wanted() & 1 << bit == 0;
        let idle = self.wanted() & 1 << bit == 0;
        if !(last || again && idle) {
            return self.tick(at);
        }
        let prefix = self.pool[bit].clone();
        self.note(format_args!("unwant {}", prefix.escape_ascii()));
        self.feeds.unwanted(&self.pool[bit], at);
        self.expire();
        self.reconsider();
        self.expire();
    }

    fn produce(&mut self, random: &mut Rng, at: Duration) {
        let Some((id, generation)) = self.pick(random) else { return self.tick(at) };
        self.note(format_args!("produced #{generation}"));
        self.feeds.produced(id, generation, at);
        self.expire();
        let runs = |topic: &Topic| match topic.state {
            Some(Model::Running { generation: g } | Model::Grace { generation: g, .. }) => g == generation,
            _ => false,
        };
        if let Some(at) = self.topics.iter().position(runs) {
            self.say(at, FeedState::Active);
        }
    }

    /// A live generation, now and then one that has ended.
    fn pick(&self, random: &mut Rng) -> Option<(FeedId, u64)> {
        let live: Vec<_> = self.live.values().copied().collect();
        if !live.is_empty() && !random.one_in(10) {
            return Some(live[random.below(live.len())]);
        }
        (!self.ended.is_empty()).then(|| self.ended[random.below(self.ended.len())])
    }

    fn end_one(&mut self, random: &mut Rng, at: Duration) {
        let Some((id, generation)) = self.pick(random) else { return self.tick(at) };
        let end = if random.one_in(3) { End::Finished } else { End::Failed };
        self.note(format_args!("end #{generation} {end:?}"));
        self.feeds.ended(id, generation, end, at);
        self.ended.push((id, generation));
        self.live.retain(|_, (_, g)| *g != generation);
        let lives = |topic: &Topic| topic.state.and_then(Model::live) == Some(generation);
        if let Some(i) = self.topics.iter().position(lives) {
            self.end(i, end);
            self.fill();
        }
        self.expire();
    }

    fn count(&mut self, random: &mut Rng, at: Duration) {
        self.tick(at);
        let most = random.below(4);
        let (peers, pool) = (self.peers, &self.pool);
        let subscribers = |topic: &[u8]| {
            let holds =
                |peer: &&u64| (0..pool.len()).any(|b| **peer & 1 << b != 0 && topic.starts_with(&pool[b]));
            peers.iter().filter(holds).count()
        };
        let mut asked = Vec::new();
        self.feeds.count_waiting(most, |topic| {
            asked.push((topic.to_vec(), subscribers(topic)));
            subscribers(topic)
        });
        let waiting = self.topics.iter().filter(|t| matches!(t.state, Some(Model::Waiting { .. }))).count();
        assert_eq!(asked.len(), waiting.min(most), "{}", self.steps);
        self.note(format_args!("count {}", asked.len()));
        for (name, count) in asked {
            let topic = self.topics.iter_mut().find(|t| t.topic == name).expect("a topic");
            let Some(Model::Waiting { rank }) = &mut topic.state else { panic!("{}", self.steps) };
            rank.0 = Reverse(count);
        }
    }

    fn relist(&mut self, random: &mut Rng, at: Duration) {
        let ids: Vec<_> = self.routes.keys().copied().collect();
        let id = ids[random.below(ids.len())];
        let other = naive_route(random);
        let catalogue = self.routes[&id].topics_of(random);
        self.note(format_args!("relist {id:?} {catalogue:?}"));
        if random.one_in(4) && !other.catalogue.iter().all(|t| naive_match(&self.routes[&id].parts, t)) {
            let refused = self.feeds.relist(id, other.catalogue, at);
            assert!(refused.is_err(), "{}", self.steps);
            return self.expire();
        }
        self.feeds.relist(id, catalogue.clone(), at).unwrap();
        self.expire();
        self.routes.get_mut(&id).expect("it is there").catalogue = catalogue;
        self.survey();
        self.fill();
    }

    fn reroute(&mut self, random: &mut Rng, at: Duration) {
        let removed: Vec<_> = self.routes.keys().copied().filter(|_| random.one_in(2)).collect();
        let added: Vec<_> = (0..random.below(3)).map(|_| naive_route(random)).collect();
        let feeds_max = if random.one_in(3) { 1 + random.below(4) } else { self.feeds_max };
        self.note(format_args!("feeds_max {feeds_max}, remove {removed:?}, add {added:?}"));
        let limits = Limits { feeds_max, ..Limits::default() };
        let changed = self.feeds.change_routes(&removed, added.iter().map(real_route).collect(), limits, at);
        self.expire();
        let Ok(ids) = changed else { return };
        self.feeds_max = feeds_max;
        self.routes.retain(|id, _| !removed.contains(id));
        self.routes.extend(ids.into_iter().zip(added));
        self.survey();
        self.fill();
    }

    /// Compares the decisions of one step, except for their order where it is not defined, and the state afterwards.
    fn compare(&mut self) {
        let mut decided = Vec::new();
        while let Some(decision) = self.feeds.poll() {
            match decision {
                Decision::Start { feed, topic, generation, route, since, .. } => {
                    decided.push(format!("start {} #{generation}", topic.escape_ascii()));
                    let lives = self.live.insert(topic.to_vec(), (feed, generation));
                    assert_eq!(lives, None, "two generations at once: {}", self.steps);
                    assert!(since <= self.now, "{}", self.steps);
                    let model = self.topics.iter_mut().find(|t| t.topic == *topic).expect("a topic");
                    model.id = Some(feed);
                    assert_eq!(model.line, Some(route), "{}", self.steps);
                }
                Decision::Stop { feed, generation, wanted } => {
                    decided.push(format!("stop #{generation}{}", if wanted { " still wanted" } else { "" }));
                    let lives = self.live.values().any(|live| *live == (feed, generation));
                    assert!(lives, "{}", self.steps);
                }
                Decision::State { topic, state, .. } => {
                    decided.push(format!("{} is {state:?}", topic.escape_ascii()));
                }
                Decision::Unserved { prefix, why } => {
                    decided.push(format!("{} unserved: {why:?}", prefix.escape_ascii()));
                }
            }
        }
        self.look_for_unserved();
        decided.sort();
        self.expected.sort();
        assert_eq!(decided, core::mem::take(&mut self.expected), "{}", self.steps);
        let deadlines = self.topics.iter().filter_map(|topic| topic.state?.deadline());
        assert_eq!(self.feeds.next_deadline(), deadlines.min(), "{}", self.steps);
        self.check_promises();
        self.check_counts();
    }

    /// Checks the guarantees of the module, independently of the model's steps.
    fn check_promises(&self) {
        let mut live = BTreeSet::new();
        for (i, topic) in self.topics.iter().enumerate() {
            let (started, wanted) = self.demand_of(i);
            live.extend(topic.state.and_then(Model::live));
            let holds = match topic.state {
                Some(Model::Running { .. }) => wanted,
                Some(Model::Grace { deadline, .. }) => !wanted && deadline > self.now,
                Some(Model::Stopping { .. }) => true,
                Some(Model::Waiting { .. }) => {
                    let owner = topic.owner.expect("a waiting topic has a route");
                    let full = self.live_of(Some(owner)) >= self.routes[&owner].feeds_max;
                    started && (full || self.live_of(None) >= self.feeds_max)
                }
                Some(Model::Failed { until }) => started && until > self.now,
                Some(Model::Cooling { until }) => !started && until > self.now,
                Some(Model::Ended) => started,
                None => !started,
            };
            assert!(holds, "{:?} {:?}: {}", topic.topic, topic.state, self.steps);
        }
        let really: BTreeSet<_> = self.live.values().map(|(_, generation)| *generation).collect();
        assert_eq!(live, really, "{}", self.steps);
    }

    fn check_counts(&self) {
        let count = |kind: fn(&Model) -> bool| {
            self.topics.iter().filter(|topic| topic.state.as_ref().is_some_and(kind)).count()
        };
        let stats = self.feeds.stats();
        let counts = stats.now;
        let waiting = count(|state| matches!(state, Model::Waiting { .. }));
        let in_grace = count(|state| matches!(state, Model::Grace { .. }));
        let stopping = count(|state| matches!(state, Model::Stopping { .. }));
        let failing = count(|state| matches!(state, Model::Failed { .. }));
        assert_eq!((counts.waiting, counts.in_grace), (waiting, in_grace), "{}", self.steps);
        assert_eq!((counts.stopping, counts.failing), (stopping, failing), "{}", self.steps);
        assert_eq!(counts.running + counts.stopping, self.live.len(), "{}", self.steps);
        assert_eq!(stats.prefixes, self.wanted().count_ones() as usize, "{}", self.steps);
        assert_eq!(stats.unserved, self.unserved.iter().flatten().count(), "{}", self.steps);
        for id in self.routes.keys() {
            let counts = self.feeds.route_counts(*id);
            assert_eq!(counts.running + counts.stopping, self.live_of(Some(*id)), "{}", self.steps);
            let waits = |t: &&Topic| t.owner == Some(*id) && matches!(t.state, Some(Model::Waiting { .. }));
            assert_eq!(counts.waiting, self.topics.iter().filter(waits).count(), "{}", self.steps);
        }
    }

    fn note(&mut self, step: core::fmt::Arguments<'_>) {
        self.steps += &format!("\n{:?}: {step}", self.now);
    }
}

fn bits(pool: &[Vec<u8>], holds: impl Fn(&Vec<u8>) -> bool) -> u64 {
    pool.iter().enumerate().filter(|(_, prefix)| holds(prefix)).fold(0, |bits, (i, _)| bits | 1 << i)
}

/// All topics that a prefix of the pool or a catalogue can start, in the order in which one prefix starts them.
fn universe(pool: &[Vec<u8>]) -> Vec<Topic> {
    let mut topics = strings(b"ab/", 4);
    topics.sort();
    let topic = |topic: Vec<u8>| Topic {
        wanted_by: bits(pool, |prefix| topic.starts_with(prefix)),
        topic,
        started_by: 0,
        owner: None,
        line: None,
        state: None,
        told: FeedState::Idle,
        started: Duration::ZERO,
        failures: 0,
        id: None,
    };
    topics.into_iter().map(topic).collect()
}

/// `ONCUE_SEED=n cargo test -p oncue-core feeds::tests::model` runs the history of one seed.
#[test]
fn random_histories_agree_with_the_model() {
    let one = std::env::var("ONCUE_SEED").ok().map(|seed| seed.parse().expect("ONCUE_SEED is a number"));
    for seed in one.map_or(0..SEEDS, |seed| seed..seed + 1) {
        let outcome = std::panic::catch_unwind(|| {
            let mut random = Rng::new(seed);
            let mut history = History::new(&mut random);
            for _ in 0..STEPS {
                history.step(&mut random);
            }
            history.generations
        });
        assert!(outcome.is_ok(), "seed {seed} failed: run it alone with ONCUE_SEED={seed}");
    }
}
