//! Users of the library as `oncue.User`, and back.

use oncue::User;
use pyo3::exceptions::PyTypeError;
use pyo3::types::{PyAnyMethods as _, PyDict, PyDictMethods as _};
use pyo3::{Bound, Py, PyAny, PyResult, Python};

use crate::errors::type_name;
use crate::keys::properties;
use crate::records::record;

/// A user as Python gives it: a name, or a `User`. Its key is noted by the library.
pub(crate) fn user(value: &Bound<'_, PyAny>) -> PyResult<User> {
    if let Ok(name) = value.extract::<String>() {
        return Ok(User::new(name));
    }
    let read = || {
        let id: String = value.getattr("id")?.extract()?;
        let attributes: Bound<'_, PyDict> = value.getattr("attributes")?.extract()?;
        attributes.copy()?.iter().try_fold(User::new(id), |user, (name, value)| {
            Ok(user.with(name.extract::<String>()?, value.extract::<String>()?))
        })
    };
    read().map_err(|_: pyo3::PyErr| {
        PyTypeError::new_err(format!(
            "a user must be its name or an oncue.User with attributes of str, not {}",
            type_name(value)
        ))
    })
}

/// A user for Python.
pub(crate) fn shown(py: Python<'_>, user: Option<&User>) -> PyResult<Option<Py<PyAny>>> {
    let Some(user) = user else { return Ok(None) };
    record!(py, "User", {
        id: &user.id,
        key: user.key.map(|key| key.to_string()),
        attributes: properties(py, &user.attributes)?,
    })
    .map(Some)
}
