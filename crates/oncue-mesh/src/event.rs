//! What the owner of a mesh is told.

use crate::error::MeshError;

/// Something that an operator would want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MeshEvent {
    /// A process of a site is there. Its demand was asked for.
    Joined {
        /// The site.
        site: String,
        /// The process.
        epoch: u64,
    },
    /// The demand of a site is in force, for the first time since it joined.
    Live {
        /// The site.
        site: String,
        /// How many prefixes it wants from here.
        prefixes: usize,
    },
    /// A site has left, or its link has ended. Its demand is dropped.
    Left {
        /// The site.
        site: String,
    },
    /// A site has said nothing for the timeout. Its demand is dropped.
    Silent {
        /// The site.
        site: String,
    },
    /// Something is wrong and does not stop this site. With the remedy.
    Warning(String),
    /// The session of Zenoh has ended, or could not be opened. It is tried again; until then no other site is known.
    Disconnected(MeshError),
    /// This site is in the mesh.
    Connected {
        /// Its process.
        epoch: u64,
    },
    /// This site has left the mesh for good: the reason needs somebody.
    Ended(MeshError),
}
