//! What a site knows of the mesh, as it is published.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use oncue_mesh::{Flow, MeshStatus, SitePhase, SiteStatus};
use oncue_observe::schema;

/// A status in the words of the schema, as read now.
pub(crate) fn said(status: MeshStatus) -> schema::Mesh {
    schema::Mesh {
        time: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64(),
        site: status.site,
        mesh: status.mesh,
        role: status.role.to_owned(),
        epoch: status.epoch,
        sequence: status.sequence,
        prefixes: status.prefixes as u64,
        links: status.links as u64,
        sites_refused: status.sites_refused,
        malformed: status.malformed,
        sites: status.sites.into_iter().map(site).collect(),
    }
}

fn site(site: SiteStatus) -> schema::Site {
    schema::Site {
        name: site.name,
        epoch: site.epoch,
        phase: match site.phase {
            SitePhase::Joining => schema::Phase::Joining,
            SitePhase::Live => schema::Phase::Live,
            SitePhase::Silent => schema::Phase::Silent,
            SitePhase::Gone => schema::Phase::Gone,
        },
        phase_seconds: seconds(site.since),
        heard_seconds: site.heard.map(seconds),
        round_trip_seconds: site.round_trip.map(seconds),
        sequence: site.sequence,
        prefixes: site.prefixes as u64,
        prefixes_refused: site.prefixes_refused as u64,
        snapshots: site.snapshots,
        log_gaps: site.log_gaps,
        sent: flow(site.sent),
        missed: site.missed,
        received: flow(site.received),
        lost: site.lost,
        gaps: site.gaps,
        duplicates: site.duplicates,
        forbidden: site.forbidden,
        malformed: site.malformed,
    }
}

fn flow(flow: Flow) -> schema::Flow {
    schema::Flow { messages: flow.messages, bytes: flow.bytes, batches: flow.batches }
}

/// To the microsecond.
fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e6
}
