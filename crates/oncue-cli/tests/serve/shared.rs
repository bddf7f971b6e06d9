//! Shared programs: how they are told to end, how long they stay, and what is said of a silent one.

use std::fs;
use std::time::{Duration, Instant};

use oncue_interop::until;

use crate::{Directory, Server};

/// Writes what it reads and that its input has ended to the file `read`, and a value for each topic.
const READER: &str = "import os, signal, sys, time
log = open('read', 'a', buffering=1)
def term(*_):
    log.write('term\\n')
    if 'obedient' in sys.argv: sys.exit()
signal.signal(signal.SIGTERM, term)
log.write('begin\\n')
for line in sys.stdin:
    log.write(line)
    if line[0] == '+': print(line[1:].strip() + '\\t' + str(os.getpid()))
log.write('eof\\n')
while 'stays' in sys.argv: time.sleep(0.05)
";

fn serve(directory: &Directory, words: &str, keys: &str) -> Server {
    directory.write("reader.py", READER);
    directory.serve(&format!(
        "[[route]]\ntopic = 'p/{{x:word}}'\nmode = 'shared'\ncommand = ['python3', 'reader.py', {words}]\n{keys}\n"
    ))
}

fn read(directory: &Directory) -> String {
    fs::read_to_string(directory.path("read")).unwrap_or_default()
}

#[test]
fn a_shared_program_is_told_of_its_last_topic_and_ends_with_its_input() {
    let directory = Directory::new();
    let server = serve(&directory, "", "stop_after = '1h'");
    let subscriber = server.subscriber(&["p/a", "p/b"]);
    let mut values = [subscriber.next().0, subscriber.next().0];
    values.sort();
    assert_eq!(values, ["p/a", "p/b"]);
    drop(subscriber);
    until("it ends", || read(&directory).ends_with("eof\n"));
    let told = read(&directory);
    let mut lines: Vec<_> = told.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["+p/a", "+p/b", "-p/a", "-p/b", "begin", "eof"], "and no TERM: {told}");
    assert_eq!(server.subscriber(&["p/c"]).next().0, "p/c", "it begins again");
}

#[test]
fn a_shared_program_that_goes_on_gets_term_and_then_kill() {
    for (words, least) in [("'stays', 'obedient'", 200), ("'stays'", 400)] {
        let directory = Directory::new();
        let server = serve(&directory, words, "stop_after = '200ms'\nkill_after = '200ms'");
        let subscriber = server.subscriber(&["p/a"]);
        subscriber.next();
        let started = Instant::now();
        drop(subscriber);
        until("it is told", || read(&directory).contains("-p/a\neof\nterm\n"));
        let mark =
            |pid: &str| fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == directory.path(""));
        until("it ends", || !crate::processes_with("reader.py").iter().any(|pid| mark(pid)));
        assert!(started.elapsed() >= Duration::from_millis(least), "{words}: {:?}", started.elapsed());
    }
}

#[test]
fn the_end_of_the_server_is_told_to_shared_programs_in_the_same_way_and_at_once() {
    let directory = Directory::new();
    directory.write("reader.py", READER);
    let routes = (0..5).map(|number| {
        format!(
            "[[route]]\ntopic = '{number}/{{x}}'\nmode = 'shared'\ncommand = ['python3', 'reader.py', 'stays']\n\
             stop_after = '300ms'\nkill_after = '300ms'\n"
        )
    });
    let server = directory.serve(&routes.collect::<String>());
    let topics: Vec<String> = (0..5).map(|number| format!("{number}/a")).collect();
    let subscriber = server.subscriber(&topics.iter().map(String::as_str).collect::<Vec<_>>());
    for _ in 0..5 {
        subscriber.next();
    }
    let started = Instant::now();
    server.program.signal("TERM");
    assert_eq!(server.program.end().code, Some(0));
    let took = started.elapsed();
    assert!(took >= Duration::from_millis(600), "they had their time: {took:?}");
    assert!(took < Duration::from_millis(5 * 600), "all at once: {took:?}");
    let told = read(&directory);
    for (line, times) in [("eof", 5), ("term", 5), ("-3/a", 1)] {
        assert_eq!(told.lines().filter(|read| *read == line).count(), times, "{line} in {told}");
    }
}

#[test]
fn a_shared_program_whose_route_is_removed_is_told_too() {
    let directory = Directory::new();
    let mut server = serve(&directory, "", "stop_after = '1h'");
    let subscriber = server.subscriber(&["p/a"]);
    subscriber.next();
    directory.config("[[route]]\ntopic = 'other'\nfile = 'other'\n");
    server.program.signal("HUP");
    server.error_with("config read again");
    until("it ends", || read(&directory).ends_with("eof\n"));
    assert_eq!(read(&directory), "begin\n+p/a\n-p/a\neof\n");
}

#[test]
fn an_idle_program_stays_and_ends_when_its_time_has_come() {
    let directory = Directory::new();
    let server = serve(&directory, "", "idle = '700ms'");
    let first = server.subscriber(&["p/a"]).value();
    until("it is told", || read(&directory).ends_with("-p/a\n"));
    let started = Instant::now();
    assert_eq!(server.subscriber(&["p/b"]).value(), first, "the same process");
    until("it ends", || read(&directory).ends_with("-p/b\neof\n"));
    assert!(started.elapsed() >= Duration::from_millis(700), "{:?}", started.elapsed());
    assert_ne!(server.subscriber(&["p/a"]).value(), first);
}

#[test]
fn an_idle_program_ends_with_the_server() {
    let directory = Directory::new();
    let server = serve(&directory, "", "idle = '1h'");
    server.subscriber(&["p/a"]).value();
    until("it is told", || read(&directory).ends_with("-p/a\n"));
    server.program.signal("TERM");
    assert_eq!(server.program.end().code, Some(0));
    assert!(read(&directory).ends_with("eof\n"));
}

#[test]
fn a_program_that_does_not_flush_is_told_apart_from_one_that_is_slow() {
    let directory = Directory::new();
    directory.write("slow.py", "import sys, time\nprint(sys.argv[1])\ntime.sleep(60)\n");
    let route = |topic: &str, env: &str| {
        format!(
            "[[route]]\ntopic = '{topic}/{{x}}'\nmode = 'stream'\ncommand = ['python3', 'slow.py', '{{x}}']\nenv = {{ {env} }}\n"
        )
    };
    let routes = [route("at-once", ""), route("buffered", "PYTHONUNBUFFERED = ''")].concat();
    let mut server = directory.serve(&routes);
    let subscriber = server.subscriber(&["at-once/1", "buffered/1"]);
    assert_eq!(subscriber.next(), ("at-once/1".into(), "1".into()), "Python writes at once");
    let line = server.program.error_line();
    let expected = "oncue serve: buffered/1: `python3 slow.py {x}` runs and has written nothing yet: does it flush its output?";
    assert_eq!(line, expected);
    assert_eq!(server.program.error_line_within(Duration::from_millis(500)), None, "once");
}
