//! Messages and demand in JSON, one object a line.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// The keys of a message.
const KEYS: [&str; 4] = ["topic", "topic_base64", "frames", "frames_base64"];

/// `{"topic":"…","frames":["…"]}`. JSON holds only text: if a frame is not UTF-8, its text has U+FFFD in place of the
/// invalid bytes, and its bytes are added in base64: in `topic_base64`, and in `frames_base64`, which has null for the
/// frames that are text.
pub(crate) fn message(frames: &[&[u8]]) -> Vec<u8> {
    let mut line = b"{".to_vec();
    field("topic", frames.first().copied().unwrap_or_default(), &mut line);
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

/// Reads what [`message`] writes.
///
/// # Errors
/// What is wrong, after "line 1".
pub(crate) fn read_message(line: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let value: Value = serde_json::from_slice(line).map_err(|error| format!("is not JSON: {error}"))?;
    let Value::Object(object) = &value else { return Err("is not a JSON object".to_owned()) };
    if let Some(key) = object.keys().find(|key| !KEYS.contains(&key.as_str())) {
        return Err(format!(
            "has the key {}, which is none of {}",
            Value::from(key.as_str()),
            KEYS.join(", ")
        ));
    }
    let array = |key: &str| match object.get(key) {
        None => Ok(&[][..]),
        Some(Value::Array(values)) => Ok(&values[..]),
        Some(_) => Err(format!("has {key} that is not an array")),
    };
    let (texts, bytes) = (array("frames")?, array("frames_base64")?);
    let frames: Result<Vec<_>, _> =
        (0..texts.len().max(bytes.len())).map(|at| frame(texts.get(at), bytes.get(at), at)).collect();
    let frames = frames?;
    let Some(first) = frames.first() else {
        return Err("has no frames: the first of them is the topic".to_owned());
    };
    if object.contains_key("topic") || object.contains_key("topic_base64") {
        let topic = frame(object.get("topic"), object.get("topic_base64"), 0)?;
        if topic != *first {
            return Err(
                "has a topic that is not the first of its frames: `frames` includes the topic".to_owned()
            );
        }
    }
    Ok(frames)
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
        String::from_utf8(message(frames)).expect("JSON is UTF-8")
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
            assert_eq!(read_message(&message(frames)).expect("it was written"), frames);
        }
        assert_eq!(read_message(br#"{"frames":["a","1"]}"#), Ok(vec![b"a".to_vec(), b"1".to_vec()]));
        assert_eq!(read_message(br#"{"frames_base64":["AP8="]}"#), Ok(vec![b"\x00\xff".to_vec()]));
    }

    #[test]
    fn what_is_no_message_is_refused_with_the_reason() {
        for (line, why) in [
            (&b"a\t1"[..], "not JSON"),
            (b"[]", "not a JSON object"),
            (br#"{"frames":[]}"#, "no frames"),
            (br#"{"topic":"a"}"#, "no frames"),
            (br#"{"topic":"a","value":"1"}"#, "\"value\""),
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
