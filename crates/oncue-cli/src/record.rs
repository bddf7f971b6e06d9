//! A line that a command says about itself, as text or as one JSON object. What becomes of it is not known here.

use std::time::SystemTime;

use humantime::format_rfc3339_millis;

use crate::json;
use crate::output::escaped;

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Style {
    /// Whether each line is a JSON object.
    pub(crate) json: bool,
    /// Whether each line begins with the time.
    pub(crate) time: bool,
}

impl Style {
    /// Text without the time.
    pub(crate) const PLAIN: Style = Style { json: false, time: false };
}

/// How much attention a line needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    Info,
    /// Something is not as it may have been meant.
    Warning,
    /// Something has failed.
    Error,
}

/// What a line is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject<'a> {
    Topic(&'a [u8]),
    /// The route of the record.
    Route,
    /// The catalogue of that route.
    Catalogue,
}

/// A line that is not written yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'a> {
    pub(crate) level: Level,
    pub(crate) message: &'a str,
    /// What has happened, for programs that read the lines; as are the next five.
    pub(crate) event: Option<&'static str>,
    pub(crate) subject: Option<Subject<'a>>,
    /// The pattern of the route.
    pub(crate) route: Option<&'a str>,
    /// The program and its arguments.
    pub(crate) program: Option<&'a str>,
    /// The kind of a failure.
    pub(crate) reason: Option<&'static str>,
    /// Another site of the mesh.
    pub(crate) site: Option<&'a str>,
}

impl<'a> Record<'a> {
    pub(crate) fn new(level: Level, message: &'a str) -> Record<'a> {
        Record {
            level,
            message,
            event: None,
            subject: None,
            route: None,
            program: None,
            reason: None,
            site: None,
        }
    }

    /// The line of the subcommand `name`, with its end. A line break in the message begins another line of its kind.
    pub(crate) fn line(&self, name: &str, style: Style, now: SystemTime) -> Vec<u8> {
        let time = style.time.then(|| format_rfc3339_millis(now).to_string());
        let lines = self.message.lines().map(|message| match style.json {
            true => self.in_json(message, time.as_deref()),
            false => self.in_words(name, message, time.as_deref()),
        });
        lines.fold(Vec::new(), |mut all, line| {
            all.extend(line);
            all.push(b'\n');
            all
        })
    }

    fn in_words(&self, name: &str, message: &str, time: Option<&str>) -> Vec<u8> {
        let time = time.map(|time| format!("{time} ")).unwrap_or_default();
        let space = if name.is_empty() { "" } else { " " };
        let route = || escaped(self.route.unwrap_or_default().as_bytes());
        let subject = match self.subject {
            None => String::new(),
            Some(Subject::Topic(topic)) => format!("{}: ", escaped(topic)),
            Some(Subject::Route) => format!("{}: ", route()),
            Some(Subject::Catalogue) => format!("catalogue of {}: ", route()),
        };
        format!("{time}oncue{space}{name}: {subject}{message}").into_bytes()
    }

    fn in_json(&self, message: &str, time: Option<&str>) -> Vec<u8> {
        let level = match self.level {
            Level::Info => "info",
            Level::Warning => "warning",
            Level::Error => "error",
        };
        let catalogue = match self.subject {
            Some(Subject::Catalogue) => format!("the catalogue: {message}"),
            _ => message.to_owned(),
        };
        let topic = match self.subject {
            Some(Subject::Topic(topic)) => Some(topic),
            _ => None,
        };
        let fields = [
            ("time", time.map(str::as_bytes)),
            ("level", Some(level.as_bytes())),
            ("event", self.event.map(str::as_bytes)),
            ("message", Some(catalogue.as_bytes())),
            ("topic", topic),
            ("route", self.route.map(str::as_bytes)),
            ("program", self.program.map(str::as_bytes)),
            ("reason", self.reason.map(str::as_bytes)),
            ("site", self.site.map(str::as_bytes)),
        ];
        json::texts(fields.into_iter().filter_map(|(name, value)| Some((name, value?))))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    const JSON: Style = Style { json: true, time: true };

    fn line(record: &Record<'_>, style: Style) -> String {
        let now = UNIX_EPOCH + Duration::from_millis(1_790_000_000_007);
        String::from_utf8(record.line("serve", style, now)).expect("text")
    }

    #[test]
    fn a_line_in_words_names_the_subcommand_and_the_subject() {
        let plain = Record::new(Level::Info, "bound");
        assert_eq!(line(&plain, Style::PLAIN), "oncue serve: bound\n");
        let timed = Style { json: false, time: true };
        assert_eq!(line(&plain, timed), "2026-09-21T14:13:20.007Z oncue serve: bound\n");
        let topic = Record { subject: Some(Subject::Topic(b"a\n")), route: Some("{x}"), ..plain };
        assert_eq!(line(&topic, Style::PLAIN), "oncue serve: a\\x0a: bound\n");
        let catalogue = Record { subject: Some(Subject::Catalogue), ..topic };
        assert_eq!(line(&catalogue, Style::PLAIN), "oncue serve: catalogue of {x}: bound\n");
    }

    #[test]
    fn a_line_in_json_has_its_fields_and_only_those() {
        let plain = Record::new(Level::Warning, "\"a\"\tb");
        let expected = r#"{"time":"2026-09-21T14:13:20.007Z","level":"warning","message":"\"a\"\tb"}"#;
        assert_eq!(line(&plain, JSON), format!("{expected}\n"));
        let full = Record {
            level: Level::Error,
            message: "gone",
            event: Some("program_failed"),
            subject: Some(Subject::Topic(b"a\xff")),
            route: Some("a{x}"),
            program: Some("p 1"),
            reason: Some("exit"),
            site: Some("tokyo"),
        };
        let expected = "{\"level\":\"error\",\"event\":\"program_failed\",\"message\":\"gone\",\"topic\":\"a\u{fffd}\",\
                        \"topic_base64\":\"Yf8=\",\"route\":\"a{x}\",\"program\":\"p 1\",\"reason\":\"exit\",\"site\":\"tokyo\"}\n";
        assert_eq!(line(&full, Style { json: true, time: false }), expected);
    }

    #[test]
    fn each_line_of_a_message_is_a_line_of_its_own() {
        let two = Record::new(Level::Error, "one\ntwo");
        assert_eq!(line(&two, Style::PLAIN), "oncue serve: one\noncue serve: two\n");
        assert_eq!(line(&two, JSON).lines().count(), 2);
    }
}
