//! What a socket's connections are secured by: mechanism, keys, and who decides.

use oncue_core::mechanism::Security;

use crate::authentication::Doorkeeper;
use crate::error::{Error, Result};

/// The mechanism, and who decides about clients.
#[derive(Clone, Debug, Default)]
pub(crate) struct SecurityOptions {
    pub(crate) mechanism: Security,
    /// For servers alone.
    pub(crate) doorkeeper: Option<Doorkeeper>,
    /// What cannot be right.
    pub(super) fault: Option<&'static str>,
}

impl SecurityOptions {
    pub(super) fn check(&self) -> Result<()> {
        self.fault.map_or(Ok(()), |fault| Err(Error::misuse(fault)))
    }
}
