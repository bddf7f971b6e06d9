//! How bytes and changes of demand are written for people.

use std::io::{IsTerminal, stdout};

/// When output is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Colour {
    /// On a terminal that shows colours, unless `NO_COLOR` is set.
    Auto,
    Always,
    Never,
}

impl Colour {
    pub(crate) fn named(name: String) -> Colour {
        match name.as_str() {
            "always" => Colour::Always,
            "never" => Colour::Never,
            _ => Colour::Auto,
        }
    }

    /// Whether standard output is coloured.
    pub(crate) fn is_shown(self) -> bool {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        match self {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => {
                let is_dumb = set("TERM").is_some_and(|terminal| terminal == "dumb");
                stdout().is_terminal() && set("NO_COLOR").is_none() && !is_dumb
            }
        }
    }
}

/// A number of things: `1 failure`, `2 failures`.
pub(crate) fn counted(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// Appends bytes for people: printable characters as they are, a backslash as two, every other byte as `\xNN`.
pub(crate) fn escape(bytes: &[u8], into: &mut Vec<u8>) {
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            let mut buffer = [0; 4];
            let encoded = c.encode_utf8(&mut buffer).as_bytes();
            if c == '\\' {
                into.extend_from_slice(br"\\");
            } else if printable(c) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_printable_characters_show_as_themselves() {
        assert_eq!(escaped("prices/ä 10 €".as_bytes()), "prices/ä 10 €");
        assert_eq!(escaped(b"a\tb\nc\x7f\x1b[2J"), r"a\x09b\x0ac\x7f\x1b[2J");
        assert_eq!(escaped(b"ok\xff\xc3("), r"ok\xff\xc3(");
        assert_eq!(escaped("\u{85}".as_bytes()), r"\xc2\x85");
        assert_eq!(escaped("x\u{202e}y".as_bytes()), r"x\xe2\x80\xaey");
        assert_eq!(escaped(br"C:\path"), r"C:\\path");
        assert_eq!((escaped(b"\n"), escaped(br"\x0a")), (r"\x0a".to_owned(), r"\\x0a".to_owned()));
    }

    #[test]
    fn what_is_printed_can_be_typed_in_again() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(crate::args::topic(escaped(&all).as_ref()), all);
    }
}
