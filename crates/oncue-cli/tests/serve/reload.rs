//! SIGHUP: the config is read again, and what has not changed is not disturbed.

use std::fs;

use crate::{BIND, Directory};

/// Programs that print their process IDs.
const STREAM: &str = "[[route]]\ntopic = 'stream'\nmode = 'stream'\ncommand = ['sh', '-c', 'while :; do echo $$; sleep 0.01; done']\n";
const SHARED: &str = "[[route]]\ntopic = 'shared/{x:word}'\nmode = 'shared'\n\
                      command = ['sh', '-c', 'while read l; do printf \"%s\\t%s\\n\" ${{l#?}} $$; done']\n";
const RUNS: &str = "[[route]]\ntopic = 'runs'\nevery = '10ms'\ncommand = ['echo', 'old']\n";

#[test]
fn what_has_not_changed_goes_on_and_what_has_is_replaced() {
    let directory = Directory::new();
    let mut server = directory.serve(&format!("{STREAM}{SHARED}{RUNS}"));
    let (stream, shared, runs) = (
        server.subscriber(&["stream"]),
        server.subscriber(&["shared/a"]),
        server.subscriber(&["runs", "new"]),
    );
    let (stream_before, shared_before) = (stream.value(), shared.value());
    assert_eq!(runs.value(), "old");
    let new = "[[route]]\ntopic = 'new'\nfile = 'new'\nmode = 'content'\n";
    directory.write("new", "fresh");
    // The same routes in another order, with other blanks.
    directory.config(&format!("\n# changed\n{new}{SHARED}\n\n{STREAM}{}", RUNS.replace("old", "new")));
    server.program.signal("HUP");
    assert!(server.error_with("config read again").ends_with("2 routes kept, 2 added, 1 removed"));
    let mut missing = vec![("runs", "new"), ("new", "fresh")];
    while !missing.is_empty() {
        let (topic, value) = runs.next();
        missing.retain(|expected| *expected != (topic.as_str(), value.as_str()));
    }
    assert_eq!(stream.value(), stream_before, "the same process");
    shared.0.subscribe("shared/b").expect("a subscription");
    assert_eq!(shared.next(), ("shared/b".into(), shared_before), "the same process");
    directory.config(RUNS);
    server.program.signal("HUP");
    server.error_with("config read again");
    crate::until("programs of routes that have gone end", || {
        crate::processes_with("while read l").is_empty()
    });
    server.program.signal("TERM");
    assert_eq!(server.program.end().code, Some(0));
}

#[test]
fn a_bad_config_leaves_the_old_one_in_force_and_says_why() {
    let directory = Directory::new();
    let mut server = directory.serve(STREAM);
    let stream = server.subscriber(&["stream"]);
    let before = stream.value();
    for bad in [
        "grase = '1s'",
        "[[route]\n",
        "[[route]]\ntopic = 'stream'\nfile = 'x'\n[[route]]\ntopic = 'stream'\nfile = 'y'\n",
    ] {
        directory.config(bad);
        server.program.signal("HUP");
        let why = server.program.error_line();
        assert!(why.contains("oncue.toml:"), "{why}");
        server.error_with("the one before stays in force");
    }
    fs::remove_file(directory.path("oncue.toml")).expect("the config");
    server.program.signal("HUP");
    server.error_with("cannot be read");
    server.error_with("the one before stays in force");
    for _ in 0..10 {
        assert_eq!(stream.value(), before);
    }
}

#[test]
fn endpoints_come_and_go_while_subscribers_stay() {
    let directory = Directory::new();
    let mut server = directory.serve(STREAM);
    let first = server.subscriber(&["stream"]);
    let before = first.value();
    let path = directory.path("socket");
    let ipc = format!("ipc://{}", path.display());
    directory.write("oncue.toml", &format!("bind = '{ipc}'\n{STREAM}"));
    server.program.signal("HUP");
    assert_eq!(server.error_with("bound to"), format!("oncue serve: bound to {ipc}"));
    server.error_with("1 route kept, 0 added, 0 removed");
    for _ in 0..10 {
        assert_eq!(first.value(), before, "a subscriber of the old endpoint stays");
    }
    server.endpoint = ipc;
    assert_eq!(server.subscriber(&["stream"]).value(), before);
    // An endpoint that cannot be bound changes nothing.
    directory.write("oncue.toml", &format!("bind = 'ipc:///no/such/directory'\n{STREAM}{RUNS}"));
    server.program.signal("HUP");
    server.error_with("/no/such/directory");
    server.error_with("the one before stays in force");
    assert_eq!(server.subscriber(&["stream"]).value(), before);
}

#[test]
fn bounds_change_too() {
    let directory = Directory::new();
    let routes =
        "[[route]]\ntopic = '{x:word}'\nmode = 'stream'\ncommand = ['sh', '-c', 'echo up; sleep 60']\n";
    let mut server =
        directory.serve_file(&directory.write("oncue.toml", &format!("{BIND}processes_max = 1\n{routes}")));
    let first = server.subscriber(&["a"]);
    assert_eq!(first.value(), "up");
    let second = server.subscriber(&["b"]);
    assert_eq!([server.program.line(), server.program.line()], ["+ a", "+ b"]);
    directory.write("oncue.toml", &format!("{BIND}processes_max = 2\n{routes}"));
    server.program.signal("HUP");
    assert_eq!(second.value(), "up");
}
