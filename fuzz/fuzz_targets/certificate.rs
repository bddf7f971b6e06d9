//! A certificate file from any text: what is written of it has the same keys and is read as it was written, and the public
//! file shows no secret.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oncue_core::mechanism::curve::Certificate;

fuzz_target!(|text: &str| {
    let read = match Certificate::parse(text) {
        Ok(read) => read,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let secret = read.secret.as_ref().map(|secret| *secret.bytes());
    for with_secret in [true, false] {
        let written = read.write(text, with_secret);
        let again = Certificate::parse(&written).expect("it was written here");
        assert_eq!(again.public, read.public);
        assert_eq!(again.secret.map(|secret| *secret.bytes()), secret.filter(|_| with_secret));
        // Some characters are left out; names and values without these stay.
        let plain = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        assert_eq!(again.metadata.len(), read.metadata.len());
        for (was, is) in read.metadata.iter().zip(&again.metadata) {
            assert!(!plain(&was.0) || was.0 == is.0);
            assert!(!plain(&was.1) || was.1 == is.1);
        }
        let stable = Certificate { metadata: again.metadata, ..read.clone() };
        let written = stable.write("", with_secret);
        assert_eq!(Certificate::parse(&written).unwrap().metadata, stable.metadata);
    }
    if let Some(secret) = &read.secret {
        // A property may hold any text.
        let bare = Certificate { metadata: Vec::new(), ..read.clone() };
        assert!(!bare.write("", false).contains(secret.to_z85().as_str()));
    }
});
