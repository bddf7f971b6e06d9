//! Untrusted peers of a publisher on the simulated network, under each mechanism, driven by the script: subscriptions in all forms, user messages,
//! long prefixes, garbage, disconnects. Demand is what their bytes say, and nothing grows beyond its bound.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|script: &[u8]| oncue::stage::stranger::scene(script));
