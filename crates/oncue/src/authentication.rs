//! Who a client is: what it proves or says in the handshake, and who decides about that. Plain data, and the interface; the
//! peers ask.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use oncue_core::mechanism::Credentials;

use crate::peer_address::PeerAddress;
use crate::permission::{Reason, deciding};
use crate::user::User;

/// What a client is told that was let in and would not be let in now.
pub(crate) const NOT_LET_IN_ANY_MORE: &str = "this side does not let the user in any more";

/// Decides which clients a server lets in.
///
/// [`authenticate`](Self::authenticate) is called on an I/O thread, and must return soon: what takes time, such as the hash of a
/// password, goes to another thread, which answers later. The client waits, nobody else does;
/// [`handshake_timeout`](crate::Options::handshake_timeout) bounds it.
pub trait Authenticator: Send + Sync + 'static {
    /// Takes a client's case. It is answered by [`Case::accept`] or [`Case::refuse`], at once or later, on any thread; a case
    /// that is dropped is refused. A panic refuses too.
    fn authenticate(&self, case: Case);

    /// Whether a user that was let in would be let in again: [`XPub::reconsider`](crate::XPub::reconsider) ends the connections
    /// of those for which this is false. It may be called on any thread, and must return at once.
    fn still_knows(&self, _user: &User) -> bool {
        true
    }
}

/// One client that waits to be let in.
pub struct Case {
    /// Where it is.
    pub address: PeerAddress,
    /// What it proves (CURVE) or says (PLAIN).
    pub credentials: Credentials,
    answer: Option<Answer>,
}

/// Takes the answer to where it is waited for.
type Answer = Box<dyn FnOnce(Result<User, Refusal>) + Send>;

/// Why a client is not let in.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) reason: Reason,
    /// It is told, and need not come again. Else the connection ends without a word, as RFC 27 has it for status 300: a client
    /// of libzmq that is told never comes again.
    pub(crate) for_good: bool,
}

impl Case {
    pub(crate) fn new(
        address: PeerAddress,
        credentials: Credentials,
        answer: impl FnOnce(Result<User, Refusal>) + Send + 'static,
    ) -> Case {
        Case { address, credentials, answer: Some(Box::new(answer)) }
    }

    /// Lets the client in. Its key is noted with the user, under CURVE.
    pub fn accept(mut self, mut user: User) {
        if let Credentials::Curve(key) = &self.credentials {
            user.key = Some(*key);
        }
        self.give(Ok(user));
    }

    /// Refuses the client. It is told that it is refused, with status 400 of ZAP (RFC 27), and not why; the reason is in this
    /// side's events.
    pub fn refuse(mut self, reason: impl Into<Reason>) {
        self.give(Err(Refusal { reason: reason.into(), for_good: true }));
    }

    /// Nothing can be decided now: ends the connection without a word, so that the client comes again. (libzmq's clients never
    /// come again when they are refused.)
    pub fn put_off(mut self, reason: impl Into<Reason>) {
        self.give(Err(Refusal { reason: reason.into(), for_good: false }));
    }

    fn give(&mut self, answer: Result<User, Refusal>) {
        if let Some(tell) = self.answer.take() {
            tell(answer);
        }
    }
}

impl Drop for Case {
    fn drop(&mut self) {
        self.give(Err(Refusal { reason: Reason::new("nobody decided about it"), for_good: true }));
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case")
            .field("address", &self.address)
            .field("credentials", &self.credentials)
            .finish_non_exhaustive()
    }
}

/// A function is an authenticator: it answers each case itself.
impl<F: Fn(Case) + Send + Sync + 'static> Authenticator for F {
    fn authenticate(&self, case: Case) {
        self(case);
    }
}

/// Lets everybody in that speaks the mechanism. A CURVE client is a user by the text of its key, a PLAIN client by the name that
/// it says, which nobody has checked.
#[derive(Clone, Copy, Debug, Default)]
pub struct AllowAny;

impl Authenticator for AllowAny {
    fn authenticate(&self, case: Case) {
        let id = match &case.credentials {
            Credentials::Curve(key) => key.to_string(),
            Credentials::Plain { user, .. } => String::from_utf8_lossy(user).into_owned(),
            _ => String::new(),
        };
        case.accept(User::new(id));
    }
}

/// A socket's authenticator.
#[derive(Clone)]
pub(crate) struct Doorkeeper(Arc<dyn Authenticator>);

impl Doorkeeper {
    pub(crate) fn new(authenticator: impl Authenticator) -> Doorkeeper {
        Doorkeeper(Arc::new(authenticator))
    }

    /// Asks it. A panic refuses, by dropping the case.
    pub(crate) fn ask(&self, case: Case) {
        // The case is answered by its drop, and the authenticator is not used in the middle of its own panic.
        let _ = deciding(|| catch_unwind(AssertUnwindSafe(|| self.0.authenticate(case))));
    }

    pub(crate) fn still_knows(&self, user: &User) -> bool {
        self.0.still_knows(user)
    }

    /// The same on an I/O thread. A panic refuses.
    pub(crate) fn knows(&self, user: &User) -> bool {
        deciding(|| catch_unwind(AssertUnwindSafe(|| self.0.still_knows(user)))).unwrap_or(false)
    }
}

impl fmt::Debug for Doorkeeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Doorkeeper")
    }
}
