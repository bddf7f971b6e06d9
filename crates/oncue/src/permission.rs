//! Which peer may subscribe to what: requests and answers. Plain data; the shards ask.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::peer_address::PeerAddress;
use crate::user::User;

/// The longest text of a [`Reason`], in bytes.
pub const REASON_BYTES_MAX: usize = 255;

/// One peer of one socket, from its handshake to its end. A program that connects again gets another one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerKey {
    pub(crate) shard: u16,
    pub(crate) slot: usize,
    pub(crate) uid: u64,
}

impl PeerKey {
    /// A number that no other peer of the engine has or had, below 2^53 for the first 2^47 peers of each I/O thread: exact in
    /// JSON.
    pub fn number(&self) -> u64 {
        self.uid << 6 | u64::from(self.shard)
    }
}

impl fmt::Debug for PeerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerKey({}.{})", self.shard, self.uid)
    }
}

/// A peer's request for a prefix that it does not have.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct SubscribeRequest<'a> {
    /// The peer that asks.
    pub peer: PeerKey,
    /// Where it is.
    pub address: PeerAddress,
    /// Who it is, if the socket authenticates its clients ([`Authenticator`](crate::Authenticator)).
    pub user: Option<&'a User>,
    /// What it asks for.
    pub prefix: &'a [u8],
    /// The subscription is in force, and is asked about once more ([`XPub::reconsider`](crate::XPub::reconsider)):
    /// [`Reject`](Admission::Reject) ends it, any other answer changes nothing.
    pub in_force: bool,
    /// Nobody has this prefix yet.
    pub(crate) is_first: bool,
}

/// The answer to a [`SubscribeRequest`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// The subscription takes effect.
    Accept,
    /// It does not take effect and is forgotten: it does not count as demand. The peer may ask again.
    Reject(Reason),
    /// It is decided later, by `admit` or `reject`; until then it does not count as demand.
    Defer,
}

/// Why a subscription was refused: a text of at most [`REASON_BYTES_MAX`] bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reason(Cow<'static, str>);

impl Reason {
    /// The text is cut to [`REASON_BYTES_MAX`] bytes.
    pub fn new(text: impl Into<Cow<'static, str>>) -> Reason {
        let text = text.into();
        if text.len() <= REASON_BYTES_MAX {
            return Reason(text);
        }
        let end = (0..=REASON_BYTES_MAX).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
        Reason(Cow::Owned(text[..end].to_owned()))
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&'static str> for Reason {
    fn from(text: &'static str) -> Reason {
        Reason::new(text)
    }
}

impl From<String> for Reason {
    fn from(text: String) -> Reason {
        Reason::new(text)
    }
}

thread_local! {
    /// Whether this thread is in a function that decides about a subscription, and so holds a shard's lock.
    static DECIDING: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is in a function that decides about a subscription: it must not wait for an I/O thread, which
/// could be itself, or one that waits for it.
pub(crate) fn is_deciding() -> bool {
    DECIDING.get()
}

/// Calls a function that decides while this thread holds a shard's lock.
pub(crate) fn deciding<T>(decide: impl FnOnce() -> T) -> T {
    let within = DECIDING.replace(true);
    let answer = decide();
    DECIDING.set(within);
    answer
}

/// In a function that decides, refuses operations that wait for an I/O thread or for the routes.
pub(crate) fn check_not_deciding(what: impl fmt::Display) -> Result<()> {
    if !is_deciding() {
        return Ok(());
    }
    Err(Error::misuse(format!(
        "cannot {what} in a function that decides about subscriptions: its I/O thread would wait for itself; do it \
         on another thread, and let the function return"
    )))
}

/// The user's function that decides.
#[derive(Clone)]
pub(crate) struct Gate(Arc<dyn Fn(&SubscribeRequest<'_>) -> Admission + Send + Sync>);

impl Gate {
    pub(crate) fn new(decide: impl Fn(&SubscribeRequest<'_>) -> Admission + Send + Sync + 'static) -> Gate {
        Gate(Arc::new(decide))
    }

    /// A function that panics rejects, and does not end the I/O thread.
    pub(crate) fn ask(&self, request: &SubscribeRequest<'_>) -> Admission {
        let answer = deciding(|| catch_unwind(AssertUnwindSafe(|| (self.0)(request))));
        answer.unwrap_or_else(|_| Admission::Reject(Reason::new("the publisher could not decide")))
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gate")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_cut_between_characters() {
        assert_eq!(Reason::new("short").text(), "short");
        assert_eq!(Reason::new("x".repeat(255)).text().len(), 255);
        assert_eq!(Reason::new("x".repeat(256)).text().len(), 255);
        assert_eq!(Reason::new("\u{e9}".repeat(200)).text(), "\u{e9}".repeat(127));
    }

    #[test]
    fn a_function_that_panics_rejects() {
        let peer = PeerKey { shard: 0, slot: 0, uid: 1 };
        let request = SubscribeRequest {
            peer,
            address: PeerAddress::Inproc,
            user: None,
            prefix: b"p",
            in_force: false,
            is_first: true,
        };
        assert_eq!(Gate::new(|_| Admission::Accept).ask(&request), Admission::Accept);
        assert!(matches!(Gate::new(|_| panic!("a mistake")).ask(&request), Admission::Reject(_)));
    }
}
