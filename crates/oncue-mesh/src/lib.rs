//! Demand and values between sites, on Zenoh: a value crosses the network once for each site that wants it, and a producer
//! sees the union of what all sites want.
#![deny(missing_docs)]

mod check;
mod endpoint;
mod error;
mod link;
mod options;
mod status;
mod topology;

pub use error::{MeshError, MeshErrorKind};
pub use options::{MeshOptions, NAME_BYTES_MAX, Permission, Permissions, Quotas, Tls};
pub use status::{Flow, MeshStatus, SitePhase, SiteStatus};
pub use topology::Topology;
