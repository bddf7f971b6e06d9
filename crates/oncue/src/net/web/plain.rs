//! What a listener answers to a request that asks for no WebSocket.

use super::head::{Reply, Request};

/// The answer to a request that has passed the checks of origin and token. For now no resource exists here.
pub(super) fn answer(request: &Request<'_>) -> Reply {
    let text = format!(
        "{} {}: here is ZeroMQ over WebSocket (RFC 45), and nothing else. Connect with a WebSocket client.",
        request.method, request.path
    );
    Reply { fields: "Upgrade: websocket\r\n", ..Reply::new(426, "Upgrade Required", text) }
}
