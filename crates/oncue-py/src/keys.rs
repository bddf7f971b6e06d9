//! Keys and certificates of CURVE, and hashes of passwords. No secret is in a text that Python makes of an object, nor in an
//! error.

use std::path::PathBuf;

use oncue::curve::{self, KEY_BYTES, KeyError, PublicKey, SecretKey};
use pyo3::exceptions::PyTypeError;
use pyo3::types::{PyAnyMethods as _, PyBytes, PyDict, PyDictMethods as _, PyString};
use pyo3::{Bound, PyAny, PyResult, Python, pyclass, pyfunction, pymethods};

use crate::errors::{OrRaise as _, misuse, type_name};
use crate::frames::body;

/// A secret key and its public key. Its text shows the public key alone.
#[pyclass(frozen, module = "oncue.curve")]
#[derive(Clone)]
pub(crate) struct KeyPair(pub(crate) curve::KeyPair);

/// The bytes of a key: 40 characters of Z85, or 32 bytes.
fn key_bytes<K>(
    what: &str,
    value: &Bound<'_, PyAny>,
    parse: impl FnOnce(&str) -> Result<K, KeyError>,
    of_bytes: impl FnOnce([u8; KEY_BYTES]) -> K,
) -> PyResult<K> {
    let is_text = value.is_instance_of::<PyString>();
    if !is_text && !value.is_instance_of::<PyBytes>() {
        return Err(PyTypeError::new_err(format!(
            "{what} must be 40 characters of Z85 or 32 bytes, not {}",
            type_name(value)
        )));
    }
    let held = body(value)?;
    if let (false, Ok(bytes)) = (is_text, <[u8; KEY_BYTES]>::try_from(held.bytes())) {
        return Ok(of_bytes(bytes));
    }
    let text = std::str::from_utf8(held.bytes()).unwrap_or_default();
    parse(text).map_err(|error| misuse(format!("{what}: {error}")))
}

/// A public key: a text or bytes, that of a pair or a certificate, or of a file.
pub(crate) fn public_key(what: &str, value: &Bound<'_, PyAny>) -> PyResult<PublicKey> {
    if let Ok(pair) = value.cast::<KeyPair>() {
        return Ok(*pair.get().0.public());
    }
    if let Ok(certificate) = value.cast::<Certificate>() {
        return Ok(certificate.get().0.public);
    }
    if !value.is_instance_of::<PyString>()
        && let Ok(path) = value.extract::<PathBuf>()
    {
        return read(path).map(|certificate| certificate.public);
    }
    key_bytes(what, value, str::parse, PublicKey::from_bytes)
}

/// A pair of keys: a pair, a certificate with both, or the path of one.
pub(crate) fn pair(value: &Bound<'_, PyAny>) -> PyResult<curve::KeyPair> {
    if let Ok(pair) = value.cast::<KeyPair>() {
        return Ok(pair.get().0.clone());
    }
    let whole = match value.cast::<Certificate>() {
        Ok(certificate) => certificate.get().0.clone(),
        Err(_) => match value.extract::<PathBuf>() {
            Ok(path) => read(path)?,
            Err(_) => {
                return Err(PyTypeError::new_err(format!(
                    "keys must be a KeyPair, a Certificate or the path of one, not {}",
                    type_name(value)
                )));
            }
        },
    };
    whole.pair().ok_or_else(|| {
        misuse("keys: the certificate has no secret key; give the file NAME.key_secret, which has both")
    })
}

fn read(path: PathBuf) -> PyResult<curve::Certificate> {
    curve::read(path).or_raise()
}

#[pymethods]
impl KeyPair {
    /// KeyPair(secret, public=None)
    /// --
    ///
    /// The pair of a secret key: 40 characters of Z85, or 32 bytes. With `public` it is checked that it belongs to it.
    #[new]
    #[pyo3(signature = (secret, public = None))]
    fn new(secret: &Bound<'_, PyAny>, public: Option<&Bound<'_, PyAny>>) -> PyResult<KeyPair> {
        let secret = key_bytes("secret", secret, str::parse, SecretKey::from_bytes)?;
        let Some(public) = public else { return Ok(KeyPair(secret.into())) };
        let public = public_key("public", public)?;
        curve::KeyPair::new(secret, public).map(KeyPair).map_err(|error| misuse(error.to_string()))
    }

    /// The public key, in Z85: for the other side.
    #[getter]
    fn public(&self) -> String {
        self.0.public().to_string()
    }

    /// The secret key, in Z85. Whoever has it is this user, or this server.
    #[getter]
    fn secret<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        PyString::new(py, &self.0.secret().to_z85())
    }

    fn __repr__(&self) -> String {
        format!("KeyPair(public='{}')", self.0.public())
    }
}

/// A new pair of keys, from the system's random numbers.
#[pyfunction]
pub(crate) fn generate() -> KeyPair {
    KeyPair(curve::generate())
}

/// A public key, perhaps its secret key, and properties, as pyzmq, czmq and `oncue keygen` keep them in files.
#[pyclass(frozen, module = "oncue.curve")]
pub(crate) struct Certificate(curve::Certificate);

#[pymethods]
impl Certificate {
    /// Certificate(key, metadata=None)
    /// --
    ///
    /// Of a `KeyPair`, or of a public key alone. `metadata`: properties, a dict of str; they prove nothing.
    #[new]
    #[pyo3(signature = (key, metadata = None))]
    fn new(key: &Bound<'_, PyAny>, metadata: Option<&Bound<'_, PyDict>>) -> PyResult<Certificate> {
        let mut properties = Vec::new();
        for (name, value) in metadata.iter().flat_map(|metadata| metadata.iter()) {
            properties.push((name.extract::<String>()?, value.extract::<String>()?));
        }
        let secret = key.cast::<KeyPair>().ok().map(|pair| pair.get().0.secret().clone());
        let public = public_key("key", key)?;
        Ok(Certificate(curve::Certificate { public, secret, metadata: properties }))
    }

    /// Reads a file, `NAME.key` or `NAME.key_secret`.
    #[staticmethod]
    fn read(path: PathBuf) -> PyResult<Certificate> {
        self::read(path).map(Certificate)
    }

    /// Writes `NAME.key` with the public key into a folder, and with a secret key also `NAME.key_secret`, which only its owner
    /// can read. Nothing is overwritten. Returns the paths of what was written.
    fn save(&self, directory: PathBuf, name: &str) -> PyResult<Vec<String>> {
        let paths = curve::save(&self.0, &directory, name, "Made by oncue.curve").or_raise()?;
        Ok(paths.into_iter().map(|path| path.to_string_lossy().into_owned()).collect())
    }

    /// The public key, in Z85.
    #[getter]
    fn public(&self) -> String {
        self.0.public.to_string()
    }

    /// Both keys, if the secret one is there.
    #[getter]
    fn keys(&self) -> Option<KeyPair> {
        self.0.pair().map(KeyPair)
    }

    /// The properties.
    #[getter]
    fn metadata<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        properties(py, &self.0.metadata)
    }

    fn __repr__(&self) -> String {
        format!("Certificate(public='{}')", self.0.public)
    }
}

/// A dict of properties. Of those with one name it has the first.
pub(crate) fn properties<'py>(py: Python<'py>, pairs: &[(String, String)]) -> PyResult<Bound<'py, PyDict>> {
    let made = PyDict::new(py);
    for (name, value) in pairs.iter().rev() {
        made.set_item(name, value)?;
    }
    Ok(made)
}

/// The hash of a password for the file of a `PlainServer`: Argon2id. It takes some 20 ms. In the file stands `NAME:HASH`.
#[pyfunction]
pub(crate) fn hash_password(py: Python<'_>, password: &Bound<'_, PyAny>) -> PyResult<String> {
    let held = body(password)?;
    py.detach(|| oncue::authenticators::hash_password(held.bytes())).or_raise()
}
