//! Patterns against their text, and against a naive matcher over all short topics.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use super::{Pattern, PatternProblem, PrefixMeaning, TopicError};

mod kinds;
mod model;

fn pattern(text: &str) -> Pattern {
    Pattern::parse(text).unwrap()
}

fn values(text: &str, topic: &str) -> Option<Vec<(String, String)>> {
    let params = pattern(text).match_topic(topic.as_bytes())?;
    Some(params.iter().map(|(name, value)| (name.into(), topic[value].into())).collect())
}

fn pairs(pairs: &[(&str, &str)]) -> Option<Vec<(String, String)>> {
    Some(pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect())
}

#[test]
fn literals_match_themselves() {
    assert!(pattern("clock").matches(b"clock"));
    assert!(!pattern("clock").matches(b"clocks"));
    assert!(!pattern("clock").matches(b"cloc"));
    assert!(!pattern("clock").matches(b""));
    assert_eq!(pattern("a{{b}}").as_literal(), Some(&b"a{b}"[..]));
    assert_eq!(pattern("prices/{symbol}").as_literal(), None);
    let raw = Pattern::literal(&b"\x00\xff{x}"[..]);
    assert!(raw.matches(b"\x00\xff{x}"));
    assert!(Pattern::literal(&b""[..]).matches(b""));
}

#[test]
fn parameters_take_their_values() {
    assert_eq!(values("prices/{symbol}", "prices/AAPL"), pairs(&[("symbol", "AAPL")]));
    assert_eq!(values("prices/{symbol}", "prices/"), None);
    assert_eq!(values("prices/{symbol}", "prices/a/b"), None);
    assert_eq!(values("{a}/{b}", "x/yz"), pairs(&[("a", "x"), ("b", "yz")]));
    assert_eq!(values("{a}-{b}", "x-y-z"), pairs(&[("a", "x"), ("b", "y-z")]));
    assert_eq!(values("{a}.json", "x.json.json"), pairs(&[("a", "x.json")]));
    assert_eq!(values("proc/{pid}/rss", "proc/12/rss"), pairs(&[("pid", "12")]));
    assert_eq!(values("{a}aa{b}", "baaa"), pairs(&[("a", "b"), ("b", "a")]));
    let params = pattern("{x}").match_topic(b"\xff\x00").unwrap();
    assert_eq!(params.get("x"), Some(0..2));
    assert_eq!(params.get("y"), None);
}

#[test]
fn bad_patterns_name_the_place_and_the_remedy() {
    let cases = [
        ("", 0, PatternProblem::Empty),
        ("a/{b", 2, PatternProblem::Unclosed),
        ("a/{b{c}", 2, PatternProblem::Unclosed),
        ("a}b", 1, PatternProblem::Unopened),
        ("a/{}", 2, PatternProblem::Nameless),
        ("a/{:int}", 2, PatternProblem::Nameless),
        ("a/{1b}", 3, PatternProblem::BadName("1b".into())),
        ("a/{b c}", 3, PatternProblem::BadName("b c".into())),
        ("a/{é}", 3, PatternProblem::BadName("é".into())),
        ("a/{b:colour}", 5, PatternProblem::UnknownKind("colour".into())),
        ("{a}/{a}", 5, PatternProblem::Repeated("a".into())),
        ("{a}/{b}/{a}", 9, PatternProblem::Repeated("a".into())),
        ("{a}{b}", 3, PatternProblem::Adjacent),
    ];
    for (text, at, problem) in cases {
        let error = Pattern::parse(text).unwrap_err();
        assert_eq!((error.at(), error.problem()), (at, &problem), "{text}");
        let shown = error.to_string();
        assert!(shown.contains(&format!("`{text}`, at byte {at}: ")), "{shown}");
        assert!(shown.contains("; "), "a remedy follows: {shown}");
    }
}

#[test]
fn patterns_are_shown_as_they_are_read() {
    for text in ["clock", "prices/{symbol}", "{a}-{b}.json", "a{{b}}{c}", "é/{x}"] {
        assert_eq!(pattern(text).to_string(), text);
        assert_eq!(Pattern::parse(&pattern(text).to_string()), Ok(pattern(text)));
    }
    assert_eq!(Pattern::literal(&b"a\xff\n"[..]).to_string(), "a\\xff\\n");
}

#[test]
fn topics_are_made_of_values() {
    let price = pattern("prices/{venue}-{symbol}");
    assert_eq!(price.topic(&[("symbol", "AAPL"), ("venue", "X")]), Ok(b"prices/X-AAPL".to_vec()));
    assert_eq!(price.topic(&[("symbol", "A")]), Err(TopicError::Missing("venue".into())));
    assert_eq!(price.topic(&[("symbol", ""), ("venue", "X")]), Err(TopicError::BadValue("symbol".into())));
    assert_eq!(price.topic(&[("symbol", "a/b"), ("venue", "X")]), Err(TopicError::BadValue("symbol".into())));
    assert_eq!(price.topic(&[("symbol", "a"), ("venue", "X-Y")]), Err(TopicError::Ambiguous("venue".into())));
    assert_eq!(price.topic(&[("pid", "1")]), Err(TopicError::Unknown("pid".into())));
    assert_eq!(pattern("clock").topic::<&str>(&[]), Ok(b"clock".to_vec()));
}

#[test]
fn prefixes_have_a_meaning() {
    use PrefixMeaning::{Exact, None, Partial};
    let cases = [
        ("prices/{symbol}", "", Partial),
        ("prices/{symbol}", "pri", Partial),
        ("prices/{symbol}", "prices/", Partial),
        ("prices/{symbol}", "prices/A", Exact),
        ("prices/{symbol}", "prices/A/", None),
        ("prices/{symbol}", "q", None),
        ("proc/{pid}/rss", "proc/12", Partial),
        ("proc/{pid}/rss", "proc/12/", Partial),
        ("proc/{pid}/rss", "proc//", None),
        ("proc/{pid}/rss", "proc/12/rs", Partial),
        ("proc/{pid}/rss", "proc/12/rss", Exact),
        ("proc/{pid}/rss", "proc/12/rsss", None),
        ("clock", "", Partial),
        ("clock", "clock", Exact),
        ("clock", "clocks", None),
    ];
    for (text, prefix, meaning) in cases {
        assert_eq!(pattern(text).prefix(prefix.as_bytes()), meaning, "{text} {prefix}");
    }
}

#[test]
fn overlaps_and_order() {
    let cases = [
        ("a/{x}", "a/b", true, true),
        ("a/{x}", "a/{y}", true, true),
        ("{x}", "a/{x}", false, false),
        ("a/{x}", "{y}/b", true, false),
        ("{x}", "{x}-{y}", true, true),
        ("x{a}", "{b}y", true, false),
        ("a/{x}/c", "a/{x}/d", false, false),
        ("{a}.json", "{a}.{b}", true, false),
        ("{a}.{b}", "{a}.json", true, true),
    ];
    for (wide, narrow, overlaps, covers) in cases {
        let (wide, narrow) = (pattern(wide), pattern(narrow));
        assert_eq!(wide.overlaps(&narrow), overlaps, "{wide} {narrow}");
        assert_eq!(narrow.overlaps(&wide), overlaps, "{narrow} {wide}");
        assert_eq!(wide.covers(&narrow), covers, "{wide} {narrow}");
        if covers && !narrow.covers(&wide) {
            assert!(narrow.cmp_specificity(&wide).is_gt(), "{narrow} {wide}");
        }
    }
}

/// All byte strings of `alphabet` up to `len_max` long.
fn strings(alphabet: &[u8], len_max: usize) -> Vec<Vec<u8>> {
    let mut all = vec![Vec::new()];
    let mut from = 0;
    for _ in 0..len_max {
        let until = all.len();
        for i in from..until {
            for &byte in alphabet {
                let mut longer = all[i].clone();
                longer.push(byte);
                all.push(longer);
            }
        }
        from = until;
    }
    all
}

/// Every pattern of up to four parts: a parameter (`?`) or a literal byte, parameters never adjacent.
fn every_pattern() -> Vec<(Vec<u8>, Pattern)> {
    strings(b"?ab/", 4)
        .into_iter()
        .filter(|parts| !parts.is_empty() && !parts.windows(2).any(|two| two == b"??"))
        .map(|parts| {
            let mut text = String::new();
            for (i, &part) in parts.iter().enumerate() {
                if part == b'?' { text += &format!("{{p{i}}}") } else { text.push(char::from(part)) }
            }
            (parts, pattern(&text))
        })
        .collect()
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

#[test]
fn matching_agrees_with_a_naive_matcher() {
    let topics = strings(b"ab/", 6);
    let prefixes = strings(b"ab/", 3);
    let endings = strings(b"ab/", 4);
    for (parts, pattern) in every_pattern() {
        for topic in &topics {
            assert_eq!(pattern.matches(topic), naive_match(&parts, topic), "{pattern} {topic:?}");
        }
        for prefix in &prefixes {
            // Four bytes are enough for the rest of any pattern of four parts.
            let meaning = if naive_match(&parts, prefix) {
                PrefixMeaning::Exact
            } else if endings.iter().any(|ending| naive_match(&parts, &[&prefix[..], ending].concat())) {
                PrefixMeaning::Partial
            } else {
                PrefixMeaning::None
            };
            assert_eq!(pattern.prefix(prefix), meaning, "{pattern} {prefix:?}");
        }
    }
}

#[test]
fn a_match_is_read_back_from_its_values() {
    for (_, pattern) in every_pattern() {
        for topic in strings(b"ab/", 5) {
            let Some(params) = pattern.match_topic(&topic) else { continue };
            let values: Vec<_> = params.iter().map(|(name, value)| (name, &topic[value])).collect();
            assert_eq!(pattern.topic(&values), Ok(topic.clone()), "{pattern}");
        }
    }
}

#[test]
fn overlap_and_order_agree_with_naive_sets() {
    // `c` stands for the bytes that no pattern names.
    let topics = strings(b"abc/", 5);
    let sets: Vec<(Pattern, Vec<u16>)> = every_pattern()
        .into_iter()
        .filter(|(parts, _)| parts.len() <= 3)
        .map(|(parts, pattern)| {
            let topics = topics.iter().enumerate().filter(|(_, topic)| naive_match(&parts, topic));
            (pattern, topics.map(|(i, _)| i as u16).collect())
        })
        .collect();
    for (a, in_a) in &sets {
        for (b, in_b) in &sets {
            let both = in_a.iter().filter(|topic| in_b.binary_search(topic).is_ok()).count();
            assert_eq!(a.overlaps(b), both > 0, "{a} {b}");
            assert_eq!(a.covers(b), both == in_b.len(), "{a} {b}");
            if a.covers(b) && !b.covers(a) {
                assert!(b.cmp_specificity(a).is_gt(), "{a} {b}");
            }
        }
    }
}
