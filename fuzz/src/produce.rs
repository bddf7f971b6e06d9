//! The framings of programs, from any output.

#[allow(dead_code)]
#[path = "../../crates/oncue-cli/src/commands/serve/produce/frames.rs"]
mod frames;

use self::frames::{Frames, Item, Said};
use crate::config::Framing;

type Found = (Vec<String>, Result<(), String>);

/// What is found in the output, as texts.
fn cut(framing: Framing, output: &[u8], piece_len: usize, bytes_max: usize, has_topics: bool) -> Found {
    let mut frames = Frames::new(framing, bytes_max, has_topics);
    let mut found = Vec::new();
    let mut sink = |item: Item<'_>| {
        found.push(match item {
            Item::Skipped(why) => {
                assert!(!why.is_empty());
                "skipped".to_owned()
            }
            Item::Said(topic, said) => {
                if let Said::Value(value) = &said {
                    assert!(value.len() <= bytes_max);
                }
                format!("{topic:?} {said:?}")
            }
        });
    };
    let mut result = output.chunks(piece_len).try_for_each(|piece| frames.take(piece, &mut sink));
    if result.is_ok() {
        result = frames.finish(&mut sink);
    }
    (found, result)
}

/// A value as `cut` shows it: with its topic, if it has one.
fn shown(frame: &[u8], has_topics: bool) -> String {
    let said = |topic: Option<&[u8]>, value: &[u8]| {
        let topic = topic.map(std::borrow::Cow::Borrowed);
        format!("{topic:?} {:?}", Said::Value(value.into()))
    };
    match frame.iter().position(|&byte| byte == b'\t') {
        _ if !has_topics => said(None, frame),
        None => "skipped".to_owned(),
        Some(tab) => said(Some(&frame[..tab]), &frame[tab + 1..]),
    }
}

/// The same by a plain reading of the documentation.
fn lines(output: &[u8], bytes_max: usize, has_topics: bool) -> Found {
    let mut lines: Vec<_> = output.split(|&byte| byte == b'\n').collect();
    lines.pop_if(|last| last.is_empty());
    let shown = |line: &[u8]| match line.len() > bytes_max {
        true => "skipped".to_owned(),
        false => shown(line, has_topics),
    };
    (lines.into_iter().map(shown).collect(), Ok(()))
}

fn lengths(mut output: &[u8], bytes_max: usize, has_topics: bool) -> (Vec<String>, bool) {
    let mut found = Vec::new();
    while let Some((length, rest)) = output.split_first_chunk::<4>() {
        let length = u32::from_be_bytes(*length) as usize;
        if length > bytes_max {
            return (found, false);
        }
        let Some((frame, rest)) = rest.split_at_checked(length) else { break };
        found.push(shown(frame, has_topics));
        output = rest;
    }
    if !output.is_empty() {
        found.push("skipped".to_owned());
    }
    (found, true)
}

/// Cuts the output of a program, whole and in pieces: with the same result, which is what a plain reading finds.
pub fn check_frames(choice: u8, bytes_max: usize, piece_len: usize, output: &[u8]) {
    let has_topics = choice & 4 != 0;
    let framing = match choice % 3 {
        0 => Framing::Lines,
        1 => Framing::Length,
        _ => Framing::Json,
    };
    let whole = cut(framing, output, usize::MAX, bytes_max, has_topics);
    assert_eq!(cut(framing, output, piece_len, bytes_max, has_topics), whole);
    match framing {
        Framing::Lines => assert_eq!(whole, lines(output, bytes_max, has_topics)),
        Framing::Length => {
            assert_eq!((whole.0, whole.1.is_ok()), lengths(output, bytes_max, has_topics));
        }
        // Each line is one item, whatever it means.
        Framing::Json => assert_eq!(whole.0.len(), lines(output, bytes_max, false).0.len()),
    }
}
