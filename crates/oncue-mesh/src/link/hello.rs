//! What a site says about its place in the network when it is asked, as lines of text: `KEY VALUE`. A reader ignores keys that it does not
//! know.

use std::fmt::{self, Write};
use std::time::Duration;

use crate::check::is_name;
use crate::options::MeshOptions;
use crate::topology::Topology;

/// The largest answer that is read, in bytes.
pub(super) const HELLO_BYTES_MAX: usize = 8192;

/// The most endpoints, and the most names, of an answer that are read.
const LISTEN_MAX: usize = 16;
const BELIEVES_MAX: usize = 256;

/// The place of a site in the network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Hello {
    pub(super) site: String,
    /// The identity of its Zenoh session.
    pub(super) zid: String,
    /// How long it has been running.
    pub(super) age: Duration,
    /// Of a router: the endpoint of its parent, as configured.
    pub(super) parent: Option<String>,
    /// The identity of the session that its link to the parent leads to, while there is one.
    pub(super) linked: Option<String>,
    /// Of a router: where it listens, as configured.
    pub(super) listen: Vec<String>,
    /// Of a router with certificates: the routers that it believes. None: it cannot tell them from others.
    pub(super) believes: Option<Vec<String>>,
    /// Of a peer: a hash of its list of sites.
    pub(super) sites: Option<u64>,
}

impl Hello {
    /// What is known from the configuration.
    pub(super) fn configured(options: &MeshOptions) -> Hello {
        let mut hello = Hello { site: options.site.clone(), ..Hello::default() };
        match &options.topology {
            Topology::Edge { .. } => {}
            Topology::Router { listen, parent } => {
                hello.believes = options.tls.as_ref().map(|tls| tls.routers.clone());
                hello.listen.clone_from(listen);
                hello.parent.clone_from(parent);
            }
            Topology::Peer { sites, .. } => hello.sites = Some(hash(sites.iter())),
        }
        hello
    }

    /// Reads an answer of the site; none if it is not one.
    pub(super) fn parse(site: &str, bytes: &[u8]) -> Option<Hello> {
        let mut hello = Hello { site: site.to_owned(), ..Hello::default() };
        for line in std::str::from_utf8(bytes).ok()?.lines() {
            let (key, value) = line.split_once(' ')?;
            match key {
                "zid" => hello.zid = value.to_owned(),
                "age" => hello.age = Duration::from_millis(value.parse().ok()?),
                "parent" => hello.parent = Some(value.to_owned()),
                "linked" => hello.linked = Some(value.to_owned()),
                "listen" if hello.listen.len() < LISTEN_MAX => hello.listen.push(value.to_owned()),
                "believes" => {
                    let names = value.split(' ').filter(|name| is_name(name)).take(BELIEVES_MAX);
                    hello.believes = Some(names.map(str::to_owned).collect());
                }
                "sites" => hello.sites = Some(value.parse().ok()?),
                _ => {}
            }
        }
        Some(hello).filter(|hello| !hello.zid.is_empty())
    }
}

impl fmt::Display for Hello {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "zid {}\nage {}", self.zid, self.age.as_millis())?;
        for (key, value) in [("parent", &self.parent), ("linked", &self.linked)] {
            if let Some(value) = value {
                writeln!(f, "{key} {value}")?;
            }
        }
        for endpoint in &self.listen {
            writeln!(f, "listen {endpoint}")?;
        }
        if let Some(believes) = &self.believes {
            writeln!(f, "believes {}", believes.join(" "))?;
        }
        self.sites.map_or(Ok(()), |sites| writeln!(f, "sites {sites}"))
    }
}

/// FNV-1a: the same in every process and version.
fn hash<'a>(sites: impl Iterator<Item = (&'a String, &'a String)>) -> u64 {
    let mut text = String::new();
    for (site, endpoint) in sites {
        let _ = writeln!(text, "{site} {endpoint}");
    }
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Hello;

    #[test]
    fn a_hello_is_read_as_it_was_written() {
        let hello = Hello {
            site: "a".into(),
            zid: "12ab".into(),
            age: Duration::from_millis(1500),
            parent: Some("tcp/b:1".into()),
            linked: Some("34cd".into()),
            listen: vec!["tcp/a:1".into(), "tcp/a:2".into()],
            believes: Some(vec!["b".into(), "c".into()]),
            sites: Some(7),
        };
        assert_eq!(Hello::parse("a", hello.to_string().as_bytes()), Some(hello.clone()));
        let alone = Hello { believes: Some(Vec::new()), ..hello };
        assert_eq!(Hello::parse("a", alone.to_string().as_bytes()), Some(alone));
    }

    #[test]
    fn what_is_not_a_hello_is_ignored() {
        for bytes in [&b""[..], b"zid", b"age 1\n", b"zid 1\nage x\n", b"zid \xff\n", b"parent tcp/a:1\n"] {
            assert_eq!(Hello::parse("a", bytes), None);
        }
    }
}
