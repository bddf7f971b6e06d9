//! Rules about who may subscribe to what. The first rule that applies to a subscription decides.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use oncue::curve::PublicKey;
use oncue::{Admission, PeerAddress, Reason, User};

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

/// To whom a rule applies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A user that was let in, by its id.
    User(String),
    /// A client with this public key.
    Key(PublicKey),
    /// On this machine, by a Unix socket.
    Ipc,
    /// At an address with the same first bits as this one; the number of bits.
    Net(IpAddr, u8),
}

/// A subscriber: where it is, and who.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subscriber<'a> {
    pub(crate) place: Place,
    pub(crate) user: Option<&'a User>,
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

/// Decides about a subscription. Topics that begin with `hidden` are out of reach of shorter prefixes.
pub(crate) fn decide(rules: &[Rule], subscriber: Subscriber<'_>, prefix: &[u8], hidden: &[u8]) -> Admission {
    match rules.iter().find(|rule| rule.applies(subscriber, prefix, hidden)) {
        Some(rule) if !rule.allows => Admission::Reject(rule.status()),
        _ => Admission::Accept,
    }
}

impl Rule {
    /// A denying rule applies to every subscriber that no rule can name; an allowing rule with `from` to none of them.
    fn applies(&self, subscriber: Subscriber<'_>, prefix: &[u8], hidden: &[u8]) -> bool {
        let is_from = || match subscriber {
            Subscriber { place: Place::Other, user: None } => !self.allows,
            subscriber => self.from.iter().any(|from| from.has(subscriber)),
        };
        self.touches(prefix, hidden) && (self.from.is_empty() || is_from())
    }

    /// An allowing rule applies to prefixes within its own, a denying rule also to shorter ones: a subscription to `a`
    /// matches the topics of `ab` too, unless these are hidden from it.
    fn touches(&self, prefix: &[u8], hidden: &[u8]) -> bool {
        let reaches = |rule: &[u8]| {
            let out_of_reach = !hidden.is_empty() && rule.starts_with(hidden) && prefix.len() < hidden.len();
            rule.starts_with(prefix) && !out_of_reach
        };
        let mut rules = self.prefixes.iter().map(String::as_bytes);
        rules.any(|rule| prefix.starts_with(rule) || !self.allows && reaches(rule))
    }

    fn status(&self) -> Reason {
        let status = self.status.as_deref().unwrap_or("the publisher does not allow this subscription");
        Reason::new(status.to_owned())
    }
}

impl Origin {
    fn has(&self, subscriber: Subscriber<'_>) -> bool {
        match (self, subscriber.place) {
            (Origin::User(id), _) => subscriber.user.is_some_and(|user| user.id == *id),
            (Origin::Key(key), _) => subscriber.user.is_some_and(|user| user.key == Some(*key)),
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

    /// Reads `ipc`, `192.168.1.7`, `10.0.0.0/8`, `fe80::/10`, `user:ann` or `key:` and a public key.
    fn from_str(text: &str) -> Result<Origin, String> {
        if let Some(id) = text.strip_prefix("user:") {
            return match id {
                "" => Err("`user:` names nobody; write user:NAME".to_owned()),
                id => Ok(Origin::User(id.to_owned())),
            };
        }
        if let Some(key) = text.strip_prefix("key:") {
            let key = key.parse().map_err(|error| format!("`{text}` has no public key: {error}"))?;
            return Ok(Origin::Key(key));
        }
        if text == "ipc" {
            return Ok(Origin::Ipc);
        }
        let wrong = |why: &dyn fmt::Display| {
            format!(
                "`{text}` is not an address: {why}; write ipc, an address such as 192.168.1.7, 10.0.0.0/8, user:NAME, or key:KEY"
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

    fn at(text: &str) -> Subscriber<'static> {
        Subscriber { place: place(text), user: None }
    }

    fn place(text: &str) -> Place {
        let ipc = PeerAddress::Ipc { uid: 1000, pid: None };
        let address =
            || PeerAddress::Tcp(text.strip_prefix("tcp://").expect("TCP").parse().expect("an address"));
        if text == "ipc" { ipc.into() } else { address().into() }
    }

    fn allowed(rules: &[Rule], address: &str, prefix: &str) -> bool {
        decide(rules, at(address), prefix.as_bytes(), b"$o/") == Admission::Accept
    }

    #[test]
    fn a_transport_that_rules_do_not_know_is_denied_wherever_any_subscriber_is() {
        let rules = [
            rule(true, &["a/"], &["0.0.0.0/0", "::/0", "ipc"]),
            rule(false, &["a/"], &[]),
            rule(false, &["b/"], &["10.0.0.0/8"]),
            rule(true, &["c/"], &[]),
        ];
        for place in [Place::Other, PeerAddress::Inproc.into()] {
            let other = Subscriber { place, user: None };
            let allowed = |prefix: &str| decide(&rules, other, prefix.as_bytes(), b"") == Admission::Accept;
            assert!(!allowed("a/x") && !allowed("b/x") && !allowed(""), "{other:?}");
            assert!(allowed("c/x") && allowed("d"), "{other:?}");
        }
    }

    #[test]
    fn a_denied_topic_that_is_hidden_does_not_deny_what_does_not_reach_it() {
        let rules = [rule(true, &["$o/stats"], &[]), rule(false, &["$o/"], &[])];
        for allowed_prefix in ["", "$", "$o", "$o/stats", "a"] {
            assert!(allowed(&rules, "ipc", allowed_prefix), "{allowed_prefix}");
        }
        assert!(!allowed(&rules, "ipc", "$o/") && !allowed(&rules, "ipc", "$o/peers"));
        assert!(!allowed(&[rule(false, &[""], &[])], "ipc", "$o/stats"));
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
    fn users_and_keys_are_named() {
        let (ann, key) = (User::new("ann"), oncue::curve::generate());
        let mut bob = User::new("bob");
        bob.key = Some(*key.public());
        let rules = [
            rule(true, &["a/"], &["user:ann"]),
            rule(true, &["b/"], &[&format!("key:{}", key.public())]),
            rule(false, &["a/", "b/"], &[]),
        ];
        let allowed = |user: Option<&User>, prefix: &str| {
            [Place::Ipc, Place::Other].map(|place| {
                decide(&rules, Subscriber { place, user }, prefix.as_bytes(), b"") == Admission::Accept
            })
        };
        assert_eq!((allowed(Some(&ann), "a/x"), allowed(Some(&ann), "b/x")), ([true; 2], [false; 2]));
        assert_eq!((allowed(Some(&bob), "a/x"), allowed(Some(&bob), "b/x")), ([false; 2], [true; 2]));
        assert_eq!((allowed(None, "a/x"), allowed(None, "b/x")), ([false; 2], [false; 2]));
        for bad in ["user:", "key:", "key:short"] {
            assert!(bad.parse::<Origin>().is_err(), "{bad}");
        }
    }

    #[test]
    fn addresses_are_compared_by_their_bits() {
        let has = |from: &str, address: &str| from.parse::<Origin>().expect("an address").has(at(address));
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
