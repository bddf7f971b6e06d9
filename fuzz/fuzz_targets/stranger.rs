//! Strangers at a publisher on the simulated network, who do what the script says: subscriptions in all forms, user messages,
//! long prefixes, garbage, leaving. Demand is what they say, and nothing grows beyond its bound.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|script: &[u8]| oncue::stage::stranger::scene(script));
