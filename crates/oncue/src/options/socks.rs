//! A SOCKS5 proxy, as the user names it.

use std::fmt;

use crate::endpoint::{Endpoint, Host};
use crate::error::{Error, Result};

/// The longest user name and password, in bytes (RFC 1929).
const CREDENTIAL_BYTES_MAX: usize = 255;

/// A SOCKS5 proxy (RFC 1928), through which a socket connects to TCP endpoints: see
/// [`Options::socks_proxy`](crate::Options::socks_proxy). Its password is never printed.
///
/// ```
/// use oncue::{Options, SocksProxy};
/// let proxy = SocksProxy::new("proxy.example:1080")?.credentials("me", "secret")?;
/// assert!(!format!("{proxy:?}").contains("secret"));
/// let options = Options::new().socks_proxy(proxy);
/// # let _ = options;
/// # Ok::<(), oncue::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct SocksProxy {
    pub(crate) host: Host,
    pub(crate) port: u16,
    pub(crate) credentials: Option<(String, String)>,
}

impl SocksProxy {
    /// The proxy at `HOST:PORT`; a host of IPv6 stands in brackets.
    ///
    /// # Errors
    /// [`Misuse`](crate::ErrorKind::Misuse) for a bad address, naming the part.
    pub fn new(address: &str) -> Result<SocksProxy> {
        let endpoint: Endpoint = format!("tcp://{address}").parse()?;
        endpoint.check_connect()?;
        match endpoint {
            Endpoint::Tcp { host, port, source: None } => Ok(SocksProxy { host, port, credentials: None }),
            _ => Err(Error::misuse(format!("bad proxy {address:?}: write HOST:PORT"))),
        }
    }

    /// Logs in with a user name of 1 to 255 bytes and a password of at most 255 (RFC 1929), if the proxy asks for it. They
    /// are sent as they are, unencrypted.
    ///
    /// # Errors
    /// [`Misuse`](crate::ErrorKind::Misuse) for one of another length.
    pub fn credentials(mut self, username: &str, password: &str) -> Result<SocksProxy> {
        if username.is_empty()
            || username.len() > CREDENTIAL_BYTES_MAX
            || password.len() > CREDENTIAL_BYTES_MAX
        {
            return Err(Error::misuse(format!(
                "the user name for the proxy {self} has {} bytes and the password {}; 1 to {CREDENTIAL_BYTES_MAX} and at \
                 most {CREDENTIAL_BYTES_MAX} are allowed",
                username.len(),
                password.len()
            )));
        }
        self.credentials = Some((username.to_owned(), password.to_owned()));
        Ok(self)
    }
}

/// As `HOST:PORT`.
impl fmt::Display for SocksProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl fmt::Debug for SocksProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("SocksProxy");
        out.field("address", &format_args!("{self}"));
        if let Some((username, _)) = &self.credentials {
            out.field("username", username).field("password", &format_args!("..."));
        }
        out.finish()
    }
}
