//! Random histories of the state machine against a naive model: it recomputes from the sets, at every step and for
//! every topic, what wants and starts it, and knows neither counts nor ranges nor patterns.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use super::super::{Decision, Demand, FeedId, Limits, Route};
use super::ms;
use crate::topic::pattern::Pattern;

const SEEDS: u64 = 500;
const STEPS: usize = 400;

/// Splitmix64: seeds of any kind do.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn of<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}

/// A route as the model sees it: literal bytes and `?`, which is a parameter.
struct NaiveRoute {
    parts: Vec<u8>,
    grace: Duration,
    catalogue: Vec<Vec<u8>>,
}

fn naive_match(parts: &[u8], topic: &[u8]) -> bool {
    match parts.split_first() {
        None => topic.is_empty(),
        Some((b'?', rest)) => (1..=topic.len())
            .take_while(|&len| topic[len - 1] != b'/')
            .any(|len| naive_match(rest, &topic[len..])),
        Some((byte, rest)) => topic.first() == Some(byte) && naive_match(rest, &topic[1..]),
    }
}

fn strings(alphabet: &[u8], len_max: usize) -> Vec<Vec<u8>> {
    let mut all = alloc::vec![Vec::new()];
    for len in 0..len_max {
        let longer: Vec<Vec<u8>> = all
            .iter()
            .filter(|string| string.len() == len)
            .flat_map(|string| alphabet.iter().map(|&byte| [&string[..], &[byte]].concat()))
            .collect();
        all.extend(longer);
    }
    all
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Model {
    Waiting { turn: u64 },
    Running { generation: u64 },
    Grace { generation: u64, deadline: Duration },
    Stopping { generation: u64 },
    Ended,
}

/// One topic of the universe: what would start it and what would want it is known before the history begins.
struct Topic {
    topic: Vec<u8>,
    grace: Duration,
    wanted_by: BTreeSet<Vec<u8>>,
    started_by: BTreeSet<Vec<u8>>,
    state: Option<Model>,
}

struct History {
    demand: Demand,
    feeds_max: usize,
    now: Duration,
    prefixes: BTreeSet<Vec<u8>>,
    topics: Vec<Topic>,
    turns: u64,
    generations: u64,
    /// What the machine calls the generations that have not ended.
    ids: BTreeMap<u64, FeedId>,
    /// What the model expects to have been decided since the last comparison.
    expected: Vec<String>,
    ended: Vec<(FeedId, u64)>,
    steps: String,
}

impl History {
    fn new(random: &mut Random) -> History {
        loop {
            let routes: Vec<NaiveRoute> = (0..1 + random.below(3)).map(|_| naive_route(random)).collect();
            let feeds_max = if random.one_in(3) { 1 + random.below(4) } else { 1000 };
            let limits = Limits { feeds_max, ..Limits::default() };
            // Routes that compete are the business of other tests.
            let Ok(demand) = Demand::new(routes.iter().map(real_route).collect(), limits) else { continue };
            return History {
                demand,
                feeds_max,
                now: Duration::ZERO,
                prefixes: BTreeSet::new(),
                topics: universe(&routes),
                turns: 0,
                generations: 0,
                ids: BTreeMap::new(),
                expected: Vec::new(),
                ended: Vec::new(),
                steps: format!(
                    "feeds_max {feeds_max}, {:?}",
                    routes.iter().map(|route| real_route(route).pattern).collect::<Vec<_>>()
                ),
            };
        }
    }

    fn step(&mut self, random: &mut Random, pool: &[Vec<u8>]) {
        self.pass_time(random);
        match random.below(10) {
            0..4 => {
                let prefix = random.of(pool).clone();
                self.note(format_args!("want {}", prefix.escape_ascii()));
                self.demand.wanted(&prefix, self.now);
                self.expire();
                self.prefixes.insert(prefix);
                self.reconsider();
            }
            4..8 => {
                let held: Vec<_> = self.prefixes.iter().cloned().collect();
                let prefix =
                    if held.is_empty() || random.one_in(10) { random.of(pool) } else { random.of(&held) };
                self.note(format_args!("unwant {}", prefix.escape_ascii()));
                self.demand.unwanted(prefix, self.now);
                self.expire();
                self.prefixes.remove(prefix);
                self.reconsider();
            }
            8 => {
                self.note(format_args!("tick"));
                self.demand.tick(self.now);
                self.expire();
            }
            _ => self.end_one(random),
        }
        self.compare();
    }

    fn pass_time(&mut self, random: &mut Random) {
        match (random.below(4), self.demand.next_deadline()) {
            (0, Some(deadline)) => self.now = self.now.max(deadline),
            (1, Some(deadline)) => self.now = self.now.max(deadline.saturating_sub(Duration::from_nanos(1))),
            (2, _) => self.now += ms(random.below(12) as u64),
            _ => {}
        }
    }

    fn end_one(&mut self, random: &mut Random) {
        let live: Vec<_> = self.ids.iter().map(|(generation, id)| (*id, *generation)).collect();
        let (id, generation) = if !live.is_empty() && !random.one_in(10) {
            *random.of(&live)
        } else if !self.ended.is_empty() {
            *random.of(&self.ended)
        } else {
            self.demand.tick(self.now);
            return self.expire();
        };
        self.note(format_args!("end #{generation}"));
        self.demand.ended(id, generation, self.now);
        if self.ids.remove(&generation).is_none() {
            return self.expire();
        }
        self.ended.push((id, generation));
        for topic in &mut self.topics {
            let started = !self.prefixes.is_disjoint(&topic.started_by);
            topic.state = match topic.state {
                Some(Model::Running { generation: g } | Model::Grace { generation: g, .. })
                    if g == generation =>
                {
                    started.then_some(Model::Ended)
                }
                Some(Model::Stopping { generation: g }) if g == generation => started.then(|| {
                    self.turns += 1;
                    Model::Waiting { turn: self.turns }
                }),
                state => state,
            }
        }
        self.fill();
        self.expire();
    }

    /// What a change of the wanted prefixes means to every topic there is.
    fn reconsider(&mut self) {
        for topic in &mut self.topics {
            let started = !self.prefixes.is_disjoint(&topic.started_by);
            let wanted = !self.prefixes.is_disjoint(&topic.wanted_by);
            topic.state = match topic.state {
                None if started => {
                    self.turns += 1;
                    Some(Model::Waiting { turn: self.turns })
                }
                Some(Model::Waiting { .. } | Model::Ended) if !started => None,
                Some(Model::Running { generation }) if !wanted => {
                    Some(Model::Grace { generation, deadline: self.now + topic.grace })
                }
                Some(Model::Grace { generation, .. }) if wanted => Some(Model::Running { generation }),
                state => state,
            };
        }
        self.fill();
        self.expire();
    }

    fn fill(&mut self) {
        while self.ids_expected() < self.feeds_max {
            let waiting = |topic: &&mut Topic| match topic.state {
                Some(Model::Waiting { turn }) => Some(turn),
                _ => None,
            };
            let next = self.topics.iter_mut().filter(|topic| waiting(topic).is_some()).min_by_key(waiting);
            let Some(topic) = next else { break };
            self.generations += 1;
            topic.state = Some(Model::Running { generation: self.generations });
            self.expected.push(format!("start {} #{}", topic.topic.escape_ascii(), self.generations));
        }
    }

    fn ids_expected(&self) -> usize {
        let waits = |topic: &&Topic| matches!(topic.state, None | Some(Model::Waiting { .. } | Model::Ended));
        self.topics.len() - self.topics.iter().filter(waits).count()
    }

    fn expire(&mut self) {
        for topic in &mut self.topics {
            if let Some(Model::Grace { generation, deadline }) = topic.state
                && deadline <= self.now
            {
                topic.state = Some(Model::Stopping { generation });
                self.expected.push(format!("stop #{generation}"));
            }
        }
    }

    /// The decisions of one step, the order of those that have none left aside, and the state they lead to.
    fn compare(&mut self) {
        let mut decided = Vec::new();
        while let Some(decision) = self.demand.poll() {
            match decision {
                Decision::Start { feed, topic, generation, .. } => {
                    decided.push(format!("start {} #{generation}", topic.escape_ascii()));
                    assert!(self.ids.insert(generation, feed).is_none(), "{}", self.steps);
                }
                Decision::Stop { feed, generation } => {
                    decided.push(format!("stop #{generation}"));
                    assert_eq!(self.ids.get(&generation), Some(&feed), "{}", self.steps);
                }
            }
        }
        decided.sort();
        self.expected.sort();
        assert_eq!(decided, core::mem::take(&mut self.expected), "{}", self.steps);
        let deadlines = self.topics.iter().filter_map(|topic| match topic.state {
            Some(Model::Grace { deadline, .. }) => Some(deadline),
            _ => None,
        });
        assert_eq!(self.demand.next_deadline(), deadlines.min(), "{}", self.steps);
        self.check_promises();
        let count = |kind: fn(&Model) -> bool| {
            self.topics.iter().filter(|topic| topic.state.as_ref().is_some_and(kind)).count()
        };
        let stats = self.demand.stats();
        assert_eq!(stats.waiting, count(|state| matches!(state, Model::Waiting { .. })), "{}", self.steps);
        assert_eq!(stats.in_grace, count(|state| matches!(state, Model::Grace { .. })), "{}", self.steps);
        assert_eq!(stats.stopping, count(|state| matches!(state, Model::Stopping { .. })), "{}", self.steps);
        assert_eq!(stats.running + stats.stopping, self.ids.len(), "{}", self.steps);
    }

    /// What the module promises, said once more without the model's steps.
    fn check_promises(&self) {
        let mut live = BTreeSet::new();
        for topic in &self.topics {
            let wanted = !self.prefixes.is_disjoint(&topic.wanted_by);
            match topic.state {
                Some(Model::Running { generation }) => {
                    assert!(wanted && live.insert(generation), "{}", self.steps)
                }
                Some(Model::Grace { generation, deadline }) => {
                    assert!(!wanted && deadline > self.now && live.insert(generation), "{}", self.steps);
                }
                Some(Model::Stopping { generation }) => assert!(live.insert(generation), "{}", self.steps),
                Some(Model::Waiting { .. }) => assert!(self.ids.len() >= self.feeds_max, "{}", self.steps),
                Some(Model::Ended) => {}
                None => assert!(self.prefixes.is_disjoint(&topic.started_by), "{}", self.steps),
            }
        }
        assert!(live.iter().eq(self.ids.keys()), "one generation a topic: {}", self.steps);
    }

    fn note(&mut self, step: core::fmt::Arguments<'_>) {
        self.steps += &format!("\n{:?}: {step}", self.now);
    }
}

fn naive_route(random: &mut Random) -> NaiveRoute {
    let mut parts: Vec<u8> = Vec::new();
    while parts.is_empty() || parts.len() < 4 && !random.one_in(3) {
        let part = *random.of(b"?aab/");
        if part != b'?' || parts.last() != Some(&b'?') {
            parts.push(part);
        }
    }
    let mut topics = strings(b"ab/", 4);
    topics.retain(|topic| naive_match(&parts, topic));
    let mut catalogue = Vec::new();
    while !topics.is_empty() && random.one_in(2) {
        catalogue.push(random.of(&topics).clone());
    }
    NaiveRoute { parts, grace: ms(*random.of(&[0, 0, 5, 20])), catalogue }
}

fn real_route(route: &NaiveRoute) -> Route {
    let mut text = String::new();
    for (i, &part) in route.parts.iter().enumerate() {
        if part == b'?' { text += &format!("{{p{i}}}") } else { text.push(char::from(part)) }
    }
    let pattern = Pattern::parse(&text).unwrap();
    Route { pattern, grace: route.grace, catalogue: route.catalogue.clone() }
}

/// All topics that a prefix of the pool or a catalogue can start.
fn universe(routes: &[NaiveRoute]) -> Vec<Topic> {
    let pool = strings(b"ab/", 3);
    let every = strings(b"abc/", 5);
    let size = |route: &NaiveRoute| every.iter().filter(|topic| naive_match(&route.parts, topic)).count();
    let sizes: Vec<usize> = routes.iter().map(size).collect();
    let mut topics = Vec::new();
    for topic in strings(b"ab/", 4) {
        let serving =
            (0..routes.len()).filter(|&i| naive_match(&routes[i].parts, &topic)).min_by_key(|&i| sizes[i]);
        let Some(route) = serving.map(|i| &routes[i]) else { continue };
        let listed =
            !route.parts.contains(&b'?') || routes.iter().any(|route| route.catalogue.contains(&topic));
        let begins = |prefix: &&Vec<u8>| topic.starts_with(prefix);
        let starts = |prefix: &&Vec<u8>| topic == **prefix || listed && !naive_match(&route.parts, prefix);
        topics.push(Topic {
            grace: route.grace,
            wanted_by: pool.iter().filter(begins).cloned().collect(),
            started_by: pool.iter().filter(begins).filter(starts).cloned().collect(),
            topic,
            state: None,
        });
    }
    // What one prefix starts, it starts in this order.
    topics.sort_by(|a, b| a.topic.cmp(&b.topic));
    topics
}

/// `ONCUE_SEED=n cargo test -p oncue-core demand::tests::model` runs the history of one seed.
#[test]
fn random_histories_agree_with_the_model() {
    let one = std::env::var("ONCUE_SEED").ok().map(|seed| seed.parse().expect("ONCUE_SEED is a number"));
    let pool = strings(b"ab/", 3);
    for seed in one.map_or(0..SEEDS, |seed| seed..seed + 1) {
        let outcome = std::panic::catch_unwind(|| {
            let mut random = Random(seed);
            let mut history = History::new(&mut random);
            for _ in 0..STEPS {
                history.step(&mut random, &pool);
            }
            history.generations
        });
        assert!(outcome.is_ok(), "seed {seed} failed: run it alone with ONCUE_SEED={seed}");
    }
}
