//! The Zenoh keys of a mesh. What is read from one is a stranger's text until it has been checked.

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
        format!("{}/m/{}/{epoch}", self.mesh, self.site)
    }

    /// The tokens of all processes that have this site's name.
    pub(super) fn tokens_of_this_site(&self) -> String {
        format!("{}/m/{}/*", self.mesh, self.site)
    }

    pub(super) fn tokens(&self) -> String {
        format!("{}/m/*/*", self.mesh)
    }

    pub(super) fn heartbeat(&self) -> String {
        format!("{}/h/{}", self.mesh, self.site)
    }

    pub(super) fn heartbeats(&self) -> String {
        format!("{}/h/*", self.mesh)
    }

    pub(super) fn log(&self) -> String {
        format!("{}/log/{}", self.mesh, self.site)
    }

    pub(super) fn logs(&self) -> String {
        format!("{}/log/*", self.mesh)
    }

    /// The snapshot of a site's demand.
    pub(super) fn snapshot(&self, site: &str) -> String {
        format!("{}/snap/{site}", self.mesh)
    }

    pub(super) fn ping(&self, site: &str) -> String {
        format!("{}/ping/{site}", self.mesh)
    }

    /// Where a process of a site is told by this one that there is a newer one.
    pub(super) fn newer(&self, site: &str, epoch: u64) -> String {
        format!("{}/f/{site}/{epoch}/{}", self.mesh, self.site)
    }

    /// All of that for this site.
    pub(super) fn newer_than_this(&self) -> String {
        format!("{}/f/{}/*/*", self.mesh, self.site)
    }

    /// Where the process of a site is told by this one the epoch of one that is gone, if its own is lower.
    pub(super) fn past(&self, site: &str, epoch: u64) -> String {
        format!("{}/p/{site}/{epoch}/{}", self.mesh, self.site)
    }

    /// All of that for this site.
    pub(super) fn past_of_this(&self) -> String {
        format!("{}/p/{}/*/*", self.mesh, self.site)
    }

    /// Where the session with this identity says as which site it is configured. It proves nothing: it is for a message to people.
    pub(super) fn claim(&self, zid: &str) -> String {
        format!("{}/who/{zid}", self.mesh)
    }

    pub(super) fn claims(&self) -> String {
        format!("{}/who/*", self.mesh)
    }

    /// What this site says about its place in the network.
    pub(super) fn hello(&self) -> String {
        format!("{}/node/{}", self.mesh, self.site)
    }

    pub(super) fn hellos(&self) -> String {
        format!("{}/node/*", self.mesh)
    }

    /// Data from this site to another one.
    pub(super) fn data_to(&self, site: &str) -> String {
        format!("{}/d/{site}/{}", self.mesh, self.site)
    }

    /// Data to this site from all others.
    pub(super) fn data(&self) -> String {
        format!("{}/d/{}/*", self.mesh, self.site)
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
    let is_decimal = epoch.bytes().all(|byte| byte.is_ascii_digit());
    let epoch = epoch.parse().ok().filter(|_| is_decimal)?;
    Some(SiteEpoch { site: last_site(rest)?, epoch })
}

/// What a site has said about an epoch of another one: who says it, and about which.
pub(super) fn hearsay(key: &str) -> Option<(&str, SiteEpoch<'_>)> {
    let (rest, by) = key.rsplit_once('/')?;
    Some((last_site(by)?, token_site(rest)?))
}

#[cfg(test)]
mod tests {
    use super::{Keys, hearsay, last_site, token_site};

    #[test]
    fn a_token_is_read_as_it_was_written() {
        let key = Keys::new("oncue", "paris").token(17);
        let token = token_site(&key).unwrap();
        assert_eq!((token.site, token.epoch), ("paris", 17));
        let key = Keys::new("oncue", "tokyo").newer("paris", 18);
        let (by, about) = hearsay(&key).unwrap();
        assert_eq!((by, about.site, about.epoch), ("tokyo", "paris", 18));
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
            assert_eq!(hearsay(key), None, "{key}");
        }
    }
}
