//! Our client under CURVE: against literal bytes, and against a server that is not ours, has the genuine key, and says what the
//! script has it say.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oncue_core::connection::SocketType;
use oncue_core::mechanism::curve;
use oncue_fuzz::curve::foreign_server;
use oncue_fuzz::handshake::{curve_client, greeting, play_both};
use oncue_fuzz::script::Script;

fuzz_target!(|data: &[u8]| {
    let Some((&choice, bytes)) = data.split_first() else { return };
    match choice & 3 {
        0 => {
            let bytes = [&greeting(curve::NAME, choice & 4 == 0), bytes].concat();
            let outcome =
                play_both(curve_client(), SocketType::Sub, true, &bytes, 1 + usize::from(choice >> 3));
            assert!(
                outcome.asked.is_empty() && !matches!(outcome.end, Ok(Some(_))),
                "no server has said this"
            );
        }
        _ => foreign_server(&mut Script(bytes)),
    }
});
