//! Each kind of parameter: which values it accepts, how it is written, and how it affects prefixes and specificity.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;

use super::super::{Kind, Pattern, PatternProblem, PrefixMeaning, TopicError};
use super::pattern;

fn takes(kind: &str, value: &[u8]) -> bool {
    pattern(&format!("{{x:{kind}}}")).matches(value)
}

#[test]
fn int_takes_each_number_in_one_way() {
    for value in ["0", "7", "10", "999999999999999999", "1000000000000000000", "9223372036854775807"] {
        assert!(takes("int", value.as_bytes()), "{value}");
    }
    let wrong = ["", "00", "01", "-1", "+1", "-0", "1.0", " 1", "1 ", "1a", "0x1", "1_0", "\u{0661}", "/"];
    for value in wrong {
        assert!(!takes("int", value.as_bytes()), "{value}");
    }
    let too_large = ["9223372036854775808", "9300000000000000000", "10000000000000000000"];
    for value in too_large {
        assert!(!takes("int", value.as_bytes()), "{value}");
    }
}

#[test]
fn word_takes_ascii_letters_digits_and_underscores() {
    for value in ["a", "Z", "_", "0", "AAPL", "brk_b", "007"] {
        assert!(takes("word", value.as_bytes()), "{value}");
    }
    for value in ["", "-", "-a", "a-b", "a.b", "..", "a b", "é", "a\n", "a/b"] {
        assert!(!takes("word", value.as_bytes()), "{value}");
    }
    assert!(takes("word", &vec![b'a'; 1_000_000]));
}

#[test]
fn expressions_take_whole_values() {
    assert!(takes("/[a-z]{2,4}/", b"abc"));
    assert!(!takes("/[a-z]{2,4}/", b"abcde"));
    assert!(takes("/a|bc/", b"bc"));
    assert!(!takes("/a|bc/", b"abc"));
    // No kind accepts an empty value, or a slash.
    assert!(!takes("/a*/", b""));
    assert!(!takes("/.*/", b"a/b"));
    assert!(!takes(r"/[^a]\x2f?/", b"b/"));
    // Braces are not escaped, whether they are paired or not.
    assert!(takes(r"/[}{]\}/", b"{}"));
    assert_eq!(pattern(r"a/{x:/\}{1,2}/}/b").match_topic(b"a/}}/b").unwrap().get("x"), Some(2..4));
    // Bytes, not characters.
    assert!(takes("/./", b"\xff"));
    assert!(!takes("/./", "é".as_bytes()));
    assert!(!takes("/./", b"\n"));
    assert!(takes("/é+/", "éé".as_bytes()));
    assert!(takes("/(?u)[à-ö]+/", "éé".as_bytes()));
    assert!(!takes("/(?u)[à-ö]+/", b"\xc3"));
    assert!(takes("/(?i)aapl/", b"AaPl"));
    assert!(!takes(r"/\d/", "٠".as_bytes()));
}

#[test]
fn an_expression_cannot_make_matching_slow() {
    let slow_for_others = pattern(r"{x:/(?:a*)*(?:a|a)*(?:a?){20}b/}.{y:/(?:(?:a+)+)+b/}");
    let topic = [vec![b'a'; 1_000_000], b"b.".to_vec(), vec![b'a'; 1_000_000]].concat();
    assert_eq!(slow_for_others.prefix(&topic), PrefixMeaning::Partial);
    assert!(slow_for_others.matches(&[&topic[..], b"b"].concat()));
    assert!(!slow_for_others.matches(&[&topic[..], b"c"].concat()));
}

#[test]
fn bad_kinds_name_the_place_and_the_remedy() {
    use PatternProblem::*;
    let wrong = |what: &str| BadExpression(what.into());
    let long = format!("a/{{x:/{}/}}", "a".repeat(1001));
    let cases = [
        ("a/{x:}", 5, UnknownKind("".into())),
        ("a/{x:Int}", 5, UnknownKind("Int".into())),
        ("a/{x:[a-z]{2}}", 5, UnknownKind("[a-z]{2".into())),
        ("a/{x:int", 2, Unclosed),
        ("a/{x:/b", 5, UnclosedExpression),
        ("a/{x:/b}/c", 9, AfterExpression),
        ("a/{x:/[^/]+/}", 9, AfterExpression),
        ("a/{x:/b/c}", 8, AfterExpression),
        ("a/{x:/b/", 8, AfterExpression),
        ("a/{x:/b(c/}", 7, wrong("unclosed group")),
        ("a/{x:/é(c/}", 8, wrong("unclosed group")),
        ("a/{x:/b**[/}", 9, wrong("unclosed character class")),
        (r"a/{x:/(b)\1/}", 9, wrong("backreferences are not supported")),
        ("a/{x:/[é]/}", 7, wrong("Unicode not allowed here")),
        (r"a/{x:/b\b/}", 7, Anchor),
        ("a/{x:/^b/}", 6, Anchor),
        ("a/{x:/b(c|$)/}", 10, Anchor),
        (&long, 1006, ExpressionTooLong),
        ("a/{x://}", 6, NoValue),
        (r"a/{x:/b\x2fc/}", 6, NoValue),
        ("{y}/{x:/(?:a{1000}){1000}/}", 8, TooLarge),
        ("{y}/{x:/.{1100}/}", 8, TooLarge),
        ("{y}/{x:/[ab]*a[ab]{12}/}", 8, TooLarge),
        ("{y}/{x:/.{800}/}.{z:/.{800}/}", 0, TooLarge),
        ("{a}/{x:/b-c/}-{y}", 4, NoTopic),
        ("{a:/b-c/}-{y}", 0, NoTopic),
        ("{a}/{x:int}/{x}", 13, Repeated("x".into())),
        ("{a:int}{b:word}", 7, Adjacent),
    ];
    for (text, at, problem) in cases {
        let error = Pattern::parse(text).expect_err(text);
        assert_eq!((error.at(), error.problem()), (at, &problem), "{text}");
        assert!(error.to_string().contains("; "), "a remedy follows: {error}");
    }
}

#[test]
fn deep_and_empty_expressions_are_bounded() {
    let deep = format!("{{x:/{}a{}/}}", "(".repeat(400), ")".repeat(400));
    let problem = Pattern::parse(&deep).unwrap_err();
    assert!(matches!(problem.problem(), PatternProblem::BadExpression(_)), "{problem}");
    // The empty string, repeated so often that unrolling would not end.
    let nothing = "(?:".repeat(8) + "a?" + &"(?:){4000000000}){4000000000}".repeat(8);
    let problem = Pattern::parse(&format!("{{x:/{nothing}/}}")).unwrap_err();
    assert_eq!(problem.problem(), &PatternProblem::TooLarge);
    assert!(takes("/(?:(?:){4000000000}){4000000000}a/", b"a"));
}

#[test]
fn kinds_are_shown_as_they_are_read() {
    let texts = ["proc/{pid:int}/rss", "{a:word}-{b}.json", r"x/{y:/[}{]\}a{1,2}/}{{z}}", "{x:/(?i)é|b/}"];
    for text in texts {
        assert_eq!(pattern(text).to_string(), text);
        assert_eq!(Pattern::parse(&pattern(text).to_string()), Ok(pattern(text)));
    }
    assert_ne!(pattern("{x:int}"), pattern("{x:word}"));
    let all = pattern("{a}/{b:int}/{c:word}/{d:/e/}");
    let kinds: alloc::vec::Vec<String> =
        all.names().map(|name| all.kind(name).unwrap().to_string()).collect();
    assert_eq!(kinds, ["any", "int", "word", "/e/"]);
    assert_eq!(all.kind("d"), Some(&Kind::Expression("e".into())));
    assert_eq!(all.kind("e"), None);
}

#[test]
fn topics_are_made_of_values_of_the_kind() {
    let rss = pattern("proc/{pid:int}/{what:/rss|vsz/}");
    assert_eq!(rss.topic(&[("pid", "12"), ("what", "rss")]), Ok(b"proc/12/rss".to_vec()));
    let wrong = rss.topic(&[("pid", "012"), ("what", "rss")]).unwrap_err();
    assert_eq!(wrong, TopicError::NotOfKind("pid".into(), Kind::Int));
    assert_eq!(wrong.to_string(), "the value of `pid` is not of the kind `int`; give one that is");
    let wrong = rss.topic(&[("pid", "12"), ("what", "rs")]).unwrap_err();
    assert_eq!(wrong, TopicError::NotOfKind("what".into(), Kind::Expression("rss|vsz".into())));
    assert_eq!(rss.topic(&[("pid", ""), ("what", "rss")]), Err(TopicError::BadValue("pid".into())));
    // A value of the kind that would be parsed into another.
    let pair = pattern("{a:/[a-z-]+/}-{b}");
    assert_eq!(pair.topic(&[("a", "x-y"), ("b", "z")]), Err(TopicError::Ambiguous("a".into())));
}

#[test]
fn a_kind_refuses_a_value_and_never_moves_its_end() {
    // The first `-` ends the value of `a`, though a later one would leave a value of its kind.
    let pair = pattern("{a:/[a-z]+-[a-z]+|c/}-{b}");
    assert!(!pair.matches(b"a-b-c"));
    assert_eq!(pair.match_topic(b"c-b-c").unwrap().get("b"), Some(2..5));
    assert!(pattern("{a:int}1{b:int}").matches(b"213"));
    assert!(!pattern("{a:word}1{b:int}").matches(b"2101"));
    assert_eq!(pattern("{a:int}11").match_topic(b"11111").unwrap().get("a"), Some(0..3));
}

#[test]
fn the_empty_prefix_may_begin_a_topic_of_every_pattern() {
    for text in ["clock", "{x}", "{x:int}", "a/{x:word}", "{x:/a*b/}/c", "{x:/[^a]/}-{y:int}"] {
        assert_eq!(pattern(text).prefix(b""), PrefixMeaning::Partial, "{text}");
    }
    assert_eq!(Pattern::literal(&b""[..]).prefix(b""), PrefixMeaning::Exact);
}

#[test]
fn a_prefix_that_ends_inside_a_parameter_is_judged_by_its_kind() {
    use PrefixMeaning::{Exact, None, Partial};
    let cases = [
        ("proc/{pid:int}/rss", "proc/", Partial),
        ("proc/{pid:int}/rss", "proc/1", Partial),
        ("proc/{pid:int}/rss", "proc/0", Partial),
        ("proc/{pid:int}/rss", "proc/01", None),
        ("proc/{pid:int}/rss", "proc/a", None),
        ("proc/{pid:int}/rss", "proc/1a", None),
        ("proc/{pid:int}/rss", "proc/-", None),
        ("proc/{pid:int}/rss", "proc//", None),
        ("proc/{pid:int}/rss", "proc/9223372036854775807", Partial),
        ("proc/{pid:int}/rss", "proc/9223372036854775808", None),
        ("proc/{pid:int}/rss", "proc/1/rss", Exact),
        ("proc/{pid:int}", "proc/1", Exact),
        ("proc/{pid:int}", "proc/1/", None),
        ("{pid:int}.txt", "1.", Partial),
        ("{pid:int}.txt", "1.t.", None),
        ("prices/{symbol:word}", "prices/AA", Exact),
        ("prices/{symbol:word}", "prices/AA.", None),
        ("prices/{symbol:word}.{what:word}", "prices/AA", Partial),
        ("prices/{symbol:word}.{what:word}", "prices/AA.", Partial),
        ("prices/{symbol:word}.{what:word}", "prices/AA.b.", None),
        ("{day:/[0-9]{4}-[0-9]{2}/}/log", "2026-", Partial),
        ("{day:/[0-9]{4}-[0-9]{2}/}/log", "2026/", None),
        ("{day:/[0-9]{4}-[0-9]{2}/}/log", "2026-1a", None),
        ("{day:/[0-9]{4}-[0-9]{2}/}/log", "2026-11/l", Partial),
        // The expression could continue, but to no value.
        ("{x:/ab|cd[^\\x00-\\xff]/}", "a", Partial),
        ("{x:/ab|cd[^\\x00-\\xff]/}", "c", None),
        // The value could continue, but the literal would end it first.
        ("{x:/a|b-c/}-{y}", "a", Partial),
        ("{x:/a|b-c/}-{y}", "b", None),
    ];
    for (text, prefix, meaning) in cases {
        assert_eq!(pattern(text).prefix(prefix.as_bytes()), meaning, "{text} {prefix}");
    }
}

#[test]
fn two_patterns_under_one_prefix_know_it_each_by_itself() {
    let (number, name) = (pattern("proc/{pid:int}"), pattern("proc/self/{what:word}"));
    assert!(!number.overlaps(&name));
    let meanings = |prefix: &[u8]| (number.prefix(prefix), name.prefix(prefix));
    assert_eq!(meanings(b"proc/"), (PrefixMeaning::Partial, PrefixMeaning::Partial));
    assert_eq!(meanings(b"proc/1"), (PrefixMeaning::Exact, PrefixMeaning::None));
    assert_eq!(meanings(b"proc/s"), (PrefixMeaning::None, PrefixMeaning::Partial));
    assert_eq!(meanings(b"proc/t"), (PrefixMeaning::None, PrefixMeaning::None));
}

#[test]
fn the_narrower_kind_lies_within_the_wider() {
    let chain = ["{x:/42/}", "{x:int}", "{x:word}", "{x}"];
    for (i, narrow) in chain.iter().enumerate() {
        for wide in &chain[i..] {
            let (narrow, wide) = (pattern(&format!("a/{narrow}/b")), pattern(&format!("a/{wide}/b")));
            assert!(wide.covers(&narrow) && wide.overlaps(&narrow), "{wide} {narrow}");
            assert_eq!(narrow.covers(&wide), narrow == wide, "{wide} {narrow}");
            assert_eq!(narrow.cmp_specificity(&wide).is_gt(), narrow != wide, "{wide} {narrow}");
        }
    }
    // A longer literal does not make a pattern narrower than an expression that lies within it.
    assert!(pattern("{x:/ab+/}").cmp_specificity(&pattern("a{x}")).is_gt());
    assert!(pattern("a{x}").covers(&pattern("{x:/ab+/}")));
    assert!(pattern("{x:/ab+/}").covers(&pattern("ab{x:/b/}")));
}

#[test]
fn patterns_of_the_same_topics_are_known_by_them() {
    let same = [
        ("{x:word}", r"{y:/\w+/}"),
        ("a/{x:/[ab]/}", "{y:/a/}/{x:/a|b/}"),
        ("clock", "{x:/clock/}"),
        ("{x}", r"{x:/(?s)[\x00-\xff]*/}"),
    ];
    for (a, b) in same {
        let (a, b) = (pattern(a), pattern(b));
        assert!(a.covers(&b) && b.covers(&a) && a.overlaps(&b), "{a} {b}");
        assert!(a.cmp_specificity(&b).is_eq());
        assert_ne!(a, b);
    }
    let apart = [("{x:int}", "{x:/[a-z]+/}"), ("a-{x:int}", "{x:word}"), ("{x:/a+/}", "{x:/(?:aa)*b/}")];
    for (a, b) in apart {
        assert!(!pattern(a).overlaps(&pattern(b)), "{a} {b}");
        assert!(!pattern(a).covers(&pattern(b)), "{a} {b}");
    }
    let crossing = [("{x:int}", "{x:/[0-9]{2}/}"), ("a{x:int}", "{y:word}1")];
    for (a, b) in crossing {
        let (a, b) = (pattern(a), pattern(b));
        assert!(a.overlaps(&b) && !a.covers(&b) && !b.covers(&a), "{a} {b}");
    }
}
