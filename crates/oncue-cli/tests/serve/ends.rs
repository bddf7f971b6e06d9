//! No program outlives the command, however the command ends.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use oncue::{Engine, Options, Sub};
use oncue_interop::until;

use crate::{Directory, processes_with};

/// A route of each kind with a program that starts a child. An argument marks the programs and their children.
fn routes(mark: &str, script: &str) -> String {
    format!(
        "[[route]]\ntopic = 'run'\ncommand = ['sh', '-c', '{script}', '{mark}']\nevery = '1s'\nkill_after = '300ms'\n\
         [[route]]\ntopic = 'stream'\ncommand = ['sh', '-c', '{script}', '{mark}']\nmode = 'stream'\nkill_after = '300ms'\n\
         [[route]]\ntopic = 'shared'\ncommand = ['sh', '-c', '{script}', '{mark}']\nmode = 'shared'\nkill_after = '300ms'\n"
    )
}

/// A text that is in the command line of no other process.
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
        // A child that was killed may take a moment to end.
        until("all are gone", || processes_with(&mark).is_empty());
    }
}

#[test]
fn programs_that_ignore_term_are_killed() {
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

/// Programs that ignore TERM, each with a child that does so too.
const STUBBORN: &str =
    "trap \"\" TERM; sh -c \"while :; do sleep 0.05; done\" $0 & echo up >&2; while :; do sleep 0.05; done";

/// The guardian of a server.
fn guardian(server: u32) -> Vec<String> {
    processes_with(&format!("__guardian\0{server}-"))
}

/// The guardian of a server, which may be about to begin: its command line cannot be read in the middle of its exec.
fn the_guardian(server: u32) -> String {
    let mut found = Vec::new();
    until("there is a guardian", || {
        found = guardian(server);
        found.len() == 1
    });
    found.remove(0)
}

/// The pipes and sockets that a process holds.
fn files(process: &str) -> BTreeSet<String> {
    let open = std::fs::read_dir(format!("/proc/{process}/fd")).expect("a process").flatten();
    let names = open.filter_map(|file| std::fs::read_link(file.path()).ok());
    let names = names.map(|name| name.to_string_lossy().into_owned());
    names.filter(|name| name.starts_with("pipe:") || name.starts_with("socket:")).collect()
}

#[test]
fn programs_and_their_children_end_even_when_the_command_is_killed() {
    let directory = Directory::new();
    let mark = mark("killed");
    let mut server = directory.serve(&routes(&mark, STUBBORN));
    let _subscriber = server.subscriber(&["run", "stream", "shared"]);
    for _ in 0..3 {
        server.error_with("up");
    }
    until("all six are there", || processes_with(&mark).len() == 6);
    let id = server.program.id();
    assert_eq!(guardian(id).len(), 1);
    server.program.kill();
    until("all are gone", || processes_with(&mark).is_empty());
    until("so is the guardian", || guardian(id).is_empty());
}

#[test]
fn programs_end_when_the_command_is_killed_while_it_ends_them() {
    let directory = Directory::new();
    let mark = mark("ending");
    let mut server = directory.serve(&routes(&mark, STUBBORN).replace("300ms", "1h"));
    let _subscriber = server.subscriber(&["run", "stream", "shared"]);
    for _ in 0..3 {
        server.error_with("up");
    }
    server.program.signal("TERM");
    // The second ends the command at once.
    until("it has ended", || {
        server.program.signal("TERM");
        std::thread::sleep(Duration::from_millis(20));
        server.program.has_ended()
    });
    until("all are gone", || processes_with(&mark).is_empty());
}

#[test]
fn programs_end_when_the_command_is_killed_while_it_starts_them() {
    let directory = Directory::new();
    for round in 0..15 {
        let mark = mark(&format!("starting-{round}-"));
        // With a launcher, and without.
        let limit = if round % 2 == 0 { "files_max = 64\n" } else { "" };
        let server = directory.serve(&format!(
            "[[route]]\ntopic = 't/{{x:int}}'\ncommand = ['sh', '-c', 'sh -c \"sleep 60; :\" $0 & wait', '{mark}']\nmode = 'stream'\n{limit}",
        ));
        let topics: Vec<_> = (0..40).map(|number| format!("t/{number}")).collect();
        let topics: Vec<_> = topics.iter().map(String::as_str).collect();
        let _subscriber = server.subscriber(&topics);
        until("the first one", || !processes_with(&mark).is_empty());
        std::thread::sleep(Duration::from_millis(round));
        server.program.kill();
        until("all are gone", || processes_with(&mark).is_empty());
    }
}

#[test]
fn the_guardian_is_replaced_when_it_is_killed_and_ends_with_the_command() {
    let directory = Directory::new();
    let mark = mark("guardian");
    let mut server = directory.serve(&routes(&mark, STUBBORN));
    let _subscriber = server.subscriber(&["run", "stream", "shared"]);
    for _ in 0..3 {
        server.error_with("up");
    }
    let id = server.program.id();
    let kill = |signal: &str, process: &str| {
        assert!(Command::new("kill").args([signal, process]).status().expect("kill").success());
    };
    let first = the_guardian(id);
    // It may have just begun.
    until("it has chosen what signals do", || {
        let status = std::fs::read_to_string(format!("/proc/{first}/status")).expect("a process");
        let masks =
            status.lines().filter_map(|line| line.strip_prefix("SigIgn:").or(line.strip_prefix("SigCgt:")));
        let masks = masks.map(|mask| u64::from_str_radix(mask.trim(), 16).expect("a mask"));
        // INT, TERM, HUP and QUIT.
        masks.fold(0, |all, mask| all | mask) & 0x4007 == 0x4007
    });
    // As a terminal and a supervisor do it.
    for signal in ["-INT", "-TERM", "-HUP", "-QUIT"] {
        kill(signal, &first);
    }
    kill("-KILL", &first);
    let line = server.error_with("guardian");
    assert!(line.contains("the guardian has ended (signal: 9"), "{line}");
    server.error_with("there is another guardian");
    let second = the_guardian(id);
    assert_ne!(second, first);
    // It shares one pipe with the server, and no socket; other tests of this process may have given both some of theirs.
    let shared = || {
        let (ours, servers) = (files("self"), files(&id.to_string()));
        files(&second)
            .into_iter()
            .filter(|file| servers.contains(file) && !ours.contains(file))
            .collect::<Vec<_>>()
    };
    // While it starts it has others.
    until("it has no more", || matches!(&shared()[..], [pipe] if pipe.starts_with("pipe:")));
    server.program.kill();
    until("all are gone", || processes_with(&mark).is_empty());
    // A command that ends as it should leaves no guardian.
    let server = directory.serve(&routes(&mark, STUBBORN));
    let id = server.program.id();
    the_guardian(id);
    server.program.signal("TERM");
    assert_eq!(server.program.end().code, Some(0));
    assert_eq!(guardian(id), Vec::<String>::new());
}

#[test]
fn the_programs_of_an_unwanted_topic_end() {
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
fn a_reader_that_reads_nothing_does_not_delay_the_end() {
    let directory = Directory::new();
    let path = directory.config(
        "[[route]]\ntopic = 't/{x}'\nmode = 'shared'\ncommand = ['sh', '-c', 'exec cat > /dev/null']\n",
    );
    let mut child = Command::new(env!("CARGO_BIN_EXE_oncue"))
        .args(["serve", path.to_str().expect("a path")])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command");
    let mut line = String::new();
    let mut errors = BufReader::new(child.stderr.take().expect("standard error"));
    errors.read_line(&mut line).expect("where it is bound");
    let endpoint = line.trim().rsplit(' ').next().expect("an endpoint");
    let socket = Sub::new(&Engine::start().expect("an engine"), Options::new()).expect("a subscriber");
    socket.connect(endpoint).expect("an endpoint to connect to");
    // More lines than the pipe and the journal hold; nobody reads any of them.
    for number in 0..20_000 {
        socket.subscribe(format!("t/{number:0100}")).expect("a subscription");
    }
    std::thread::sleep(Duration::from_millis(500));
    let kill = Command::new("kill").arg(child.id().to_string()).status().expect("a signal");
    assert!(kill.success());
    until("it ends", || child.try_wait().expect("our own program").is_some());
    assert!(child.wait().expect("our own program").success());
}
