//! This process as a site of a mesh: from a config to the options of the library, and from what the library tells to lines of the log
//! and to what is published.

mod event;
mod member;
mod options;
mod status;
mod threads;

use std::time::Duration;

use oncue_mesh::{MeshError, MeshErrorKind};

pub(crate) use self::event::Teller;
pub(crate) use self::member::{Member, Seen};
pub(crate) use self::options::{check, options};
use self::status::said;
pub(crate) use self::threads::settle;
use crate::fail::Fail;

/// How long it may take to leave the mesh: a neighbour that is stopped takes nothing.
pub(crate) const LEAVING: Duration = Duration::from_secs(3);

/// Why a subcommand fails with this error.
pub(crate) fn failed(why: MeshError) -> Fail {
    match why.kind() {
        MeshErrorKind::Config => Fail::Usage(why.to_string()),
        _ => Fail::Runtime(why.to_string()),
    }
}
