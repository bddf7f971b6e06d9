//! The config of `oncue serve`, from any text.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| oncue_fuzz::check_config(text));
