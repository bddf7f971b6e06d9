//! What a site is configured with.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use oncue::Prefix;

use crate::topology::Topology;

/// The longest name of a site or of a mesh, in bytes.
pub const NAME_BYTES_MAX: usize = oncue_core::mesh::SITE_BYTES_MAX;

/// The configuration of a site. Fields that [`new`](MeshOptions::new) does not ask for have defaults, which each states.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MeshOptions {
    /// The name of this site: 1 to [`NAME_BYTES_MAX`] of `A-Z a-z 0-9 - _ .`, the same after each restart. No two processes
    /// of a mesh may have the same name: the one that joined first ends when the other comes.
    pub site: String,
    /// The name of the mesh, with the same characters. Sites of other meshes on the same routers neither see nor hear it. Default `oncue`.
    pub mesh: String,
    /// How the sites are linked.
    pub topology: Topology,
    /// TLS with client certificates on the links. Default: none, and endpoints are `tcp/HOST:PORT`.
    pub tls: Option<Tls>,
    /// How often a site tells the others that it lives, and how it can be checked that nothing was lost. Default 500 ms.
    pub heartbeat: Duration,
    /// How long a site may be silent until its demand is dropped: at least two heartbeats. The link to it is given up after
    /// the same time. Default 2 s.
    pub timeout: Duration,
    /// Topics that begin with this are about this process: they neither leave the site nor come from others, and a subscriber of
    /// everything does not get them ([`oncue::Options::hidden_topics`]). Default `$oncue/`.
    pub own_topics: Prefix,
    /// Whether the newest value of each topic is kept while it is wanted, so that a site or a subscriber that comes later gets it at
    /// once, without asking the producer. Default true.
    pub keep_last: bool,
    /// Bounds on what one site may cause here.
    pub quotas: Quotas,
    /// What is given to other sites.
    pub export: Permissions,
    /// What is taken from other sites.
    pub import: Permissions,
}

impl MeshOptions {
    /// The defaults.
    pub fn new(site: impl Into<String>, topology: Topology) -> MeshOptions {
        MeshOptions {
            site: site.into(),
            mesh: "oncue".into(),
            topology,
            tls: None,
            heartbeat: Duration::from_millis(500),
            timeout: Duration::from_secs(2),
            own_topics: "$oncue/".into(),
            keep_last: true,
            quotas: Quotas::default(),
            export: Permissions::default(),
            import: Permissions::default(),
        }
    }
}

/// Certificates and keys, as files in PEM. Each side of a link shows its certificate and checks that of the other. The common name of a
/// certificate is the name of its site: a neighbour is heard in that name alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The certificate of the authority that signed those of all sites.
    pub authority: PathBuf,
    /// The certificate of this site. One that listens needs the names that others dial among its subject alternative names.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Of a router: the sites that may be linked with it. Others are not heard. Of peers it is the list of all sites.
    pub names: Vec<String>,
    /// Of a router: the routers that may be linked with it, its parent and those below it. What they pass on is believed.
    pub routers: Vec<String>,
}

/// Bounds, each for one other site, but for the number of sites. What is beyond a bound is refused and counted, and disturbs no other site.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Quotas {
    /// Other sites that are known at once. Default 256.
    pub sites: usize,
    /// Prefixes that a site may want. Default 1,000,000.
    pub prefixes: usize,
    /// The bytes of these prefixes together. Default 64 MiB.
    pub prefix_bytes: usize,
    /// Messages that wait to be sent to a site; it misses others. Default 100,000.
    pub queue_messages: u32,
    /// The bytes of these messages together. Default 64 MiB.
    pub queue_bytes: usize,
    /// The largest message that is taken from a site, or sent to one, in bytes. Default 64 MiB.
    pub message_bytes: usize,
}

impl Default for Quotas {
    fn default() -> Quotas {
        Quotas {
            sites: 256,
            prefixes: 1_000_000,
            prefix_bytes: 64 << 20,
            queue_messages: 100_000,
            queue_bytes: 64 << 20,
            message_bytes: 64 << 20,
        }
    }
}

/// Which topics may cross the border to or from other sites: of all prefixes listed that a topic starts with, the longest decides;
/// if it is in both lists, the topic may not. Default: all topics may.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permissions {
    /// For sites that have no entry in `sites`.
    pub all: Permission,
    /// For single sites, by their names, in place of `all`.
    pub sites: BTreeMap<String, Permission>,
}

impl Permissions {
    /// Those for a site.
    pub(crate) fn of(&self, site: &str) -> &Permission {
        self.sites.get(site).unwrap_or(&self.all)
    }
}

/// Two lists of prefixes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permission {
    /// Topics that start with one of these may cross. Default: `""`, every topic.
    pub allow: Vec<Prefix>,
    /// Topics that start with one of these may not. Default: none.
    pub deny: Vec<Prefix>,
}

impl Default for Permission {
    fn default() -> Permission {
        Permission { allow: vec![Prefix::from(&b""[..])], deny: Vec::new() }
    }
}
