//! Who may say what on a link. With certificates a site speaks in the name of its certificate alone, and Zenoh discards the rest
//! where it comes in: its access control, by the common names of direct neighbours. What a router passes on is of other sites, so
//! routers are listed apart, and believed.

use crate::options::{MeshOptions, Tls};
use crate::topology::Topology;

/// The rule by which everything may pass, and that by which everything may go out: who gets what is decided where it comes in.
const EVERYTHING: &str = "everything";
const OUT: &str = "out";

/// All that Zenoh's access control knows.
const MESSAGES: &str = r#"["put", "delete", "declare_subscriber", "query", "declare_queryable", "reply", "liveliness_token", "declare_liveliness_subscriber", "liveliness_query"]"#;

/// The names that direct neighbours of a site may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Names {
    /// Each may speak in its own name.
    sites: Vec<String>,
    /// Each may pass on what others say.
    routers: Vec<String>,
}

impl Names {
    /// None without certificates, where anybody may use any name, and at an edge: its only neighbour is the router that it dials and
    /// whose certificate it checks.
    pub(super) fn of(options: &MeshOptions) -> Option<Names> {
        let Tls { names, routers, .. } = options.tls.as_ref()?;
        match &options.topology {
            Topology::Edge { .. } => None,
            Topology::Router { .. } => Some(Names { sites: names.clone(), routers: routers.clone() }),
            Topology::Peer { sites, .. } => {
                let others = sites.keys().filter(|name| **name != options.site).cloned();
                Some(Names { sites: others.collect(), routers: Vec::new() })
            }
        }
    }

    /// Whether a neighbour with this certificate is heard.
    pub(super) fn has(&self, name: &str) -> bool {
        self.sites.iter().chain(&self.routers).any(|known| known == name)
    }

    /// The value of Zenoh's `access_control`. Names are valid: no character of them needs a quotation.
    pub(super) fn access_control(&self) -> String {
        let mut rules = vec![
            rule(EVERYTHING, "ingress", MESSAGES, &["**".to_owned()]),
            rule(OUT, "egress", MESSAGES, &["**".to_owned()]),
        ];
        let (mut subjects, mut policies) = (Vec::new(), Vec::new());
        for (index, name) in self.sites.iter().enumerate() {
            let mut ids = vec![OUT.to_owned()];
            for (messages, keys) in speech(name) {
                ids.push(format!("{index} {}", ids.len()));
                rules.push(rule(&ids[ids.len() - 1], "ingress", messages, &keys));
            }
            subjects.push(subject(&format!("site {index}"), name));
            policies.push(policy(&format!("site {index}"), &ids));
        }
        for (index, name) in self.routers.iter().enumerate() {
            subjects.push(subject(&format!("router {index}"), name));
            policies.push(policy(&format!("router {index}"), &[OUT.to_owned(), EVERYTHING.to_owned()]));
        }
        format!(
            "{{enabled: true, default_permission: \"deny\", rules: [{}], subjects: [{}], policies: [{}]}}",
            rules.join(", "),
            subjects.join(", "),
            policies.join(", ")
        )
    }
}

/// What a site may say, in any mesh: the keys of `Keys`, by the messages that they come with.
fn speech(site: &str) -> [(&'static str, Vec<String>); 6] {
    let keys = |list: &[&str]| list.iter().map(|key| format!("*/{}", key.replace('@', site))).collect();
    [
        (r#"["put"]"#, keys(&["h/@", "log/@", "d/*/*/@", "f/*/*/@", "p/*/*/@"])),
        (r#"["declare_subscriber"]"#, keys(&["h/*", "log/*", "d/*/@/*", "f/*/@/*", "p/*/@/*"])),
        (r#"["declare_queryable", "reply"]"#, keys(&["snap/*/@", "ping/*/@", "node/*/@", "who/*/*"])),
        (r#"["query"]"#, keys(&["snap/*/*", "ping/*/*", "node/*/*", "who/*/*"])),
        (r#"["liveliness_token"]"#, keys(&["m/*/@/*"])),
        (r#"["declare_liveliness_subscriber", "liveliness_query"]"#, keys(&["m/*/*/*"])),
    ]
}

fn rule(id: &str, flow: &str, messages: &str, keys: &[String]) -> String {
    let keys: Vec<String> = keys.iter().map(|key| format!("\"{key}\"")).collect();
    format!(
        "{{id: \"{id}\", permission: \"allow\", flows: [\"{flow}\"], messages: {messages}, key_exprs: [{}]}}",
        keys.join(", ")
    )
}

fn subject(id: &str, name: &str) -> String {
    format!("{{id: \"{id}\", cert_common_names: [\"{name}\"]}}")
}

fn policy(subject: &str, rules: &[String]) -> String {
    let rules: Vec<String> = rules.iter().map(|rule| format!("\"{rule}\"")).collect();
    format!("{{rules: [{}], subjects: [\"{subject}\"]}}", rules.join(", "))
}
