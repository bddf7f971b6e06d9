//! Command lines: `--name value` and `--flag`. The meaning of each name is documented where it is used.

use std::collections::BTreeMap;
use std::str::FromStr;

use crate::Outcome;

/// The options of one process.
pub struct Args(BTreeMap<String, String>);

/// Options that take no value.
const FLAGS: [&str; 8] = ["quick", "growth", "drop", "save", "no-save", "proxied", "curve", "ws"];

impl Args {
    /// Reads the words after the role.
    pub fn parse(mut words: impl Iterator<Item = String>) -> Outcome<Args> {
        let mut options = BTreeMap::new();
        while let Some(word) = words.next() {
            let name = word.strip_prefix("--").ok_or_else(|| format!("`{word}` is not an option"))?;
            let value = match FLAGS.contains(&name) {
                true => String::new(),
                false => words.next().ok_or_else(|| format!("--{name} needs a value"))?,
            };
            options.insert(name.to_owned(), value);
        }
        Ok(Args(options))
    }

    /// Whether the flag or option was given.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The value of an option that must be there.
    pub fn need<T: FromStr>(&self, name: &str) -> Outcome<T> {
        self.find(name)?.ok_or_else(|| format!("--{name} is missing").into())
    }

    /// The value of an option, or `default`.
    pub fn or<T: FromStr>(&self, name: &str, default: T) -> Outcome<T> {
        Ok(self.find(name)?.unwrap_or(default))
    }

    /// The value of an option, if it was given.
    pub fn find<T: FromStr>(&self, name: &str) -> Outcome<Option<T>> {
        match self.0.get(name) {
            None => Ok(None),
            Some(text) => match text.parse() {
                Ok(value) => Ok(Some(value)),
                Err(_) => Err(format!("`{text}` is not a valid value of --{name}").into()),
            },
        }
    }
}
