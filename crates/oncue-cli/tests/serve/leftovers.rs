//! The server leaks nothing in ordinary use.

use std::fs;

use oncue_interop::until;

use crate::Directory;

/// How many runs there are before the descriptors are counted, and how many between the two counts.
const SETTLED: usize = 10;
const RUNS: usize = 60;

/// Serves a route to a subscriber of `topic`. Its program appends a byte to `runs` each time. The server must have as many
/// descriptors after many runs as after a few.
fn descriptors_stay(topic: &str, route: &str) {
    let directory = Directory::new();
    let server = directory.serve(route);
    let subscriber = server.subscriber(&[topic]);
    let runs = || fs::metadata(directory.path("runs")).map_or(0, |runs| runs.len() as usize);
    let descriptors =
        || fs::read_dir(format!("/proc/{}/fd", server.program.id())).expect("a process").count();
    until("a few runs", || runs() >= SETTLED);
    let few = descriptors();
    until("many runs", || runs() >= SETTLED + RUNS);
    // A run has up to five.
    until("no more descriptors than before", || descriptors() <= few + 5);
    drop(subscriber);
}

#[test]
fn a_run_leaves_nothing_behind() {
    descriptors_stay(
        "r",
        "[[route]]\ntopic = 'r'\ncommand = ['sh', '-c', 'printf x >> runs']\nevery = '5ms'\n",
    );
}

#[test]
fn a_listing_leaves_nothing_behind() {
    descriptors_stay(
        "r/",
        "[[route]]\ntopic = 'r/{x:word}'\ncommand = ['true']\nevery = '1h'\n\
         catalogue = { command = ['sh', '-c', 'printf x >> runs; echo r/a'], every = '5ms' }\n",
    );
}

#[test]
fn a_stream_that_starts_again_leaves_nothing_behind() {
    descriptors_stay(
        "r",
        "[[route]]\ntopic = 'r'\nmode = 'stream'\nrestart = 'always'\nbackoff_min = '5ms'\nbackoff_max = '5ms'\n\
         command = ['sh', '-c', 'printf x >> runs']\n",
    );
}

#[test]
fn a_shared_program_that_starts_again_leaves_nothing_behind() {
    descriptors_stay(
        "r",
        "[[route]]\ntopic = 'r'\nmode = 'shared'\nrestart = 'always'\nbackoff_min = '5ms'\nbackoff_max = '5ms'\n\
         command = ['sh', '-c', 'printf x >> runs']\n",
    );
}

#[test]
fn a_run_within_limits_and_one_that_may_gain_privileges_leave_nothing_behind() {
    for keys in ["cpu_max = '1m'\nfiles_max = 64\nmemory_max = '1 GiB'", "new_privileges = true"] {
        descriptors_stay(
            "r",
            &format!(
                "[[route]]\ntopic = 'r'\ncommand = ['sh', '-c', 'printf x >> runs']\nevery = '5ms'\n{keys}\n"
            ),
        );
    }
}
