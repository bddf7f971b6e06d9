//! For whom counts what a peer uses: plain data.

use std::net::{IpAddr, Ipv4Addr};

use crate::peer_address::PeerAddress;
use crate::user::User;

/// Where a peer comes from, as far as the system vouches for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Origin {
    V4(Ipv4Addr),
    /// The owner of one IPv6 address has all of its /64 network.
    V6([u8; 8]),
    /// The user of a process of this machine. As bytes, so that an origin needs no alignment: every peer holds one.
    Uid([u8; 4]),
}

impl Origin {
    /// None for a socket of the same engine: this process need not be defended from itself.
    pub(crate) fn of(address: &PeerAddress) -> Option<Origin> {
        if let PeerAddress::Ipc { uid, .. } = address {
            return Some(Origin::Uid(uid.to_ne_bytes()));
        }
        Some(match address.ip()? {
            IpAddr::V4(ip) => Origin::V4(ip),
            IpAddr::V6(ip) => {
                let [a, b, c, d, e, f, g, h, ..] = ip.octets();
                Origin::V6([a, b, c, d, e, f, g, h])
            }
        })
    }

    /// Whether it is an address of a network.
    pub(crate) fn is_address(self) -> bool {
        matches!(self, Origin::V4(_) | Origin::V6(_))
    }
}

/// For whom counts what a peer uses: the user that its handshake has proven, or where it comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Account {
    /// By its id.
    User(Box<str>),
    Origin(Origin),
}

impl Account {
    /// None for a peer of the same engine without a user: it has no bound.
    pub(crate) fn of(user: Option<&User>, address: &PeerAddress) -> Option<Account> {
        match user {
            Some(user) => Some(Account::User(user.id.as_str().into())),
            None => Origin::of(address).map(Account::Origin),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_counts_for_its_user_and_without_one_for_where_it_comes_from() {
        let at = |text: &str| PeerAddress::Tcp(text.parse().unwrap());
        let of = |text: &str| Account::of(None, &at(text));
        assert_eq!(of("1.2.3.4:5"), of("[::ffff:1.2.3.4]:6"));
        assert_eq!(of("[2001:db8::1]:5"), of("[2001:db8::2]:6"));
        assert_ne!(of("[2001:db8::1]:5"), of("[2001:db8:0:1::1]:5"));
        let ipc = |uid| Account::of(None, &PeerAddress::Ipc { uid, pid: Some(uid + 1) });
        assert_eq!(ipc(7), Account::of(None, &PeerAddress::Ipc { uid: 7, pid: None }));
        assert_ne!(ipc(7), ipc(8));
        assert_eq!(Account::of(None, &PeerAddress::Inproc), None);
        let anna = |address| Account::of(Some(&User::new("anna")), &address);
        assert_eq!(anna(at("1.2.3.4:5")), anna(PeerAddress::Inproc));
        assert_ne!(anna(at("1.2.3.4:5")), Account::of(Some(&User::new("berta")), &at("1.2.3.4:5")));
    }
}
