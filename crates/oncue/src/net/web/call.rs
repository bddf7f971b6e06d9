//! A client's request for a WebSocket, and whether it was granted.

use std::sync::Arc;

use oncue_core::frame::Seen;

use super::head::Answer;
use super::key;
use super::protocol::{Protocol, names, spoken};
use super::site::VERSION;
use crate::connection::{Cause, PeerFault};
use crate::endpoint::Host;
use crate::options::{Party, Web};

/// How much of the text of a refusal is repeated, in characters.
const REASON_CHARS_MAX: usize = 100;
const TEXT_CHARS_MAX: usize = 300;

/// What a client asks for.
#[derive(Debug)]
pub(crate) struct Call {
    pub(super) party: Party,
    /// As it stands in the header: with the port, unless it is the default.
    host: String,
    path: String,
    web: Arc<Web>,
    key: String,
}

impl Call {
    /// A request with a key of these random bytes.
    pub(crate) fn new(
        party: Party,
        (host, port): (&Host, u16),
        (path, is_secure): (&str, bool),
        web: Arc<Web>,
        random: [u8; 16],
    ) -> Call {
        let name = match host {
            // The scope means something on this machine alone.
            Host::Scoped(ip, _) => format!("[{ip}]"),
            host => host.to_string(),
        };
        let default = if is_secure { 443 } else { 80 };
        let host = if port == default { name } else { format!("{name}:{port}") };
        Call { party, host, path: path.to_owned(), web, key: key::key(random) }
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        let authorization = match self.web.token_bytes() {
            Some(token) => format!("Authorization: Bearer {}\r\n", String::from_utf8_lossy(token)),
            None => String::new(),
        };
        let head = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: {VERSION}\r\nSec-WebSocket-Key: {}\r\nSec-WebSocket-Protocol: {}\r\n{authorization}\r\n",
            self.path,
            self.host,
            self.key,
            names(&self.party)
        );
        out.extend_from_slice(head.as_bytes());
    }

    /// What is spoken from now on. `body`: what has come behind the head.
    pub(super) fn check(&self, answer: &Answer<'_>, body: &[u8]) -> Result<&'static Protocol, PeerFault> {
        let Answer { status, reason, fields } = answer;
        if *status != 101 {
            let said = format!("{status} {}", first_line(reason, REASON_CHARS_MAX));
            let is_text = fields.get("Content-Type").is_some_and(|kind| kind.starts_with("text/plain"));
            let body = if is_text { String::from_utf8_lossy(body) } else { "".into() };
            let why = first_line(&body, TEXT_CHARS_MAX);
            let why = if why.is_empty() { why } else { format!(": {why}") };
            let text = format!(
                "the server answered \"{said}\" to the request for a WebSocket at {}{why}",
                self.path
            );
            return Err(PeerFault { cause: Cause::RefusedByPeer(said), text });
        }
        let wrong = |what: &str| {
            let text = format!("the server's answer to the request for a WebSocket {what}");
            Err(PeerFault { cause: Cause::NotZeroMq(Seen::Http), text })
        };
        if !fields.has("Upgrade", "websocket") || !fields.has("Connection", "Upgrade") {
            return wrong("does not upgrade the connection");
        }
        if fields.get("Sec-WebSocket-Accept") != Some(&key::accept(&self.key)) {
            return wrong("has the wrong Sec-WebSocket-Accept");
        }
        if fields.list("Sec-WebSocket-Extensions").next().is_some() {
            return wrong("has an extension that was not offered");
        }
        let selected = fields.get("Sec-WebSocket-Protocol").unwrap_or_default();
        match spoken(&self.party).iter().find(|protocol| protocol.name == selected) {
            Some(protocol) => Ok(protocol),
            None => wrong("selects none of the subprotocols that were offered (ZWS 2.0)"),
        }
    }
}

/// The first line of a text of the server's, without control characters, cut.
fn first_line(text: &str, chars_max: usize) -> String {
    let line = text.lines().next().unwrap_or_default();
    line.chars().filter(|c| !c.is_control()).take(chars_max).collect()
}
