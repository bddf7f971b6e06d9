//! Raw bytes to a whole peer of a simulated shard, before its handshake or after it, under each mechanism: they have the effect that a simple parser
//! predicts, and the other peers are served.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((&choice, bytes)) = data.split_first() else { return };
    oncue::stage::stranger::bytes_of_one_peer(bytes, choice & 1 == 1, (choice >> 1) % 3);
});
