//! A handshake under NULL with an untrusted peer, whose bytes arrive in pieces: it is bounded, and its outcome does not depend
//! on the pieces.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oncue_core::connection::SocketType;
use oncue_core::mechanism::Security;
use oncue_fuzz::handshake::play_both;

fuzz_target!(|data: &[u8]| {
    let Some((&choice, bytes)) = data.split_first() else { return };
    let socket_type = SocketType::ALL[usize::from(choice & 3)];
    let outcome = play_both(Security::Null, socket_type, true, bytes, 1 + usize::from(choice >> 2));
    assert!(outcome.asked.is_empty(), "NULL asks nobody");
});
