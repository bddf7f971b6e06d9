//! After what a socket gives up an endpoint.

use std::fmt;
use std::ops::BitOr;

/// After what a socket tries no more to connect to an endpoint: a set, to which [`Options::reconnect_stop`] adds.
///
/// ```
/// use oncue::{Options, ReconnectStop};
/// let once = ReconnectStop::CONNECTION_REFUSED | ReconnectStop::HANDSHAKE_FAILED;
/// assert!(once.contains(ReconnectStop::HANDSHAKE_FAILED) && !once.contains(ReconnectStop::DISCONNECTED));
/// let options = Options::new().reconnect_stop(once);
/// # let _ = options;
/// ```
///
/// [`Options::reconnect_stop`]: crate::Options::reconnect_stop
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct ReconnectStop(u8);

impl ReconnectStop {
    /// After nothing: it tries again until it is told to stop.
    pub const NEVER: ReconnectStop = ReconnectStop(0);
    /// Nothing listens there: the system, or the [proxy](crate::SocksProxy), says that the connection was refused, or the file
    /// of an `ipc` endpoint does not exist (libzmq: `ZMQ_RECONNECT_STOP_CONN_REFUSED`).
    pub const CONNECTION_REFUSED: ReconnectStop = ReconnectStop(1);
    /// A connection was made and ended before the end of its handshake, for whatever cause: another protocol, a socket type
    /// that does not fit, silence (libzmq: `ZMQ_RECONNECT_STOP_HANDSHAKE_FAILED`).
    pub const HANDSHAKE_FAILED: ReconnectStop = ReconnectStop(2);
    /// A connection whose handshake was done has ended, for whatever cause. (libzmq's `ZMQ_RECONNECT_STOP_AFTER_DISCONNECT` is
    /// about `zmq_disconnect`, after which a socket of this library never connects again.)
    pub const DISCONNECTED: ReconnectStop = ReconnectStop(4);
    /// After one attempt, however it ends: all of the above, and each other reason why no connection was made (libzmq: -1 as
    /// `ZMQ_RECONNECT_IVL`).
    pub const ALWAYS: ReconnectStop = ReconnectStop(0xFF);

    /// Whether all conditions of another set are in this one.
    pub const fn contains(self, other: ReconnectStop) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for ReconnectStop {
    type Output = ReconnectStop;

    fn bitor(self, other: ReconnectStop) -> ReconnectStop {
        ReconnectStop(self.0 | other.0)
    }
}

impl fmt::Debug for ReconnectStop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = [
            (ReconnectStop::ALWAYS, "ALWAYS"),
            (ReconnectStop::CONNECTION_REFUSED, "CONNECTION_REFUSED"),
            (ReconnectStop::HANDSHAKE_FAILED, "HANDSHAKE_FAILED"),
            (ReconnectStop::DISCONNECTED, "DISCONNECTED"),
        ];
        let mut names: Vec<_> =
            named.iter().filter(|(set, _)| self.contains(*set)).map(|(_, name)| *name).collect();
        if *self == ReconnectStop::ALWAYS {
            names.truncate(1);
        }
        match names.is_empty() {
            true => f.write_str("NEVER"),
            false => f.write_str(&names.join(" | ")),
        }
    }
}
