//! A function of Python's that decides who is let in. It is called on a thread of its own, one client after the other, so that
//! the I/O thread never waits for the interpreter.

use std::mem;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;

use oncue::{Authenticator, Case, Credentials, User};
use pyo3::exceptions::PyTypeError;
use pyo3::types::{PyAnyMethods as _, PyBytes, PyModule, PyTuple};
use pyo3::{Bound, Py, PyAny, PyErr, PyResult, Python};

use crate::calls::log;
use crate::errors::{misuse, system};
use crate::ffi::{self, attach};
use crate::records::record;
use crate::user::user;

/// How many clients wait for the function. Others are refused, and may come again.
const WAITING_MAX: usize = 64;

/// The queue to the thread, which ends with it.
pub(crate) struct Asked(SyncSender<Case>);

impl Asked {
    /// Starts the thread.
    ///
    /// # Errors
    /// `MisuseError` for a coroutine function, which nobody would await.
    pub(crate) fn start(call: &Bound<'_, PyAny>) -> PyResult<Asked> {
        let inspect = PyModule::import(call.py(), "inspect")?;
        if inspect.getattr("iscoroutinefunction")?.call1((call,))?.is_truthy()? {
            return Err(misuse(
                "a function that decides about clients cannot be a coroutine; it has a thread of its own, and may wait there",
            ));
        }
        let (cases, waiting) = sync_channel(WAITING_MAX);
        let call = call.clone().unbind();
        let run = move || decide_all(call, &waiting);
        let thread = thread::Builder::new().name("oncue clients".to_owned()).spawn(run);
        thread.map_err(|error| system("a thread that decides about clients was not started", error))?;
        Ok(Asked(cases))
    }
}

impl Authenticator for Asked {
    fn authenticate(&self, case: Case) {
        match self.0.try_send(case) {
            Ok(()) => {}
            Err(TrySendError::Full(case) | TrySendError::Disconnected(case)) => {
                case.refuse("too many clients wait to be let in");
            }
        }
    }
}

/// Calls the function until nobody can ask any more.
fn decide_all(call: Py<PyAny>, waiting: &Receiver<Case>) {
    while let Ok(case) = waiting.recv() {
        // At the end of the interpreter nobody decides any more.
        if Python::try_attach(|_| ()).is_none() {
            break;
        }
        match attach(|py| decide(call.bind(py), &case)) {
            Ok(user) => case.accept(user),
            Err(reason) => case.refuse(reason),
        }
    }
    let mut call = Some(call);
    if Python::try_attach(|_| drop(call.take())).is_none() {
        mem::forget(call);
    }
}

fn decide(call: &Bound<'_, PyAny>, case: &Case) -> Result<User, String> {
    ask(call, case).unwrap_or_else(|error: PyErr| {
        let py = call.py();
        log(py, "clients_failed", &case.address.to_string(), &error.into_value(py));
        Err("this side could not decide".to_owned())
    })
}

fn ask(call: &Bound<'_, PyAny>, case: &Case) -> PyResult<Result<User, String>> {
    let py = call.py();
    let (mechanism, key, name, password) = match &case.credentials {
        Credentials::Curve(key) => ("CURVE", Some(key.to_string()), None, None),
        Credentials::Plain { user, password } => {
            let name = PyBytes::new(py, user).call_method1("decode", ("utf-8", "surrogateescape"))?;
            ("PLAIN", None, Some(name), Some(PyBytes::new(py, password)))
        }
        _ => return Ok(Err("its mechanism is not known here".to_owned())),
    };
    let request = record!(py, "ClientRequest", {
        address: case.address.to_string(),
        mechanism: mechanism,
        key: key,
        user: name,
        password: password,
    })?;
    let answer = ffi::call(call, &PyTuple::new(py, [request])?)?;
    if let Ok(accepted) = answer.extract::<bool>() {
        return Ok(if accepted {
            Ok(of_itself(&case.credentials))
        } else {
            Err("it is not let in".to_owned())
        });
    }
    if let Ok(reason) = answer.extract::<String>() {
        return Ok(Err(reason));
    }
    user(&answer).map(Ok).map_err(|_| {
        PyTypeError::new_err(
            "a function that decides about clients returns True, an oncue.User, False, or the reason of a refusal",
        )
    })
}

/// The user by its key, or by the name that it says.
fn of_itself(credentials: &Credentials) -> User {
    match credentials {
        Credentials::Curve(key) => User::new(key.to_string()),
        Credentials::Plain { user, .. } => User::new(String::from_utf8_lossy(user)),
        _ => User::new(""),
    }
}
