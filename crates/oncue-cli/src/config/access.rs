//! Reads who may connect, and who may subscribe to what: the tables `curve`, `plain` and `rule`.

use oncue::curve::PublicKey;

use super::keys::{CURVE, PLAIN, RULE};
use super::reader::Keys;
use super::rule::{self, Origin, Rule};
use crate::security::Places;

/// The tables `rule`.
pub(super) fn rules(keys: &mut Keys<'_, '_>, security: &Places) -> Vec<Rule> {
    let rules_at = keys.at("rule");
    let rules: Vec<_> = keys.tables("rule", RULE).into_iter().filter_map(rule::read).collect();
    for from in rules.iter().flat_map(|rule| &rule.from) {
        let why = match from {
            Origin::User(_) if security.is_empty() => {
                "names a user, and nobody is asked who it is; add [curve] or [plain]"
            }
            Origin::User(id)
                if security.clients.as_deref() == Some("any") && id.parse::<PublicKey>().is_err() =>
            {
                "names a user, and with clients = \"any\" users have no names but the texts of their keys; write from = \"key:…\", or \
                 name a directory"
            }
            Origin::Key(_) if security.key.is_none() => {
                "names a key, and nobody is asked for one; add [curve]"
            }
            _ => continue,
        };
        keys.problems.add(rules_at, format!("a rule {why}"));
    }
    rules
}

/// The tables `curve` and `plain`. `both`: the keys of servers and of clients are of two sockets.
pub(super) fn security(keys: &mut Keys<'_, '_>, both: bool) -> Places {
    let directory = keys.problems.directory;
    let within = |path: String| directory.join(path);
    let mut places = Places::default();
    if let Some(mut curve) = keys.table("curve", CURVE) {
        let at = curve.at;
        places.key = curve.take::<Option<String>>("secret_key_file").map(within);
        let clients: Option<String> = curve.take("clients");
        places.clients = clients.map(|clients| match &clients[..] {
            "any" => clients,
            path => directory.join(path).to_string_lossy().into_owned(),
        });
        let server: Option<String> = curve.take("server");
        places.server = server.map(|server| match server.parse::<PublicKey>() {
            Ok(_) => server,
            Err(_) => directory.join(server).to_string_lossy().into_owned(),
        });
        let names = ["`secret_key_file`", "`server`", "`clients`"];
        let fault = places.fault(names).or_else(|| match (&places.clients, &places.server) {
            (Some(_), Some(_)) if !both => {
                Some("`clients` makes it a server, `server` a client; leave one out".to_owned())
            }
            (None, None) => Some(
                "it has neither `clients` nor `server`; add clients = \"any\", or a directory".to_owned(),
            ),
            _ => None,
        });
        if let Some(fault) = fault {
            curve.problems.add(at, format!("[curve]: {fault}"));
        }
        curve.finish();
    }
    if let Some(mut plain) = keys.table("plain", PLAIN) {
        if places != Places::default() {
            plain.problems.add(plain.at, "[curve] and [plain] exclude each other; leave one out");
        }
        places.users = Some(within(plain.take("users")));
        plain.finish();
    }
    places
}
