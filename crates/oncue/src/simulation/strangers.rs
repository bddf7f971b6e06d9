//! The scenes of misbehaving peers, from seeds.

use super::*;
use crate::stage::{coat, stranger, web};

/// A script as the fuzzer would write one.
fn script(seed: u64) -> Vec<u8> {
    let sim = Sim::new(seed);
    (0..200 + sim.below(600)).map(|_| sim.below(256) as u8).collect()
}

#[test]
fn demand_is_what_strangers_say_and_nothing_grows_beyond_its_bound() {
    for_each_seed(|seed| {
        // A scene takes long; the fuzzer runs more of them.
        if seed < 40 || seed % 10 == 0 {
            stranger::scene(&script(seed));
        }
    });
}

#[test]
fn whatever_bytes_one_peer_sends_the_others_are_served() {
    for_each_seed(|seed| stranger::bytes_of_one_peer(&script(seed), seed % 2 == 0, (seed / 2 % 3) as u8));
}

#[test]
fn what_comes_out_of_a_coat_went_in_whoever_changes_bytes_on_the_way() {
    for_each_seed(|seed| coat::scene(&script(seed)));
}

#[test]
fn whatever_a_peer_of_websocket_sends_there_are_frames_on_both_sides() {
    for_each_seed(|seed| web::scene(&script(seed)));
}
