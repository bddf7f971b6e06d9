//! The model's routes: strings over a small alphabet, matched letter by letter.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;
use std::sync::OnceLock;

use super::super::{Backoff, Route};
use super::ms;
use oncue_pattern::Pattern;
use oncue_testing::Rng;

/// Literal bytes, and `?` for a parameter.
pub(super) struct NaiveRoute {
    pub(super) parts: Vec<u8>,
    /// How many short topics it has: of two routes that overlap, the narrower has fewer.
    pub(super) size: usize,
    pub(super) grace: Duration,
    pub(super) min_run: Duration,
    pub(super) feeds_max: usize,
    pub(super) backoff: Option<(Duration, Duration)>,
    pub(super) catalogue: Vec<Vec<u8>>,
}

impl NaiveRoute {
    /// Some of its topics.
    pub(super) fn topics_of(&self, random: &mut Rng) -> Vec<Vec<u8>> {
        let mut topics = strings(b"ab/", 4);
        topics.retain(|topic| naive_match(&self.parts, topic));
        let mut some = Vec::new();
        while !topics.is_empty() && random.one_in(2) {
            some.push(topics[random.below(topics.len())].clone());
        }
        some
    }
}

pub(super) fn naive_match(parts: &[u8], topic: &[u8]) -> bool {
    match parts.split_first() {
        None => topic.is_empty(),
        Some((b'?', rest)) => (1..=topic.len())
            .take_while(|&len| topic[len - 1] != b'/')
            .any(|len| naive_match(rest, &topic[len..])),
        Some((byte, rest)) => topic.first() == Some(byte) && naive_match(rest, &topic[1..]),
    }
}

/// Whether some topic, at least as long as `prefix`, begins with it.
pub(super) fn naive_begin(parts: &[u8], prefix: &[u8]) -> bool {
    let Some((&first, rest)) = prefix.split_first() else { return true };
    match parts.split_first() {
        None => false,
        Some((b'?', parts)) => {
            first != b'/'
                && (prefix.iter().all(|&byte| byte != b'/')
                    || (1..=prefix.len())
                        .take_while(|&len| prefix[len - 1] != b'/')
                        .any(|len| naive_begin(parts, &prefix[len..])))
        }
        Some((&byte, parts)) => byte == first && naive_begin(parts, rest),
    }
}

pub(super) fn strings(alphabet: &[u8], len_max: usize) -> Vec<Vec<u8>> {
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

fn short_topics() -> &'static [Vec<u8>] {
    static SHORT: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    SHORT.get_or_init(|| strings(b"abc/", 5))
}

pub(super) fn naive_route(random: &mut Rng) -> NaiveRoute {
    let mut parts: Vec<u8> = Vec::new();
    while parts.is_empty() || parts.len() < 4 && !random.one_in(3) {
        let part = b"?aab/"[random.below(5)];
        if part != b'?' || parts.last() != Some(&b'?') {
            parts.push(part);
        }
    }
    let mut route = NaiveRoute {
        size: short_topics().iter().filter(|topic| naive_match(&parts, topic)).count(),
        parts,
        grace: ms([0, 0, 5, 20][random.below(4)]),
        min_run: ms([0, 0, 10][random.below(3)]),
        feeds_max: if random.one_in(3) { 1 + random.below(2) } else { usize::MAX },
        backoff: [None, Some((ms(2), ms(9))), Some((ms(0), ms(4)))][random.below(3)],
        catalogue: Vec::new(),
    };
    route.catalogue = route.topics_of(random);
    route
}

pub(super) fn real_route(route: &NaiveRoute) -> Route {
    let mut text = String::new();
    for (i, &part) in route.parts.iter().enumerate() {
        if part == b'?' { text += &format!("{{p{i}}}") } else { text.push(char::from(part)) }
    }
    Route {
        grace: route.grace,
        min_run: route.min_run,
        feeds_max: route.feeds_max,
        backoff: route.backoff.map(|(min, max)| Backoff { min, max }),
        catalogue: route.catalogue.clone(),
        ..Route::new(Pattern::parse(&text).unwrap())
    }
}

impl fmt::Debug for NaiveRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listed: Vec<_> = self.catalogue.iter().map(|topic| topic.escape_ascii()).collect();
        let parts = self.parts.escape_ascii();
        write!(f, "{parts} grace {:?} min_run {:?} ", self.grace, self.min_run)?;
        write!(f, "feeds_max {} backoff {:?} ", self.feeds_max, self.backoff)?;
        f.debug_list().entries(listed.iter().map(|topic| format!("{topic}"))).finish()
    }
}
