//! Reads as which site a process is in a mesh: its name, how it is linked, what may pass, and what others may cause. Plain data, which
//! a build without Zenoh reads too.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::keys::{BORDER, EDGE, FOREIGN, LINK, PEER, QUOTAS, ROUTER};
use super::reader::{At, Keys, texts};
use super::socket::endpoints;
use crate::args;

#[cfg(all(test, feature = "mesh"))]
mod tests;

/// The longest name of a site or of a mesh, in bytes.
const NAME_BYTES_MAX: usize = 64;
/// The most routers that an edge may name.
const ROUTERS_MAX: usize = 2;

/// A site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Site {
    pub(crate) site: String,
    pub(crate) mesh: String,
    /// Where subscribers connect that get what all sites publish.
    pub(crate) subscribers: Vec<String>,
    pub(crate) keep_last: bool,
    pub(crate) link: Link,
    pub(crate) quotas: Quotas,
    pub(crate) export: Border,
    pub(crate) import: Border,
}

/// How it is linked with others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) role: Role,
    pub(crate) tls: Option<Tls>,
    pub(crate) heartbeat: Duration,
    pub(crate) timeout: Duration,
}

/// Its part in the network, with Zenoh's endpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Role {
    Edge { routers: Vec<String> },
    Router { listen: Vec<String>, parent: Option<String> },
    Peer { sites: BTreeMap<String, String>, listen: Option<String> },
}

/// Files in PEM, and whom a router hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tls {
    pub(crate) authority: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) names: Vec<String>,
    pub(crate) routers: Vec<String>,
}

/// Where the keys of a table `link` stand, in bytes from the start of the text.
pub(crate) type LinkPlaces = BTreeMap<String, usize>;

/// What one other site may cause here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Quotas {
    pub(crate) sites: usize,
    pub(crate) prefixes: usize,
    pub(crate) prefix_bytes: usize,
    pub(crate) queue_messages: u32,
    pub(crate) queue_bytes: usize,
    pub(crate) message_bytes: usize,
}

/// Which topics may pass, in one direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Border {
    pub(crate) all: Lists,
    /// For single sites, in place of `all`.
    pub(crate) sites: BTreeMap<String, Lists>,
}

/// Beginnings of topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lists {
    pub(crate) allow: Vec<String>,
    pub(crate) deny: Vec<String>,
}

/// Reads the table `mesh` of a server.
pub(super) fn section(mut keys: Keys<'_, '_>) -> (Site, LinkPlaces) {
    let site = site(&mut keys);
    keys.finish();
    site
}

/// Takes what makes a site of a server or of a node.
pub(super) fn site(keys: &mut Keys<'_, '_>) -> (Site, LinkPlaces) {
    let at = keys.at("site");
    let name = name(keys, "site");
    let (link, mut places) = link(keys, &name);
    places.insert("site".to_owned(), at);
    let site = Site {
        mesh: self::name(keys, "mesh"),
        subscribers: endpoints(keys, "subscribers", args::endpoint),
        keep_last: keys.take("keep_last"),
        link,
        quotas: quotas(keys),
        export: border(keys, "export"),
        import: border(keys, "import"),
        site: name,
    };
    (site, places)
}

/// Takes the name of a site or of a mesh.
fn name(keys: &mut Keys<'_, '_>, key: &str) -> String {
    let (at, is_there) = (keys.at(key), keys.text(key).is_some());
    let name: String = keys.take(key);
    if is_there && let Err(why) = check_name(&name) {
        keys.refuse(at, key, why);
    }
    name
}

fn check_name(name: &str) -> Result<(), String> {
    let is_known = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    match name {
        "" => Err("a name has at least one character".to_owned()),
        name if name.len() > NAME_BYTES_MAX => {
            Err(format!("the name has {} bytes; write at most {NAME_BYTES_MAX}", name.len()))
        }
        name if !name.bytes().all(is_known) => {
            Err(format!("{name:?} has other characters than A-Z a-z 0-9 - _ . ; write it without them"))
        }
        _ => Ok(()),
    }
}

/// Takes the table `link` of the site with this name. Without it the site is a problem, and what is returned does not count.
fn link(keys: &mut Keys<'_, '_>, site: &str) -> (Link, LinkPlaces) {
    let Some(mut link) = keys.required_table("link", LINK) else {
        let role = Role::Edge { routers: Vec::new() };
        let link = Link { role, tls: None, heartbeat: Duration::ZERO, timeout: Duration::ZERO };
        return (link, LinkPlaces::new());
    };
    let at = link.all().collect();
    link.places = match link.text("role") {
        Some("router") => ROUTER,
        Some("peer") => PEER,
        Some("edge") => EDGE,
        _ => LINK,
    };
    let places = link.places;
    link.take::<String>("role");
    let tls = tls(&mut link, places);
    let scheme = if tls.is_some() { "tls" } else { "tcp" };
    let role = match places {
        ROUTER => router(&mut link, scheme),
        PEER => peer(&mut link, scheme, site),
        EDGE => edge(&mut link, scheme),
        _ => Role::Edge { routers: Vec::new() },
    };
    let late = link.at("timeout").max(link.at("heartbeat"));
    let (heartbeat, timeout): (Duration, Duration) = (link.take("heartbeat"), link.take("timeout"));
    if timeout < heartbeat.saturating_mul(2) {
        let why = format!(
            "{} is less than two heartbeats of {}; make it four of them",
            args::shown(timeout),
            args::shown(heartbeat)
        );
        link.refuse(late, "timeout", why);
    }
    link.finish();
    (Link { role, tls, heartbeat, timeout }, at)
}

fn edge(link: &mut Keys<'_, '_>, scheme: &str) -> Role {
    let at = link.at("routers");
    let routers = zenoh(link, "routers", scheme);
    if routers.len() > ROUTERS_MAX {
        let why = format!(
            "there are {}; name one or two, which are linked with each other: a site dials one of them at a time",
            routers.len()
        );
        link.refuse(at, "routers", why);
    }
    Role::Edge { routers }
}

fn router(link: &mut Keys<'_, '_>, scheme: &str) -> Role {
    let listen = zenoh(link, "listen", scheme);
    let at = link.at("parent");
    let parent = link.take::<Option<String>>("parent");
    check(link, at, "parent", parent.as_deref(), scheme);
    Role::Router { listen, parent }
}

fn peer(link: &mut Keys<'_, '_>, scheme: &str, site: &str) -> Role {
    let at = link.at("sites");
    let mut sites = BTreeMap::new();
    for (name, endpoint) in link.take::<Vec<(At, String)>>("sites") {
        if let Err(why) = check_name(&name.text) {
            link.refuse(name.at, "sites", why);
        }
        check(link, name.at, "sites", Some(&endpoint), scheme);
        sites.insert(name.text, endpoint);
    }
    if !sites.is_empty() && !site.is_empty() && !sites.contains_key(site) {
        let names: Vec<_> = sites.keys().map(String::as_str).collect();
        let why = format!(
            "this site, `{site}`, is not among {}; the list has all sites, this one too, and is the same at all of them",
            names.join(", ")
        );
        link.refuse(at, "sites", why);
    }
    let at = link.at("listen");
    let listen = link.take::<Option<String>>("listen");
    check(link, at, "listen", listen.as_deref(), scheme);
    Role::Peer { sites, listen }
}

/// Takes endpoints of Zenoh.
fn zenoh(link: &mut Keys<'_, '_>, key: &str, scheme: &str) -> Vec<String> {
    let found: Vec<At> = link.take(key);
    for endpoint in &found {
        check(link, endpoint.at, key, Some(&endpoint.text), scheme);
    }
    texts(found)
}

/// Checks an endpoint of Zenoh, if there is one.
fn check(link: &Keys<'_, '_>, at: usize, key: &str, endpoint: Option<&str>, scheme: &str) {
    let Some(endpoint) = endpoint else { return };
    let rest = endpoint.strip_prefix(scheme).and_then(|rest| rest.strip_prefix('/'));
    let is_place = |rest: &str| {
        let (host, port) = rest.rsplit_once(':').unwrap_or_default();
        let is_host = !host.is_empty() && !host.contains(['/', '#', '?', ' ']);
        is_host && port.parse::<u16>().is_ok_and(|port| port > 0)
    };
    if rest.is_some_and(is_place) {
        return;
    }
    let why = match scheme {
        "tls" => {
            "with `authority`, endpoints between sites are written tls/HOST:PORT, as in tls/10.0.0.1:7447"
        }
        _ if endpoint.starts_with("tls/") => {
            "TLS needs `authority`, `certificate` and `key`; add them, or write tcp/HOST:PORT"
        }
        _ => "endpoints between sites are written tcp/HOST:PORT, as in tcp/10.0.0.1:7447",
    };
    link.refuse(at, key, format_args!("{endpoint:?}: {why}"));
}

/// Takes what TLS needs: all or nothing. A router lists whom it hears.
fn tls(link: &mut Keys<'_, '_>, places: super::keys::Places) -> Option<Tls> {
    let files = ["authority", "certificate", "key"];
    let at = files.iter().map(|name| link.at(name)).max().unwrap_or(link.at);
    let directory = link.problems.directory;
    let files = files.map(|name| link.take::<Option<String>>(name).map(|file| directory.join(file)));
    let [names, routers] = match places {
        ROUTER => ["names", "router_names"].map(|key| listed(link, key, files.iter().any(Option::is_some))),
        _ => [Vec::new(), Vec::new()],
    };
    match files {
        [Some(authority), Some(certificate), Some(key)] => {
            if places == ROUTER && names.is_empty() && routers.is_empty() {
                let why = "with certificates a router hears those alone that it lists; write names = [\"paris\", \"tokyo\"], or router_names";
                link.problems.add(at, why);
            }
            Some(Tls { authority, certificate, key, names, routers })
        }
        [None, None, None] => None,
        _ => {
            link.problems.add(at, "authority, certificate and key belong together; write all three");
            None
        }
    }
}

/// Takes a list of names, which needs certificates.
fn listed(link: &mut Keys<'_, '_>, key: &str, has_files: bool) -> Vec<String> {
    let at = link.at(key);
    let names: Vec<At> = link.take(key);
    if !has_files && !names.is_empty() {
        link.refuse(at, key, "names are those of certificates; write authority, certificate and key, too");
    }
    for name in &names {
        if let Err(why) = check_name(&name.text) {
            link.refuse(name.at, key, why);
        }
    }
    texts(names)
}

/// Takes the table `quotas`. Without it each has its default.
fn quotas(keys: &mut Keys<'_, '_>) -> Quotas {
    let mut quotas = keys.table_or_empty("quotas", QUOTAS);
    let read = Quotas {
        sites: quotas.take("sites_max"),
        prefixes: quotas.take("prefixes_max"),
        prefix_bytes: quotas.take("prefix_bytes_max"),
        queue_messages: quotas.take("queue_messages_max"),
        queue_bytes: quotas.take("queue_bytes_max"),
        message_bytes: quotas.take("message_bytes_max"),
    };
    quotas.finish();
    read
}

/// Takes the table `export` or `import`. Without it everything may pass.
fn border(keys: &mut Keys<'_, '_>, key: &str) -> Border {
    let mut border = keys.table_or_empty(key, BORDER);
    let all = lists(&mut border);
    let mut sites = BTreeMap::new();
    for (name, mut of_site) in border.tables_by_name("sites", FOREIGN) {
        if let Err(why) = check_name(&name.text) {
            border.refuse(name.at, "sites", why);
        }
        sites.insert(name.text, lists(&mut of_site));
        of_site.finish();
    }
    border.finish();
    Border { all, sites }
}

fn lists(keys: &mut Keys<'_, '_>) -> Lists {
    Lists { allow: texts(keys.take("allow")), deny: texts(keys.take("deny")) }
}
