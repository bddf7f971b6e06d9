//! The coat of CURVE over a stream that takes and gives a few bytes at a time, and on which a third one changes what the script
//! says: what comes out is the beginning of what went in.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|script: &[u8]| oncue::stage::coat::scene(script));
