//! Zenoh sessions: opened, closed within a bounded time, and given up after a panic.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use oncue_core::mesh::next_epoch;
use zenoh::{Session, Wait};

use super::config;
use super::keys::{self, Keys};
use crate::error::{MeshError, MeshErrorKind};
use crate::options::MeshOptions;
use crate::topology::Topology;

/// How long closing waits for others to take what they are told. A stopped neighbour takes nothing.
const CLOSE_WAIT: Duration = Duration::from_secs(2);

/// The time in which other processes of this site's name may answer before it joins.
const TOKEN_WAIT: Duration = Duration::from_secs(1);

/// Whether the session can still be used.
#[derive(Default)]
pub(super) struct Health {
    broken: AtomicBool,
}

impl Health {
    /// Calls Zenoh. A panic inside it was seen in `put`, after which the session did nothing more; so it is the end of the session.
    pub(super) fn try_zenoh<T>(&self, call: impl FnOnce() -> zenoh::Result<T>) -> Result<T, MeshError> {
        if self.broken.load(Ordering::Relaxed) {
            return Err(MeshError::session("the Zenoh session is broken: open another one"));
        }
        let result = match catch_unwind(AssertUnwindSafe(call)) {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(why)) => {
                MeshError::session(format!("the Zenoh session is closed: {}: open another one", reason(&why)))
            }
            Err(_) => MeshError::session("Zenoh panicked: open another session"),
        };
        self.broken.store(true, Ordering::Relaxed);
        Err(result)
    }
}

pub(super) fn open(options: &MeshOptions) -> Result<Session, MeshError> {
    let config = config::session(options)?;
    let opened = catch_unwind(AssertUnwindSafe(|| zenoh::open(config).wait()));
    let why = match opened {
        Ok(Ok(session)) => return Ok(session),
        Ok(Err(why)) => reason(&why),
        Err(_) => "Zenoh panicked".into(),
    };
    Err(match &options.topology {
        Topology::Edge { routers } => MeshError::new(
            MeshErrorKind::Unreachable,
            format!("no router answers at {}: start one, or correct `routers` ({why})", routers.join(" or ")),
        ),
        Topology::Router { listen, .. } => cannot_listen(&listen.join(", "), &why),
        Topology::Peer { sites, listen } => cannot_listen(
            listen.as_ref().or_else(|| sites.get(&options.site)).map_or("", String::as_str),
            &why,
        ),
    })
}

/// What an error of Zenoh says, without the places in its sources, which stand behind each part.
pub(super) fn reason(why: &zenoh::Error) -> String {
    let text = why.to_string();
    let parts = text.split(" at /").enumerate().map(|(index, part)| match (index, part.find(".rs:")) {
        (0, _) | (_, None) => part,
        (_, Some(place)) => part[place..].split_once(' ').map_or("", |(_, rest)| rest),
    });
    parts
        .map(|part| part.trim().trim_end_matches(['.', '!', ' ']))
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(": ")
}

fn cannot_listen(endpoints: &str, why: &str) -> MeshError {
    MeshError::config(format!(
        "cannot listen at {endpoints}: {why}: end the process that uses the port, or correct the endpoint"
    ))
}

/// The clock in microseconds, and higher than all epochs of this site's name that can be seen.
pub(super) fn choose_epoch(session: &Session, keys: &Keys, at_least: u64) -> u64 {
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
    let (seen, tokens) = channel();
    let own = keys.site().to_owned();
    let asked = session
        .liveliness()
        .get(keys.tokens())
        .timeout(TOKEN_WAIT)
        .callback(move |reply| {
            let token = reply.result().ok().and_then(|token| keys::token_site(token.key_expr().as_str()));
            let _ = token.filter(|token| token.site == own).map(|token| seen.send(token.epoch));
        })
        .wait();
    let highest = asked.ok().and_then(|()| tokens.iter().max());
    next_epoch(u64::try_from(clock).unwrap_or(u64::MAX), highest).max(at_least)
}

/// Undeclares what `first` does, so that others hear of it before anything else, and closes a session. It returns after 2 s at the
/// latest; what is not done then goes on in the background.
pub(super) fn close(session: Session, first: impl FnOnce() + Send + 'static) {
    let (done, is_done) = channel();
    let closing = move || {
        first();
        let _ = session.close().wait();
    };
    let spawned = thread::Builder::new().name("oncue-mesh-close".into()).spawn(move || {
        let _ = catch_unwind(AssertUnwindSafe(closing));
        let _ = done.send(());
    });
    if spawned.is_ok() {
        let _ = is_done.recv_timeout(CLOSE_WAIT);
    }
}

#[cfg(test)]
mod tests {
    use super::Health;
    use crate::error::MeshErrorKind;

    #[test]
    fn after_a_panic_inside_zenoh_every_call_is_an_error() {
        let health = Health::default();
        assert_eq!(health.try_zenoh(|| Ok(1)), Ok(1));
        let panicked =
            health.try_zenoh(|| -> zenoh::Result<()> { panic!("as zenoh-transport did in a trial") });
        assert_eq!(panicked.unwrap_err().kind(), MeshErrorKind::Session);
        let after =
            health.try_zenoh(|| -> zenoh::Result<()> { unreachable!("a broken session is not called") });
        assert_eq!(after.unwrap_err().kind(), MeshErrorKind::Session);
    }
}
