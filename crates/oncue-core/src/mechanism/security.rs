//! Which mechanism a side uses, with its keys.

use alloc::sync::Arc;

use super::curve::{self, ClientKeys, KeyPair, Random};
use super::null;
use super::plain::{self, Login};
use crate::greeting::MechanismName;

/// The mechanism of one side, and its role. Both sides of a connection must use the same one, one as the server and one as
/// the client.
#[derive(Clone, Debug, Default)]
pub enum Security {
    /// None (RFC 37).
    #[default]
    Null,
    /// PLAIN (RFC 24), as the client.
    PlainClient(Login),
    /// PLAIN, as the server.
    PlainServer,
    /// CURVE (RFC 25 and 26), as the client.
    CurveClient(Arc<ClientKeys>, Random),
    /// CURVE, as the server.
    CurveServer(Arc<KeyPair>, Random),
}

impl Security {
    /// The mechanism's name in the greeting.
    pub fn name(&self) -> MechanismName {
        match self {
            Security::Null => null::NAME,
            Security::PlainClient(_) | Security::PlainServer => plain::NAME,
            Security::CurveClient(..) | Security::CurveServer(..) => curve::NAME,
        }
    }

    /// Whether this side is the server. NULL has no roles.
    pub fn is_server(&self) -> bool {
        matches!(self, Security::PlainServer | Security::CurveServer(..))
    }
}
