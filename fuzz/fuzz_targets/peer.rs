//! Raw bytes into a whole peer of a simulated shard, before its handshake or after it: they mean what a plain reading says, and
//! the others are served.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((&choice, bytes)) = data.split_first() else { return };
    oncue::stage::stranger::bytes_of_one_peer(bytes, choice & 1 == 1);
});
