//! What is set for the endpoints of WebSocket.

use std::fmt;
use std::sync::Arc;

use super::pages::{PageRequest, Pages};
#[cfg(feature = "wss")]
use super::tls;
use crate::error::{Error, Result};

/// The longest token, in bytes.
const TOKEN_BYTES_MAX: usize = 512;

/// The settings of `ws://` endpoints: which pages may connect, and who may connect at all. See [`Options::web`](crate::Options::web) and
/// [`Socket::bind_web`](crate::Socket::bind_web). Token and key are never printed.
///
/// ```
/// use oncue::{Options, Web};
/// let web = Web::new().origins(["https://example.org"]).token("c2VjcmV0");
/// assert!(!format!("{web:?}").contains("c2VjcmV0"));
/// let options = Options::new().web(web);
/// # let _ = options;
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Web {
    origins: Vec<String>,
    token: Option<String>,
    pages: Option<Pages>,
    /// Paths that stand for topics: the path, the topic, the type of its values.
    aliases: Vec<[String; 3]>,
    only_pages: bool,
    trusted: bool,
    #[cfg(feature = "wss")]
    certificate: Option<(Vec<u8>, Vec<u8>)>,
    #[cfg(feature = "wss")]
    roots: Option<Vec<u8>>,
}

impl Web {
    /// The defaults: pages of the listener's own host and port may connect, and every program that is not a browser.
    pub fn new() -> Web {
        Web::default()
    }

    /// The origins whose pages may connect too, each as a browser sends it: `https://example.org`, or with a port that is not the
    /// default, `http://localhost:8080`; `null` for pages without one. `*` lets every page in, whatever site it comes from.
    /// Default: none.
    ///
    /// A request without an `Origin` header does not come from a page, and passes: origins protect users of browsers, and keep
    /// nobody else out. If the listener's address is a loopback one, a page that is not listed must also have been loaded from a
    /// loopback name or address (`localhost`, `127.0.0.1`), against DNS rebinding.
    pub fn origins<O: Into<String>>(mut self, origins: impl IntoIterator<Item = O>) -> Web {
        self.origins = origins.into_iter().map(Into::into).collect();
        self
    }

    /// A secret that each request must carry, as `Authorization: Bearer TOKEN` or, from a browser, as `?token=TOKEN` in the URL.
    /// Default: none is needed. On a socket that connects, the token is sent. 1 to 512 letters, digits, `-`, `.`, `_` and `~`.
    /// Over `ws://` everybody on the way can read it.
    pub fn token(mut self, token: impl Into<String>) -> Web {
        self.token = Some(token.into());
        self
    }

    /// Answers GET requests that are neither for a WebSocket nor for a topic: the function gets each, and
    /// [answers](PageRequest::answer) it at once or later, on any thread. It is called on an I/O thread: it must not block, and what
    /// waits for the I/O threads must be done elsewhere. Default: such requests get 404.
    ///
    /// Browsers make connections ahead of their requests. One on which nothing comes is not a refused peer where there are pages.
    ///
    /// ```
    /// use oncue::{Engine, Options, Page, Pub, Web};
    /// let publisher = Pub::new(&Engine::start()?, Options::new())?;
    /// let web = Web::new().pages(|request| match request.path() {
    ///     "/" => request.answer(Page::new("text/html; charset=utf-8", "<h1>Prices</h1>")),
    ///     _ => {} // 404
    /// });
    /// publisher.bind_web("ws://127.0.0.1:*", web)?;
    /// # Ok::<(), oncue::Error>(())
    /// ```
    pub fn pages(mut self, answer: impl Fn(PageRequest) + Send + Sync + 'static) -> Web {
        self.pages = Some(Pages(Arc::new(answer)));
        self
    }

    /// Lets `GET PATH` stand for `GET /last/TOPIC`, with this type of the value. Only on a socket that publishes.
    pub fn alias(
        mut self,
        path: impl Into<String>,
        topic: impl Into<String>,
        content_type: impl Into<String>,
    ) -> Web {
        self.aliases.push([path.into(), topic.into(), content_type.into()]);
        self
    }

    /// Whether there are only pages: no WebSocket, no `/sub/TOPIC` and no `/last/TOPIC`. Default `false`.
    pub fn only_pages(mut self, only: bool) -> Web {
        self.only_pages = only;
        self
    }

    /// Whether peers that come by this endpoint are let in without the socket's mechanism: under CURVE and PLAIN too they are asked for
    /// no key and no password, and have no user. For a page, which has neither. Whoever reaches the endpoint and has its
    /// [`token`](Web::token) may then subscribe to all that rules do not keep for users. Default `false`.
    pub fn trusted(mut self, trusted: bool) -> Web {
        self.trusted = trusted;
        self
    }

    pub(crate) fn page_function(&self) -> Option<&Pages> {
        self.pages.as_ref()
    }

    pub(crate) fn has_only_pages(&self) -> bool {
        self.only_pages
    }

    pub(crate) fn is_trusted(&self) -> bool {
        self.trusted
    }

    /// The topic for which a path stands, and the type of its values.
    pub(crate) fn topic_at(&self, path: &str) -> Option<(&str, &str)> {
        let alias = self.aliases.iter().find(|[from, ..]| from == path);
        alias.map(|[_, topic, content_type]| (&topic[..], &content_type[..]))
    }

    /// The certificate of `wss://` listeners, with its chain, and its key: both as the text of PEM files (libzmq:
    /// `ZMQ_WSS_CERT_PEM`, `ZMQ_WSS_KEY_PEM`). Checked when the socket is made or bound. None by default. Not on a socket that
    /// only connects: clients are not asked for certificates.
    #[cfg(feature = "wss")]
    pub fn certificate(mut self, chain_pem: impl Into<Vec<u8>>, key_pem: impl Into<Vec<u8>>) -> Web {
        self.certificate = Some((chain_pem.into(), key_pem.into()));
        self
    }

    /// The certificates that a socket trusts when it connects to `wss://` endpoints, as the text of a PEM file: of authorities, or
    /// of one server (libzmq: `ZMQ_WSS_TRUST_PEM`). Default: those that the system trusts, read at the first connection (libzmq:
    /// `ZMQ_WSS_TRUST_SYSTEM`). That the certificate is one of the endpoint's host is always checked (libzmq: only with
    /// `ZMQ_WSS_HOSTNAME`).
    #[cfg(feature = "wss")]
    pub fn roots(mut self, pem: impl Into<Vec<u8>>) -> Web {
        self.roots = Some(pem.into());
        self
    }

    /// What listeners with these settings need for TLS.
    #[cfg(feature = "wss")]
    pub(crate) fn server_config(&self) -> Result<Arc<rustls::ServerConfig>> {
        tls::server(self.certificate.as_ref().map(|(chain, key)| (&chain[..], &key[..])))
    }

    /// What clients with these settings need for TLS.
    #[cfg(feature = "wss")]
    pub(crate) fn client_config(&self) -> Result<Arc<rustls::ClientConfig>> {
        tls::client(self.roots.as_deref())
    }

    /// Reads what is set for TLS.
    #[cfg(feature = "wss")]
    fn check_tls(&self) -> Result<()> {
        if self.certificate.is_some() {
            self.server_config()?;
        }
        if self.roots.is_some() {
            self.client_config()?;
        }
        Ok(())
    }

    /// Whether an origin is among those that are listed.
    pub(crate) fn lists(&self, origin: &str) -> bool {
        self.origins.iter().any(|listed| listed == "*" || listed.eq_ignore_ascii_case(origin))
    }

    pub(crate) fn token_bytes(&self) -> Option<&[u8]> {
        self.token.as_ref().map(String::as_bytes)
    }

    /// What is wrong with these settings, if anything is.
    pub(crate) fn check(&self) -> Result<()> {
        let is_origin = |origin: &str| {
            let parts = origin.split_once("://");
            ["*", "null"].contains(&origin)
                || parts.is_some_and(|(scheme, host)| {
                    !scheme.is_empty() && !host.is_empty() && !host.contains('/')
                })
        };
        if let Some(origin) = self.origins.iter().find(|origin| !is_origin(origin)) {
            return Err(Error::misuse(format!(
                "{origin:?} is not an origin (Web::origins); write it as browsers do, without a path: https://example.org"
            )));
        }
        let is_token = |token: &String| {
            (1..=TOKEN_BYTES_MAX).contains(&token.len())
                && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
        };
        #[cfg(feature = "wss")]
        self.check_tls()?;
        match self.token.as_ref().is_none_or(is_token) {
            true => Ok(()),
            false => Err(Error::misuse(format!(
                "the token (Web::token) is not 1 to {TOKEN_BYTES_MAX} letters, digits, '-', '.', '_' and '~'; choose one that is"
            ))),
        }
    }
}

impl fmt::Debug for Web {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let token = self.token.as_ref().map(|_| format_args!("..."));
        let mut f = f.debug_struct("Web");
        f.field("origins", &self.origins).field("token", &token).field("aliases", &self.aliases);
        f.field("only_pages", &self.only_pages).field("trusted", &self.trusted).finish_non_exhaustive()
    }
}
