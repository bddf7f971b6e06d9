//! What the configs of sites mean, and the messages about wrong ones.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::super::file::line_and_column;
use super::super::node::Node;
use super::super::{Config, Problem};
use super::{Border, Link, Lists, Quotas, Role, Tls};

const EDGE: &str = "[link]\nrole = \"edge\"\nrouters = \"tcp/10.0.0.1:7447\"\n";
const TOP: &str = "site = \"paris\"\nsubscribers = \"tcp://127.0.0.1:9999\"\n";

fn node(text: &str) -> Node {
    Node::parse(text, Path::new("/etc/oncue")).unwrap_or_else(|problems| panic!("{problems:?} in {text}"))
}

/// The problems of a text, each as `line:column: what`.
fn problems(text: &str) -> Vec<String> {
    let problems = Node::parse(text, Path::new("/etc/oncue")).expect_err(text);
    let place = |problem: &Problem| {
        let (line, column) = line_and_column(text, problem.at);
        format!("{line}:{column}: {}", problem.text)
    };
    problems.iter().map(place).collect()
}

/// The only problem of a node with this `[link]`.
#[track_caller]
fn link_problem(link: &str) -> String {
    let mut found = problems(&format!("{TOP}[link]\n{link}"));
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

fn everything() -> Border {
    let all = Lists { allow: vec![String::new()], deny: Vec::new() };
    Border { all, sites: BTreeMap::new() }
}

#[test]
fn a_small_config_has_the_defaults_of_the_page() {
    let node = node(&format!("{TOP}{EDGE}"));
    let site = &node.site;
    assert_eq!((site.site.as_str(), site.mesh.as_str(), site.keep_last), ("paris", "oncue", true));
    assert_eq!(site.subscribers, ["tcp://127.0.0.1:9999"]);
    assert!(node.publishers.is_empty() && node.publishers_bind.is_empty() && node.rules.is_empty());
    assert_eq!((node.observe.as_deref(), node.metrics), (Some("$oncue/"), None));
    let role = Role::Edge { routers: vec!["tcp/10.0.0.1:7447".into()] };
    let (heartbeat, timeout) = (Duration::from_millis(500), Duration::from_secs(2));
    assert_eq!(site.link, Link { role, tls: None, heartbeat, timeout });
    let quotas = Quotas {
        sites: 256,
        prefixes: 1_000_000,
        prefix_bytes: 64 << 20,
        queue_messages: 100_000,
        queue_bytes: 64 << 20,
        message_bytes: 64 << 20,
    };
    assert_eq!((&site.quotas, &site.export, &site.import), (&quotas, &everything(), &everything()));
}

#[test]
fn a_config_of_every_key() {
    let node = node(
        r#"
        site = "paris"
        mesh = "lab"
        publishers = ["tcp://127.0.0.1:8888", "ipc:///run/a"]
        publishers_bind = "tcp://127.0.0.1:8890"
        subscribers = "tcp://127.0.0.1:9999"
        keep_last = false
        send_hwm = 7
        observe = "me/"
        metrics = "127.0.0.1:9464"
        log = { format = "json" }
        [curve]
        secret_key_file = "paris.key_secret"
        clients = "clients"
        server = "publisher.key"
        [[rule]]
        deny = "secret/"
        [link]
        role = "peer"
        sites = { paris = "tls/10.0.0.1:7447", tokyo = "tls/[fe80::1]:7447" }
        listen = "tls/0.0.0.0:7447"
        authority = "ca.pem"
        certificate = "paris.pem"
        key = "/keys/paris.key"
        heartbeat = "100ms"
        timeout = "1s"
        [quotas]
        sites_max = 3
        prefixes_max = 10
        prefix_bytes_max = 1000
        queue_messages_max = 20
        queue_bytes_max = 2000
        message_bytes_max = 300
        [export]
        allow = ["prices/", "host/"]
        deny = "host/secret"
        [export.sites.tokyo]
        allow = []
        [import]
        deny = ["x"]
        "#,
    );
    let site = &node.site;
    assert_eq!((site.mesh.as_str(), site.keep_last), ("lab", false));
    assert_eq!(node.publishers, ["tcp://127.0.0.1:8888", "ipc:///run/a"]);
    assert_eq!(node.publishers_bind, ["tcp://127.0.0.1:8890"]);
    let Role::Peer { sites, listen } = &site.link.role else { panic!("{site:?}") };
    assert_eq!(sites.keys().collect::<Vec<_>>(), ["paris", "tokyo"]);
    assert_eq!(listen.as_deref(), Some("tls/0.0.0.0:7447"));
    let tls = Tls {
        authority: "/etc/oncue/ca.pem".into(),
        certificate: "/etc/oncue/paris.pem".into(),
        key: "/keys/paris.key".into(),
        names: Vec::new(),
        routers: Vec::new(),
    };
    assert_eq!(site.link.tls.as_ref(), Some(&tls));
    assert_eq!(
        (site.link.heartbeat, site.link.timeout),
        (Duration::from_millis(100), Duration::from_secs(1))
    );
    let Quotas { sites, prefixes, prefix_bytes, queue_messages, queue_bytes, message_bytes } = site.quotas;
    assert_eq!(
        (sites, prefixes, prefix_bytes, queue_messages, queue_bytes, message_bytes),
        (3, 10, 1000, 20, 2000, 300)
    );
    assert_eq!(site.export.all.allow, ["prices/", "host/"]);
    assert_eq!(site.export.all.deny, ["host/secret"]);
    assert_eq!(site.export.sites["tokyo"], Lists { allow: Vec::new(), deny: Vec::new() });
    assert_eq!(
        (site.import.all.allow.clone(), site.import.all.deny.clone()),
        (vec![String::new()], vec!["x".into()])
    );
    assert!(node.log.style.json && node.rules.len() == 1);
    assert!(node.security.server.is_some() && node.security.clients.is_some(), "of two sockets");
    assert!(format!("{:?}", node.options).contains("send_hwm: 7,"));
}

#[test]
fn a_server_is_a_site_by_a_section() {
    let text = "bind = 'tcp://127.0.0.1:0'\n[[route]]\ntopic = 'a'\nfile = 'a'\n[mesh]\nsite = 'paris'\n\
                [mesh.link]\nrole = 'router'\nlisten = 'tcp/0.0.0.0:7447'\nparent = 'tcp/10.0.0.9:7447'\n\
                [mesh.export.sites.tokyo]\ndeny = 'a'\n";
    let config = Config::parse(text, Path::new("/")).unwrap_or_else(|problems| panic!("{problems:?}"));
    let site = config.mesh.expect("a site");
    let (listen, parent) = (vec!["tcp/0.0.0.0:7447".to_owned()], Some("tcp/10.0.0.9:7447".to_owned()));
    assert_eq!(site.link.role, Role::Router { listen, parent });
    assert_eq!(site.export.sites["tokyo"].deny, ["a"]);
    assert!(site.subscribers.is_empty());
    let with = |key: &str| {
        let text = text.replace("site = 'paris'\n", &format!("site = 'paris'\n{key}\n"));
        let problems = Config::parse(&text, Path::new("/")).expect_err(key);
        problems.into_iter().map(|problem| problem.text).collect::<Vec<_>>().join("; ")
    };
    let why = with("publishers = 'tcp://127.0.0.1:1'");
    assert!(why.contains("`publishers`") && why.contains("`mesh` of the config"), "{why}");
    assert!(with("send_hwm = 1").contains("unknown key `send_hwm` in `mesh` of the config"));
}

#[test]
fn a_site_without_its_name_or_its_link_is_refused() {
    let found = problems("subscribers = 'tcp://127.0.0.1:9999'\n");
    assert_eq!(
        found,
        [
            "1:1: the config has no `link`; write link = { role = \"edge\", routers = \"tcp/10.0.0.1:7447\" }",
            "1:1: the config has no `site`; write site = \"paris\"",
        ]
    );
    let why = problems(&format!("site = 'a'\n{EDGE}"));
    assert!(why[0].contains("neither publishers nor subscribers"), "{why:?}");
    node("site = 'a'\n[link]\nrole = 'router'\nlisten = 'tcp/0.0.0.0:7447'\n");
    let why = problems("site = 'a'\nlink = 'edge'\nsubscribers = 'tcp://127.0.0.1:1'\n");
    assert!(
        why.len() == 1 && why[0].starts_with("2:8: ") && why[0].contains("begin it with [link]"),
        "{why:?}"
    );
}

#[test]
fn names_are_plain() {
    for (name, why) in [
        ("", "at least one character"),
        ("a/b", "other characters than"),
        ("a b", "other characters than"),
        ("é", "other characters than"),
        ("*", "other characters than"),
    ] {
        for key in ["site", "mesh"] {
            let text = TOP.replace("site = \"paris\"", "");
            let site = if key == "site" { String::new() } else { "site = 'x'\n".to_owned() };
            let found = problems(&format!("{site}{key} = '{name}'\n{text}{EDGE}"));
            assert!(found[0].contains(why) && found[0].contains(&format!("`{key}`")), "{name}: {found:?}");
        }
    }
    let long = "x".repeat(65);
    let found = problems(&format!("site = '{long}'\nsubscribers = 'tcp://127.0.0.1:1'\n{EDGE}"));
    assert!(found[0].starts_with("1:8: ") && found[0].contains("65 bytes; write at most 64"), "{found:?}");
}

#[test]
fn shapes_that_lose_state_cannot_be_written() {
    let why = link_problem("role = 'edge'\nrouters = ['tcp/a:1', 'tcp/b:1', 'tcp/c:1']\n");
    assert!(why.starts_with("5:11: ") && why.contains("name one or two"), "{why}");
    let why = link_problem("role = 'router'\nlisten = 'tcp/a:1'\nparent = ['tcp/b:1', 'tcp/c:1']\n");
    assert!(why.contains("`parent`") && why.contains("expected a string"), "{why}");
    let why = link_problem("role = 'peer'\nsites = { tokyo = 'tcp/a:1' }\n");
    assert!(why.contains("this site, `paris`, is not among tokyo"), "{why}");
    let why = link_problem("role = 'mesh'\n");
    assert!(why.contains("\"edge\" or \"router\" or \"peer\""), "{why}");
    let why = link_problem("role = 'edge'\nrouters = 'tcp/a:1'\nlisten = 'tcp/a:1'\n");
    assert!(why.contains("`listen` is not allowed") && why.contains("role = \"router\""), "{why}");
    let why = link_problem("role = 'router'\n");
    assert!(why.contains("has no `listen`; write listen = \"tcp/0.0.0.0:7447\""), "{why}");
}

#[test]
fn endpoints_between_sites_are_those_of_zenoh() {
    for bad in [
        "tcp://10.0.0.1:7447",
        "10.0.0.1:7447",
        "tcp/10.0.0.1",
        "tcp/:7447",
        "tcp/a:0",
        "tcp/a:x",
        "udp/a:1",
        "tcp/a:1#x=y:1",
    ] {
        let why = link_problem(&format!("role = 'edge'\nrouters = '{bad}'\n"));
        assert!(why.contains("tcp/HOST:PORT") && why.contains(bad), "{why}");
    }
    let why = link_problem("role = 'edge'\nrouters = 'tls/a:1'\n");
    assert!(why.contains("TLS needs `authority`"), "{why}");
    let files = "authority = 'a'\ncertificate = 'b'\nkey = 'c'\n";
    let why = link_problem(&format!("role = 'edge'\nrouters = 'tcp/a:1'\n{files}"));
    assert!(why.contains("tls/HOST:PORT"), "{why}");
    let why = link_problem("role = 'edge'\nrouters = 'tcp/a:1'\nkey = 'c'\n");
    assert!(why.contains("belong together"), "{why}");
    let why = link_problem("role = 'peer'\nsites = { paris = 'tcp/a:1', tokyo = 'b' }\n");
    assert!(why.contains("`sites`") && why.contains("tcp/HOST:PORT"), "{why}");
}

#[test]
fn a_router_with_certificates_lists_whom_it_hears() {
    let router = "role = 'router'\nlisten = 'tls/a:1'\nauthority = 'a'\ncertificate = 'b'\nkey = 'c'\n";
    let names = format!("{router}names = 'tokyo'\nrouter_names = ['b']\n");
    let tls = node(&format!("{TOP}[link]\n{names}")).site.link.tls.expect("files");
    assert_eq!((tls.names, tls.routers), (vec!["tokyo".to_owned()], vec!["b".to_owned()]));
    let why = link_problem(router);
    assert!(why.starts_with("8:7: ") && why.contains("write names = [\"paris\", \"tokyo\"]"), "{why}");
    let why = link_problem(&format!("{router}names = ['to kyo']\n"));
    assert!(why.starts_with("9:10: ") && why.contains("other characters than"), "{why}");
    let why = link_problem("role = 'router'\nlisten = 'tcp/a:1'\nnames = 'tokyo'\n");
    assert!(why.starts_with("6:9: ") && why.contains("names are those of certificates"), "{why}");
    let edge = router.replace("'router'", "'edge'").replace("listen", "routers");
    let why = link_problem(&format!("{edge}names = 'tokyo'\n"));
    assert!(why.contains("`names` is not allowed"), "{why}");
}

#[test]
fn a_timeout_leaves_room_for_two_heartbeats() {
    let why = link_problem("role = 'edge'\nrouters = 'tcp/a:1'\nheartbeat = '2s'\ntimeout = '3s'\n");
    assert!(why.starts_with("7:11: ") && why.contains("less than two heartbeats of 2s"), "{why}");
    let why = link_problem("role = 'edge'\nrouters = 'tcp/a:1'\nheartbeat = '5s'\n");
    assert!(why.starts_with("6:13: ") && why.contains("2s is less than two"), "{why}");
}

#[test]
fn lists_and_quotas_have_their_keys() {
    let top = format!("{TOP}{EDGE}");
    for (text, why) in [
        (
            "[quotas]\nprefixes_max = 0\n",
            "`prefixes_max` of `quotas` of the config: expected a number from 1",
        ),
        ("[quotas]\nsites = 1\n", "did you mean `sites_max`?"),
        ("[export]\nallowed = 'a'\n", "did you mean `allow`?"),
        ("[export.sites.'a b']\ndeny = 'a'\n", "other characters than"),
        ("[export.sites]\ntokyo = 1\n", "begin it with [...sites.tokyo]"),
        (
            "[import.sites.tokyo]\nallow = 1\n",
            "`allow` of `sites.tokyo` of `import` of the config: expected a string or a list",
        ),
        ("[log]\ndemand = true\n", "unknown key `demand` in `log` of the config"),
    ] {
        let found = problems(&format!("{top}{text}"));
        assert!(found.len() == 1 && found[0].contains(why), "{text}: {found:?}");
    }
}
