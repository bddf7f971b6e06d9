//! What happens to sockets, peers and feeds, as events of the [`tracing`] crate, for operators. An event costs one load
//! and one branch while the program has installed no subscriber. Each event has one function here, so that its name and
//! its fields stand in one place; docs/EVENTS.md lists them.

use std::fmt::Display;
use std::time::Duration;

use tracing::{debug, info, warn};

use oncue_pattern::Pattern;

use crate::endpoint::Endpoint;
use crate::peer_address::PeerAddress;
use crate::user::User;

/// A socket listens.
pub(crate) fn bound(socket: u64, endpoint: &Endpoint) {
    info!(target: "oncue::socket", socket, %endpoint, "bound");
}

/// A listener pauses: the system has no descriptor left, or too few.
pub(crate) fn accepting_paused(socket: u64, endpoint: &Endpoint, error: &dyn Display) {
    warn!(target: "oncue::socket", socket, %endpoint, %error, "accepting paused");
}

/// A connection was not made, or is over; it is dialled again after `pause`.
pub(crate) fn retry(socket: u64, endpoint: &Endpoint, pause: Duration, reason: &dyn Display) {
    debug!(target: "oncue::socket", socket, %endpoint, ?pause, %reason, "retry");
}

/// A connection was not made, or is over, and is not dialled again: a condition of `reconnect_stop` is met.
pub(crate) fn stopped(socket: u64, endpoint: &Endpoint, reason: &dyn Display) {
    info!(target: "oncue::socket", socket, %endpoint, %reason, "stopped");
}

/// A peer's handshake is done.
pub(crate) fn peer_joined(socket: u64, peer: u64, address: &PeerAddress, user: Option<&User>) {
    let user = user.map_or("", |user| &user.id);
    debug!(target: "oncue::peer", socket, peer, %address, user, "joined");
}

/// A peer was refused: it broke the protocol or a bound, or it refused us.
pub(crate) fn peer_refused(socket: u64, peer: u64, address: &PeerAddress, reason: &dyn Display) {
    warn!(target: "oncue::peer", socket, peer, %address, %reason, "refused");
}

/// A peer is not read for a while: it changes its subscriptions too fast.
pub(crate) fn peer_rests(socket: u64, peer: u64, address: &PeerAddress, max: u32) {
    debug!(target: "oncue::peer", socket, peer, %address, changes_per_second_max = max, "rests");
}

/// The connection of a peer has ended or failed.
pub(crate) fn peer_lost(socket: u64, peer: u64, address: &PeerAddress, reason: &dyn Display) {
    debug!(target: "oncue::peer", socket, peer, %address, %reason, "lost");
}

/// A feed has started: its topic is wanted.
pub(crate) fn feed_started(topic: &[u8], generation: u64) {
    debug!(target: "oncue::feed", topic = %topic.escape_ascii(), generation, "started");
}

/// A subscription is held or rejected: its user would start too many feeds.
pub(crate) fn start_held(address: &PeerAddress, prefix: &[u8], max: u32) {
    let prefix = prefix.escape_ascii();
    debug!(target: "oncue::feed", %address, %prefix, starts_per_minute_max = max, "start held");
}

/// The producer of a feed has returned.
pub(crate) fn feed_ended(topic: &[u8], generation: u64, reason: &str) {
    debug!(target: "oncue::feed", topic = %topic.escape_ascii(), generation, reason, "ended");
}

/// A producer has failed or panicked.
pub(crate) fn producer_failed(topic: &[u8], generation: u64, error: &dyn Display) {
    warn!(target: "oncue::feed", topic = %topic.escape_ascii(), generation, %error, "failed");
}

/// A catalogue function has failed; the list before stays.
pub(crate) fn list_failed(route: &Pattern, error: &dyn Display) {
    warn!(target: "oncue::feed", %route, %error, "list failed");
}
