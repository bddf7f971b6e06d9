//! The option `security`: by which mechanism a socket's connections are secured, and who is let in.

use std::path::PathBuf;
use std::sync::Arc;

use oncue::authenticators::{Changed, KeyDirectory, Passwords, StaticKeys};
use oncue::curve::{self, PublicKey};
use oncue::{AllowAny, Authenticator, Case, Options, User};
use pyo3::exceptions::PyTypeError;
use pyo3::types::{PyAnyMethods as _, PyDict, PyDictMethods as _, PyString};
use pyo3::{Bound, Py, PyAny, PyClass, PyClassInitializer, PyResult, Python, pyclass, pymethods};

use crate::asked::Asked;
use crate::calls::tell;
use crate::errors::{OrRaise as _, misuse, type_name};
use crate::frames::body;
use crate::keys::{pair, public_key};
use crate::records::record;
use crate::user::user;

/// How a socket's connections are secured: `CurveServer`, `CurveClient`, `PlainServer` or `PlainClient`. Any number of sockets
/// may share one.
#[pyclass(frozen, subclass, module = "oncue")]
pub(crate) struct Security(Chosen);

enum Chosen {
    CurveServer(curve::KeyPair, Shared),
    CurveClient(curve::KeyPair, PublicKey),
    PlainServer(Shared),
    PlainClient(Vec<u8>, Vec<u8>),
}

/// An authenticator of several sockets.
#[derive(Clone)]
struct Shared(Arc<dyn Authenticator>);

impl Shared {
    #[allow(clippy::new_ret_no_self, reason = "with its base")]
    fn new(authenticator: impl Authenticator) -> Shared {
        Shared(Arc::new(authenticator))
    }
}

impl Authenticator for Shared {
    fn authenticate(&self, case: Case) {
        self.0.authenticate(case);
    }

    fn still_knows(&self, user: &User) -> bool {
        self.0.still_knows(user)
    }
}

impl Security {
    /// These options, with this security.
    pub(crate) fn apply(&self, options: Options) -> Options {
        match &self.0 {
            Chosen::CurveServer(keys, clients) => options.curve_server(keys.clone(), clients.clone()),
            Chosen::CurveClient(keys, server) => options.curve_client(keys.clone(), *server),
            Chosen::PlainServer(users) => options.plain_server(users.clone()),
            Chosen::PlainClient(user, password) => options.plain_client(user.clone(), password.clone()),
        }
    }
}

#[pymethods]
impl Security {
    fn __repr__(&self) -> String {
        match &self.0 {
            Chosen::CurveServer(keys, _) => format!("CurveServer(public='{}')", keys.public()),
            Chosen::CurveClient(keys, server) => {
                format!("CurveClient(public='{}', server='{server}')", keys.public())
            }
            Chosen::PlainServer(_) => "PlainServer()".to_owned(),
            Chosen::PlainClient(user, _) => format!("PlainClient(user='{}')", user.escape_ascii()),
        }
    }
}

/// A class with its base.
fn of<C: PyClass<BaseType = Security>>(security: Security, class: C) -> PyClassInitializer<C> {
    PyClassInitializer::from(security).add_subclass(class)
}

/// CURVE as the server: connections are encrypted, and `clients` decides which are let in.
#[pyclass(frozen, extends = Security, module = "oncue")]
pub(crate) struct CurveServer;

#[pymethods]
impl CurveServer {
    /// CurveServer(keys, *, clients, on_change=None)
    /// --
    ///
    /// `keys`: this side's `curve.KeyPair`, or a `curve.Certificate` with the secret key, or the path of its file. `clients`:
    /// "any"; the path of a folder of certificates (`NAME.key`), which is read again when it changes; a dict of public keys,
    /// each with the name of its user or a `User`; or a function that gets a `ClientRequest` and returns `True`, a `User`,
    /// `False`, or the reason of a refusal. It is called on a thread of its own, may take its time, and one client at a time
    /// waits for it. `on_change(changed)` is called after a change of the folder, with a `UsersChanged`.
    #[new]
    #[pyo3(signature = (keys, *, clients, on_change = None))]
    #[allow(clippy::new_ret_no_self, reason = "with its base")]
    fn new(
        keys: &Bound<'_, PyAny>,
        clients: &Bound<'_, PyAny>,
        on_change: Option<Py<PyAny>>,
    ) -> PyResult<PyClassInitializer<CurveServer>> {
        let keys = pair(keys)?;
        let authenticator = self::clients(clients, on_change)?;
        Ok(of(Security(Chosen::CurveServer(keys, authenticator)), CurveServer))
    }
}

/// CURVE as the client: connections are encrypted, and the other side must have the secret key of `server`.
#[pyclass(frozen, extends = Security, module = "oncue")]
pub(crate) struct CurveClient;

#[pymethods]
impl CurveClient {
    /// CurveClient(keys, server)
    /// --
    ///
    /// `keys`: this side's `curve.KeyPair`, or a `curve.Certificate` with the secret key, or the path of its file. `server`: the
    /// server's public key: 40 characters of Z85, 32 bytes, a `curve.Certificate`, or a `pathlib.Path` of its file.
    #[new]
    #[allow(clippy::new_ret_no_self, reason = "with its base")]
    fn new(keys: &Bound<'_, PyAny>, server: &Bound<'_, PyAny>) -> PyResult<PyClassInitializer<CurveClient>> {
        let server = public_key("server", server)?;
        Ok(of(Security(Chosen::CurveClient(pair(keys)?, server)), CurveClient))
    }
}

/// PLAIN as the server: each client says a user name and a password. Nothing is encrypted: for one machine, or in a tunnel.
#[pyclass(frozen, extends = Security, module = "oncue")]
pub(crate) struct PlainServer;

#[pymethods]
impl PlainServer {
    /// PlainServer(*, users, on_change=None)
    /// --
    ///
    /// `users`: the path of a file with a line `NAME:HASH` for each user (`hash_password`), which is read again when it changes; or a
    /// function that gets a `ClientRequest`, as for `CurveServer`. `on_change(changed)` is called after a change of the file.
    #[new]
    #[pyo3(signature = (*, users, on_change = None))]
    #[allow(clippy::new_ret_no_self, reason = "with its base")]
    fn new(
        users: &Bound<'_, PyAny>,
        on_change: Option<Py<PyAny>>,
    ) -> PyResult<PyClassInitializer<PlainServer>> {
        let authenticator = self::users(users, on_change)?;
        Ok(of(Security(Chosen::PlainServer(authenticator)), PlainServer))
    }
}

/// PLAIN as the client.
#[pyclass(frozen, extends = Security, module = "oncue")]
pub(crate) struct PlainClient;

#[pymethods]
impl PlainClient {
    /// PlainClient(user, password)
    /// --
    ///
    /// User name and password, each str (as UTF-8) or bytes, of at most 255 bytes.
    #[new]
    #[allow(clippy::new_ret_no_self, reason = "with its base")]
    fn new(
        user: &Bound<'_, PyAny>,
        password: &Bound<'_, PyAny>,
    ) -> PyResult<PyClassInitializer<PlainClient>> {
        let (user, password) = (body(user)?.bytes().to_vec(), body(password)?.bytes().to_vec());
        let security = Security(Chosen::PlainClient(user, password));
        security.apply(Options::new()).check().or_raise()?;
        Ok(of(security, PlainClient))
    }
}

/// Who decides about clients of CURVE.
fn clients(given: &Bound<'_, PyAny>, on_change: Option<Py<PyAny>>) -> PyResult<Shared> {
    if given.is_callable() {
        return asked(given, on_change.as_ref());
    }
    let is_any = given.cast::<PyString>().is_ok_and(|word| word == "any");
    if let Ok(known) = given.cast::<PyDict>() {
        unchanging(on_change.as_ref())?;
        let mut keys = StaticKeys::new();
        for (key, value) in known.copy()?.iter() {
            keys = keys.with(public_key("clients", &key)?, user(&value)?);
        }
        return Ok(Shared::new(keys));
    }
    if is_any {
        unchanging(on_change.as_ref())?;
        return Ok(Shared::new(AllowAny));
    }
    let path: PathBuf = given.extract().map_err(|_| {
        PyTypeError::new_err(format!(
            "clients must be \"any\", the path of a folder of certificates, a dict of public keys or a function, not {}",
            type_name(given)
        ))
    })?;
    let directory = given.py().detach(|| KeyDirectory::open(path)).or_raise()?;
    if let Some(call) = on_change {
        directory.on_change(telling(call));
    }
    Ok(Shared::new(directory))
}

/// Who decides about clients of PLAIN.
fn users(given: &Bound<'_, PyAny>, on_change: Option<Py<PyAny>>) -> PyResult<Shared> {
    if given.is_callable() {
        return asked(given, on_change.as_ref());
    }
    let path: PathBuf = given.extract().map_err(|_| {
        PyTypeError::new_err(format!(
            "users must be the path of a file of passwords or a function, not {}",
            type_name(given)
        ))
    })?;
    let passwords = given.py().detach(|| Passwords::open(path)).or_raise()?;
    if let Some(call) = on_change {
        passwords.on_change(telling(call));
    }
    Ok(Shared::new(passwords))
}

fn asked(call: &Bound<'_, PyAny>, on_change: Option<&Py<PyAny>>) -> PyResult<Shared> {
    unchanging(on_change)?;
    Ok(Shared::new(Asked::start(call)?))
}

fn unchanging(on_change: Option<&Py<PyAny>>) -> PyResult<()> {
    match on_change {
        None => Ok(()),
        Some(_) => Err(misuse("on_change is for what is read from files; leave it out")),
    }
}

/// Calls a function of the user's after each change.
fn telling(call: Py<PyAny>) -> impl Fn(&Changed) + Send + Sync {
    move |changed| {
        // At the end of the interpreter nobody is told any more.
        if Python::try_attach(|_| ()).is_some() {
            tell(&call, |py| Ok((users_changed(py, changed)?,)));
        }
    }
}

fn users_changed(py: Python<'_>, changed: &Changed) -> PyResult<Py<PyAny>> {
    record!(py, "UsersChanged", {
        added: &changed.added,
        removed: &changed.removed,
        problems: &changed.problems,
    })
}
