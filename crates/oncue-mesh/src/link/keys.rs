//! The Zenoh keys of a mesh. What is read from one is a stranger's text until it has been checked.
//!
//! What a site says, it says by keys with its name as the last chunk (a token: before its epoch), so that Zenoh's access control can
//! compare it with a certificate. And three rules keep Zenoh 1.10.2 from remembering processes that are gone:
//! - A key that several sites subscribe to has no wildcard. Of one with a wildcard a router and a peer keep each link that has ended,
//!   for as long as one subscriber is left. So a site subscribes to what all may hear of another one by its name.
//! - Any other key has a wildcard before the first name. Without one it is kept at both ends of each link that it has passed, until that
//!   link ends: so heartbeats and changes are kept once for each name.
//! - No key but a token's, and that of a claim, has anything that is new with each process.

use crate::check::is_name;

/// Writes the keys of one mesh, as one site uses them. All begin with the name of the mesh.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    mesh: String,
    site: String,
}

/// What the last two chunks of a key say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SiteEpoch<'a> {
    pub(super) site: &'a str,
    pub(super) epoch: u64,
}

impl Keys {
    pub(super) fn new(mesh: &str, site: &str) -> Keys {
        Keys { mesh: mesh.to_owned(), site: site.to_owned() }
    }

    /// The liveliness token of this process.
    pub(super) fn token(&self, epoch: u64) -> String {
        format!("{}/m/*/{}/{epoch}", self.mesh, self.site)
    }

    pub(super) fn tokens(&self) -> String {
        format!("{}/m/*/*/*", self.mesh)
    }

    /// The heartbeats of a site.
    pub(super) fn heartbeats(&self, site: &str) -> String {
        format!("{}/h/{site}", self.mesh)
    }

    /// The changes of a site's demand.
    pub(super) fn log(&self, site: &str) -> String {
        format!("{}/log/{site}", self.mesh)
    }

    /// The snapshot of a site's demand.
    pub(super) fn snapshot(&self, site: &str) -> String {
        format!("{}/snap/*/{site}", self.mesh)
    }

    pub(super) fn ping(&self, site: &str) -> String {
        format!("{}/ping/*/{site}", self.mesh)
    }

    /// Where a process of a site is told by this one the epoch of a newer one.
    pub(super) fn newer(&self, site: &str) -> String {
        format!("{}/f/*/{site}/{}", self.mesh, self.site)
    }

    /// All of that for this site.
    pub(super) fn newer_than_this(&self) -> String {
        format!("{}/f/*/{}/*", self.mesh, self.site)
    }

    /// Where the process of a site is told by this one the epoch of one that is gone, if its own is lower.
    pub(super) fn past(&self, site: &str) -> String {
        format!("{}/p/*/{site}/{}", self.mesh, self.site)
    }

    /// All of that for this site.
    pub(super) fn past_of_this(&self) -> String {
        format!("{}/p/*/{}/*", self.mesh, self.site)
    }

    /// Where the session with this identity says as which site it is configured. It proves nothing: it is for a message to people.
    pub(super) fn claim(&self, zid: &str) -> String {
        format!("{}/who/*/{zid}", self.mesh)
    }

    pub(super) fn claims(&self) -> String {
        format!("{}/who/*/*", self.mesh)
    }

    /// What this site says about its place in the network.
    pub(super) fn hello(&self) -> String {
        format!("{}/node/*/{}", self.mesh, self.site)
    }

    pub(super) fn hellos(&self) -> String {
        format!("{}/node/*/*", self.mesh)
    }

    /// Data from this site to another one.
    pub(super) fn data_to(&self, site: &str) -> String {
        format!("{}/d/*/{site}/{}", self.mesh, self.site)
    }

    /// Data to this site from all others.
    pub(super) fn data(&self) -> String {
        format!("{}/d/*/{}/*", self.mesh, self.site)
    }

    pub(super) fn site(&self) -> &str {
        &self.site
    }
}

/// The site that a key ends with; none if that is not a name.
pub(super) fn last_site(key: &str) -> Option<&str> {
    key.rsplit('/').next().filter(|site| is_name(site))
}

/// The site and the epoch of a token's key.
pub(super) fn token_site(key: &str) -> Option<SiteEpoch<'_>> {
    let (rest, epoch) = key.rsplit_once('/')?;
    Some(SiteEpoch { site: last_site(rest)?, epoch: epoch_of(epoch)? })
}

/// An epoch as a text.
pub(super) fn epoch_of(text: &str) -> Option<u64> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::{Keys, last_site, token_site};

    #[test]
    fn a_token_is_read_as_it_was_written() {
        let key = Keys::new("oncue", "paris").token(17);
        let token = token_site(&key).unwrap();
        assert_eq!((token.site, token.epoch), ("paris", 17));
        assert_eq!(last_site(&Keys::new("oncue", "tokyo").newer("paris")), Some("tokyo"));
    }

    #[test]
    fn keys_of_strangers_are_ignored() {
        for key in [
            "",
            "/",
            "m",
            "oncue/m/a/",
            "oncue/m//1",
            "oncue/m/a/+1",
            "oncue/m/a b/1",
            "oncue/m/a/18446744073709551616",
        ] {
            assert_eq!(token_site(key), None, "{key}");
        }
        let long = "x".repeat(65);
        for key in ["", "oncue/h/", "oncue/h/ä", long.as_str()] {
            assert_eq!(last_site(key), None, "{key}");
        }
    }
}
