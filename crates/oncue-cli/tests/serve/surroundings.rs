//! A server goes on where the system lacks something.

use std::process::Command;

use oncue_interop::program::Program;
use oncue_interop::until;

use crate::{Directory, Server};

/// Serves these routes by a shell that runs this script before.
fn serve_after(directory: &Directory, shell: &[&str], before: &str, routes: &str) -> Server {
    let path = directory.config(routes);
    let script = format!("{before} exec {} serve {}", env!("CARGO_BIN_EXE_oncue"), path.display());
    let mut command = Command::new(shell[0]);
    let mut program = Program::start(command.args(&shell[1..]).args(["-c", &script]));
    let line = loop {
        let line = program.error_line();
        if line.contains("bound to") {
            break line;
        }
        assert!(line.contains("there is no guardian"), "{line}");
    };
    let endpoint = line.split_once(" to ").expect("an endpoint").1.to_owned();
    Server { program, endpoint }
}

#[test]
fn without_proc_and_without_a_temporary_directory_it_serves() {
    // Needs the right to mount, in a namespace of its own.
    let shell = ["unshare", "-m", "sh"];
    let hidden = "mount -t tmpfs none /proc &&";
    let may = Command::new("unshare").args(["-m", "sh", "-c", &format!("{hidden} true")]).output();
    if !may.is_ok_and(|output| output.status.success()) {
        return eprintln!("/proc cannot be hidden here: NOT tested");
    }
    let directory = Directory::new();
    let before = format!("{hidden} export TMPDIR=/no/such/directory;");
    let routes = "[[route]]\ntopic = 'a'\ncommand = ['echo', 'here']\nevery = '10ms'\n";
    let server = serve_after(&directory, &shell, &before, routes);
    assert_eq!(server.subscriber(&["a"]).value(), "here");
    server.program.signal("TERM");
    let end = server.program.end();
    assert_eq!(end.code, Some(0), "{end:?}");
}

#[test]
fn without_descriptors_it_waits_for_some() {
    let directory = Directory::new();
    let routes = "[[route]]\ntopic = 'a/{x:int}'\ncommand = ['sh', '-c', 'echo up; sleep 60']\nmode = 'stream'\n\
                  backoff_min = '10ms'\nbackoff_max = '50ms'\n";
    let mut server = serve_after(&directory, &["sh"], "ulimit -n 48;", routes);
    let topics: Vec<_> = (0..40).map(|number| format!("a/{number}")).collect();
    let topics: Vec<_> = topics.iter().map(String::as_str).collect();
    let subscriber = server.subscriber(&topics);
    server.error_with("Too many open files");
    assert_eq!(subscriber.value(), "up", "those that have their descriptors run");
    // The config cannot be read now.
    server.program.signal("HUP");
    server.error_with("config");
    drop(subscriber);
    // There are descriptors again.
    let one = server.subscriber(&["a/1"]);
    assert_eq!(one.value(), "up");
    until("the config is read again", || {
        server.program.signal("HUP");
        server.error_with("config").contains("config read again")
    });
    server.program.signal("TERM");
    assert_eq!(server.program.end().code, Some(0));
}
