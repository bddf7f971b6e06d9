//! Ends: nothing that was started outlives the command, however that ends.

use std::time::{Duration, Instant};

use oncue_interop::until;

use crate::{Directory, processes_with};

/// A route of each kind, each with a program that leaves a child behind if it can. The argument marks them.
fn routes(mark: &str, script: &str) -> String {
    format!(
        "[[route]]\ntopic = 'run'\ncommand = ['sh', '-c', '{script}', '{mark}']\nevery = '1s'\nkill_after = '300ms'\n\
         [[route]]\ntopic = 'stream'\ncommand = ['sh', '-c', '{script}', '{mark}']\nmode = 'stream'\nkill_after = '300ms'\n\
         [[route]]\ntopic = 'shared'\ncommand = ['sh', '-c', '{script}', '{mark}']\nmode = 'shared'\nkill_after = '300ms'\n"
    )
}

/// A text that no other process has in its command line.
fn mark(name: &str) -> String {
    format!("oncue-mark-{}-{name}", std::process::id())
}

#[test]
fn term_and_int_end_all_programs_with_their_children() {
    for signal in ["TERM", "INT"] {
        let directory = Directory::new();
        let mark = mark(signal);
        let mut server = directory.serve(&routes(&mark, "sh -c \"sleep 60; :\" $0 & echo up >&2; wait"));
        let _subscriber = server.subscriber(&["run", "stream", "shared"]);
        for _ in 0..3 {
            server.error_with("up");
        }
        until("all six are there", || processes_with(&mark).len() == 6);
        server.program.signal(signal);
        let end = server.program.end();
        assert_eq!(end.code, Some(0), "{end:?}");
        // Told to die, a child may take a moment.
        until("all are gone", || processes_with(&mark).is_empty());
    }
}

#[test]
fn programs_that_do_not_heed_term_are_killed() {
    let directory = Directory::new();
    let mark = mark("stubborn");
    let mut server =
        directory.serve(&routes(&mark, "trap \"\" TERM; echo up >&2; while :; do sleep 0.05; done"));
    let _subscriber = server.subscriber(&["run", "stream", "shared"]);
    for _ in 0..3 {
        server.error_with("up");
    }
    let started = Instant::now();
    server.program.signal("TERM");
    assert_eq!(server.program.end().code, Some(0));
    assert!(started.elapsed() >= Duration::from_millis(300), "they had their time");
    until("all are gone", || processes_with(&mark).is_empty());
}

#[test]
fn programs_end_even_when_the_command_is_killed() {
    let directory = Directory::new();
    let mark = mark("killed");
    let mut server = directory
        .serve(&routes(&mark, "trap \"\" TERM; echo up >&2; while read x; do :; done; exec sleep 60"));
    let _subscriber = server.subscriber(&["run", "stream", "shared"]);
    for _ in 0..3 {
        server.error_with("up");
    }
    server.program.kill();
    until("the programs end", || processes_with(&mark).is_empty());
}

#[test]
fn a_topic_that_nobody_wants_ends_its_programs() {
    let directory = Directory::new();
    let mark = mark("unwanted");
    let mut server = directory.serve(&routes(&mark, "echo up >&2; sleep 60 & wait"));
    let subscriber = server.subscriber(&["run", "stream", "shared"]);
    for _ in 0..3 {
        server.error_with("up");
    }
    drop(subscriber);
    until("the programs end", || processes_with(&mark).is_empty());
    assert!(!server.program.has_ended());
}

#[test]
fn a_reader_that_goes_away_ends_the_command() {
    let directory = Directory::new();
    let mut server = directory.serve("[[route]]\ntopic = 'a'\ncommand = ['true']\nevery = '10ms'\n");
    server.program.close_output();
    let subscriber = server.subscriber(&[]);
    until("it ends", || {
        subscriber.0.subscribe("a").expect("a subscription");
        subscriber.0.unsubscribe("a").expect("the end of a subscription");
        server.program.has_ended()
    });
    assert_eq!(server.program.end().code, Some(0));
}
