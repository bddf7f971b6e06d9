//! What a listener answers to a request that asks for no WebSocket, and for nothing that is there.

use super::head::{Reply, Request};
use super::protocol::names;
use crate::options::{Page, Party};

/// The answer to a request for what is not there.
pub(super) fn answer(request: &Request<'_>, own_path: &str, publishes: bool) -> Reply {
    let topics = if publishes { ", /sub/TOPIC for a stream of events, /last/TOPIC for a value" } else { "" };
    let here = format!("ZeroMQ over WebSocket (RFC 45) is at {own_path}{topics}");
    if request.path == own_path || request.path == "/" {
        let reply = Reply::new(426, "Upgrade Required", format!("{here}. Connect with a WebSocket client."));
        return Reply { fields: "Upgrade: websocket\r\n", ..reply };
    }
    Reply::new(404, "Not Found", format!("nothing is at {}; {here}", request.path))
}

/// A socket that asks for keys or passwords has no topics for clients of plain HTTP, which have none.
pub(super) fn lacks_keys(party: &Party) -> Reply {
    let names = names(party);
    let text =
        format!("this socket lets nobody in without {}; use a WebSocket client ({names})", party.mechanism);
    Reply::new(403, "Forbidden", text)
}

/// A browser asks whether a page of another origin may send what it wants to send; the origin has passed the check.
pub(super) fn preflight() -> Page {
    let mut page = Page::new("text/plain", "");
    page.status = 204;
    page.field("Access-Control-Allow-Methods", "GET").field("Access-Control-Allow-Headers", "Authorization")
}
