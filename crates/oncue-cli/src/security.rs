//! Encryption and authentication on the command line: which keys, and whom to trust.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, arg, value_parser};
use oncue::authenticators::{Changed, KeyDirectory, Passwords};
use oncue::curve::{self, Certificate, KeyPair, PublicKey};
use oncue::{AllowAny, Options, XPub};

use crate::args::SECURITY;
use crate::fail::Fail;
use crate::stdio::say;

/// What secures the connections of a command's sockets.
#[derive(Clone, Default)]
pub(crate) struct Security {
    key: Option<KeyPair>,
    /// Whom to trust, as the client.
    server: Option<PublicKey>,
    login: Option<(String, String)>,
    /// Whom to let in, as the server.
    clients: Option<Clients>,
    users: Option<Passwords>,
}

/// The clients that a server lets in.
#[derive(Clone)]
pub(crate) enum Clients {
    Any,
    Known(KeyDirectory),
}

/// Where the keys are: as the command line or a config has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Places {
    pub(crate) key: Option<PathBuf>,
    /// A key, or a file with one.
    pub(crate) server: Option<String>,
    /// A file with `NAME:PASSWORD`.
    pub(crate) login: Option<PathBuf>,
    /// A directory, or `any`.
    pub(crate) clients: Option<String>,
    pub(crate) users: Option<PathBuf>,
}

/// Whether the socket of a command is a client or a server of the security handshake, or either.
pub(crate) fn options() -> [Arg; 5] {
    let path = || value_parser!(PathBuf);
    [
        arg!(--"curve-key" <FILE> "Encrypt with CURVE: this side's certificate with the secret key, as oncue keygen writes it")
            .value_parser(path()),
        arg!(--"curve-server" <KEY> "As the client: the public key of the server to trust, or a file with it; without --curve-key with a new key of this side's own")
            .value_name("KEY|FILE")
            // A key may begin with a dash.
            .allow_hyphen_values(true),
        arg!(--"curve-clients" <DIR> "As the server: let in the clients whose public certificates are in DIR, which is read again when it changes; or any")
            .value_name("DIR|any"),
        arg!(--"plain-login" <FILE> "As the client, without encryption: NAME:PASSWORD for a PLAIN server is in FILE")
            .value_parser(path())
            .conflicts_with_all(["curve-key", "curve-server"]),
        arg!(--"plain-users" <FILE> "As the server, without encryption: let in the users of FILE, as oncue passwd writes them")
            .value_parser(path())
            .conflicts_with_all(["curve-key", "curve-clients"]),
    ]
    .map(|option| option.help_heading(SECURITY))
}

impl Places {
    /// Those of the command line.
    pub(crate) fn of(args: &ArgMatches) -> Places {
        let path = |name| args.get_one::<PathBuf>(name).cloned();
        let text = |name| args.get_one::<String>(name).cloned();
        Places {
            key: path("curve-key"),
            server: text("curve-server"),
            login: path("plain-login"),
            clients: text("curve-clients"),
            users: path("plain-users"),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        *self == Places::default()
    }

    /// What is wrong with them, and the remedy. `names` are those of `key`, `server` and `clients`.
    pub(crate) fn fault(&self, [key, server, clients]: [&str; 3]) -> Option<String> {
        if self.clients.is_some() && self.key.is_none() {
            return Some(format!(
                "{clients} needs the key of this server: make one with `oncue keygen --name server`, and give server.key_secret \
                 as {key}"
            ));
        }
        if self.key.is_some() && self.server.is_none() && self.clients.is_none() {
            return Some(format!(
                "{key} does not say who the others are: as the client give {server} with the server's key, as the server \
                 {clients} with the clients' certificates"
            ));
        }
        None
    }

    /// Reads what is there.
    pub(crate) fn read(&self) -> Result<Security, Fail> {
        let users = self.users.as_ref().map(Passwords::open).transpose()?;
        let clients = match self.clients.as_deref() {
            None => None,
            Some("any") => Some(Clients::Any),
            Some(directory) => Some(Clients::Known(KeyDirectory::open(directory)?)),
        };
        Ok(Security {
            key: self.key.as_deref().map(secret_key).transpose().map_err(Fail::Usage)?,
            server: self.server.as_deref().map(public_key).transpose().map_err(Fail::Usage)?,
            login: self.login.as_deref().map(login).transpose().map_err(Fail::Usage)?,
            clients,
            users,
        })
    }
}

impl Security {
    /// That of the command line.
    pub(crate) fn of(args: &ArgMatches) -> Result<Security, Fail> {
        let places = Places::of(args);
        if let Some(fault) = places.fault(["--curve-key", "--curve-server", "--curve-clients"]) {
            return Err(Fail::Usage(fault));
        }
        places.read()
    }

    /// For a command with one socket, which is a client or a server.
    pub(crate) fn set(&self, options: Options) -> Result<Options, Fail> {
        let is_client = self.server.is_some() || self.login.is_some();
        match (is_client, self.clients.is_some() || self.users.is_some()) {
            (true, true) => Err(Fail::Usage(
                "a socket is a client or a server of the security handshake, not both: leave one of the options out"
                    .to_owned(),
            )),
            (_, true) => Ok(self.set_server(options)),
            _ => Ok(self.set_client(options)),
        }
    }

    /// For a socket whose other side is the server.
    pub(crate) fn set_client(&self, options: Options) -> Options {
        match (&self.server, &self.login) {
            (Some(server), _) => {
                options.curve_client(self.key.clone().unwrap_or_else(curve::generate), *server)
            }
            (None, Some((user, password))) => options.plain_client(user.as_str(), password.as_str()),
            (None, None) => options,
        }
    }

    /// For a socket whose other side is a client.
    pub(crate) fn set_server(&self, options: Options) -> Options {
        match (&self.key, &self.clients, &self.users) {
            (Some(key), Some(Clients::Any), _) => options.curve_server(key.clone(), AllowAny),
            (Some(key), Some(Clients::Known(keys)), _) => options.curve_server(key.clone(), keys.clone()),
            (_, _, Some(users)) => options.plain_server(users.clone()),
            _ => options,
        }
    }

    /// Has clients end that are not let in any more, and says what has changed.
    pub(crate) fn follow(&self, socket: &XPub, name: &'static str) {
        let socket = socket.clone();
        self.on_change(name, move || socket.reconsider());
    }

    /// As [`follow`](Self::follow): `reconsider` has clients end that are not let in any more.
    pub(crate) fn on_change(&self, name: &'static str, reconsider: impl Fn() + Send + Sync + 'static) {
        let tell = move |changed: &Changed| {
            changed.problems.iter().for_each(|problem| say(name, problem));
            let list = |ids: &[String], what| match ids {
                [] => None,
                ids => Some(format!("{what} {}", ids.join(", "))),
            };
            let parts = [list(&changed.added, "now let in:"), list(&changed.removed, "no longer let in:")];
            parts.iter().flatten().for_each(|part| say(name, part));
            reconsider();
        };
        if let Some(Clients::Known(keys)) = &self.clients {
            keys.on_change(tell);
        } else if let Some(users) = &self.users {
            users.on_change(tell);
        }
    }
}

/// The longest file that holds a key or a login, in bytes.
const FILE_BYTES_MAX: usize = 64 << 10;

fn text(path: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    match text.len() > FILE_BYTES_MAX {
        true => Err(format!("{} is longer than 64 KiB: it is not a file of keys", path.display())),
        false => Ok(text),
    }
}

fn certificate(path: &Path) -> Result<Certificate, String> {
    Certificate::parse(&text(path)?).map_err(|error| {
        format!("{} is not a certificate: {error}; make one with `oncue keygen`", path.display())
    })
}

/// This side's keys.
fn secret_key(path: &Path) -> Result<KeyPair, String> {
    let pair = certificate(path)?.pair().ok_or_else(|| {
        format!("{} has only the public key; give the file with the secret key, {0}_secret", path.display())
    })?;
    warn_of_readers(path);
    Ok(pair)
}

/// A secret that others can read is none.
fn warn_of_readers(path: &Path) {
    let mode = std::fs::metadata(path).map(|status| status.permissions().mode()).unwrap_or_default();
    if mode & 0o077 != 0 {
        let path = path.display();
        say("security", &format!("other users can read {path}, which holds a secret: chmod 600 {path}"));
    }
}

/// The key of another side: as a text, or in a certificate.
fn public_key(given: &str) -> Result<PublicKey, String> {
    if let Ok(key) = given.trim().parse() {
        return Ok(key);
    }
    match Path::new(given).exists() {
        // A file with the key alone is one, too.
        true => match text(Path::new(given))?.trim().parse() {
            Ok(key) => Ok(key),
            Err(_) => Ok(certificate(Path::new(given))?.public),
        },
        false => Err(format!(
            "`{given}` is not a key of 40 characters, and there is no such file; the server's public key is in its NAME.key"
        )),
    }
}

/// The user name and the password in a file.
fn login(path: &Path) -> Result<(String, String), String> {
    let text = text(path)?;
    let line = text.lines().next().unwrap_or_default();
    let (user, password) = line
        .split_once(':')
        .ok_or_else(|| format!("the first line of {} is not NAME:PASSWORD", path.display()))?;
    warn_of_readers(path);
    Ok((user.to_owned(), password.to_owned()))
}
