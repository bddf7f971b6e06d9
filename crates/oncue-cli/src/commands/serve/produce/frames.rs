//! What a program that keeps running writes, cut into values: lines, frames with a length, or JSON objects. Whose the values
//! are, and what becomes of them, is not known here.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::alphabet;
use base64::engine::{DecodePaddingMode, Engine, GeneralPurpose, GeneralPurposeConfig};
use serde_json::value::RawValue;

use crate::config::Framing;
use crate::lines::{Line, Lines, split_at_tab};

/// The bytes of the length before each value, which is big-endian.
const LENGTH_BYTES: usize = 4;
/// A buffer that was larger is not kept for the next value, in bytes.
const BUFFER_KEPT_MAX: usize = 1 << 20;

/// Base64 as RFC 4648 has it; the padding may be missing.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Cuts the output of one program.
pub(super) struct Frames {
    cut: Cut,
    bytes_max: usize,
    /// Whether the program says of each value whose it is.
    has_topics: bool,
}

enum Cut {
    Lines(Lines),
    Lengths(Lengths),
    Json(Lines),
}

/// What a program has written.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Item<'b> {
    /// Something about a topic; None if the program did not say which.
    Said(Option<Cow<'b, [u8]>>, Said<'b>),
    /// It means nothing, for this reason.
    Skipped(String),
}

/// What a program has said about a topic.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said<'b> {
    Value(Cow<'b, [u8]>),
    /// It cannot produce the topic now.
    Error(String),
    /// There is nothing more to produce.
    End,
}

/// Takes what a program has written.
pub(super) type Sink<'s> = dyn FnMut(Item<'_>) + 's;

impl Frames {
    pub(super) fn new(framing: Framing, bytes_max: usize, has_topics: bool) -> Frames {
        let cut = match framing {
            Framing::Lines => Cut::Lines(Lines::new(bytes_max)),
            Framing::Length => Cut::Lengths(Lengths::default()),
            Framing::Json => Cut::Json(Lines::new(bytes_max)),
        };
        Frames { cut, bytes_max, has_topics }
    }

    /// Takes more output, and passes on what is complete.
    ///
    /// # Errors
    /// Why nothing that follows can be understood.
    pub(super) fn take(&mut self, bytes: &[u8], sink: &mut Sink<'_>) -> Result<(), String> {
        let (bytes_max, has_topics) = (self.bytes_max, self.has_topics);
        match &mut self.cut {
            Cut::Lines(lines) => {
                lines.take(bytes, |line| sink_line(line, sink, |line| plain(line, has_topics)))
            }
            Cut::Json(lines) => lines.take(bytes, |line| sink_line(line, sink, json)),
            Cut::Lengths(lengths) => lengths.take(bytes, bytes_max, |frame| sink(plain(frame, has_topics))),
        }
    }

    /// The output has ended.
    pub(super) fn finish(&mut self, sink: &mut Sink<'_>) -> Result<(), String> {
        let has_topics = self.has_topics;
        match &mut self.cut {
            Cut::Lines(lines) => lines.finish(|line| sink_line(line, sink, |line| plain(line, has_topics))),
            Cut::Json(lines) => lines.finish(|line| sink_line(line, sink, json)),
            Cut::Lengths(lengths) if lengths.begun.is_empty() => Ok(()),
            Cut::Lengths(_) => {
                sink(Item::Skipped("the beginning of a value, in which its output ended".to_owned()));
                Ok(())
            }
        }
    }
}

fn sink_line(line: Line<'_>, sink: &mut Sink<'_>, read: impl Fn(&[u8]) -> Item<'_>) -> Result<(), String> {
    sink(match line {
        Line::Whole(line) => read(line),
        Line::Beginning(line) => Item::Skipped(too_long(line.len())),
    });
    Ok(())
}

/// A line that is longer than this, in words.
pub(super) fn too_long(bytes_max: usize) -> String {
    format!("a line longer than {bytes_max} bytes; see `line_bytes_max`")
}

/// A value, after its topic and a tab if it has a topic.
fn plain(frame: &[u8], has_topic: bool) -> Item<'_> {
    if !has_topic {
        return Item::Said(None, Said::Value(frame.into()));
    }
    match split_at_tab(frame) {
        Some((topic, value)) => Item::Said(Some(topic.into()), Said::Value(value.into())),
        None => Item::Skipped("a line or frame without a tab between topic and value".to_owned()),
    }
}

/// A JSON object.
fn json(line: &[u8]) -> Item<'_> {
    match read_json(line) {
        Ok((topic, said)) => Item::Said(topic.map(|topic| topic.into_bytes().into()), said),
        Err(why) => Item::Skipped(format!("a line that is not as `framing = \"json\"` has it: {why}")),
    }
}

fn read_json(line: &[u8]) -> Result<(Option<String>, Said<'static>), String> {
    let mut keys: BTreeMap<String, &RawValue> =
        serde_json::from_slice(line).map_err(|error| format!("not a JSON object: {error}"))?;
    let topic = keys.remove("topic").map(|topic| text("topic", topic)).transpose()?;
    let Some((key, value)) = keys.pop_first() else {
        return Err("it has neither of `value`, `base64`, `error`, `end`".to_owned());
    };
    if let Some(other) = keys.keys().next() {
        return Err(format!("`{}` and `{}` do not go together", key.escape_debug(), other.escape_debug()));
    }
    let said = match &*key {
        // What is not a string is passed on as it is written.
        "value" if !value.get().starts_with('"') => Said::Value(value.get().as_bytes().to_vec().into()),
        "value" => Said::Value(text("value", value)?.into_bytes().into()),
        "base64" => {
            let decoded = BASE64.decode(text("base64", value)?);
            Said::Value(decoded.map_err(|error| format!("`base64`: {error}"))?.into())
        }
        "error" => Said::Error(text("error", value)?),
        "end" if value.get() == "true" => Said::End,
        "end" => return Err("`end` is not true; leave it out".to_owned()),
        other => return Err(format!("`{}` is not a key", other.escape_debug())),
    };
    Ok((topic, said))
}

fn text(key: &str, value: &RawValue) -> Result<String, String> {
    serde_json::from_str(value.get()).map_err(|_| format!("`{key}` is not a string"))
}

/// Splits bytes into frames: each is a length and as many bytes.
#[derive(Default)]
struct Lengths {
    /// The beginning of a frame whose end has not come yet, with its length.
    begun: Vec<u8>,
}

impl Lengths {
    fn take(
        &mut self,
        mut bytes: &[u8],
        bytes_max: usize,
        mut frame: impl FnMut(&[u8]),
    ) -> Result<(), String> {
        loop {
            if self.begun.is_empty() {
                while let Some((value, rest)) = whole(bytes, bytes_max)? {
                    frame(value);
                    bytes = rest;
                }
                self.begun.extend_from_slice(bytes);
                return Ok(());
            }
            // The length first, then what it says.
            let end = match announced(&self.begun, bytes_max)? {
                Some(length) => LENGTH_BYTES + length,
                None => LENGTH_BYTES,
            };
            let missing = end.saturating_sub(self.begun.len());
            let (next, rest) = bytes.split_at_checked(missing).unwrap_or((bytes, &[]));
            self.begun.extend_from_slice(next);
            bytes = rest;
            if next.len() < missing {
                return Ok(());
            }
            if let Some((value, _)) = whole(&self.begun, bytes_max)? {
                frame(value);
                self.begun.clear();
                self.begun.shrink_to(BUFFER_KEPT_MAX);
            }
        }
    }
}

/// The length at the beginning of the bytes, if it is there.
fn announced(bytes: &[u8], bytes_max: usize) -> Result<Option<usize>, String> {
    let Some(length) = bytes.first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
    let length = u32::from_be_bytes(*length) as usize;
    match length <= bytes_max {
        true => Ok(Some(length)),
        false => Err(format!(
            "announced a value of {length} bytes, more than {bytes_max}; see `line_bytes_max`, and `framing`: \
             4 bytes of length, big-endian, then the value"
        )),
    }
}

/// A frame without its length, and what follows.
type Split<'b> = (&'b [u8], &'b [u8]);

/// The frame at the beginning of the bytes, if all of it is there.
fn whole(bytes: &[u8], bytes_max: usize) -> Result<Option<Split<'_>>, String> {
    let Some(length) = announced(bytes, bytes_max)? else { return Ok(None) };
    Ok(bytes.get(LENGTH_BYTES..).and_then(|rest| rest.split_at_checked(length)))
}

#[cfg(test)]
mod tests;
