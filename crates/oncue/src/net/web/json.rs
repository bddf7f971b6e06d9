//! Messages and states as JSON (RFC 8259), one object each. They are made on an I/O thread, so what is text is copied in runs, and
//! what is not is not made into text.

use base64ct::{Base64, Encoding};
use oncue_core::command::StateNews;

/// `{"topic":"…","frames":["…"]}`. If a frame is not UTF-8 it is null there, and `frames_base64` has its bytes, and null for the
/// others; a topic that is not UTF-8 has U+FFFD for what is wrong, and `topic_base64`.
pub(super) fn message(frames: &[Vec<u8>]) -> String {
    let mut out = String::from("{");
    field(&mut out, "topic", frames.first().map_or(&[], Vec::as_slice));
    out.push_str(",\"frames\":");
    list(&mut out, frames, |out, frame| match std::str::from_utf8(frame) {
        Ok(frame) => text(out, frame),
        Err(_) => out.push_str("null"),
    });
    if !frames.iter().all(|frame| is_text(frame)) {
        out.push_str(",\"frames_base64\":");
        list(&mut out, frames, |out, frame| match is_text(frame) {
            true => out.push_str("null"),
            false => base64(out, frame),
        });
    }
    out.push('}');
    out
}

/// `{"topic":"…","state":"stale","text":"…"}`.
pub(super) fn state(news: &StateNews<'_>) -> String {
    let mut out = String::from("{");
    field(&mut out, "topic", news.topic);
    out.push_str(",\"state\":");
    text(&mut out, &news.state.to_string());
    out.push_str(",\"text\":");
    text(&mut out, &String::from_utf8_lossy(news.text));
    out.push('}');
    out
}

fn list(out: &mut String, frames: &[Vec<u8>], put: impl Fn(&mut String, &[u8])) {
    for (at, frame) in frames.iter().enumerate() {
        out.push(if at == 0 { '[' } else { ',' });
        put(out, frame);
    }
    out.push_str(if frames.is_empty() { "[]" } else { "]" });
}

fn field(out: &mut String, name: &str, bytes: &[u8]) {
    out.push_str(&format!("\"{name}\":"));
    text(out, &String::from_utf8_lossy(bytes));
    if !is_text(bytes) {
        out.push_str(&format!(",\"{name}_base64\":"));
        base64(out, bytes);
    }
}

fn is_text(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok()
}

fn text(out: &mut String, text: &str) {
    out.reserve(text.len() + 2);
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| byte < b' ' || byte == b'"' || byte == b'\\') {
        let (run, special) = rest.split_at(at);
        out.push_str(run);
        match special.as_bytes()[0] {
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            byte if byte < b' ' => out.push_str(&format!("\\u{byte:04x}")),
            byte => out.extend(['\\', char::from(byte)]),
        }
        rest = &special[1..];
    }
    out.push_str(rest);
    out.push('"');
}

fn base64(out: &mut String, bytes: &[u8]) {
    out.extend(["\"", &Base64::encode_string(bytes), "\""]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_and_bytes_stand_beside_it() {
        let frames = [b"a\"\\".to_vec(), b"1\n\x01".to_vec(), b"".to_vec()];
        assert_eq!(message(&frames), r#"{"topic":"a\"\\","frames":["a\"\\","1\n\u0001",""]}"#);
        let bytes = [b"\xff".to_vec(), b"x".to_vec()];
        assert_eq!(
            message(&bytes),
            "{\"topic\":\"\u{fffd}\",\"topic_base64\":\"/w==\",\"frames\":[null,\"x\"],\"frames_base64\":[\"/w==\",null]}"
        );
        assert_eq!(message(&[]), r#"{"topic":"","frames":[]}"#);
    }
}
