//! A site of the mesh.

use crate::protocol::SiteRole;

/// Joins, and answers until standard input ends.
pub(super) fn play(_role: &SiteRole) -> oncue::Result<()> {
    Ok(())
}
