//! Keys and certificates of CURVE (RFC 25 and 26), and who is let in by them.
//!
//! A certificate is a file that pyzmq, czmq and `oncue keygen` write: `NAME.key` has the public key, for the other side, and
//! `NAME.key_secret` both keys, for the owner.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

pub use oncue_core::mechanism::curve::{
    Certificate, CertificateError, CurveError, KEY_BYTES, KeyError, KeyPair, PublicKey, SecretKey,
};

use crate::error::{Error, Result};

/// A new pair of keys, from the system's random numbers.
///
/// # Panics
/// When the system has none.
pub fn generate() -> KeyPair {
    KeyPair::generate(random)
}

/// Reads a certificate from a file.
///
/// # Errors
/// [`Io`](crate::ErrorKind::Io) if the file cannot be read; [`Misuse`](crate::ErrorKind::Misuse) if it is not a certificate: the
/// text names the line.
pub fn read(path: impl AsRef<Path>) -> Result<Certificate> {
    let path = path.as_ref();
    let text = fs::read_to_string(path)
        .map_err(|error| Error::io(format!("the certificate {} cannot be read", path.display()), error))?;
    Certificate::parse(&text).map_err(|error| Error::misuse(format!("{}: {error}", path.display())))
}

/// Writes `NAME.key` with the public key into a directory, and with a secret key also `NAME.key_secret`, which only its owner can
/// read. Returns the paths of what was written, the public one first. Nothing is overwritten. `comment` stands in the first line of each.
///
/// # Errors
/// [`Misuse`](crate::ErrorKind::Misuse) for a name that cannot be that of a file, and if a file exists;
/// [`Io`](crate::ErrorKind::Io) if one cannot be written.
pub fn save(certificate: &Certificate, directory: &Path, name: &str, comment: &str) -> Result<Vec<PathBuf>> {
    if name.is_empty() || name.contains(['/', '\0']) || name.starts_with('.') {
        let text = format!("`{name}` cannot be the name of a file; choose letters and digits");
        return Err(Error::misuse(text));
    }
    let [public, secret] = ["key", "key_secret"].map(|ending| directory.join(format!("{name}.{ending}")));
    let mut paths = vec![public];
    if certificate.secret.is_some() {
        paths.push(secret);
    }
    if let Some(path) = paths.iter().find(|path| path.exists()) {
        return Err(exists(path));
    }
    // The secret one first: a public key without it would be of no use.
    for (at, path) in paths.iter().enumerate().rev() {
        let with_secret = at > 0;
        write(path, if with_secret { 0o600 } else { 0o644 }, &certificate.write(comment, with_secret))
            .map_err(|error| match error.kind() {
                ErrorKind::AlreadyExists => exists(path),
                _ => Error::io(format!("{} cannot be written", path.display()), error),
            })?;
    }
    Ok(paths)
}

fn exists(path: &Path) -> Error {
    Error::misuse(format!("{} exists; choose another name, or remove it first", path.display()))
}

fn write(path: &Path, mode: u32, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Fills a slice with random bytes of the system.
pub(crate) fn random(bytes: &mut [u8]) {
    let mut filled = 0;
    while filled < bytes.len() {
        match rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty()) {
            Ok(n) => filled += n,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => panic!("the system has no random numbers: {error}"),
        }
    }
}
