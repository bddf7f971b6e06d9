//! A client that was let in: plain data.

use oncue_core::mechanism::curve::PublicKey;

/// A client that was let in.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct User {
    /// Its name, or the text of its key: what rules, quotas and events call it.
    pub id: String,
    /// Its public key, under CURVE.
    pub key: Option<PublicKey>,
    /// What the authenticator knows of it besides, such as a role: names and values.
    pub attributes: Vec<(String, String)>,
    /// How often its password has changed when it was let in.
    pub(crate) version: u64,
}

impl User {
    /// A user without attributes.
    pub fn new(id: impl Into<String>) -> User {
        User { id: id.into(), key: None, attributes: Vec::new(), version: 0 }
    }

    /// Adds an attribute.
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> User {
        self.attributes.push((name.into(), value.into()));
        self
    }

    /// The value of the first attribute of this name.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| &value[..])
    }
}
