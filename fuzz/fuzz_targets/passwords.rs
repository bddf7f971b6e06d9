//! A file of passwords from any text: the users are those of its lines, no hash asks for more than what is bounded, and the
//! error names a line that exists.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::collections::BTreeMap;

fuzz_target!(|text: &str| {
    match oncue::stage::files::passwords(text) {
        Ok(users) => {
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
            let expected: BTreeMap<String, String> = lines
                .map(|line| line.split_once(':').expect("a name and a hash"))
                .map(|(name, hash)| (name.to_owned(), hash.to_owned()))
                .collect();
            assert_eq!(users, expected);
            assert!(users.values().all(|hash| hash.starts_with("$argon2")));
        }
        Err(why) => {
            let line = why.strip_prefix("line ").and_then(|rest| rest.split(':').next()?.parse().ok());
            assert!(line.is_some_and(|line: usize| line >= 1 && line <= text.lines().count()), "{why}");
        }
    }
});
