//! Pairs of sockets that share a mechanism of security, one as the server and one as the client.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use oncue::curve::{self, KeyPair};
use oncue::{Case, Credentials, Engine, Options, User};

use crate::exchange::{check, check_briefly};
use crate::foreign::{Foreign, Library};
use crate::peers::{Binds, publisher, publishes, subscriber};

/// The user of PLAIN that is let in.
pub const USER: &str = "ann";
/// Its password.
pub const PASSWORD: &str = "secret";

/// Our side's role in a mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum We {
    /// Our side is the server.
    Serve,
    /// Our side is the client.
    Call,
}

/// What the two sides know.
#[derive(Clone, Debug)]
pub enum Secrets {
    /// CURVE: the keys of the server and of the client.
    Curve {
        /// The server's.
        server: KeyPair,
        /// The client's.
        client: KeyPair,
    },
    /// PLAIN: [`USER`] and [`PASSWORD`].
    Plain,
}

impl Secrets {
    /// New keys.
    pub fn curve() -> Secrets {
        Secrets::Curve { server: curve::generate(), client: curve::generate() }
    }

    /// The options of our socket. As the server, it lets in only this client.
    pub fn ours(&self, we: We) -> Options {
        let options = quick();
        match (self.clone(), we) {
            (Secrets::Curve { server, client }, We::Serve) => {
                options.curve_server(server, move |case: Case| match &case.credentials {
                    Credentials::Curve(key) if key == client.public() => case.accept(User::new("known")),
                    _ => case.refuse("an unknown key"),
                })
            }
            (Secrets::Curve { server, client }, We::Call) => options.curve_client(client, *server.public()),
            (Secrets::Plain, We::Serve) => options.plain_server(|case: Case| match &case.credentials {
                Credentials::Plain { user, password }
                    if user == USER.as_bytes() && **password == PASSWORD.as_bytes() =>
                {
                    case.accept(User::new(USER));
                }
                _ => case.refuse("a wrong password"),
            }),
            (Secrets::Plain, We::Call) => options.plain_client(USER, PASSWORD),
        }
    }

    /// Gives the other side's socket its part. As the server, it lets in only our client.
    pub fn theirs(&self, we: We, socket: Foreign) -> Foreign {
        match (self, we) {
            (Secrets::Curve { server, client }, We::Serve) => socket.curve_client(client, server.public()),
            (Secrets::Curve { server, client }, We::Call) => {
                let mut socket = socket.curve_server(server);
                socket.let_in_curve(&[client.public()]);
                socket
            }
            (Secrets::Plain, We::Serve) => socket.plain_client(USER, PASSWORD),
            (Secrets::Plain, We::Call) => socket.plain_server(USER, PASSWORD),
        }
    }

    /// Exchanges messages between our socket and one of this library, of these types: over TCP with either side binding, and
    /// over ipc with the server binding.
    pub fn check_pair(&self, library: Library, we: We, ours: &str, theirs: &str) {
        let server = if publishes(ours) == (we == We::Serve) { Binds::Publisher } else { Binds::Subscriber };
        let (tcp, ipc) = ("tcp://127.0.0.1:0", ipc());
        for (endpoint, binds) in [(tcp, Binds::Publisher), (tcp, Binds::Subscriber), (&ipc[..], server)] {
            // Large messages once. A publisher of pyomq 0.27.3 drops some of those that are sent in a burst.
            let drops = library == Library::Pyomq && !publishes(ours);
            let brief = (endpoint, binds) != (tcp, server) || drops;
            self.check_over(endpoint, binds, library, we, (ours, theirs), brief);
        }
    }

    /// Exchanges messages between our socket and one of this library, of these types, over one endpoint; without large ones if it
    /// is `brief`.
    pub fn check_over(
        &self,
        endpoint: &str,
        binds: Binds,
        library: Library,
        we: We,
        (ours, theirs): (&str, &str),
        brief: bool,
    ) {
        let engine = Engine::start().expect("an engine");
        let mut other = self.theirs(we, Foreign::of(library, theirs));
        let check = if brief { check_briefly } else { check };
        match publishes(ours) {
            true => check(&mut *publisher(ours, &engine, self.ours(we)), &mut other, binds, endpoint),
            false => check(&mut other, &mut *subscriber(ours, &engine, self.ours(we)), binds, endpoint),
        }
    }
}

/// Options of a socket that connects again soon.
pub fn quick() -> Options {
    Options::new().reconnect(Duration::from_millis(10), Duration::from_millis(100))
}

/// An ipc endpoint with a path that no other test uses.
pub fn ipc() -> String {
    static LAST: AtomicU32 = AtomicU32::new(0);
    let number = LAST.fetch_add(1, Ordering::SeqCst);
    let path: PathBuf = std::env::temp_dir().join(format!("oncue-secured-{}-{number}", std::process::id()));
    format!("ipc://{}", path.display())
}
