//! How a message is written as one line: as text, as JSON, as raw bytes, or by a template.

use oncue::Msg;

use super::frame::frame;
use super::moment::Arrival;
use super::template::Template;
use crate::json;
use crate::output::escape;

/// Begins and ends the time, and the topic, on a terminal that shows colours.
const DIM: &[u8] = b"\x1b[2m";
const BOLD: &[u8] = b"\x1b[1m";
const PLAIN: &[u8] = b"\x1b[0m";

/// The syntax of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Text,
    Json,
    Raw,
}

/// Which time stands before a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Time {
    Utc,
    /// Since the message before.
    Delta,
}

/// How messages are written.
#[derive(Clone, Debug)]
pub(super) struct Style {
    pub(super) format: Format,
    pub(super) time: Option<Time>,
    /// The one frame that is written.
    pub(super) frame: Option<usize>,
    /// In place of all others but the format.
    pub(super) template: Option<Template>,
    /// Whether text is coloured.
    pub(super) coloured: bool,
}

impl Format {
    pub(super) fn named(name: String) -> Format {
        match name.as_str() {
            "json" => Format::Json,
            "raw" => Format::Raw,
            _ => Format::Text,
        }
    }

    /// Appends a frame.
    fn write(self, frame: &[u8], into: &mut Vec<u8>) {
        match self {
            Format::Raw => into.extend_from_slice(frame),
            Format::Text | Format::Json => escape(frame, into),
        }
    }
}

impl Time {
    pub(super) fn named(name: String) -> Time {
        if name == "delta" { Time::Delta } else { Time::Utc }
    }

    fn text(self, arrival: &Arrival) -> String {
        match self {
            Time::Utc => arrival.utc(),
            Time::Delta => format!("+{}", arrival.delta()),
        }
    }

    /// A field of JSON: a text in UTC, or a number of seconds.
    fn field(self, arrival: &Arrival) -> String {
        match self {
            Time::Utc => format!("\"time\":\"{}\"", arrival.utc()),
            Time::Delta => format!("\"delta\":{}", arrival.delta()),
        }
    }
}

impl Style {
    /// A message as one line, without its end. Without its arrival, no time is written.
    pub(super) fn line(&self, message: &Msg, arrival: Option<&Arrival>) -> Vec<u8> {
        if let (Some(template), Some(arrival)) = (&self.template, arrival) {
            return template.write(message, arrival, |frame, into| self.format.write(frame, into));
        }
        if self.format != Format::Json {
            return self.text(message, arrival);
        }
        let time = self.time.zip(arrival).map(|(time, arrival)| time.field(arrival));
        match self.frame {
            Some(number) => json::value(message.topic(), message.frame(number), time.as_deref()),
            None => json::message(&message.frames().collect::<Vec<_>>(), time.as_deref()),
        }
    }

    fn text(&self, message: &Msg, arrival: Option<&Arrival>) -> Vec<u8> {
        let mut line = Vec::new();
        if let Some((time, arrival)) = self.time.zip(arrival) {
            self.coloured(DIM, &mut line, |line| line.extend_from_slice(time.text(arrival).as_bytes()));
            line.push(b'\t');
        }
        if let Some(number) = self.frame {
            self.format.write(frame(message, number), &mut line);
            return line;
        }
        self.coloured(BOLD, &mut line, |line| self.format.write(message.topic(), line));
        for frame in message.frames().skip(1) {
            line.push(b'\t');
            self.format.write(frame, &mut line);
        }
        line
    }

    /// Writes something in a colour.
    fn coloured(&self, colour: &[u8], line: &mut Vec<u8>, write: impl Fn(&mut Vec<u8>)) {
        if !self.coloured || self.format == Format::Raw {
            return write(line);
        }
        line.extend_from_slice(colour);
        write(line);
        line.extend_from_slice(PLAIN);
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant, SystemTime};

    use super::super::moment::Arrivals;
    use super::*;

    const STYLE: Style =
        Style { format: Format::Text, time: None, frame: None, template: None, coloured: false };

    fn line(style: &Style, frames: &[&[u8]]) -> String {
        let at = SystemTime::UNIX_EPOCH + Duration::from_micros(1);
        let arrival = Arrival {
            at,
            since_last: Duration::from_millis(2),
            ..Arrivals::default().next(Instant::now(), 1)
        };
        String::from_utf8(style.line(&Msg::from_frames(frames), Some(&arrival))).expect("text")
    }

    #[test]
    fn frames_are_joined_by_a_tab() {
        assert_eq!(line(&STYLE, &[b"a", b"", b"1\t2"]), "a\t\t1\\x092");
        assert_eq!(line(&Style { format: Format::Raw, ..STYLE }, &[b"a", b"1\t2"]), "a\t1\t2");
    }

    #[test]
    fn a_time_stands_before_the_message() {
        let of = |format, time, frame| {
            line(&Style { format, time: Some(time), frame, ..STYLE }, &[b"a", b"[1, 2]"])
        };
        assert_eq!(of(Format::Text, Time::Utc, None), "1970-01-01T00:00:00.000001Z\ta\t[1, 2]");
        assert_eq!(of(Format::Raw, Time::Delta, Some(1)), "+0.002000\t[1, 2]");
        assert_eq!(
            of(Format::Json, Time::Utc, None),
            r#"{"time":"1970-01-01T00:00:00.000001Z","topic":"a","frames":["a","[1, 2]"]}"#
        );
        assert_eq!(
            of(Format::Json, Time::Delta, Some(1)),
            r#"{"delta":0.002000,"topic":"a","value":[1, 2]}"#
        );
    }

    #[test]
    fn one_frame_is_chosen_and_is_empty_if_it_is_missing() {
        let of = |frame| line(&Style { frame: Some(frame), ..STYLE }, &[b"a", b"1", b"two"]);
        assert_eq!([of(0), of(1), of(2), of(3)], ["a", "1", "two", ""]);
    }

    #[test]
    fn what_a_peer_sends_cannot_colour_the_terminal() {
        let coloured = Style { time: Some(Time::Delta), coloured: true, ..STYLE };
        assert_eq!(
            line(&coloured, &[b"a\x1b[31m", b"\x1b[0m"]),
            "\x1b[2m+0.002000\x1b[0m\t\x1b[1ma\\x1b[31m\x1b[0m\t\\x1b[0m"
        );
        assert_eq!(line(&Style { format: Format::Raw, ..coloured }, &[b"a"]), "+0.002000\ta");
    }
}
