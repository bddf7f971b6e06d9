//! A connection whose handshake is not done.

use std::sync::Arc;

use oncue_core::connection::Handshake;

use crate::authentication::Refusal;
use crate::user::User;

/// A handshake that is not done.
pub(crate) struct Beginning {
    pub(crate) handshake: Handshake,
    /// Somebody decides whether the client is let in. Nothing is read until then.
    pub(super) asked: bool,
    /// What was decided, until it is carried out.
    pub(super) answer: Option<Result<User, Refusal>>,
    /// Who it is, once it is let in.
    pub(super) user: Option<Arc<User>>,
}

impl Beginning {
    pub(super) fn new(handshake: Handshake) -> Beginning {
        Beginning { handshake, asked: false, answer: None, user: None }
    }
}
