//! The options that choose a security mechanism.

use std::sync::Arc;

use oncue_core::mechanism::Security;
use oncue_core::mechanism::curve::{ClientKeys, KeyPair, PublicKey};
use oncue_core::mechanism::plain::Login;

use super::Options;
use super::security::SecurityOptions;
use crate::authentication::{Authenticator, Doorkeeper};
use crate::curve::random;

impl Options {
    /// Encrypts all connections with CURVE (RFC 25 and 26), as the server: each client must know the public key of `keys`, and
    /// `clients` decides which of them are let in ([`AllowAny`](crate::AllowAny): all; libzmq: `ZMQ_CURVE_SERVER`,
    /// `ZMQ_CURVE_SECRETKEY`, and a ZAP handler). A peer without CURVE is refused. The role has nothing to do with which side
    /// binds. `inproc` connections, which stay within this process, are neither encrypted nor authenticated, as in libzmq.
    ///
    /// The last of `curve_server`, [`curve_client`](Self::curve_client), [`plain_server`](Self::plain_server) and
    /// [`plain_client`](Self::plain_client) counts. The default is NULL: no encryption, and nobody is asked who it is.
    ///
    /// ```
    /// use oncue::{AllowAny, Engine, Options, XPub, curve};
    /// # fn main() -> oncue::Result<()> {
    /// let keys = curve::generate();
    /// println!("give this to subscribers: {}", keys.public());
    /// let engine = Engine::start()?;
    /// let publisher = XPub::new(&engine, Options::new().curve_server(keys, AllowAny))?;
    /// # let _ = publisher;
    /// # Ok(())
    /// # }
    /// ```
    pub fn curve_server(mut self, keys: KeyPair, clients: impl Authenticator) -> Options {
        self.security = SecurityOptions {
            mechanism: Security::CurveServer(Arc::new(keys), random),
            doorkeeper: Some(Doorkeeper::new(clients)),
            fault: None,
        };
        self
    }

    /// Encrypts all connections with CURVE, as the client: the other side must be a server that has the secret key of `server`,
    /// and lets the owner of `keys` in (libzmq: `ZMQ_CURVE_SERVERKEY`, `ZMQ_CURVE_PUBLICKEY`, `ZMQ_CURVE_SECRETKEY`).
    ///
    /// ```
    /// use oncue::{Options, curve};
    /// # fn server_key() -> curve::PublicKey { *curve::generate().public() }
    /// let options = Options::new().curve_client(curve::generate(), server_key());
    /// # let _ = options;
    /// ```
    pub fn curve_client(mut self, keys: KeyPair, server: PublicKey) -> Options {
        let keys = Arc::new(ClientKeys { own: keys, server });
        self.security =
            SecurityOptions { mechanism: Security::CurveClient(keys, random), ..SecurityOptions::default() };
        self
    }

    /// Asks each client for user name and password (PLAIN, RFC 24), as the server; `users` decides (libzmq:
    /// `ZMQ_PLAIN_SERVER`, and a ZAP handler). PLAIN encrypts nothing: everybody on the way reads the password. For one
    /// machine, or inside of a tunnel.
    pub fn plain_server(mut self, users: impl Authenticator) -> Options {
        self.security = SecurityOptions {
            mechanism: Security::PlainServer,
            doorkeeper: Some(Doorkeeper::new(users)),
            fault: None,
        };
        self
    }

    /// Tells the server a user name and a password, of at most 255 bytes each (PLAIN, RFC 24; libzmq: `ZMQ_PLAIN_USERNAME`,
    /// `ZMQ_PLAIN_PASSWORD`). Checked when the socket is made.
    pub fn plain_client(mut self, user: impl Into<Vec<u8>>, password: impl Into<Vec<u8>>) -> Options {
        let login = Login::new(user.into(), password.into());
        self.security = SecurityOptions {
            fault: login.is_none().then_some(
                "plain_client: user name and password have at most 255 bytes each; choose shorter ones",
            ),
            mechanism: login.map_or(Security::Null, Security::PlainClient),
            doorkeeper: None,
        };
        self
    }

    /// Whether functions of the user are called while a connection or a subscription is taken in.
    pub(crate) fn asks_the_user(&self) -> bool {
        self.admission.is_some() || self.security.doorkeeper.is_some()
    }
}
