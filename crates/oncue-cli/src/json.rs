//! Messages and demand in JSON, one object a line.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use serde_json::error::Category;
use serde_json::value::RawValue;

/// The keys of a message. `time` and `delta` say when it came.
const KEYS: [&str; 8] =
    ["topic", "topic_base64", "frames", "frames_base64", "value", "value_base64", "time", "delta"];

/// `{"topic":"…","frames":["…"]}`. JSON holds only text: if a frame is not UTF-8, its text has U+FFFD in place of the
/// invalid bytes, and its bytes are added in base64: in `topic_base64`, and in `frames_base64`, which has null for the
/// frames that are text. `time` is a field that comes first.
pub(crate) fn message(frames: &[&[u8]], time: Option<&str>) -> Vec<u8> {
    let mut line = begin(frames.first().copied().unwrap_or_default(), time);
    line.extend_from_slice(b",\"frames\":");
    list(frames, &mut line, text);
    if frames.iter().any(|frame| !is_text(frame)) {
        line.extend_from_slice(b",\"frames_base64\":");
        list(frames, &mut line, |frame, line| match is_text(frame) {
            true => line.extend_from_slice(b"null"),
            false => base64(frame, line),
        });
    }
    line.push(b'}');
    line
}

/// `{"topic":"…","value":…}`: a value that is JSON as it is, without line breaks; another one as text, and if it is not
/// UTF-8 in `value_base64` too.
pub(crate) fn value(topic: &[u8], value: Option<&[u8]>, time: Option<&str>) -> Vec<u8> {
    let mut line = begin(topic, time);
    if let Some(value) = value {
        line.push(b',');
        match serde_json::from_slice::<&RawValue>(value) {
            // Only blanks between tokens can be line breaks.
            Ok(json) => {
                line.extend_from_slice(b"\"value\":");
                line.extend(json.get().bytes().map(|byte| if byte < b' ' { b' ' } else { byte }));
            }
            Err(_) => field("value", value, &mut line),
        }
    }
    line.push(b'}');
    line
}

/// A message up to its topic.
fn begin(topic: &[u8], time: Option<&str>) -> Vec<u8> {
    let mut line = b"{".to_vec();
    if let Some(time) = time {
        line.extend_from_slice(time.as_bytes());
        line.push(b',');
    }
    field("topic", topic, &mut line);
    line
}

/// Reads what [`message`] and [`value`] write. A value that is not a text is taken as it is written; when a message came is
/// skipped.
///
/// # Errors
/// What is wrong, after "line 1".
pub(crate) fn read_message(line: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let object: BTreeMap<String, &RawValue> =
        serde_json::from_slice(line).map_err(|error| match error.classify() {
            Category::Data => "is not a JSON object".to_owned(),
            _ => format!("is not JSON: {error}"),
        })?;
    if let Some(key) = object.keys().find(|key| !KEYS.contains(&key.as_str())) {
        return Err(format!(
            "has the key {}, which is none of {}",
            Value::from(key.as_str()),
            KEYS.join(", ")
        ));
    }
    let has = |keys: [&str; 2]| keys.iter().any(|key| object.contains_key(*key));
    match (has(["frames", "frames_base64"]), has(["value", "value_base64"])) {
        (true, true) => Err("has frames and a value: leave out one of them".to_owned()),
        (false, true) => topic_and_value(&object),
        (_, false) => all_frames(&object),
    }
}

/// The topic, and the value.
fn topic_and_value(object: &BTreeMap<String, &RawValue>) -> Result<Vec<Vec<u8>>, String> {
    let get = |key| parsed(object, key);
    let topic = frame(get("topic")?.as_ref(), get("topic_base64")?.as_ref(), 0)?;
    let value = match (object.get("value"), get("value_base64")?) {
        (Some(value), None) if !value.get().starts_with('"') => value.get().as_bytes().to_vec(),
        (_, bytes) => frame(get("value")?.as_ref(), bytes.as_ref(), 1)?,
    };
    Ok(vec![topic, value])
}

fn all_frames(object: &BTreeMap<String, &RawValue>) -> Result<Vec<Vec<u8>>, String> {
    let array = |key: &str| match parsed(object, key)? {
        None => Ok(Vec::new()),
        Some(Value::Array(values)) => Ok(values),
        Some(_) => Err(format!("has {key} that is not an array")),
    };
    let (texts, bytes) = (array("frames")?, array("frames_base64")?);
    let frames: Result<Vec<_>, _> =
        (0..texts.len().max(bytes.len())).map(|at| frame(texts.get(at), bytes.get(at), at)).collect();
    let frames = frames?;
    let Some(first) = frames.first() else {
        return Err("has neither frames, the first of which is the topic, nor a topic and a value".to_owned());
    };
    let (topic, base64) = (parsed(object, "topic")?, parsed(object, "topic_base64")?);
    if (topic.is_some() || base64.is_some()) && frame(topic.as_ref(), base64.as_ref(), 0)? != *first {
        return Err("has a topic that is not the first of its frames: `frames` includes the topic".to_owned());
    }
    Ok(frames)
}

/// What is under a key, if it is there.
fn parsed(object: &BTreeMap<String, &RawValue>, key: &str) -> Result<Option<Value>, String> {
    let parsed = object.get(key).map(|value| serde_json::from_str(value.get())).transpose();
    parsed.map_err(|error| format!("has {key} that is not JSON: {error}"))
}

/// The bytes of a frame: those in base64, or else of the text.
fn frame(text: Option<&Value>, bytes: Option<&Value>, at: usize) -> Result<Vec<u8>, String> {
    match (text, bytes) {
        (_, Some(Value::String(bytes))) => {
            STANDARD.decode(bytes).map_err(|error| format!("has a frame {at} that is not base64: {error}"))
        }
        (Some(Value::String(text)), None | Some(Value::Null)) => Ok(text.clone().into_bytes()),
        _ => Err(format!("has a frame {at} that is not a string")),
    }
}

/// `{"event":"wanted","prefix":"a","peers":1}`, or unwanted and 0: the first peer has subscribed, or the last one has
/// gone.
pub(crate) fn demand(wanted: bool, prefix: &[u8]) -> Vec<u8> {
    let event = if wanted { "wanted" } else { "unwanted" };
    let mut line = format!("{{\"event\":\"{event}\",").into_bytes();
    field("prefix", prefix, &mut line);
    line.extend_from_slice(format!(",\"peers\":{}}}", u8::from(wanted)).as_bytes());
    line
}

/// An object of texts: `{"name":"…"}`, and `"name_base64":"…"` beside each that is not UTF-8.
pub(crate) fn texts<'a>(fields: impl Iterator<Item = (&'a str, &'a [u8])>) -> Vec<u8> {
    let mut line = b"{".to_vec();
    for (at, (name, value)) in fields.enumerate() {
        if at > 0 {
            line.push(b',');
        }
        field(name, value, &mut line);
    }
    line.push(b'}');
    line
}

/// An object of these fields.
pub(crate) fn object(fields: &[(&str, Value)]) -> Value {
    fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

fn list(frames: &[&[u8]], line: &mut Vec<u8>, write: impl Fn(&[u8], &mut Vec<u8>)) {
    line.push(b'[');
    for (at, frame) in frames.iter().enumerate() {
        if at > 0 {
            line.push(b',');
        }
        write(frame, line);
    }
    line.push(b']');
}

/// A field of bytes: `"name":"…"`, and `"name_base64":"…"` if they are not UTF-8.
fn field(name: &str, bytes: &[u8], line: &mut Vec<u8>) {
    line.extend_from_slice(format!("\"{name}\":").as_bytes());
    text(bytes, line);
    if !is_text(bytes) {
        line.extend_from_slice(format!(",\"{name}_base64\":").as_bytes());
        base64(bytes, line);
    }
}

fn is_text(bytes: &[u8]) -> bool {
    str::from_utf8(bytes).is_ok()
}

fn text(bytes: &[u8], line: &mut Vec<u8>) {
    serde_json::to_writer(line, &String::from_utf8_lossy(bytes))
        .expect("a string is JSON, and memory can be written");
}

/// Bytes in base64 (RFC 4648, with padding), between quotes.
fn base64(bytes: &[u8], line: &mut Vec<u8>) {
    line.extend_from_slice(format!("\"{}\"", STANDARD.encode(bytes)).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(frames: &[&[u8]]) -> String {
        String::from_utf8(message(frames, None)).expect("JSON is UTF-8")
    }

    #[test]
    fn text_goes_into_json_as_it_is() {
        assert_eq!(json(&[b"a", b"1"]), r#"{"topic":"a","frames":["a","1"]}"#);
        assert_eq!(json(&[b""]), r#"{"topic":"","frames":[""]}"#);
        assert_eq!(
            json(&["\"\\\n\u{1}ä".as_bytes()]),
            r#"{"topic":"\"\\\n\u0001ä","frames":["\"\\\n\u0001ä"]}"#
        );
    }

    #[test]
    fn bytes_stand_beside_their_text_in_base64() {
        assert_eq!(
            json(&[b"a", b"\x00\xff"]),
            "{\"topic\":\"a\",\"frames\":[\"a\",\"\\u0000\u{fffd}\"],\"frames_base64\":[null,\"AP8=\"]}"
        );
        assert_eq!(
            json(&[b"\xff"]),
            "{\"topic\":\"\u{fffd}\",\"topic_base64\":\"/w==\",\"frames\":[\"\u{fffd}\"],\"frames_base64\":[\"/w==\"]}"
        );
    }

    #[test]
    fn what_is_written_is_read_back() {
        let all: Vec<u8> = (0..=255).collect();
        for frames in [&[&b"a"[..]][..], &[b"a", b"1", b""], &[&all], &[b"a", &all, b"\n"], &[b""]] {
            assert_eq!(read_message(&message(frames, None)).expect("it was written"), frames);
        }
        assert_eq!(read_message(br#"{"frames":["a","1"]}"#), Ok(vec![b"a".to_vec(), b"1".to_vec()]));
        assert_eq!(read_message(br#"{"frames_base64":["AP8="]}"#), Ok(vec![b"\x00\xff".to_vec()]));
    }

    #[test]
    fn a_value_that_is_json_is_written_as_it_is() {
        let line = |bytes: &[u8]| {
            let line = value(b"a", Some(bytes), None);
            String::from_utf8(line).expect("JSON is UTF-8").replace(r#"{"topic":"a","value":"#, "")
        };
        assert_eq!(line(br#"{"b":[1.10,1e400],"a":"\n"}"#), r#"{"b":[1.10,1e400],"a":"\n"}}"#);
        assert_eq!(line(b"[1,\r\n 2]"), "[1,   2]}");
        assert_eq!((line(b"12"), line(b"\"text\"")), ("12}".to_owned(), "\"text\"}".to_owned()));
        assert_eq!((line(b"text"), line(b"")), ("\"text\"}".to_owned(), "\"\"}".to_owned()));
        assert_eq!(line(b"1\xff"), "\"1\u{fffd}\",\"value_base64\":\"Mf8=\"}");
        assert_eq!(value(b"a", None, Some("\"delta\":1")), br#"{"delta":1,"topic":"a"}"#);
    }

    #[test]
    fn a_value_is_read_back_but_for_the_quotes_of_a_text() {
        let all: Vec<u8> = (0..=255).collect();
        for bytes in [&b"1.10"[..], b"text", b"", b"[1, {}]", b"null", &all, "\u{e4}".as_bytes()] {
            let line = value(b"a\xff", Some(bytes), Some("\"time\":\"2026-01-01T00:00:00Z\""));
            assert_eq!(read_message(&line), Ok(vec![b"a\xff".to_vec(), bytes.to_vec()]));
        }
        let line = value(b"a", Some(b"\"text\""), None);
        assert_eq!(read_message(&line), Ok(vec![b"a".to_vec(), b"text".to_vec()]));
    }

    #[test]
    fn what_is_no_message_is_refused_with_the_reason() {
        for (line, why) in [
            (&b"a\t1"[..], "not JSON"),
            (b"[]", "not a JSON object"),
            (br#"{"frames":[]}"#, "neither frames"),
            (br#"{"topic":"a"}"#, "neither frames"),
            (br#"{"topic":"a","payload":"1"}"#, "\"payload\""),
            (br#"{"value":1}"#, "frame 0"),
            (br#"{"topic":"a","value":1,"frames":["a","1"]}"#, "leave out one"),
            (br#"{"topic":"a","frames":["1"]}"#, "includes the topic"),
            (br#"{"frames":"a"}"#, "not an array"),
            (br#"{"frames":["a",1]}"#, "frame 1 that is not a string"),
            (br#"{"frames":["a"],"frames_base64":["?"]}"#, "not base64"),
            (b"{\"frames\":[\"\xff\"]}", "not JSON"),
        ] {
            let refused = read_message(line).expect_err("it is not a message");
            assert!(refused.contains(why), "{}: {refused}", line.escape_ascii());
        }
    }

    #[test]
    fn demand_in_json() {
        let line = |wanted, prefix: &[u8]| String::from_utf8(demand(wanted, prefix)).expect("JSON is UTF-8");
        assert_eq!(line(true, b"a"), r#"{"event":"wanted","prefix":"a","peers":1}"#);
        assert_eq!(line(false, b"a"), r#"{"event":"unwanted","prefix":"a","peers":0}"#);
        assert!(line(true, b"\xff").contains(r#""prefix_base64":"/w==","peers":1"#));
    }
}
