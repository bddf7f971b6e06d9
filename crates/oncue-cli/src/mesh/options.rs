//! From the config of a site to the options of the library.

use std::collections::BTreeMap;

use oncue::Prefix;
use oncue_mesh::{MeshOptions, Permission, Permissions, Tls, Topology};

use crate::config::Problem;
use crate::config::mesh::{Border, Link, LinkPlaces, Lists, Quotas, Role, Site};

/// The options of a site. `observe`: the prefix of the topics about this process, if it has any.
pub(crate) fn options(site: &Site, observe: Option<&str>) -> MeshOptions {
    let Link { role, tls, heartbeat, timeout } = site.link.clone();
    let topology = match role {
        Role::Edge { routers } => Topology::Edge { routers },
        Role::Router { listen, parent } => Topology::Router { listen, parent },
        Role::Peer { sites, listen } => Topology::Peer { sites, listen },
    };
    let mut options = MeshOptions::new(site.site.as_str(), topology);
    options.mesh.clone_from(&site.mesh);
    options.tls = tls.map(|tls| Tls {
        authority: tls.authority,
        certificate: tls.certificate,
        key: tls.key,
        names: tls.names,
        routers: tls.routers,
    });
    (options.heartbeat, options.timeout, options.keep_last) = (heartbeat, timeout, site.keep_last);
    options.own_topics = observe.unwrap_or(oncue_observe::PREFIX).into();
    (options.export, options.import) = (permissions(&site.export), permissions(&site.import));
    let Quotas { sites, prefixes, prefix_bytes, queue_messages, queue_bytes, message_bytes } = site.quotas;
    (options.quotas.sites, options.quotas.prefixes) = (sites, prefixes);
    (options.quotas.prefix_bytes, options.quotas.message_bytes) = (prefix_bytes, message_bytes);
    (options.quotas.queue_messages, options.quotas.queue_bytes) = (queue_messages, queue_bytes);
    options
}

/// Whether the library can run a site with these options, as a problem of the config: `places` are those of the keys of `link`.
pub(crate) fn check(site: &Site, observe: Option<&str>, places: &LinkPlaces) -> Result<(), Problem> {
    let options = options(site, observe);
    options.check().map_err(|why| {
        let option = why.option().unwrap_or_default();
        let key = match option.strip_prefix("tls.") {
            Some("routers") => "router_names",
            Some(key) => key,
            None => option.split('.').next().unwrap_or_default(),
        };
        let at = places.get(key).copied().unwrap_or_default();
        let named = format!("`{option}`");
        Problem { at, text: why.to_string().replace(&named, &format!("`{key}`")).replace("`tls.", "`") }
    })
}

fn permissions(border: &Border) -> Permissions {
    let sites = border.sites.iter().map(|(site, lists)| (site.clone(), permission(lists)));
    Permissions { all: permission(&border.all), sites: sites.collect::<BTreeMap<_, _>>() }
}

fn permission(lists: &Lists) -> Permission {
    let prefixes = |texts: &[String]| texts.iter().map(|text| Prefix::from(text.as_str())).collect();
    Permission { allow: prefixes(&lists.allow), deny: prefixes(&lists.deny) }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::*;
    use crate::config::node::Node;

    fn of(text: &str) -> MeshOptions {
        let node = Node::parse(text, Path::new("/etc")).unwrap_or_else(|problems| panic!("{problems:?}"));
        options(&node.site, node.observe.as_deref())
    }

    #[test]
    fn the_defaults_of_the_config_are_those_of_the_library() {
        let text = "site = 'a'\nsubscribers = 'tcp://127.0.0.1:1'\n[link]\nrole = 'edge'\nrouters = 'tcp/10.0.0.1:7447'\n";
        let library = MeshOptions::new("a", Topology::Edge { routers: vec!["tcp/10.0.0.1:7447".into()] });
        assert_eq!(format!("{:?}", of(text)), format!("{library:?}"));
        library.check().expect("they are right");
    }

    #[test]
    fn every_key_has_its_option() {
        let options = of(
            "site = 'a'\nmesh = 'm'\nkeep_last = false\nobserve = 'me/'\nsubscribers = 'tcp://127.0.0.1:1'\n\
             [link]\nrole = 'router'\nlisten = 'tls/10.0.0.1:7447'\nparent = 'tls/10.0.0.2:7447'\nheartbeat = '1s'\ntimeout = '5s'\n\
             authority = 'ca'\ncertificate = 'c'\nkey = '/k'\nnames = ['b', 'c']\nrouter_names = 'd'\n[quotas]\nsites_max = 1\nprefixes_max = 2\nprefix_bytes_max = 3\n\
             queue_messages_max = 4\nqueue_bytes_max = 5\nmessage_bytes_max = 6\n[export]\nallow = 'x'\n[import.sites.b]\ndeny = 'y'\n",
        );
        let (listen, parent) = (vec!["tls/10.0.0.1:7447".to_owned()], Some("tls/10.0.0.2:7447".to_owned()));
        let mut expected = MeshOptions::new("a", Topology::Router { listen, parent });
        expected.mesh = "m".into();
        expected.keep_last = false;
        expected.own_topics = "me/".into();
        expected.tls = Some(Tls {
            authority: "/etc/ca".into(),
            certificate: "/etc/c".into(),
            key: "/k".into(),
            names: vec!["b".into(), "c".into()],
            routers: vec!["d".into()],
        });
        (expected.heartbeat, expected.timeout) = (Duration::from_secs(1), Duration::from_secs(5));
        (expected.quotas.sites, expected.quotas.prefixes, expected.quotas.prefix_bytes) = (1, 2, 3);
        (expected.quotas.queue_messages, expected.quotas.queue_bytes, expected.quotas.message_bytes) =
            (4, 5, 6);
        expected.export.all.allow = vec!["x".into()];
        let of_b = Permission { deny: vec!["y".into()], ..Permission::default() };
        expected.import.sites.insert("b".into(), of_b);
        assert_eq!(format!("{options:?}"), format!("{expected:?}"));
    }
}
