//! One driver per implementation: the fastest way to publish and to subscribe that its documentation recommends, one
//! message at a time unless its name says otherwise. The drivers do not know what is measured.

mod classic;
mod libzmq;
mod omq;
mod oncue;
pub mod proxy;
mod rzmq;
mod zeromq;

pub use self::classic::{Classic, LibzmqClassic, OncueClassic};
pub use self::libzmq::{LibzmqPub, LibzmqSub};
pub use self::omq::{OmqPub, OmqSub};
pub use self::oncue::{OncuePub, OncueSub};
pub use self::rzmq::{RzmqPub, RzmqSub};
pub use self::zeromq::{ZeromqPub, ZeromqSub};

use crate::Outcome;
use crate::frame::Shape;
use crate::raw::web;

/// How an implementation is set up.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// I/O threads, or threads of the runtime if the implementation has no I/O threads.
    pub threads: usize,
    /// Whether a slow subscriber misses messages; otherwise the publisher waits, if it can.
    pub may_drop: bool,
    /// Take all available messages at once.
    pub many: bool,
    /// Prefixes of one peer.
    pub prefixes: u64,
    /// Whether connections are encrypted, with the publisher as the server.
    pub curve: bool,
    /// Whether connections are over WebSocket.
    pub ws: bool,
}

impl Setup {
    /// The endpoint of a port on this machine; port 0 is any that is free.
    fn endpoint(&self, port: u16) -> String {
        match self.ws {
            true => format!("ws://127.0.0.1:{port}/{}", web::PATH),
            false => endpoint(port),
        }
    }
}

/// A publisher of one implementation.
pub trait Publisher: Sized {
    /// Listens on a free port of 127.0.0.1.
    async fn bind(setup: Setup) -> Outcome<(Self, u16)>;

    /// Sends message `seq`, and waits while there is no room for it (unless `may_drop` is set).
    async fn send(&mut self, shape: &Shape, topic: u64, seq: u64) -> Outcome;

    /// How often a send had to wait.
    fn refused(&self) -> u64 {
        0
    }
}

/// A subscriber of one implementation.
pub trait Subscriber: Sized {
    /// Connects and subscribes.
    async fn connect(setup: Setup, port: u16, prefixes: &[Vec<u8>]) -> Outcome<Self>;

    /// Waits for a message and shows it; if `many` is set, also all others that came with it.
    async fn recv(&mut self, show: impl FnMut(&[u8])) -> Outcome;
}

/// The TCP endpoint of a port on this machine.
fn endpoint(port: u16) -> String {
    format!("tcp://127.0.0.1:{port}")
}

/// The port in an endpoint.
pub fn port_of(endpoint: &str) -> Outcome<u16> {
    let behind = endpoint.trim_end_matches('\0').rsplit(':').next().unwrap_or_default();
    let digits = behind.split('/').next().unwrap_or_default();
    digits.parse().map_err(|_| format!("no port in `{endpoint}`").into())
}
