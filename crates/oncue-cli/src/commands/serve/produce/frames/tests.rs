//! Each framing, with its output cut anywhere.

use super::*;

/// What a program has written, as texts: `topic: value`, `topic! error`, `topic.` and `(why it was skipped)`.
fn cut(
    framing: Framing,
    pieces: &[&[u8]],
    bytes_max: usize,
    has_topics: bool,
) -> Result<Vec<String>, String> {
    let mut frames = Frames::new(framing, bytes_max, has_topics);
    let mut found = Vec::new();
    let mut sink = |item: Item<'_>| {
        found.push(match item {
            Item::Skipped(why) => format!("({why})"),
            Item::Said(topic, said) => {
                let topic = topic.map(|topic| topic.escape_ascii().to_string()).unwrap_or_default();
                match said {
                    Said::Value(value) => format!("{topic}: {}", value.escape_ascii()),
                    Said::Error(why) => format!("{topic}! {why}"),
                    Said::End => format!("{topic}."),
                }
            }
        });
    };
    pieces.iter().try_for_each(|piece| frames.take(piece, &mut sink))?;
    frames.finish(&mut sink)?;
    Ok(found)
}

fn with_length(values: &[&[u8]]) -> Vec<u8> {
    let frame =
        |value: &&[u8]| [&u32::try_from(value.len()).expect("short").to_be_bytes()[..], value].concat();
    values.iter().flat_map(frame).collect()
}

#[test]
fn values_with_a_length_hold_any_bytes_however_they_come() {
    let output = with_length(&[b"a\n\xff", b"", b"0123456789", b"\n"]);
    let expected = [r": a\n\xff", ": ", ": 0123456789", r": \n"];
    for one in 0..=output.len() {
        for other in one..=output.len() {
            let pieces = [&output[..one], &output[one..other], &output[other..]];
            let found = cut(Framing::Length, &pieces, 10, false).expect("short values");
            assert_eq!(found, expected, "cut at {one} and {other}");
        }
    }
    let bytes: Vec<_> = output.chunks(1).collect();
    assert_eq!(cut(Framing::Length, &bytes, 10, false).expect("short values"), expected);
}

#[test]
fn the_first_tab_ends_the_topic_of_a_frame() {
    let output = with_length(&[b"a\t1\t2\n", b"\t", b"no tab", b""]);
    let found = cut(Framing::Length, &[&output], 100, true).expect("short values");
    assert_eq!(found[..2], [r"a: 1\t2\n", ": "]);
    assert!(found[2..].len() == 2 && found[2..].iter().all(|skipped| skipped.contains("without a tab")));
}

#[test]
fn a_length_beyond_the_bound_ends_the_output_before_it_is_stored() {
    for (length, at) in [(11u32, 4), (u32::MAX, 4), (u32::from_be_bytes(*b"line"), 2)] {
        let output = [&with_length(&[b"first"])[..], &length.to_be_bytes(), b"and so on"].concat();
        let why =
            cut(Framing::Length, &[&output[..9 + at], &output[9 + at..]], 10, false).expect_err("too long");
        assert!(
            why.contains(&format!("{length} bytes, more than 10")) && why.contains("line_bytes_max"),
            "{why}"
        );
    }
    let found = cut(Framing::Length, &[b"\0\0\0\x05abc"], 10, false).expect("within the bound");
    assert!(found.len() == 1 && found[0].contains("the beginning of a value"), "{found:?}");
}

#[test]
fn lines_have_a_topic_only_where_one_program_serves_several() {
    let output = b"a\t1\n\nlast";
    assert_eq!(cut(Framing::Lines, &[output], 10, false).expect("lines"), [r": a\t1", ": ", ": last"]);
    let found = cut(Framing::Lines, &[output], 10, true).expect("lines");
    assert!(found[0] == "a: 1" && found[1].contains("without a tab") && found.len() == 3, "{found:?}");
    let found = cut(Framing::Lines, &[b"too long\nok\n"], 4, false).expect("lines");
    assert_eq!(found, ["(a line longer than 4 bytes; see `line_bytes_max`)", ": ok"]);
}

#[test]
fn json_says_values_errors_and_ends() {
    let cases = [
        (r#"{"topic":"a\nb","value":"x\u00e4\"\\"}"#, r#"a\nb: x\xc3\xa4\"\\"#),
        (r#"{"value":"x"}"#, ": x"),
        (r#" {"value" : 0.10, "topic":"a" } "#, "a: 0.10"),
        (r#"{"topic":"","value":{"b": [1, null]}}"#, r#": {\"b\": [1, null]}"#),
        (r#"{"topic":"a","value":null}"#, "a: null"),
        (r#"{"topic":"a","value":123456789012345678901234567890}"#, "a: 123456789012345678901234567890"),
        (r#"{"topic":"a","base64":"/wAK"}"#, r"a: \xff\x00\n"),
        (r#"{"topic":"a","base64":"/w=="}"#, r"a: \xff"),
        (r#"{"topic":"a","base64":"/w"}"#, r"a: \xff"),
        (r#"{"topic":"a","error":"no \"disk\""}"#, "a! no \"disk\""),
        (r#"{"topic":"a","end":true}"#, "a."),
    ];
    for (line, expected) in cases {
        assert_eq!(cut(Framing::Json, &[line.as_bytes()], 100, true).expect("lines"), [expected], "{line}");
    }
}

#[test]
fn json_that_means_nothing_is_skipped_with_the_reason() {
    let cases = [
        ("", "not a JSON object"),
        ("[1]", "not a JSON object"),
        (r#"{"topic":"a","value":1"#, "not a JSON object"),
        (r#"{"topic":"a","value":"\ud800"}"#, "`value` is not a string"),
        (r#"{"topic":1,"value":1}"#, "`topic` is not a string"),
        (r#"{"topic":"a"}"#, "it has neither"),
        (r#"{"topic":"a","valeu":1}"#, "`valeu` is not a key"),
        (r#"{"topic":"a","value":1,"base64":""}"#, "`base64` and `value` do not go together"),
        (r#"{"topic":"a","base64":"a b"}"#, "`base64`: "),
        (r#"{"topic":"a","base64":1}"#, "`base64` is not a string"),
        (r#"{"topic":"a","end":false}"#, "`end` is not true"),
        (r#"{"topic":"a","error":null}"#, "`error` is not a string"),
    ];
    for (line, expected) in cases {
        let line = format!("{line}\n");
        let found = cut(Framing::Json, &[line.as_bytes()], 100, true).expect("lines");
        assert!(
            found.len() == 1 && found[0].starts_with('(') && found[0].contains(expected),
            "{line}: {found:?}"
        );
    }
    let found = cut(Framing::Json, &[b"{\"topic\":\"a\",\"value\":\"\xff\"}"], 100, true).expect("lines");
    assert!(found.len() == 1 && found[0].starts_with('('), "{found:?}");
}

/// Whatever a program writes, it does not panic, and nothing is kept beyond the bound.
#[test]
fn any_output_is_cut_or_refused() {
    let mut seed: u32 = 7;
    let mut random = |below: u32| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) % below
    };
    for _ in 0..2000 {
        let mut output: Vec<u8> = Vec::new();
        for _ in 0..random(12) {
            let pieces: [&[u8]; 8] =
                [b"\0\0\0", b"\x02", b"\n", b"{\"topic\":\"a\",", b"\"value\":1}", b"\xff", b"\t", b"\\"];
            output.extend_from_slice(pieces[random(8) as usize]);
        }
        for framing in [Framing::Lines, Framing::Length, Framing::Json] {
            let whole = cut(framing, &[&output], 16, true);
            let pieces: Vec<_> = output.chunks(3).collect();
            assert_eq!(cut(framing, &pieces, 16, true), whole, "{framing:?} of {output:?}");
        }
    }
}
