//! Rules about who may subscribe to what. The first rule that applies to a subscription decides.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use oncue::{Admission, PeerAddress, Reason};

use super::keys::{ALLOW, DENY, RULE};
use super::reader::{At, Keys, texts};

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) allows: bool,
    /// It applies to topics that begin with one of these.
    pub(crate) prefixes: Vec<String>,
    /// It applies to these subscribers; to all if there are none.
    pub(crate) from: Vec<Origin>,
    /// The reason that is sent to a denied subscriber.
    pub(crate) status: Option<String>,
}

/// Where a subscriber is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// On this machine, by a Unix socket.
    Ipc,
    /// At an address with the same first bits as this one; the number of bits.
    Net(IpAddr, u8),
}

/// A subscriber's address, as far as rules know it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place {
    Ipc,
    Ip(IpAddr),
    /// Another transport: no rule can name it.
    Other,
}

impl From<PeerAddress> for Place {
    fn from(address: PeerAddress) -> Place {
        match address {
            PeerAddress::Ipc { .. } => Place::Ipc,
            address => address.ip().map_or(Place::Other, Place::Ip),
        }
    }
}

/// Reads a rule. It counts only if there is no problem in the end.
pub(super) fn read(mut keys: Keys<'_, '_>) -> Option<Rule> {
    keys.places = match (keys.has("allow"), keys.has("deny")) {
        (true, false) => ALLOW,
        (false, true) => DENY,
        (both, _) => {
            let text = match both {
                true => "has both `allow` and `deny`; make two rules of it",
                false => "neither allows nor denies; write allow = \"PREFIX\" or deny = \"PREFIX\"",
            };
            keys.add(keys.at, text);
            RULE
        }
    };
    let mut origins = Vec::new();
    for from in keys.take::<Vec<At>>("from") {
        match from.text.parse() {
            Ok(origin) => origins.push(origin),
            Err(why) => keys.refuse(from.at, "from", why),
        }
    }
    let allows = keys.places == ALLOW;
    let rule = match keys.places {
        RULE => None,
        _ => Some(Rule {
            allows,
            prefixes: texts(keys.take(if allows { "allow" } else { "deny" })),
            from: origins,
            // With an allowing rule no subscriber is told a reason: there the key is refused.
            status: if allows { None } else { keys.take("status") },
        }),
    };
    keys.finish();
    rule
}

/// The reason for which the rules deny this prefix to every subscriber; None if they allow it to some.
pub(crate) fn denied_to_all(rules: &[Rule], prefix: &[u8]) -> Option<Reason> {
    for rule in rules.iter().filter(|rule| rule.touches(prefix)) {
        match (rule.allows, rule.from.is_empty()) {
            (true, _) => return None,
            (false, true) => return Some(rule.status()),
            // It denies the prefix to some; a later rule decides for the others.
            (false, false) => {}
        }
    }
    None
}

pub(crate) fn decide(rules: &[Rule], place: Place, prefix: &[u8]) -> Admission {
    match rules.iter().find(|rule| rule.applies(place, prefix)) {
        Some(rule) if !rule.allows => Admission::Reject(rule.status()),
        _ => Admission::Accept,
    }
}

impl Rule {
    /// A denying rule applies to every subscriber that no rule can name; an allowing rule with `from` to none of them.
    fn applies(&self, place: Place, prefix: &[u8]) -> bool {
        let is_from = || match place {
            Place::Other => !self.allows,
            place => self.from.iter().any(|from| from.has(place)),
        };
        self.touches(prefix) && (self.from.is_empty() || is_from())
    }

    /// An allowing rule applies to prefixes within its own, a denying rule also to shorter ones: a subscription to `a`
    /// matches the topics of `ab` too.
    fn touches(&self, prefix: &[u8]) -> bool {
        self.prefixes
            .iter()
            .map(String::as_bytes)
            .any(|rule| prefix.starts_with(rule) || !self.allows && rule.starts_with(prefix))
    }

    fn status(&self) -> Reason {
        let status = self.status.as_deref().unwrap_or("the publisher does not allow this subscription");
        Reason::new(status.to_owned())
    }
}

impl Origin {
    fn has(&self, place: Place) -> bool {
        match (self, place) {
            (Origin::Ipc, Place::Ipc) => true,
            (Origin::Net(net, bits), Place::Ip(ip)) => same_bits(*net, ip, *bits),
            _ => false,
        }
    }
}

fn same_bits(one: IpAddr, other: IpAddr, bits: u8) -> bool {
    let differ = match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => (u32::from(one) ^ u32::from(other)).leading_zeros(),
        (IpAddr::V6(one), IpAddr::V6(other)) => (u128::from(one) ^ u128::from(other)).leading_zeros(),
        _ => return false,
    };
    differ >= u32::from(bits)
}

impl FromStr for Origin {
    type Err = String;

    /// Reads `ipc`, `192.168.1.7`, `10.0.0.0/8` or `fe80::/10`.
    fn from_str(text: &str) -> Result<Origin, String> {
        if text == "ipc" {
            return Ok(Origin::Ipc);
        }
        let wrong = |why: &dyn fmt::Display| {
            format!(
                "`{text}` is not an address: {why}; write ipc, an address such as 192.168.1.7, or 10.0.0.0/8"
            )
        };
        let (address, bits) =
            text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|error| wrong(&error))?;
        let all = if address.is_ipv4() { 32 } else { 128 };
        match bits.map_or(Ok(all), str::parse) {
            Ok(bits) if bits <= all => Ok(Origin::Net(address, bits)),
            Ok(_) => Err(wrong(&format_args!("it has only {all} bits"))),
            Err(error) => Err(wrong(&error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(allows: bool, prefixes: &[&str], from: &[&str]) -> Rule {
        let from = from.iter().map(|from| from.parse().expect("an address")).collect();
        let prefixes = prefixes.iter().map(|prefix| (*prefix).to_owned()).collect();
        Rule { allows, prefixes, from, status: Some("no".to_owned()) }
    }

    fn place(text: &str) -> Place {
        let ipc = PeerAddress::Ipc { uid: 1000, pid: None };
        let address =
            || PeerAddress::Tcp(text.strip_prefix("tcp://").expect("TCP").parse().expect("an address"));
        if text == "ipc" { ipc.into() } else { address().into() }
    }

    fn allowed(rules: &[Rule], address: &str, prefix: &str) -> bool {
        decide(rules, place(address), prefix.as_bytes()) == Admission::Accept
    }

    #[test]
    fn a_transport_that_rules_do_not_know_is_denied_wherever_any_subscriber_is() {
        let rules = [
            rule(true, &["a/"], &["0.0.0.0/0", "::/0", "ipc"]),
            rule(false, &["a/"], &[]),
            rule(false, &["b/"], &["10.0.0.0/8"]),
            rule(true, &["c/"], &[]),
        ];
        for other in [Place::Other, PeerAddress::Inproc.into()] {
            let allowed = |prefix: &str| decide(&rules, other, prefix.as_bytes()) == Admission::Accept;
            assert!(!allowed("a/x") && !allowed("b/x") && !allowed(""), "{other:?}");
            assert!(allowed("c/x") && allowed("d"), "{other:?}");
        }
    }

    #[test]
    fn the_first_rule_that_applies_decides() {
        let rules = [
            rule(true, &["host/"], &["10.0.0.0/8", "ipc"]),
            rule(true, &["proc/1/"], &[]),
            rule(false, &["host/", "proc/"], &[]),
        ];
        let (near, far) = ("tcp://10.1.2.3:5000", "tcp://11.1.2.3:5000");
        assert!(allowed(&rules, near, "host/load") && allowed(&rules, "ipc", "host/load"));
        assert!(!allowed(&rules, far, "host/load"));
        assert!(allowed(&rules, far, "proc/1/rss") && !allowed(&rules, far, "proc/2/rss"));
        assert!(allowed(&rules, far, "clock"), "no rule applies");
        assert!(allowed(&[], far, ""));
    }

    #[test]
    fn a_prefix_that_matches_denied_topics_is_denied() {
        let rules = [rule(true, &["host/load"], &[]), rule(false, &["host/"], &[])];
        for prefix in ["", "h", "host", "host/", "host/lo", "host/secret"] {
            assert!(!allowed(&rules, "ipc", prefix), "{prefix}");
        }
        for prefix in ["host/load", "host/loads", "hosts", "x"] {
            assert!(allowed(&rules, "ipc", prefix), "{prefix}");
        }
    }

    #[test]
    fn prefixes_denied_to_everybody_are_known() {
        let rules = [
            rule(false, &["a/"], &["10.0.0.0/8"]),
            rule(true, &["a/b", "c/"], &["ipc"]),
            rule(false, &["a/", "c/d"], &[]),
        ];
        let denied = |prefix: &str| denied_to_all(&rules, prefix.as_bytes()).is_some();
        assert!(denied("a/x") && denied("a/") && denied("") && denied("c"));
        assert!(!denied("a/b") && !denied("c/d") && !denied("x"));
    }

    #[test]
    fn addresses_are_compared_by_their_bits() {
        let has = |from: &str, address: &str| from.parse::<Origin>().expect("an address").has(place(address));
        assert!(has("192.168.1.7", "tcp://192.168.1.7:1") && !has("192.168.1.7", "tcp://192.168.1.8:1"));
        assert!(
            has("192.168.0.0/23", "tcp://192.168.1.255:1") && !has("192.168.0.0/23", "tcp://192.168.2.0:1")
        );
        assert!(has("0.0.0.0/0", "tcp://1.2.3.4:1") && !has("0.0.0.0/0", "tcp://[::1]:1"));
        assert!(has("127.0.0.1", "tcp://[::ffff:127.0.0.1]:1"), "the same address, mapped into IPv6");
        assert!(has("fe80::/10", "tcp://[febf::1]:1") && !has("fe80::/10", "ipc"));
        for bad in ["", "localhost", "10.0.0.0/33", "::/129", "10.0.0/8", "10.0.0.0/x", "tcp://10.0.0.1"] {
            assert!(bad.parse::<Origin>().is_err(), "{bad}");
        }
    }
}
