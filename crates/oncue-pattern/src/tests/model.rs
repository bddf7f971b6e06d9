//! Random patterns of all kinds against a naive matcher, which splits topics as the documentation says, reads numbers with
//! `str::parse`, and matches expressions by backtracking. It uses neither automata nor byte classes.

use alloc::boxed::Box;
use alloc::collections::{BTreeSet, VecDeque};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use super::super::{Pattern, PatternProblem, PrefixMeaning};
use oncue_testing::{Rng, for_seeds};

/// The bytes of topics: letters, digits and signs that patterns name, and one of each that no pattern names.
const ALPHABET: &[u8] = b"a0-/2z.";

enum Part {
    Literal(&'static str),
    Param(Kind),
}

enum Kind {
    Any,
    Int,
    Word,
    Expression(Expr),
}

type Holds = fn(u8) -> bool;

/// A regular expression.
enum Expr {
    Byte(&'static str),
    Class(&'static str, Holds),
    Both(Box<Expr>, Box<Expr>),
    Either(Box<Expr>, Box<Expr>),
    /// Repeated: the least and the greatest number of times.
    Times(Box<Expr>, usize, Option<usize>),
}

impl Expr {
    fn random(rng: &mut Rng, depth: usize) -> Expr {
        let sub = |rng: &mut Rng| Box::new(Expr::random(rng, depth - 1));
        match if depth == 0 { rng.below(2) } else { rng.below(6) } {
            0 => Expr::Byte(["a", "0", "-"][rng.below(3)]),
            1 => {
                let classes: [(&str, Holds); 6] = [
                    (r"\d", |byte| byte.is_ascii_digit()),
                    (r"\w", |byte| byte.is_ascii_alphanumeric() || byte == b'_'),
                    (".", |byte| byte != b'\n'),
                    ("[a-]", |byte| byte == b'a' || byte == b'-'),
                    ("[^a]", |byte| byte != b'a'),
                    ("[0-9a-m]", |byte| byte.is_ascii_digit() || (b'a'..=b'm').contains(&byte)),
                ];
                let (text, holds) = classes[rng.below(classes.len())];
                Expr::Class(text, holds)
            }
            2 | 3 => Expr::Both(sub(rng), sub(rng)),
            4 => Expr::Either(sub(rng), sub(rng)),
            _ => {
                let (min, more) = (rng.below(3), rng.below(3));
                Expr::Times(sub(rng), min, (more > 0).then_some(min + more))
            }
        }
    }

    fn text(&self) -> String {
        match self {
            Expr::Byte(text) | Expr::Class(text, _) => text.to_string(),
            Expr::Both(a, b) => format!("{}{}", a.group(), b.group()),
            Expr::Either(a, b) => format!("{}|{}", a.text(), b.text()),
            Expr::Times(expr, 0, None) => format!("{}*", expr.group()),
            Expr::Times(expr, min, None) => format!("{}{{{min},}}", expr.group()),
            Expr::Times(expr, min, Some(max)) => format!("{}{{{min},{max}}}", expr.group()),
        }
    }

    fn group(&self) -> String {
        match self {
            Expr::Byte(_) | Expr::Class(..) => self.text(),
            _ => format!("(?:{})", self.text()),
        }
    }

    /// All places where a match that begins at `from` may end.
    fn ends(&self, value: &[u8], from: usize) -> BTreeSet<usize> {
        let all = |expr: &Expr, froms: &BTreeSet<usize>| -> BTreeSet<usize> {
            froms.iter().flat_map(|&from| expr.ends(value, from)).collect()
        };
        let next = |holds: bool| holds.then_some(from + 1).into_iter().collect();
        match self {
            Expr::Byte(text) => next(value.get(from) == text.as_bytes().first()),
            Expr::Class(_, holds) => next(value.get(from).is_some_and(|&byte| holds(byte))),
            Expr::Both(a, b) => all(b, &a.ends(value, from)),
            Expr::Either(a, b) => &a.ends(value, from) | &b.ends(value, from),
            Expr::Times(expr, min, max) => {
                let mut at = BTreeSet::from([from]);
                for _ in 0..*min {
                    at = all(expr, &at);
                }
                for _ in 0..max.map_or(usize::MAX, |max| max - min) {
                    let more = &at | &all(expr, &at);
                    if more == at {
                        break;
                    }
                    at = more;
                }
                at
            }
        }
    }
}

impl Kind {
    fn takes(&self, value: &[u8]) -> bool {
        let of_kind = match self {
            Kind::Any => true,
            Kind::Int => core::str::from_utf8(value)
                .ok()
                .and_then(|text| text.parse::<i64>().ok().filter(|number| number.to_string() == text))
                .is_some_and(|number| number >= 0),
            Kind::Word => value.iter().all(|&byte| byte == b'_' || byte.is_ascii_alphanumeric()),
            Kind::Expression(expr) => expr.ends(value, 0).contains(&value.len()),
        };
        of_kind && !value.is_empty() && !value.contains(&b'/')
    }
}

struct Model {
    parts: Vec<Part>,
}

impl Model {
    /// At most three parameters, with literals between them and perhaps around them.
    fn random(rng: &mut Rng) -> Model {
        let literal = |rng: &mut Rng| Part::Literal(["a", "0", "-", "/", "a-", "00", "--"][rng.below(7)]);
        let mut parts = Vec::new();
        let params = [1, 1, 1, 2, 2, 3][rng.below(6)];
        for i in 0..params {
            if i > 0 || rng.one_in(3) {
                parts.push(literal(rng));
            }
            parts.push(Part::Param(match rng.below(6) {
                0 => Kind::Any,
                1 => Kind::Int,
                2 => Kind::Word,
                _ => Kind::Expression(Expr::random(rng, 3)),
            }));
        }
        if rng.one_in(3) {
            parts.push(literal(rng));
        }
        Model { parts }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for (i, part) in self.parts.iter().enumerate() {
            text += &match part {
                Part::Literal(literal) => literal.to_string(),
                Part::Param(Kind::Any) => format!("{{p{i}}}"),
                Part::Param(Kind::Int) => format!("{{p{i}:int}}"),
                Part::Param(Kind::Word) => format!("{{p{i}:word}}"),
                Part::Param(Kind::Expression(expr)) => format!("{{p{i}:/{}/}}", expr.text()),
            };
        }
        text
    }

    /// A model and its pattern, which has topics.
    fn with_pattern(rng: &mut Rng, topics: &[Vec<u8>]) -> (Model, Pattern) {
        loop {
            let model = Model::random(rng);
            match Pattern::parse(&model.text()) {
                Ok(pattern) => return (model, pattern),
                Err(error) => {
                    let none = matches!(error.problem(), PatternProblem::NoTopic | PatternProblem::NoValue);
                    assert!(none, "{error}");
                    assert!(!topics.iter().any(|topic| model.matches(topic)), "{error}");
                }
            }
        }
    }

    fn matches(&self, topic: &[u8]) -> bool {
        matches(&self.parts, topic)
    }
}

fn matches(parts: &[Part], topic: &[u8]) -> bool {
    match parts {
        [] => topic.is_empty(),
        [Part::Literal(literal), rest @ ..] => {
            topic.strip_prefix(literal.as_bytes()).is_some_and(|topic| matches(rest, topic))
        }
        [Part::Param(kind)] => kind.takes(topic),
        [Part::Param(kind), Part::Literal(literal)] => {
            topic.strip_suffix(literal.as_bytes()).is_some_and(|value| kind.takes(value))
        }
        [Part::Param(kind), Part::Literal(literal), rest @ ..] => {
            let ends = |&len: &usize| topic[len..].starts_with(literal.as_bytes());
            (1..=topic.len())
                .find(ends)
                .is_some_and(|len| kind.takes(&topic[..len]) && matches(rest, &topic[len + literal.len()..]))
        }
        [Part::Param(_), Part::Param(_), ..] => unreachable!("a literal parts parameters"),
    }
}

/// A topic that satisfies `wanted`, found by extending `from` where the first of `patterns` can continue. Of all beginnings
/// that lead to the same states, only one is tried: if the automata merged two that differ, nothing would be found.
fn witness(from: &[u8], patterns: &[&Pattern], wanted: impl Fn(&[u8]) -> bool) -> Option<Vec<u8>> {
    let place = |pattern: &Pattern, prefix: &[u8]| match prefix.strip_prefix(&*pattern.head) {
        Some(rest) => (pattern.head.len(), pattern.automaton().run(rest)),
        None => (prefix.len(), u16::from(pattern.head.starts_with(prefix))),
    };
    let places = |prefix: &[u8]| patterns.iter().map(|pattern| place(pattern, prefix)).collect::<Vec<_>>();
    let mut seen = BTreeSet::new();
    let mut queue = VecDeque::from([from.to_vec()]);
    while let Some(topic) = queue.pop_front() {
        if wanted(&topic) {
            return Some(topic);
        }
        for &byte in ALPHABET.iter().chain(b"b\n") {
            let longer = [&topic[..], &[byte]].concat();
            if possible(patterns[0], &longer) && seen.insert(places(&longer)) {
                queue.push_back(longer);
            }
        }
    }
    None
}

fn possible(pattern: &Pattern, prefix: &[u8]) -> bool {
    pattern.prefix(prefix) != PrefixMeaning::None
}

#[test]
fn matches_and_prefixes_agree_with_the_model() {
    let topics = super::strings(ALPHABET, 4);
    for_seeds(300, |rng| {
        let (model, pattern) = Model::with_pattern(rng, &topics);
        let mut begun = BTreeSet::new();
        for topic in &topics {
            let matched = model.matches(topic);
            assert_eq!(pattern.matches(topic), matched, "{pattern} {}", topic.escape_ascii());
            assert_eq!(pattern.match_topic(topic).is_some(), matched);
            assert_eq!(pattern.prefix(topic) == PrefixMeaning::Exact, matched);
            if matched {
                begun.extend((0..=topic.len()).map(|len| &topic[..len]));
                let params = pattern.match_topic(topic).unwrap();
                let values: Vec<_> = params.iter().map(|(name, value)| (name, &topic[value])).collect();
                assert_eq!(pattern.topic(&values), Ok(topic.clone()), "{pattern}");
            }
        }
        for prefix in &topics {
            let shown = prefix.escape_ascii();
            if begun.contains(&prefix[..]) {
                assert!(possible(&pattern, prefix), "{pattern} {shown}");
            } else if possible(&pattern, prefix) && rng.one_in(10) {
                // No short topic begins like this, so a longer one must.
                let found = witness(prefix, &[&pattern], |topic| model.matches(topic));
                assert!(found.is_some(), "{pattern} {shown}");
            }
        }
    });
}

#[test]
fn overlap_cover_and_order_agree_with_the_model() {
    let topics = super::strings(ALPHABET, 3);
    let told = core::cell::Cell::new([0; 4]);
    for_seeds(300, |rng| {
        let all: Vec<_> = (0..4).map(|_| Model::with_pattern(rng, &topics)).collect();
        let sets: Vec<Vec<bool>> =
            all.iter().map(|(model, _)| topics.iter().map(|topic| model.matches(topic)).collect()).collect();
        for (i, (model_a, a)) in all.iter().enumerate() {
            for (j, (model_b, b)) in all.iter().enumerate() {
                let has = |wanted: fn(bool, bool) -> bool| {
                    sets[i].iter().zip(&sets[j]).any(|(&a, &b)| wanted(a, b))
                };
                let (overlaps, covers) = (a.overlaps(b), a.covers(b));
                let mut count = told.get();
                count[usize::from(overlaps) + 2 * usize::from(covers && i != j)] += 1;
                told.set(count);
                let search = |wanted: &dyn Fn(&[u8]) -> bool| {
                    assert!(witness(b"", &[b, a], wanted).is_some(), "{a} {b}");
                };
                if has(|a, b| a && b) {
                    assert!(overlaps, "{a} {b}");
                } else if overlaps {
                    search(&|topic| model_a.matches(topic) && model_b.matches(topic));
                }
                if has(|a, b| b && !a) {
                    assert!(!covers, "{a} {b}");
                } else if !covers {
                    search(&|topic| model_b.matches(topic) && !model_a.matches(topic));
                }
                assert!(overlaps || !covers, "{a} {b}");
                assert_eq!(overlaps, b.overlaps(a), "{a} {b}");
                check_order(a, b);
            }
        }
        let mut sorted: Vec<_> = all.iter().map(|(_, pattern)| pattern).collect();
        sorted.sort_by(|a, b| a.cmp_specificity(b));
        for (i, wide) in sorted.iter().enumerate() {
            for narrow in &sorted[i..] {
                assert!(wide.cmp_specificity(narrow).is_le(), "{wide} {narrow}");
                assert!(!narrow.covers(wide) || wide.covers(narrow), "{wide} {narrow}");
            }
        }
    });
    let [apart, overlapping, _, covering] = told.get();
    assert!(apart > 500 && overlapping > 500 && covering > 100, "{:?}", told.get());
}

fn check_order(a: &Pattern, b: &Pattern) {
    use core::cmp::Ordering::{Equal, Greater};
    let (order, back) = (a.cmp_specificity(b), b.cmp_specificity(a));
    assert_eq!(order, back.reverse(), "{a} {b}");
    let (a_covers, b_covers) = (a.covers(b), b.covers(a));
    assert_eq!(order == Equal, a_covers && b_covers, "{a} {b}");
    assert!(!b_covers || a_covers || order == Greater, "{a} {b}");
}

#[test]
fn patterns_of_the_model_are_shown_as_they_are_read() {
    let topics = vec![Vec::new()];
    for_seeds(300, |rng| {
        let (model, pattern) = Model::with_pattern(rng, &topics);
        assert_eq!(pattern.to_string(), model.text());
        assert_eq!(Pattern::parse(&pattern.to_string()), Ok(pattern));
    });
}

#[test]
fn any_text_is_a_pattern_or_names_a_place_in_it() {
    let (topics, read) = (vec![Vec::new()], core::cell::Cell::new([0; 2]));
    for_seeds(2000, |rng| {
        let mut text = Model::with_pattern(rng, &topics).0.text().into_bytes();
        rng.damage(&mut text);
        let text = String::from_utf8_lossy(&text).into_owned();
        let result = Pattern::parse(&text);
        let mut count = read.get();
        count[usize::from(result.is_ok())] += 1;
        read.set(count);
        match result {
            Ok(pattern) => assert!(possible(&pattern, b""), "{text}"),
            Err(error) => assert!(error.at() <= text.len(), "{error}"),
        }
    });
    assert!(read.get().iter().all(|&count| count > 200), "{:?}", read.get());
}
