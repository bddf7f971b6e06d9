//! What a program writes, cut into values by each framing.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let [choice, bytes_max, piece_len, output @ ..] = data else { return };
    oncue_fuzz::check_frames(*choice, usize::from(*bytes_max), 1 + usize::from(*piece_len), output);
});
