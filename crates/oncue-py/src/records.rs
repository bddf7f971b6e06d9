//! Plain data for Python: dataclasses of `oncue._records`, made from what the library returns.

use std::sync::Arc;
use std::time::Duration;

use oncue::{
    Confirmed, ConnectedPeer, ConnectionEvent, ConnectionEventKind, Missed, PeerProfile, PeerStatus,
    PublisherStats, RefusedPeer, SocketStats, SocketType, SubscriptionEvent, TopicState,
};
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyAnyMethods as _, PyBytes, PyDict, PyDictMethods as _, PyModule};
use pyo3::{Bound, Py, PyAny, PyResult, Python, pyclass, pymethods};

/// A dataclass of this name with these fields.
macro_rules! record {
    ($py:expr, $class:expr, { $($name:ident: $value:expr),* $(,)? }) => {{
        let fields = pyo3::types::PyDict::new($py);
        $(pyo3::types::PyDictMethods::set_item(&fields, stringify!($name), $value)?;)*
        $crate::records::make($py, $class, &fields)
    }};
}
/// A dataclass of this name with fields of the same names as those of a value.
macro_rules! copied {
    ($py:expr, $class:expr, $value:expr, { $($name:ident),* $(,)? }) => {
        record!($py, $class, { $($name: $value.$name),* })
    };
}
pub(crate) use {copied, record};

/// Makes an instance of a class of `oncue._records`.
pub(crate) fn make(py: Python<'_>, class: &str, fields: &Bound<'_, PyDict>) -> PyResult<Py<PyAny>> {
    static MODULE: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    let module = MODULE.get_or_try_init(py, || PyModule::import(py, "oncue._records").map(Bound::unbind))?;
    module.bind(py).getattr(class)?.call((), Some(fields)).map(Bound::unbind)
}

/// One peer of one socket, from its handshake to its end. Hashable; a program that connects again gets another one.
#[pyclass(frozen, eq, hash, module = "oncue")]
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct PeerKey(pub(crate) oncue::PeerKey);

#[pymethods]
impl PeerKey {
    fn __repr__(&self) -> String {
        format!("{:?}", self.0)
    }
}

/// The name of a type of socket, as on the wire.
pub(crate) fn type_name(socket_type: SocketType) -> &'static str {
    match socket_type {
        SocketType::Pub => "PUB",
        SocketType::Sub => "SUB",
        SocketType::XPub => "XPUB",
        SocketType::XSub => "XSUB",
    }
}

fn seconds(time: Option<Duration>) -> Option<f64> {
    time.map(|time| time.as_secs_f64())
}

pub(crate) fn socket_stats(py: Python<'_>, stats: &SocketStats) -> PyResult<Py<PyAny>> {
    copied!(py, "SocketStats", stats, {
        peers, sent, outbox_full, delivered, missed, undelivered, received, received_missed, received_replaced,
        peers_lost, peers_refused, peers_turned_away, accepts_paused, subscriptions_rejected, subscriptions_deferred,
        subscriptions_revoked, states_missed, peers_full, peers_evicted, last_values, last_values_bytes,
        last_values_dropped, last_values_offered,
    })
}

pub(crate) fn profile(py: Python<'_>, profile: &PeerProfile) -> PyResult<Py<PyAny>> {
    let metadata = PyDict::new(py);
    for (name, value) in profile.metadata.iter() {
        metadata.set_item(String::from_utf8_lossy(name), PyBytes::new(py, value))?;
    }
    record!(py, "Peer", {
        key: PeerKey(profile.key),
        address: profile.address.to_string(),
        socket_type: type_name(profile.socket_type),
        zmtp: profile.zmtp,
        endpoint: profile.endpoint.to_string(),
        metadata: metadata,
        user: crate::user::shown(py, profile.user.as_deref())?,
    })
}

pub(crate) fn status(py: Python<'_>, status: &PeerStatus) -> PyResult<Py<PyAny>> {
    record!(py, "PeerStatus", {
        peer: profile(py, &status.profile)?,
        prefixes: status.prefixes,
        prefix_bytes: status.prefix_bytes,
        requests: status.requests,
        queued: status.queued,
        queued_bytes: status.queued_bytes,
        delivered: status.delivered,
        missed: status.missed,
        received: status.received,
        connected_for: status.connected_for.as_secs_f64(),
        silent_for: status.silent_for.as_secs_f64(),
    })
}

pub(crate) fn confirmed(py: Python<'_>, confirmed: Confirmed) -> PyResult<Py<PyAny>> {
    copied!(py, "Confirmed", confirmed, { in_force, received, refused, unknown, deferred, unanswered })
}

pub(crate) fn topic_state(py: Python<'_>, state: &TopicState) -> PyResult<Py<PyAny>> {
    record!(py, "TopicState", {
        topic: PyBytes::new(py, &state.topic),
        state: state.state.to_string(),
        text: &state.text,
        is_of_prefix: state.state.is_of_prefix(),
    })
}

pub(crate) fn missed(py: Python<'_>, missed: &Missed) -> PyResult<Py<PyAny>> {
    let topics = PyDict::new(py);
    for (topic, count) in &missed.topics {
        topics.set_item(PyBytes::new(py, topic), count)?;
    }
    record!(py, "Missed", {
        endpoint: missed.endpoint.to_string(),
        address: missed.publisher.address.to_string(),
        messages: missed.messages,
        unseen: missed.unseen,
        reconnected: missed.reconnected,
        topics: topics,
    })
}

pub(crate) fn publisher(py: Python<'_>, stats: &PublisherStats) -> PyResult<Py<PyAny>> {
    record!(py, "PublisherStats", {
        endpoint: stats.endpoint.to_string(),
        address: stats.address.map(|address| address.to_string()),
        connected: stats.connected,
        connections: stats.connections,
        received: stats.received,
        bytes: stats.bytes,
        missed: stats.missed,
        unseen: stats.unseen,
        gaps: stats.gaps,
    })
}

pub(crate) fn refused(py: Python<'_>, refused: &RefusedPeer) -> PyResult<Py<PyAny>> {
    record!(py, "RefusedPeer", {
        address: refused.address.to_string(),
        cause: refused.cause.to_string(),
        text: refused.error.to_string(),
    })
}

/// What an XPUB or a watch of demand tells: `Wanted` or `Unwanted`.
pub(crate) fn demand(py: Python<'_>, wanted: bool, prefix: &[u8]) -> PyResult<Py<PyAny>> {
    let class = if wanted { "Wanted" } else { "Unwanted" };
    record!(py, class, { prefix: PyBytes::new(py, prefix) })
}

pub(crate) fn subscription(py: Python<'_>, event: &SubscriptionEvent) -> PyResult<Py<PyAny>> {
    let class = match event {
        SubscriptionEvent::Unsubscribed { .. } => "Unsubscribed",
        SubscriptionEvent::Repeated { .. } => "Repeated",
        SubscriptionEvent::Requested { .. } => "Requested",
        SubscriptionEvent::Withdrawn { .. } => "Withdrawn",
        _ => "Subscribed",
    };
    held(py, class, event.peer(), event.prefix())
}

pub(crate) fn held(
    py: Python<'_>,
    class: &str,
    peer: &Arc<PeerProfile>,
    prefix: &[u8],
) -> PyResult<Py<PyAny>> {
    record!(py, class, { peer: profile(py, peer)?, prefix: PyBytes::new(py, prefix) })
}

/// What happened to a connection.
pub(crate) fn connection(py: Python<'_>, event: &ConnectionEvent) -> PyResult<Py<PyAny>> {
    use ConnectionEventKind as Kind;
    let (mut peer, mut address): (Option<ConnectedPeer>, Option<String>) = (None, None);
    let (mut cause, mut text, mut retry_after) = (None, None, None);
    let kind = match &event.kind {
        Kind::Bound => "bound",
        Kind::Unbound => "unbound",
        Kind::AcceptingPaused { error } => {
            text = Some(error.to_string());
            "accepting_paused"
        }
        Kind::Accepted { peer: accepted } => {
            peer = Some(*accepted);
            "accepted"
        }
        Kind::Refused { address: from, cause: why, error } => {
            (address, cause, text) = (Some(from.to_string()), Some(why), Some(error.to_string()));
            "refused"
        }
        Kind::Disconnected { peer: gone, cause: why, error } => {
            (peer, cause, text) = (Some(*gone), Some(why), Some(error.to_string()));
            "disconnected"
        }
        Kind::Connecting => "connecting",
        Kind::Waiting { cause: why } => {
            cause = Some(why);
            "waiting"
        }
        Kind::Connected { peer: connected } => {
            peer = Some(*connected);
            "connected"
        }
        Kind::Failed { address: at, cause: why, error, retry_after: pause } => {
            address = at.map(|at| at.to_string());
            (cause, text, retry_after) = (Some(why), Some(error.to_string()), *pause);
            "failed"
        }
        Kind::Lost { peer: lost, cause: why, error, retry_after: pause } => {
            (peer, cause, text, retry_after) = (Some(*lost), Some(why), Some(error.to_string()), *pause);
            "lost"
        }
        Kind::Stopped => "stopped",
        other => return Err(crate::errors::misuse(format!("unknown event {other:?}"))),
    };
    record!(py, "ConnectionEvent", {
        endpoint: event.endpoint.to_string(),
        kind: kind,
        peer: peer.map(|peer| PeerKey(peer.key)),
        address: peer.map(|peer| peer.address.to_string()).or(address),
        cause: cause.map(ToString::to_string),
        text: text,
        retry_after: seconds(retry_after),
    })
}
