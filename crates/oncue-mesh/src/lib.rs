//! Demand and values between sites, on Zenoh: a value crosses the network once for each site that wants it, and a producer
//! sees the union of what all sites want. [`Mesh`] is a site; docs/MESH.md says when to use it, and what it promises.
#![deny(missing_docs)]

mod bell;
mod border;
mod check;
mod endpoint;
mod error;
mod event;
mod export;
mod hall;
mod import;
mod keeper;
mod letters;
mod link;
mod mesh;
mod options;
mod status;
mod topology;
mod wanted;

pub use crate::link::{RUNTIME_FOR_TLS, RUNTIME_VARIABLE};
pub use error::{MeshError, MeshErrorKind};
pub use event::MeshEvent;
pub use mesh::{Builder, Mesh, MeshViewer};
pub use options::{MeshOptions, NAME_BYTES_MAX, Permission, Permissions, Quotas, Tls};
pub use status::{Flow, MeshStatus, SitePhase, SiteStatus};
pub use topology::Topology;
