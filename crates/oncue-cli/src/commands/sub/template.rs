//! The template of `--print`: text with directives, such as `%t %v`.

use std::fmt;
use std::str::{Chars, FromStr};

use oncue::Msg;

use super::frame::frame;
use super::moment::Arrival;

/// What may stand in a template, for messages.
const KNOWN: &str = "%t (topic), %v (value: frame 1), %0 %1 ... (a frame by its number), %T (time of arrival), %d (seconds since \
                     the message before), %s (bytes of all frames), %n (number of the message), %%, \\t, \\n and \\\\";
/// The longest number of a frame, in digits.
const DIGITS_MAX: usize = 5;

/// How a message is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Frame(usize),
    Time,
    Delta,
    Bytes,
    Number,
}

/// A directive or an escape that is not known.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unknown(String);

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not a directive; there are {KNOWN}", self.0)
    }
}

impl std::error::Error for Unknown {}

impl FromStr for Template {
    type Err = Unknown;

    fn from_str(text: &str) -> Result<Template, Unknown> {
        let (mut pieces, mut plain, mut rest) = (Vec::new(), String::new(), text.chars());
        while let Some(c) = rest.next() {
            match c {
                '\\' => plain.push(escape(&mut rest)?),
                '%' if rest.as_str().starts_with('%') => plain.extend(rest.next()),
                '%' => {
                    let directive = directive(&mut rest)?;
                    pieces.extend((!plain.is_empty()).then(|| Piece::Text(std::mem::take(&mut plain))));
                    pieces.push(directive);
                }
                c => plain.push(c),
            }
        }
        pieces.extend((!plain.is_empty()).then_some(Piece::Text(plain)));
        Ok(Template(pieces))
    }
}

/// What follows a backslash.
fn escape(rest: &mut Chars<'_>) -> Result<char, Unknown> {
    match rest.next() {
        Some('t') => Ok('\t'),
        Some('n') => Ok('\n'),
        Some('\\') => Ok('\\'),
        other => Err(Unknown(['\\'].into_iter().chain(other).collect())),
    }
}

/// What follows a percent sign.
fn directive(rest: &mut Chars<'_>) -> Result<Piece, Unknown> {
    let text = rest.as_str();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if digits > 0 {
        let (number, after) = text.split_at(digits);
        *rest = after.chars();
        let frame = number.parse().ok().filter(|_| digits <= DIGITS_MAX);
        return frame.map(Piece::Frame).ok_or_else(|| Unknown(format!("%{number}")));
    }
    match rest.next() {
        Some('t') => Ok(Piece::Frame(0)),
        Some('v') => Ok(Piece::Frame(1)),
        Some('T') => Ok(Piece::Time),
        Some('d') => Ok(Piece::Delta),
        Some('s') => Ok(Piece::Bytes),
        Some('n') => Ok(Piece::Number),
        other => Err(Unknown(['%'].into_iter().chain(other).collect())),
    }
}

impl Template {
    /// Writes a message, and its frames by `write`.
    pub(super) fn write(
        &self,
        message: &Msg,
        arrival: &Arrival,
        write: impl Fn(&[u8], &mut Vec<u8>),
    ) -> Vec<u8> {
        let mut line = Vec::new();
        for piece in &self.0 {
            match piece {
                Piece::Frame(number) => write(frame(message, *number), &mut line),
                Piece::Text(text) => line.extend_from_slice(text.as_bytes()),
                Piece::Time => line.extend_from_slice(arrival.utc().as_bytes()),
                Piece::Delta => line.extend_from_slice(arrival.delta().as_bytes()),
                Piece::Bytes => {
                    let bytes = message.frames().map(<[u8]>::len).sum::<usize>();
                    line.extend_from_slice(bytes.to_string().as_bytes());
                }
                Piece::Number => line.extend_from_slice(arrival.number.to_string().as_bytes()),
            }
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant, SystemTime};

    use super::super::moment::Arrivals;
    use super::*;

    fn written(template: &str, frames: &[&[u8]]) -> String {
        let template: Template = template.parse().expect("a template");
        let (at, since_last) = (SystemTime::UNIX_EPOCH, Duration::from_millis(250));
        let arrival = Arrival { at, since_last, ..Arrivals::default().next(Instant::now(), 7) };
        let line = template.write(&Msg::from_frames(frames), &arrival, crate::output::escape);
        String::from_utf8(line).expect("escaped bytes are text")
    }

    #[test]
    fn each_directive_stands_for_its_part_of_a_message() {
        let frames: &[&[u8]] = &[b"a/b", b"1\xff", b"last"];
        assert_eq!(written("%t %v", frames), r"a/b 1\xff");
        assert_eq!(written("%0,%1,%2,%3,%10;", frames), r"a/b,1\xff,last,,;");
        assert_eq!(written("%n %d %s %T", frames), "7 0.250000 9 1970-01-01T00:00:00.000000Z");
        assert_eq!(written(r"100%% of %t:\t%v\n\\", frames), "100% of a/b:\t1\\xff\n\\");
        assert_eq!(written("", frames), "");
    }

    #[test]
    fn a_frame_cannot_end_a_line_or_hold_a_directive() {
        assert_eq!(written("%t|%v", &[b"%t", b"\n%v\x1b[2J"]), r"%t|\x0a%v\x1b[2J");
    }

    #[test]
    fn a_wrong_directive_is_named_and_the_right_ones_are_listed() {
        for (template, named) in
            [("%x", "`%x`"), ("a %", "`%`"), ("\\q", "`\\q`"), ("a\\", "`\\`"), ("%123456", "`%123456`")]
        {
            let error = template.parse::<Template>().expect_err(template).to_string();
            assert!(error.contains(named), "{error}");
            for known in ["%t", "%v", "%T", "%d", "%s", "%n", "%%", "\\t", "\\n"] {
                assert!(error.contains(known), "{error}");
            }
        }
    }
}
