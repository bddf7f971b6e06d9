//! The subprotocols of ZWS 2.0 (RFC 45), and what stands for the greeting and the routing id of a peer that has none.

use oncue_core::command::{Metadata, put_ready};
use oncue_core::connection::SocketType;
use oncue_core::greeting;

use super::incoming::Opening;
use crate::options::Party;

/// A subprotocol, as `Sec-WebSocket-Protocol` names it. The one that both sides have selected decides what is sent first.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Protocol {
    pub(super) name: &'static str,
    /// The first message is a routing id. Otherwise it is a command of the mechanism: READY, HELLO.
    pub(super) is_bare: bool,
}

const BARE: Protocol = Protocol { name: "ZWS2.0", is_bare: true };

/// The subprotocols of each mechanism, the preferred one first. Browsers can offer only the bare one: a `/` is not allowed in
/// what they offer.
const SPOKEN: &[(&str, &[Protocol])] = &[
    ("NULL", &[Protocol { name: "ZWS2.0/NULL", is_bare: false }, BARE]),
    ("PLAIN", &[Protocol { name: "ZWS2.0/PLAIN", is_bare: false }]),
    ("CURVE", &[Protocol { name: "ZWS2.0/CURVE", is_bare: false }]),
];

/// What a socket speaks.
pub(super) fn spoken(party: &Party) -> &'static [Protocol] {
    let mechanism = party.mechanism.to_string();
    SPOKEN.iter().find(|(name, _)| *name == mechanism).map_or(&[], |(_, protocols)| protocols)
}

/// The names of what a socket speaks, as they stand in a header.
pub(super) fn names(party: &Party) -> String {
    // Without a space, as libzmq sends them.
    spoken(party).iter().map(|protocol| protocol.name).collect::<Vec<_>>().join(",")
}

/// The greeting that the peer has not sent. Its version is 3.0: the engine then sends subscriptions as messages, which all
/// peers understand over WebSocket, and no PING, which some give to their user. What Oncue adds is announced in READY and
/// needs no 3.1.
pub(super) fn greeting(party: &Party) -> Vec<u8> {
    let mut out = Vec::new();
    // Under NULL there are no roles.
    let is_server = party.has_roles() && !party.as_server;
    greeting::put_3_0(&mut out, party.mechanism, is_server);
    out
}

/// The first message of a peer that sends, or may send, a routing id. A server of jszmq selects what is offered first, whatever
/// that is, and then speaks the bare protocol.
pub(super) fn opening(protocol: &Protocol, party: &Party, is_client: bool) -> Option<Opening> {
    let may_be_id = protocol.is_bare || (is_client && party.mechanism.is_null());
    may_be_id.then(|| Opening { ready: ready(party), or_command: !protocol.is_bare })
}

/// The READY of a peer that sends a routing id instead: its socket fits to this side's.
pub(super) fn ready(party: &Party) -> Vec<u8> {
    let fitting = if party.socket_type.publishes() { SocketType::Sub } else { SocketType::Pub };
    let (mut metadata, mut out) = (Metadata::new(), Vec::new());
    metadata.add(b"Socket-Type", fitting.name().as_bytes());
    put_ready(&mut out, &metadata);
    out
}
