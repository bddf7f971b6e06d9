//! What a session sends by. No publisher is declared: Zenoh 1.10.2 never frees a session that is closed while it has one, and a
//! router keeps the key of each that a client has declared. To be told whether anybody listens, a publisher is not needed
//! either: data is for sites that are up, and the rest for all.

use std::sync::Arc;

use zenoh::key_expr::KeyExpr;
use zenoh::qos::{CongestionControl, Priority};
use zenoh::sample::Locality;
use zenoh::{Session, Wait};

use super::session::Health;
use crate::error::MeshError;

/// Sends by one key. It may outlive its link: then each `put` fails.
pub(crate) struct Speaker {
    session: Session,
    health: Arc<Health>,
    /// Declared within this process, so that its way is not looked up for each message.
    key: KeyExpr<'static>,
    priority: Priority,
    is_express: bool,
}

impl Speaker {
    /// If it is `express`, each message is sent at once, in a batch of its own: right for what was put together before. What is not,
    /// Zenoh puts together while a link is full, so a stopped site's queue has room for 1 MiB of it.
    pub(super) fn new(
        session: &Session,
        health: &Arc<Health>,
        key: String,
        priority: Priority,
        is_express: bool,
    ) -> Result<Speaker, MeshError> {
        let key = health.try_zenoh(|| session.declare_keyexpr(key).wait())?;
        Ok(Speaker { session: session.clone(), health: Arc::clone(health), key, priority, is_express })
    }

    /// Sends a message. While the link is full it waits for room: at an edge for `timeout`, at a peer for an eighth of it, at a router
    /// for 20 ms, and longer if the message has more than 64 KiB. Then it is dropped, which is not known here.
    pub(crate) fn put(&self, bytes: Vec<u8>) -> Result<(), MeshError> {
        self.health.try_zenoh(|| {
            let put = self.session.put(&self.key, bytes);
            let put = put.congestion_control(CongestionControl::Drop).priority(self.priority);
            put.express(self.is_express).allowed_destination(Locality::Remote).wait()
        })
    }
}
