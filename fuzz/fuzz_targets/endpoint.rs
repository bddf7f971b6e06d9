//! An endpoint from any text: what is written of it is the same endpoint.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oncue::Endpoint;

fuzz_target!(|text: &str| {
    match text.parse::<Endpoint>() {
        Ok(endpoint) => {
            let written = endpoint.to_string();
            let again: Endpoint = written.parse().unwrap_or_else(|error| panic!("{written}: {error}"));
            assert_eq!((&again, again.to_string()), (&endpoint, written));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
