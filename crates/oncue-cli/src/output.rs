//! How messages and demand are written to standard output, and remarks to standard error.

use std::io::{ErrorKind, Write, stderr, stdout};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use oncue::Msg;

use crate::fail::Fail;

/// How `oncue sub` writes a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    Json,
    Raw,
}

impl Format {
    pub(crate) fn named(name: String) -> Format {
        match name.as_str() {
            "json" => Format::Json,
            "raw" => Format::Raw,
            _ => Format::Text,
        }
    }
}

/// Writes the line `oncue NAME: TEXT` to standard error. An error is ignored: there is nowhere to report it.
pub(crate) fn say(name: &str, text: &str) {
    let _ = writeln!(stderr(), "oncue {name}: {text}");
}

/// A number of things: `1 failure`, `2 failures`.
pub(crate) fn counted(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// Writes one line to standard output, flushed and in one piece: other threads write lines too.
pub(crate) fn line(line: &mut Vec<u8>) -> Result<(), Fail> {
    line.push(b'\n');
    let mut out = stdout().lock();
    match out.write_all(line).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Fail::OutputClosed),
        Err(error) => Err(Fail::Runtime(format!("standard output cannot be written: {error}"))),
    }
}

/// Writes a message as one line.
pub(crate) fn message(message: &Msg, format: Format) -> Result<(), Fail> {
    let mut text = Vec::new();
    match format {
        Format::Text => join(message.frames(), b'\t', &mut text, escape),
        Format::Raw => join(message.frames(), b'\t', &mut text, |frame, into| into.extend_from_slice(frame)),
        Format::Json => message_json(&message.frames().collect::<Vec<_>>(), &mut text),
    }
    line(&mut text)
}

fn join<'a>(
    frames: impl Iterator<Item = &'a [u8]>,
    separator: u8,
    into: &mut Vec<u8>,
    write: impl Fn(&[u8], &mut Vec<u8>),
) {
    for (at, frame) in frames.enumerate() {
        if at > 0 {
            into.push(separator);
        }
        write(frame, into);
    }
}

/// Appends bytes for people: printable characters as they are, every other byte as `\xNN`.
pub(crate) fn escape(bytes: &[u8], into: &mut Vec<u8>) {
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            let mut buffer = [0; 4];
            let encoded = c.encode_utf8(&mut buffer).as_bytes();
            if printable(c) {
                into.extend_from_slice(encoded);
            } else {
                escape_all(encoded, into);
            }
        }
        escape_all(chunk.invalid(), into);
    }
}

/// A line that says that the demand for a topic has changed: a sign, such as `+ `, and the topic.
pub(crate) fn change(sign: &str, topic: &[u8]) -> Vec<u8> {
    let mut line = sign.as_bytes().to_vec();
    escape(topic, &mut line);
    line
}

/// Bytes as [`escape`] writes them.
pub(crate) fn escaped(bytes: &[u8]) -> String {
    let mut text = Vec::new();
    escape(bytes, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

fn escape_all(bytes: &[u8], into: &mut Vec<u8>) {
    for byte in bytes {
        into.extend_from_slice(format!("\\x{byte:02x}").as_bytes());
    }
}

/// Whether a character shows as itself. Line breaks and marks of the writing direction would let a peer change what the
/// terminal shows elsewhere.
fn printable(c: char) -> bool {
    let direction = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let breaks = matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}');
    !(c.is_control() || direction || breaks)
}

/// `{"topic":"…","frames":["…"]}`. JSON holds only text: if a frame is not UTF-8, its text has U+FFFD in place of the
/// invalid bytes, and its bytes are added in base64: in `topic_base64`, and in `frames_base64`, which has null for the
/// frames that are text.
fn message_json(frames: &[&[u8]], into: &mut Vec<u8>) {
    let topic = frames.first().copied().unwrap_or_default();
    into.extend_from_slice(b"{");
    bytes_json("topic", topic, into);
    into.extend_from_slice(b",\"frames\":[");
    join(frames.iter().copied(), b',', into, string_json);
    into.push(b']');
    if frames.iter().any(|frame| !is_text(frame)) {
        into.extend_from_slice(b",\"frames_base64\":[");
        join(frames.iter().copied(), b',', into, |frame, into| {
            if is_text(frame) {
                into.extend_from_slice(b"null");
            } else {
                base64_json(frame, into);
            }
        });
        into.push(b']');
    }
    into.push(b'}');
}

/// `{"event":"wanted","prefix":"a","peers":1}`, or unwanted and 0: the first peer has subscribed, or the last one has
/// gone.
pub(crate) fn demand_json(wanted: bool, prefix: &[u8]) -> Vec<u8> {
    let event = if wanted { "wanted" } else { "unwanted" };
    let mut line = format!("{{\"event\":\"{event}\",").into_bytes();
    bytes_json("prefix", prefix, &mut line);
    line.extend_from_slice(format!(",\"peers\":{}}}", u8::from(wanted)).as_bytes());
    line
}

/// A field of bytes: `"name":"…"`, and `"name_base64":"…"` if they are not UTF-8.
fn bytes_json(name: &str, bytes: &[u8], into: &mut Vec<u8>) {
    into.extend_from_slice(format!("\"{name}\":").as_bytes());
    string_json(bytes, into);
    if !is_text(bytes) {
        into.extend_from_slice(format!(",\"{name}_base64\":").as_bytes());
        base64_json(bytes, into);
    }
}

fn is_text(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok()
}

fn string_json(bytes: &[u8], into: &mut Vec<u8>) {
    into.push(b'"');
    for c in String::from_utf8_lossy(bytes).chars() {
        match c {
            '"' => into.extend_from_slice(b"\\\""),
            '\\' => into.extend_from_slice(b"\\\\"),
            '\n' => into.extend_from_slice(b"\\n"),
            '\r' => into.extend_from_slice(b"\\r"),
            '\t' => into.extend_from_slice(b"\\t"),
            c if c < ' ' || c == '\u{7f}' => {
                into.extend_from_slice(format!("\\u{:04x}", u32::from(c)).as_bytes());
            }
            c => into.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    into.push(b'"');
}

/// Bytes in base64 (RFC 4648, with padding), between quotes.
fn base64_json(bytes: &[u8], into: &mut Vec<u8>) {
    into.push(b'"');
    into.extend_from_slice(STANDARD.encode(bytes).as_bytes());
    into.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(frames: &[&[u8]]) -> String {
        let mut text = Vec::new();
        message_json(frames, &mut text);
        String::from_utf8(text).expect("JSON is UTF-8")
    }

    #[test]
    fn only_printable_characters_show_as_themselves() {
        assert_eq!(escaped("prices/ä 10 €".as_bytes()), "prices/ä 10 €");
        assert_eq!(escaped(b"a\tb\nc\x7f\x1b[2J"), r"a\x09b\x0ac\x7f\x1b[2J");
        assert_eq!(escaped(b"ok\xff\xc3("), r"ok\xff\xc3(");
        assert_eq!(escaped("\u{85}".as_bytes()), r"\xc2\x85");
        assert_eq!(escaped("x\u{202e}y".as_bytes()), r"x\xe2\x80\xaey");
        assert_eq!(escaped(br"C:\path"), r"C:\path");
    }

    #[test]
    fn what_is_printed_can_be_typed_in_again() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(crate::args::topic(escaped(&all).as_ref()), all);
    }

    #[test]
    fn frames_are_joined_by_a_tab() {
        let mut text = Vec::new();
        join([&b"a"[..], b"", b"1\t2"].into_iter(), b'\t', &mut text, escape);
        assert_eq!(text, b"a\t\t1\\x092");
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
    fn base64_of_every_length() {
        for (bytes, text) in [("", "\"\""), ("f", "\"Zg==\""), ("fo", "\"Zm8=\""), ("foo", "\"Zm9v\"")] {
            let mut into = Vec::new();
            base64_json(bytes.as_bytes(), &mut into);
            assert_eq!(String::from_utf8_lossy(&into), text);
        }
    }

    #[test]
    fn demand_as_json() {
        let demand =
            |wanted, prefix: &[u8]| String::from_utf8(demand_json(wanted, prefix)).expect("JSON is UTF-8");
        assert_eq!(demand(true, b"a"), r#"{"event":"wanted","prefix":"a","peers":1}"#);
        assert_eq!(demand(false, b"a"), r#"{"event":"unwanted","prefix":"a","peers":0}"#);
        assert!(demand(true, b"\xff").contains(r#""prefix_base64":"/w==","peers":1"#));
    }
}
