//! The parsers of files that have no public name.

use std::collections::BTreeMap;

use crate::authenticators::users_of;

/// The users of a file of passwords and their hashes.
///
/// # Errors
/// The line that is wrong, and why.
pub fn passwords(text: &str) -> Result<BTreeMap<String, String>, String> {
    Ok(users_of(text)?.into_iter().map(|(name, hash)| (name, hash.to_string())).collect())
}
