//! The publishers of a session, which are undeclared before it is closed: Zenoh 1.10.2 never frees a session that still has one.

use std::sync::{Arc, Mutex};

use zenoh::bytes::ZBytes;
use zenoh::pubsub::Publisher;
use zenoh::qos::{CongestionControl, Priority};
use zenoh::sample::Locality;
use zenoh::{Session, Wait};

use super::session::Health;
use crate::bell::lock;
use crate::error::MeshError;

/// None once it is undeclared.
type Place = Mutex<Option<Publisher<'static>>>;

/// All publishers of a session.
pub(super) struct Publishers {
    site: ZBytes,
    health: Arc<Health>,
    places: Mutex<Vec<Arc<Place>>>,
}

/// What sends by one key. It may outlive its session: then each `put` fails.
pub(crate) struct Speaker {
    health: Arc<Health>,
    place: Arc<Place>,
    /// The name of this site, which goes with each message.
    site: ZBytes,
}

impl Publishers {
    pub(super) fn new(site: &str) -> Publishers {
        Publishers { site: ZBytes::from(site.to_owned()), health: Arc::default(), places: Mutex::default() }
    }

    /// Whether the session can still be used.
    pub(super) fn health(&self) -> &Health {
        &self.health
    }

    /// Declares one, so that others get only what they subscribe to, and that never waits for a stopped site for long.
    /// If it is `express`, each message is sent at once, in a batch of its own: right for what was put together before. What is not,
    /// Zenoh puts together while a link is full, so a stopped site's queue has room for 1 MiB of it.
    pub(super) fn declare(
        &self,
        session: &Session,
        key: String,
        priority: Priority,
        express: bool,
    ) -> Result<Speaker, MeshError> {
        let declared = session
            .declare_publisher(key)
            .congestion_control(CongestionControl::Drop)
            .priority(priority)
            .express(express)
            .allowed_destination(Locality::Remote);
        let place = Arc::new(Mutex::new(Some(self.health.try_zenoh(|| declared.wait())?)));
        let mut places = lock(&self.places);
        // One that is locked is in use.
        places.retain(|place| place.try_lock().map_or(true, |place| place.is_some()));
        places.push(Arc::clone(&place));
        Ok(Speaker { health: Arc::clone(&self.health), place, site: self.site.clone() })
    }

    /// Undeclares all. It waits for what is being put.
    pub(super) fn end(&self) {
        let places = std::mem::take(&mut *lock(&self.places));
        places.iter().for_each(|place| drop(lock(place).take()));
    }
}

impl Speaker {
    /// Sends a message. While the link is full it waits for room: at an edge for `timeout`, at a peer for an eighth of it, at a router
    /// for 20 ms, and longer if the message has more than 64 KiB. Then it is dropped, which is not known here.
    pub(crate) fn put(&self, bytes: Vec<u8>) -> Result<(), MeshError> {
        let place = lock(&self.place);
        self.health.try_zenoh(|| {
            place.as_ref().ok_or("it was left")?.put(bytes).attachment(self.site.clone()).wait()
        })
    }
}

impl Drop for Speaker {
    fn drop(&mut self) {
        // With the lock held, so that the session is not closed meanwhile.
        let mut place = lock(&self.place);
        drop(place.take());
    }
}
