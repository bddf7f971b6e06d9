//! Certificate files, as pyzmq and czmq write and read them (ZPL, RFC 4): the keys in Z85 in a section `curve`, and properties
//! that a person may add in a section `metadata`.

use alloc::string::String;
use alloc::vec::Vec;
use core::error::Error;
use core::fmt::{self, Write as _};

use zeroize::Zeroizing;

use super::keys::{KeyError, KeyPair, PublicKey, SecretKey};

/// The content of a certificate file.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The public key.
    pub public: PublicKey,
    /// The secret key, if the file has it.
    pub secret: Option<SecretKey>,
    /// The properties of the section `metadata`, in the order of the file. They prove nothing.
    pub metadata: Vec<(String, String)>,
}

/// A text that is not a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CertificateError {
    /// There is no `public-key` in the section `curve`.
    NoPublicKey,
    /// A key is wrong.
    Key {
        /// The line, from 1.
        line: usize,
        /// `public-key` or `secret-key`.
        name: &'static str,
        /// What is wrong with it.
        error: KeyError,
    },
    /// The secret key does not belong to the public key.
    NoPair,
}

const PUBLIC: &str = "public-key";
const SECRET: &str = "secret-key";

impl Certificate {
    /// Reads a certificate: lines of `name = value`, the value in quotes or not; a line without `=` begins a section; `#`
    /// begins a comment, at the start of a line or behind a value in quotes.
    ///
    /// # Errors
    /// [`CertificateError`] names the line.
    pub fn parse(text: &str) -> Result<Certificate, CertificateError> {
        let (mut public, mut secret, mut metadata) = (None, None, Vec::new());
        let mut section = "curve";
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let Some((name, value)) = line.split_once('=') else {
                section = line;
                continue;
            };
            let (name, value) = (name.trim(), unquoted(value.trim()));
            let fault = |name| move |error| CertificateError::Key { line: at + 1, name, error };
            match (section, name) {
                ("curve", PUBLIC) => public = Some(value.parse::<PublicKey>().map_err(fault(PUBLIC))?),
                ("curve", SECRET) => secret = Some(value.parse::<SecretKey>().map_err(fault(SECRET))?),
                ("metadata", _) => metadata.push((name.into(), value.into())),
                _ => {}
            }
        }
        let public = match (public, &secret) {
            (Some(public), _) => public,
            (None, Some(secret)) => secret.public(),
            (None, None) => return Err(CertificateError::NoPublicKey),
        };
        if secret.as_ref().is_some_and(|secret| secret.public() != public) {
            return Err(CertificateError::NoPair);
        }
        Ok(Certificate { public, secret, metadata })
    }

    /// The pair of keys, if the secret one is there.
    pub fn pair(&self) -> Option<KeyPair> {
        Some(KeyPair::from(self.secret.clone()?))
    }

    /// The text of the file with the public key alone, for others; and of the file with the secret key, for the owner.
    /// `comment` stands in the first line. Control characters and quotes in properties are left out, and what would make
    /// another line of a name: `=`, and `#` and white space at its ends.
    pub fn write(&self, comment: &str, with_secret: bool) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::new());
        let clean =
            |text: &str| -> String { text.chars().filter(|c| !c.is_control() && *c != '"').collect() };
        let mut put = || -> fmt::Result {
            writeln!(text, "#   {}", clean(comment))?;
            match with_secret {
                true => writeln!(text, "#   CURVE secret certificate. Keep it to yourself.\n")?,
                false => writeln!(text, "#   CURVE public certificate. Give it to the other side.\n")?,
            }
            writeln!(text, "metadata")?;
            for (name, value) in &self.metadata {
                let name = clean(name).replace('=', "");
                let name = name.trim_matches(|c: char| c == '#' || c.is_whitespace());
                writeln!(text, "    {name} = \"{}\"", clean(value))?;
            }
            writeln!(text, "curve\n    {PUBLIC} = \"{}\"", self.public)?;
            match &self.secret {
                Some(secret) if with_secret => writeln!(text, "    {SECRET} = \"{}\"", *secret.to_z85()),
                _ => Ok(()),
            }
        };
        put().expect("a text grows");
        text
    }
}

/// The value without its quotes and what follows them.
fn unquoted(value: &str) -> &str {
    let quoted = |quote| value.strip_prefix(quote).and_then(|rest| rest.split(quote).next());
    quoted('"').or_else(|| quoted('\'')).unwrap_or(value)
}

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CertificateError::NoPublicKey => f.write_str("there is no `public-key` in a section `curve`"),
            CertificateError::Key { line, name, error } => write!(f, "`{name}` in line {line}: {error}"),
            CertificateError::NoPair => f.write_str("`public-key` is not the key of `secret-key`"),
        }
    }
}

impl Error for CertificateError {}
