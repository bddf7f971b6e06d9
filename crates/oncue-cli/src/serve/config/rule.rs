//! The keys of a rule about who may subscribe to what.

use super::reader::{Keys, Problems};
use crate::serve::rules::Rule;

pub(super) const KEYS: [(&str, &str); 4] = [
    ("allow", "it names the topics that the rule allows"),
    ("deny", "it names the topics that the rule denies"),
    ("from", "it says whom the rule is about"),
    ("status", "it is told to those whom a rule denies"),
];

/// Reads a rule. None with a problem, and maybe something with a problem too.
pub(super) fn read(mut keys: Keys<'_>, problems: &mut Problems) -> Option<Rule> {
    let (allow, deny) = (keys.one_or_more("allow", problems), keys.one_or_more("deny", problems));
    let from = keys.one_or_more("from", problems);
    let allows = allow.is_some();
    // What an allowing rule would say is told to nobody.
    let status = if allows { None } else { keys.text("status", problems) };
    let prefixes = match (allow, deny) {
        (Some(prefixes), None) | (None, Some(prefixes)) => Some(prefixes),
        (both, _) => {
            let what = if both.is_some() {
                "has both `allow` and `deny`; make two rules of it"
            } else {
                "neither allows nor denies; write allow = \"PREFIX\" or deny = \"PREFIX\""
            };
            problems.add(keys.at, format!("{} {what}", keys.name));
            None
        }
    };
    let mut origins = Vec::new();
    for from in from.map(|from| from.value).unwrap_or_default() {
        match from.value.parse() {
            Ok(origin) => origins.push(origin),
            Err(why) => problems.add(from.at, format!("`from` of {}: {why}", keys.name)),
        }
    }
    keys.finish(&KEYS, problems);
    let prefixes = prefixes?.value.into_iter().map(|prefix| prefix.value).collect();
    Some(Rule { allows, prefixes, from: origins, status: status.map(|status| status.value) })
}
