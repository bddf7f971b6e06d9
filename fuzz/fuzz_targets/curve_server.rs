//! Our server under CURVE: against literal bytes, which must never be somebody; against a client that is not ours, has genuine
//! keys, and says what the script has it say; and with a third one between it and our client.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oncue_core::connection::SocketType;
use oncue_core::mechanism::curve;
use oncue_fuzz::curve::{foreign_client, tampered_exchange};
use oncue_fuzz::handshake::{curve_server, greeting, play_both};
use oncue_fuzz::script::Script;

fuzz_target!(|data: &[u8]| {
    let Some((&choice, bytes)) = data.split_first() else { return };
    match choice & 3 {
        0 => {
            let bytes = [&greeting(curve::NAME, false), bytes].concat();
            let outcome =
                play_both(curve_server(), SocketType::XPub, true, &bytes, 1 + usize::from(choice >> 2));
            assert!(outcome.asked.is_empty(), "these bytes have no key");
            assert!(!matches!(outcome.end, Ok(Some(_))));
        }
        1 | 2 => foreign_client(&mut Script(bytes)),
        _ => tampered_exchange(&mut Script(bytes)),
    }
});
