//! What the server counts, for Prometheus. Labels are routes, states, reasons, quotas and sites, never topics or peers: there are as
//! many samples as the config has routes, times a constant. Reading takes no lock for longer than a copy of the counters.

mod families;
pub(super) mod snapshot;
#[cfg(test)]
mod tests;

use self::families::FAMILIES;
use self::snapshot::Snapshot;
use crate::metrics::text::Text;
use crate::metrics::{family, mesh, process, socket};

/// Writes all families.
pub(super) fn write(of: &Snapshot, text: &mut Text) {
    family::write(process::FAMILIES, &of.server.started, text);
    family::write(FAMILIES, of, text);
    family::write(socket::FAMILIES, &of.socket, text);
    of.mesh.iter().for_each(|mesh| family::write(mesh::FAMILIES, mesh, text));
}
