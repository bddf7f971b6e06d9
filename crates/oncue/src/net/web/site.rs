//! What a listener decides about a request: who may come in, and what is spoken then.

use std::sync::Arc;

use oncue_core::mechanism::null;
use subtle::ConstantTimeEq;

use super::feed::Feed;
use super::head::{Reply, Request};
use super::key;
use super::plain;
use super::protocol::{Protocol, names, spoken};
use crate::options::{Page, PageRequest, Party, Slot, Web};

/// The version of WebSocket (RFC 6455).
pub(super) const VERSION: &str = "13";

/// What is known of a listener.
#[derive(Debug)]
pub(crate) struct Site {
    pub(super) party: Party,
    path: String,
    is_secure: bool,
    /// It listens at an address that only this machine reaches.
    is_loopback: bool,
    web: Arc<Web>,
}

/// A request that is granted.
#[derive(Debug)]
pub(super) struct Upgrade {
    pub(super) protocol: &'static Protocol,
    accept: String,
}

/// What is done about a request that has passed the checks.
#[derive(Debug)]
pub(super) enum Decision {
    Upgrade(Upgrade),
    Feed(Box<Feed>),
    /// A page: this one, or one that is asked for.
    Page(Option<Page>),
}

impl Upgrade {
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        // libzmq insists on the reason phrase.
        let head = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {}\r\nSec-WebSocket-Protocol: {}\r\n\r\n",
            self.accept, self.protocol.name
        );
        out.extend_from_slice(head.as_bytes());
    }
}

impl Site {
    pub(crate) fn new(
        mut party: Party,
        path: &str,
        is_secure: bool,
        is_loopback: bool,
        web: Arc<Web>,
    ) -> Site {
        if web.is_trusted() {
            (party.mechanism, party.as_server) = (null::NAME, false);
        }
        Site { party, path: path.to_owned(), is_secure, is_loopback, web }
    }

    /// Grants a request, or answers it otherwise.
    pub(super) fn decide(&self, request: &Request<'_>) -> Result<Decision, Reply> {
        let upgrades = request.fields.has("Upgrade", "websocket");
        self.check_origin(request, upgrades)?;
        if request.method == "OPTIONS" && !upgrades {
            return Ok(Decision::Page(Some(plain::preflight())));
        }
        self.check_token(request)?;
        match upgrades && !self.web.has_only_pages() {
            true => self.checked(request).map(Decision::Upgrade),
            false => self.plain(request),
        }
    }

    /// A request for no WebSocket.
    fn plain(&self, request: &Request<'_>) -> Result<Decision, Reply> {
        if !["GET", "HEAD"].contains(&request.method) {
            let reply = Reply::new(
                405,
                "Method Not Allowed",
                format!("{} is not known here; use GET", request.method),
            );
            return Err(Reply { fields: "Allow: GET, HEAD\r\n", ..reply });
        }
        if self.party.socket_type.publishes()
            && !self.web.has_only_pages()
            && let Some(feed) = Feed::of(request, &self.web)
        {
            if request.method == "HEAD" {
                let reply = Reply::new(405, "Method Not Allowed", "a topic has no head of its own; use GET");
                return Err(Reply { fields: "Allow: GET\r\n", ..reply });
            }
            return match self.party.has_roles() {
                true => Err(plain::lacks_keys(&self.party)),
                false => feed.map(|feed| Decision::Feed(Box::new(feed))),
            };
        }
        match self.web.page_function() {
            Some(_) => Ok(Decision::Page(None)),
            None => Err(plain::answer(request, &self.path, self.party.socket_type.publishes())),
        }
    }

    /// Asks for a page.
    pub(super) fn ask(&self, request: &Request<'_>, wake: impl Fn() + Send + Sync + 'static) -> Arc<Slot> {
        let accept = request.fields.get("Accept").unwrap_or_default();
        let (asked, slot) = PageRequest::new([request.path, request.query, accept], wake);
        if let Some(pages) = self.web.page_function() {
            (pages.0)(asked);
        }
        slot
    }

    /// Whether browsers get pages here.
    pub(super) fn has_pages(&self) -> bool {
        self.web.page_function().is_some()
    }

    /// Whether peers are let in without the mechanism of the socket.
    pub(super) fn is_trusted(&self) -> bool {
        self.web.is_trusted()
    }

    fn checked(&self, request: &Request<'_>) -> Result<Upgrade, Reply> {
        if request.path != self.path {
            let text = format!("nothing is at {}; ZeroMQ is at {}", request.path, self.path);
            return Err(Reply::new(404, "Not Found", text));
        }
        self.upgrade(request)
    }

    fn upgrade(&self, request: &Request<'_>) -> Result<Upgrade, Reply> {
        let bad = |text: String| Reply::new(400, "Bad Request", text);
        if request.method != "GET" || !request.fields.has("Connection", "Upgrade") {
            return Err(bad("a WebSocket request is a GET with \"Connection: Upgrade\"".into()));
        }
        if request.fields.get("Sec-WebSocket-Version") != Some(VERSION) {
            let text = "the version of WebSocket is 13 (RFC 6455)";
            let reply = Reply::new(426, "Upgrade Required", text);
            return Err(Reply { fields: "Sec-WebSocket-Version: 13\r\nUpgrade: websocket\r\n", ..reply });
        }
        let Some(key) = request.fields.get("Sec-WebSocket-Key").filter(|key| key::is_key(key)) else {
            return Err(bad("the Sec-WebSocket-Key is missing, or is not 16 bytes in base64".into()));
        };
        let known = |offer: &str| spoken(&self.party).iter().find(|protocol| protocol.name == offer);
        let mut offers = request.fields.list("Sec-WebSocket-Protocol");
        match offers.find_map(known) {
            Some(protocol) => Ok(Upgrade { protocol, accept: key::accept(key) }),
            None => Err(bad(self.no_protocol(request))),
        }
    }

    /// No subprotocol of a request is spoken here.
    fn no_protocol(&self, request: &Request<'_>) -> String {
        let offered: Vec<_> = request.fields.list("Sec-WebSocket-Protocol").take(8).collect();
        let offered = match offered.is_empty() {
            true => "no Sec-WebSocket-Protocol was offered".to_owned(),
            false => format!(
                "of the offered Sec-WebSocket-Protocol \"{}\" none is spoken here",
                offered.join(", ")
            ),
        };
        format!("{offered}; offer one of: {}", names(&self.party).replace(',', ", "))
    }

    /// Browsers name the origin of the page that asks. Anything else names none, and could name any.
    fn check_origin(&self, request: &Request<'_>, upgrades: bool) -> Result<(), Reply> {
        let host = request.fields.get("Host").unwrap_or_default();
        let forbidden = |text: String| Err(Reply::new(403, "Forbidden", text));
        let Some(origin) = request.fields.get("Origin") else {
            if request.fields.contains("Origin") {
                return forbidden("the field Origin is not text".to_owned());
            }
            if let Some(site) =
                request.fields.get("Sec-Fetch-Site").filter(|site| !["same-origin", "none"].contains(site))
            {
                return forbidden(format!(
                    "a browser asks for a page of another site (Sec-Fetch-Site: {site}) that is not named; list its origin in \
                     Web::origins of the server's options, and let it ask with CORS"
                ));
            }
            // A browser does not name the origin of a page that reads from where it came from.
            return match upgrades || self.may_be_host(host) {
                true => Ok(()),
                false => forbidden(wrong_host(host)),
            };
        };
        if self.web.lists(origin) {
            return Ok(());
        }
        let default = if self.is_secure { 443 } else { 80 };
        if authority(origin) != Some(with_port(host, default)) {
            return forbidden(format!(
                "pages of the origin {origin} may not connect to {host}; list it in Web::origins of the server's options"
            ));
        }
        match self.may_be_host(host) {
            true => Ok(()),
            false => forbidden(wrong_host(host)),
        }
    }

    /// Whether a listener may be addressed by this name. A page can have its own name resolve to an address of this machine (DNS
    /// rebinding): then what it asks for looks like its own.
    fn may_be_host(&self, host: &str) -> bool {
        let (name, _) = split_port(host);
        let address = name.trim_start_matches('[').trim_end_matches(']');
        let name = name.to_ascii_lowercase();
        !self.is_loopback
            || name == "localhost"
            || name.ends_with(".localhost")
            || address.parse().is_ok_and(|ip: std::net::IpAddr| ip.to_canonical().is_loopback())
    }

    fn check_token(&self, request: &Request<'_>) -> Result<(), Reply> {
        let Some(token) = self.web.token_bytes() else { return Ok(()) };
        let bearer = request.fields.get("Authorization").and_then(|value| value.split_once(' '));
        let bearer = bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("Bearer"));
        let in_query = request.query.split('&').filter_map(|pair| pair.strip_prefix("token="));
        let mut shown = bearer.map(|(_, token)| token.trim()).into_iter().chain(in_query);
        if shown.any(|shown| bool::from(shown.as_bytes().ct_eq(token))) {
            return Ok(());
        }
        let text =
            "a token is needed: send it as \"Authorization: Bearer TOKEN\", or as ?token=TOKEN in the URL";
        Err(Reply { fields: "WWW-Authenticate: Bearer\r\n", ..Reply::new(401, "Unauthorized", text) })
    }
}

fn wrong_host(host: &str) -> String {
    format!(
        "this server listens on a loopback address, and {host:?} does not name one; use localhost or 127.0.0.1"
    )
}

/// Host and port of an origin such as `https://example.org:8080`.
fn authority(origin: &str) -> Option<(String, u16)> {
    let (scheme, rest) = origin.split_once("://")?;
    let default = if scheme == "https" { 443 } else { 80 };
    Some(with_port(rest, default))
}

fn with_port(host: &str, default: u16) -> (String, u16) {
    let (name, port) = split_port(host);
    (name.to_ascii_lowercase(), port.unwrap_or(default))
}

/// Splits a port off. The colons of an IPv6 address stand in brackets.
fn split_port(host: &str) -> (&str, Option<u16>) {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, port.parse().ok()),
        _ => (host, None),
    }
}
