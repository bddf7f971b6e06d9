//! Messages and states as JSON (RFC 8259), one object each. Bytes that are not UTF-8 are U+FFFD in the text, and stand beside it
//! in base64.

use base64ct::{Base64, Encoding};
use oncue_core::command::StateNews;

/// `{"topic":"…","frames":["…"]}`, with `topic_base64` and `frames_base64` (null for a frame that is text) if a frame is not text.
pub(super) fn message(frames: &[Vec<u8>]) -> String {
    let mut out = String::from("{");
    field(&mut out, "topic", frames.first().map_or(&[], Vec::as_slice));
    out.push_str(",\"frames\":");
    list(&mut out, frames, text);
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
    text(&mut out, news.state.to_string().as_bytes());
    out.push_str(",\"text\":");
    text(&mut out, news.text);
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
    text(out, bytes);
    if !is_text(bytes) {
        out.push_str(&format!(",\"{name}_base64\":"));
        base64(out, bytes);
    }
}

fn is_text(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok()
}

fn text(out: &mut String, bytes: &[u8]) {
    out.push('"');
    for c in String::from_utf8_lossy(bytes).chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
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
            "{\"topic\":\"\u{fffd}\",\"topic_base64\":\"/w==\",\"frames\":[\"\u{fffd}\",\"x\"],\"frames_base64\":[\"/w==\",null]}"
        );
        assert_eq!(message(&[]), r#"{"topic":"","frames":[]}"#);
    }
}
