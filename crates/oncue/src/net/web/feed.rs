//! Topics for clients of plain HTTP: `GET /sub/TOPIC` as server-sent events, `GET /last/TOPIC` as one value.
//!
//! Such a client is a subscriber like any other: upward it shows the handshake and the subscriptions of a SUB, so that demand,
//! rules, quotas and full queues are as for all. Downward it makes text of messages. Messages go to a client that does not read only
//! until one batch waits here; the others wait in the queue above.

use std::fmt::Write;
use std::io::{self, IoSlice};

use oncue_core::command::{
    Command, Metadata, ONCUE_PROPERTY, State, StateNews, put_ping, put_ready, put_subscribe,
};
use oncue_core::frame::{self, Version};

use super::head::{Fields, Reply, Request, put_page};
use super::input::{Begun, Input};
use super::json;
use crate::net::Stream;
use crate::options::{Page, Web};

/// About how many bytes wait here for a client that does not read.
const BATCH_BYTES: usize = 64 << 10;
const FORMATS: [&str; 2] = ["json", "value"];

/// A subscriber by plain HTTP.
#[derive(Debug)]
pub(super) struct Feed {
    topics: Vec<Vec<u8>>,
    kind: Kind,
    /// In JSON; otherwise the value alone.
    json: bool,
    /// The origin whose pages may read the answer.
    origin: Option<String>,
    /// How much of our greeting has not come yet.
    greeting_left: usize,
    /// The beginning of a header, and what is left of the frame behind it, with its flags.
    begun: Begun,
    frame: Option<(u8, u64)>,
    body: Vec<u8>,
    /// The frames of the message that is not complete.
    frames: Vec<Vec<u8>>,
    out: Vec<u8>,
    written: usize,
    /// The head of the answer was sent.
    is_open: bool,
    /// Nothing more is said.
    is_done: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Events,
    /// One value of the topic, of this type.
    Last(Option<String>),
}

impl Feed {
    /// What a request asks for, if it is for topics.
    pub(super) fn of(request: &Request<'_>, web: &Web) -> Option<Result<Feed, Reply>> {
        let (path, kind) = match web.topic_at(request.path) {
            Some((topic, content_type)) => {
                return Some(Feed::new(
                    topic.as_bytes().to_vec(),
                    Kind::Last(Some(content_type.to_owned())),
                    request,
                ));
            }
            None => match (request.path.strip_prefix("/sub/"), request.path.strip_prefix("/last/")) {
                (Some(topic), _) => (topic, Kind::Events),
                (None, Some(topic)) => (topic, Kind::Last(None)),
                (None, None) => return None,
            },
        };
        let topic =
            decoded(path, false).ok_or_else(|| bad(format!("{path:?} has a % without two digits behind it")));
        Some(topic.and_then(|topic| Feed::new(topic, kind, request)))
    }

    fn new(topic: Vec<u8>, kind: Kind, request: &Request<'_>) -> Result<Feed, Reply> {
        let (mut topics, mut json) = (vec![topic], kind == Kind::Events);
        for pair in request.query.split('&') {
            match pair.split_once('=') {
                Some(("topic", more)) if kind == Kind::Events => {
                    topics.push(
                        decoded(more, true)
                            .ok_or_else(|| bad(format!("{pair:?} has a % without two digits")))?,
                    );
                }
                Some(("format", name)) if FORMATS.contains(&name) => json = name == "json",
                Some(("format", name)) => {
                    return Err(bad(format!(
                        "the format {name:?} is not known; write format={}",
                        FORMATS.join(" or format=")
                    )));
                }
                _ => {}
            }
        }
        Ok(Feed {
            topics,
            kind,
            json,
            origin: origin(&request.fields),
            greeting_left: 0,
            begun: Begun::default(),
            frame: None,
            body: Vec::new(),
            frames: Vec::new(),
            out: Vec::new(),
            written: 0,
            is_open: false,
            is_done: false,
        })
    }

    /// What is shown upward behind the greeting: a SUB that hears of states, and what it subscribes to. The PONG says when that is
    /// in force.
    pub(super) fn put_handshake(&self, out: &mut Vec<u8>) {
        let mut metadata = Metadata::new();
        metadata.add(b"Socket-Type", b"SUB");
        // States, and nothing of the levels above.
        metadata.add(ONCUE_PROPERTY.0.as_bytes(), b"1");
        put_ready(out, &metadata);
        for topic in &self.topics {
            put_subscribe(out, Version::V3_0, topic);
        }
        put_ping(out, 0, b"");
    }

    /// The next bytes of the engine are the rest of our greeting.
    pub(super) fn skip_greeting(&mut self, bytes: usize) {
        self.greeting_left = bytes;
    }

    /// As [`Stream::write`], for ZMTP.
    pub(super) fn write(&mut self, stream: &mut impl Stream, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut input = Input::new(slices);
        loop {
            match self.flush(stream) {
                Err(_) if input.at > 0 => return Ok(input.at),
                flushed => flushed?,
            }
            if input.rest().is_empty() {
                return Ok(input.at);
            }
            while !input.rest().is_empty() && self.out.len() < BATCH_BYTES {
                self.take(&mut input).map_err(io::Error::other)?;
            }
        }
    }

    /// Writes what waits.
    pub(super) fn flush(&mut self, stream: &mut impl Stream) -> io::Result<()> {
        while self.written < self.out.len() {
            self.written += stream.write(&[IoSlice::new(&self.out[self.written..])])?;
        }
        self.written = 0;
        match self.out.capacity() <= 2 * BATCH_BYTES {
            true => self.out.clear(),
            false => self.out = Vec::new(),
        }
        Ok(())
    }

    /// Whether all that it gets is on its way.
    pub(super) fn is_finished(&self) -> bool {
        self.is_done && self.written == self.out.len()
    }

    /// A sign of life, which clients ignore.
    pub(super) fn ping(&mut self) {
        if self.is_open && !self.is_done && self.kind == Kind::Events {
            self.out.extend_from_slice(b":\n\n");
        }
    }

    /// Takes a part of a frame.
    fn take(&mut self, input: &mut Input<'_, '_>) -> Result<(), frame::ProtocolError> {
        if self.is_done {
            input.skip(input.rest().len());
            return Ok(());
        }
        if self.greeting_left > 0 {
            let n = self.greeting_left.min(input.rest().len());
            self.greeting_left -= n;
            input.skip(n);
            return Ok(());
        }
        let Some((_, left)) = &mut self.frame else {
            match input.header(&self.begun)? {
                Some((header, here)) => {
                    self.begun = Begun::default();
                    input.skip_over(here);
                    self.frame = Some((header.flags, header.body_len));
                    if header.body_len == 0 {
                        self.end_frame();
                    }
                }
                None => input.take_begun(&mut self.begun),
            }
            return Ok(());
        };
        let n = usize::try_from(*left).unwrap_or(usize::MAX).min(input.rest().len());
        self.body.extend_from_slice(&input.rest()[..n]);
        *left -= n as u64;
        let is_whole = *left == 0;
        input.skip(n);
        if is_whole {
            self.end_frame();
        }
        Ok(())
    }

    fn end_frame(&mut self) {
        let Some((flags, _)) = self.frame.take() else { return };
        let body = std::mem::take(&mut self.body);
        if flags & frame::COMMAND != 0 {
            return self.hear(&body);
        }
        self.frames.push(body);
        if flags & frame::MORE == 0 {
            let frames = std::mem::take(&mut self.frames);
            self.say(&frames);
        }
    }

    /// A message.
    fn say(&mut self, frames: &[Vec<u8>]) {
        match &self.kind {
            Kind::Events => {
                self.open();
                match self.json {
                    true => self.event("message", &json::message(frames)),
                    false => self.event("message", &String::from_utf8_lossy(value(frames))),
                }
            }
            Kind::Last(content_type) if frames.first() == self.topics.first() => {
                let page = match (self.json, content_type) {
                    (true, _) => Page::new("application/json", json::message(frames)),
                    (false, Some(content_type)) => Page::new(content_type, value(frames)),
                    (false, None) if std::str::from_utf8(value(frames)).is_ok() => {
                        Page::new("text/plain; charset=utf-8", value(frames))
                    }
                    (false, None) => Page::new("application/octet-stream", value(frames)),
                };
                self.end(&page);
            }
            // Of a longer topic, to which the subscription extends.
            Kind::Last(_) => {}
        }
    }

    /// A command of the engine.
    fn hear(&mut self, body: &[u8]) {
        match Command::parse(body) {
            Ok(Command::State(news)) => self.hear_state(&news),
            Ok(Command::Error { reason }) => self.fail(403, &String::from_utf8_lossy(reason)),
            // What was asked for is in force, unless it is still to be decided about.
            Ok(Command::Pong { .. }) if self.kind == Kind::Events => self.open(),
            _ => {}
        }
    }

    fn hear_state(&mut self, news: &StateNews<'_>) {
        let why = |what: &str| match news.text {
            [] => what.to_owned(),
            text => format!("{what}: {}", String::from_utf8_lossy(text)),
        };
        match (news.state, self.is_open) {
            (State::Rejected, _) => self.fail(403, &why("this subscription is not allowed")),
            (State::Unserved, false) if self.kind != Kind::Events => {
                self.fail(404, &why("this topic is not served"))
            }
            (State::Closed, false) if self.kind != Kind::Events => {
                self.fail(404, &why("no value of this topic follows"))
            }
            _ if self.kind == Kind::Events => {
                self.open();
                self.event("state", &json::state(news));
            }
            _ => {}
        }
    }

    /// Sends the head of the events, once.
    fn open(&mut self) {
        if std::mem::replace(&mut self.is_open, true) {
            return;
        }
        let mut head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n\
                        X-Accel-Buffering: no\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n"
            .to_owned();
        if let Some(origin) = &self.origin {
            let _ = write!(head, "Access-Control-Allow-Origin: {origin}\r\nVary: Origin\r\n");
        }
        head.push_str("\r\n");
        self.out.extend_from_slice(head.as_bytes());
    }

    fn event(&mut self, name: &str, data: &str) {
        let mut event = String::new();
        if name != "message" {
            let _ = writeln!(event, "event: {name}");
        }
        self.out.extend_from_slice(event.as_bytes());
        // Each of these ends a line of events.
        let mut rest = data;
        loop {
            let end = rest.bytes().position(|byte| byte == b'\n' || byte == b'\r').unwrap_or(rest.len());
            for part in [b"data: ", &rest.as_bytes()[..end], b"\n"] as [&[u8]; 3] {
                self.out.extend_from_slice(part);
            }
            if end == rest.len() {
                break;
            }
            let both = if rest[end..].starts_with("\r\n") { 2 } else { 1 };
            rest = &rest[end + both..];
        }
        self.out.push(b'\n');
    }

    /// It gets nothing, or nothing more.
    fn fail(&mut self, status: u16, why: &str) {
        if self.is_open {
            self.event("error", why);
            self.is_done = true;
            return;
        }
        self.end(&Page::text(status, why));
    }

    fn end(&mut self, page: &Page) {
        let page = page.clone().field("Cache-Control", "no-store");
        put_page(&mut self.out, &page, self.origin.as_deref(), true);
        (self.is_open, self.is_done) = (true, true);
    }
}

/// The origin that a page said it has; it has passed the check.
pub(super) fn origin(fields: &Fields<'_>) -> Option<String> {
    fields.get("Origin").map(str::to_owned)
}

/// The value of a message: the frame behind its topic, or the only one.
fn value(frames: &[Vec<u8>]) -> &[u8] {
    frames.get(1).or(frames.first()).map_or(&[], Vec::as_slice)
}

fn bad(text: String) -> Reply {
    Reply::new(400, "Bad Request", text)
}

/// The bytes for which `%XX` stand (RFC 3986); in a form a `+` is a space. `None` if a `%` has no two digits behind it.
fn decoded(text: &str, is_form: bool) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        bytes.push(match first {
            b'%' => {
                let digits = tail.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
                let digits = digits.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
                rest = &tail[2..];
                u8::from_str_radix(digits, 16).ok()?
            }
            b'+' if is_form => b' ',
            byte => *byte,
        });
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_in_a_url_may_have_any_bytes() {
        assert_eq!(decoded("a/b%20c+d%FF", false), Some(b"a/b c+d\xff".to_vec()));
        assert_eq!(decoded("b+c", true), Some(b"b c".to_vec()));
        for wrong in ["%", "%1", "%zz", "%+1"] {
            assert_eq!(decoded(wrong, false), None, "{wrong}");
        }
    }
}
