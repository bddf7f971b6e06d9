//! What the library tells, as lines of the log.

use oncue_mesh::MeshEvent;

use crate::record::{Level, Record};

/// Writes a line about an event.
pub(crate) fn tell(event: &MeshEvent, record: impl Fn(&Record<'_>)) {
    let (level, name, site, text) = match event {
        MeshEvent::Connected { epoch } => {
            (Level::Info, "mesh_connected", None, format!("in the mesh (epoch {epoch})"))
        }
        MeshEvent::Disconnected(why) => {
            (Level::Warning, "mesh_disconnected", None, format!("not in the mesh: {why}; trying again"))
        }
        MeshEvent::Ended(why) => (Level::Error, "mesh_ended", None, format!("left the mesh for good: {why}")),
        MeshEvent::Joined { site, epoch } => {
            (Level::Info, "site_joined", Some(site), format!("site {site} joined (epoch {epoch})"))
        }
        MeshEvent::Live { site, prefixes } => {
            let noun = if *prefixes == 1 { "prefix" } else { "prefixes" };
            (Level::Info, "site_live", Some(site), format!("site {site} wants {prefixes} {noun}"))
        }
        MeshEvent::Silent { site } => {
            let text = format!("site {site} is silent: its demand is dropped until it is heard again");
            (Level::Warning, "site_silent", Some(site), text)
        }
        MeshEvent::Left { site } => (Level::Info, "site_left", Some(site), format!("site {site} left")),
        MeshEvent::Warning(why) => (Level::Warning, "mesh_warning", None, why.clone()),
        _ => return,
    };
    record(&Record { event: Some(name), site: site.map(String::as_str), ..Record::new(level, &text) });
}
