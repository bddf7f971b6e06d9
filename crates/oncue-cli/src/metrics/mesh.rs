//! What a site of a mesh counts. The label `site` names another site: there are as many samples as `sites_max` allows, times a
//! constant.

use oncue_observe::schema::{Mesh, Phase, Site};

use super::family::{Family, Read, counter, gauge, seconds};
use super::text::{Kind, Text};

/// Where the samples of a family come from.
#[derive(Clone, Copy)]
pub(crate) enum Of {
    Mesh(fn(&Mesh) -> u64),
    /// For each site; as is the next one.
    Site(fn(&Site) -> u64),
    /// No sample where it is not known.
    SiteSeconds(fn(&Site) -> Option<f64>),
}

impl Read<Mesh> for Of {
    #[cfg(test)]
    fn labels(&self) -> Vec<&'static str> {
        match self {
            Of::Mesh(_) => Vec::new(),
            Of::Site(_) | Of::SiteSeconds(_) => vec!["site"],
        }
    }

    fn write(&self, mesh: &Mesh, text: &mut Text) {
        let sites = mesh.sites.iter().map(|site| (site.name.as_str(), site));
        match self {
            Of::Mesh(read) => text.sample(&[], read(mesh)),
            Of::Site(read) => sites.for_each(|(name, site)| text.sample(&[("site", name)], read(site))),
            Of::SiteSeconds(read) => {
                for (name, site) in sites {
                    read(site).into_iter().for_each(|time| text.sample(&[("site", name)], time));
                }
            }
        }
    }
}

#[rustfmt::skip]
pub(crate) const FAMILIES: &[Family<Of>] = &[
    gauge("oncue_mesh_joined", Of::Mesh(|mesh| u64::from(mesh.epoch > 0)),
        "1 while this site is in the mesh, otherwise 0."),
    gauge("oncue_mesh_links", Of::Mesh(|mesh| mesh.links),
        "Links to other processes of the mesh."),
    gauge("oncue_mesh_prefixes_wanted", Of::Mesh(|mesh| mesh.prefixes),
        "Prefixes that the subscribers of this site want."),
    counter("oncue_mesh_demand_changes", Of::Mesh(|mesh| mesh.sequence),
        "Changes of the demand of this site."),
    counter("oncue_mesh_sites_refused", Of::Mesh(|mesh| mesh.sites_refused),
        "Sites refused since there were too many (sites_max)."),
    counter("oncue_mesh_malformed", Of::Mesh(|mesh| mesh.malformed),
        "Payloads of demand logs that were not in the format."),

    gauge("oncue_mesh_site_up", Of::Site(|site| u64::from(site.phase == Phase::Live)),
        "1 if the site lives and its demand is in force, otherwise 0."),
    seconds("oncue_mesh_round_trip_seconds", Kind::Gauge, Of::SiteSeconds(|site| site.round_trip_seconds),
        "How long a question to the site and its answer took last."),
    seconds("oncue_mesh_heard_seconds", Kind::Gauge, Of::SiteSeconds(|site| site.heard_seconds),
        "How long ago anything of the demand of the site came."),
    gauge("oncue_mesh_prefixes", Of::Site(|site| site.prefixes),
        "Prefixes that the site wants from here."),
    gauge("oncue_mesh_prefixes_refused", Of::Site(|site| site.prefixes_refused),
        "Prefixes of the site that are beyond its quota, or not permitted."),
    counter("oncue_mesh_log_gaps", Of::Site(|site| site.log_gaps),
        "Gaps in the demand log of the site, each repaired by a snapshot."),
    counter("oncue_mesh_snapshots", Of::Site(|site| site.snapshots),
        "Snapshots of the demand of the site that were asked for."),
    counter("oncue_mesh_sent_messages", Of::Site(|site| site.sent.messages),
        "Messages sent to the site."),
    Family {
        name: "oncue_mesh_sent_bytes", kind: Kind::Counter, unit: Some("bytes"), help: "Their bytes, in wire encoding.",
        read: Of::Site(|site| site.sent.bytes),
    },
    counter("oncue_mesh_sent_batches", Of::Site(|site| site.sent.batches),
        "Batches that they were sent in."),
    counter("oncue_mesh_received_messages", Of::Site(|site| site.received.messages),
        "Messages received from the site."),
    Family {
        name: "oncue_mesh_received_bytes", kind: Kind::Counter, unit: Some("bytes"), help: "Their bytes, in wire encoding.",
        read: Of::Site(|site| site.received.bytes),
    },
    counter("oncue_mesh_received_batches", Of::Site(|site| site.received.batches),
        "Batches that they came in."),
    counter("oncue_mesh_missed", Of::Site(|site| site.missed),
        "Messages that the site missed: its queue was full, or they were too large."),
    counter("oncue_mesh_lost", Of::Site(|site| site.lost),
        "Messages of the site that did not arrive here."),
    counter("oncue_mesh_gaps", Of::Site(|site| site.gaps),
        "Places where messages of the site were lost."),
    counter("oncue_mesh_duplicates", Of::Site(|site| site.duplicates),
        "Messages of the site that came again or too late, and were discarded."),
    counter("oncue_mesh_forbidden", Of::Site(|site| site.forbidden),
        "Messages to the site or from it that were discarded since their topics are not permitted."),
    counter("oncue_mesh_site_malformed", Of::Site(|site| site.malformed),
        "Batches of the site that were not in the format."),
];
