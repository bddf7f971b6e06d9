//! A WebSocket below a socket, and a peer that sends any bytes: there are frames of ZMTP above and of WebSocket below, and what is
//! held stays below its bounds.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|script: &[u8]| oncue::stage::web::scene(script));
