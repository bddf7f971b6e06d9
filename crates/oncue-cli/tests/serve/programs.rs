//! Programs as producers: one run for each value, one program for each topic, one for all.

use std::process::Command;
use std::time::{Duration, Instant};

use oncue_interop::program::Program;
use oncue_interop::until;

use crate::{BIND, Directory, Server};

const A_WHILE: Duration = Duration::from_millis(200);

#[test]
fn one_run_for_each_value_periodically_and_only_while_wanted() {
    let directory = Directory::new();
    let mut server = directory.serve(
        "[[route]]\ntopic = 'count/{name:word}'\ncommand = ['sh', '-c', 'echo $1 >> runs; wc -l < runs', 'sh', '{name}']\n\
         every = '20ms'\n",
    );
    let runs = || std::fs::read_to_string(directory.path("runs")).unwrap_or_default().lines().count();
    let subscriber = server.subscriber(&["count/a"]);
    assert_eq!(server.program.line(), "+ count/a");
    for number in ["1", "2", "3"] {
        assert_eq!(subscriber.next(), ("count/a".into(), number.into()));
    }
    drop(subscriber);
    assert_eq!(server.program.line(), "- count/a");
    let after = runs();
    std::thread::sleep(A_WHILE);
    assert_eq!(runs(), after, "nobody wants it, nothing runs");
}

#[test]
fn the_value_of_a_run_is_its_whole_output_without_the_last_newline() {
    let directory = Directory::new();
    let server = directory.serve(
        "[[route]]\ntopic = 'two'\ncommand = ['printf', 'a\\nb\\n\\n']\nevery = '10ms'\n\
         [[route]]\ntopic = 'none'\ncommand = ['true']\nevery = '10ms'\n",
    );
    assert_eq!(server.subscriber(&["two"]).value(), "a\nb\n");
    assert_eq!(server.subscriber(&["none"]).value(), "");
}

#[test]
fn a_failed_run_has_no_value_and_is_logged_with_its_topic() {
    let directory = Directory::new();
    let mut server = directory.serve(
        "[[route]]\ntopic = 'bad/{x}'\ncommand = ['sh', '-c', 'echo half; echo oh no >&2; exit 3']\nevery = '1s'\n\
         [[route]]\ntopic = 'slow'\ncommand = ['sleep', '60']\nevery = '1s'\ntimeout = '50ms'\n\
         [[route]]\ntopic = 'large'\ncommand = ['cat', '/dev/zero']\nevery = '1s'\noutput_bytes_max = 1000\n\
         [[route]]\ntopic = 'missing'\ncommand = ['no-such-program']\nevery = '1s'\n",
    );
    let subscriber = server.subscriber(&["bad/y"]);
    assert_eq!(server.error_with("bad/y"), "oncue serve: bad/y: oh no");
    assert_eq!(server.error_with("bad/y"), "oncue serve: bad/y: the program ended with status 3");
    for (topic, why) in
        [("slow", "took too long"), ("large", "more than 1000 bytes"), ("missing", "cannot be started")]
    {
        subscriber.0.subscribe(topic).expect("a subscription");
        server.error_with(why);
    }
    assert!(subscriber.is_quiet(A_WHILE));
}

#[test]
fn the_topic_is_in_the_environment() {
    let directory = Directory::new();
    let server = directory.serve(
        "[[route]]\ntopic = '{a}/{b_c:int}'\nevery = '1s'\nenv = { GREETING = 'hello' }\ncwd = '/'\n\
         command = ['sh', '-c', 'echo $GREETING $ONCUE_TOPIC $ONCUE_PARAM_A $ONCUE_PARAM_B_C $PWD']\n",
    );
    assert_eq!(server.subscriber(&["x/7"]).value(), "hello x/7 x 7 /");
}

/// The soft and the hard limit of open files of a program, if the server was started with this soft one.
fn limits_of_a_program(soft: u32, before: &str) -> (String, String) {
    let directory = Directory::new();
    let path = directory.config(&format!(
        "[[route]]\ntopic = 'files'\ncommand = ['sh', '-c', '{before} ulimit -Sn; ulimit -Hn']\nevery = '1s'\n"
    ));
    let mut command = Command::new("sh");
    let script = format!("ulimit -Sn {soft}; exec {} serve {}", env!("CARGO_BIN_EXE_oncue"), path.display());
    let mut program = Program::start(command.args(["-c", &script]));
    let endpoint = program.endpoint();
    let server = Server { program, endpoint };
    let limits = server.subscriber(&["files"]).value();
    let (soft, hard) = limits.split_once('\n').expect("two limits");
    (soft.to_owned(), hard.to_owned())
}

#[test]
fn a_program_may_open_as_many_files_as_ever() {
    let (soft, hard) = limits_of_a_program(512, "");
    assert!(soft == "512" && hard != "512", "{soft} {hard}");
    // The server has more descriptors than half of these: the limit comes after the start.
    let (soft, hard) = limits_of_a_program(16, "sleep 0.5;");
    assert!(soft == "16" && hard != "16", "{soft} {hard}");
}

#[test]
fn each_line_of_a_stream_is_a_value_and_the_program_ends_with_its_topic() {
    let directory = Directory::new();
    let mut server = directory.serve(
        "[[route]]\ntopic = 'count/{from:int}'\nmode = 'stream'\nline_bytes_max = 100\n\
         command = ['sh', '-c', 'i=$1; while :; do echo $i; echo; i=$((i+1)); sleep 0.01; done', 'sh', '{from}']\n",
    );
    let subscriber = server.subscriber(&["count/5"]);
    for value in ["5", "", "6", "", "7"] {
        assert_eq!(subscriber.next(), ("count/5".into(), value.into()));
    }
    assert_eq!(server.program.line(), "+ count/5");
    drop(subscriber);
    assert_eq!(server.program.line(), "- count/5");
    assert_eq!(server.subscriber(&["count/9"]).value(), "9", "another topic, another program");
}

#[test]
fn a_stream_that_has_ended_starts_again_only_for_a_new_subscription() {
    let directory = Directory::new();
    let mut server = directory.serve(
        "[[route]]\ntopic = 'short'\nmode = 'stream'\nline_bytes_max = 9\n\
         command = ['sh', '-c', 'echo one; echo far too long; printf two']\n",
    );
    let subscriber = server.subscriber(&["short"]);
    assert_eq!([subscriber.value(), subscriber.value()], ["one", "two"]);
    assert!(server.error_with("short").contains("longer than 9 bytes"));
    assert!(subscriber.is_quiet(A_WHILE));
    subscriber.0.unsubscribe("short").expect("the end of a subscription");
    assert_eq!([server.program.line(), server.program.line()], ["+ short", "- short"]);
    subscriber.0.subscribe("short").expect("a subscription");
    assert_eq!(subscriber.value(), "one");
}

/// Writes that it begins, and what it reads.
const ECHO: &str = "echo begin >&2; while read line; do echo \"$line\" >&2; t=${line#?}; printf '%s\\t%s\\n' \"$t\" \"$line\"; \
                    [ \"$t\" = p/die ] && exit 1; done; echo end >&2";

#[test]
fn one_program_serves_all_topics_and_reads_what_is_wanted() {
    let directory = Directory::new();
    directory.write("echo.sh", ECHO);
    let mut server =
        directory.serve("[[route]]\ntopic = 'p/{x:word}'\nmode = 'shared'\ncommand = ['sh', 'echo.sh']\ncatalogue = ['p/a', 'p/b']\n");
    let all = server.subscriber(&["p/"]);
    assert_eq!(server.error_with("p/"), "oncue serve: p/{x:word}: begin");
    let mut values = [all.next(), all.next()];
    values.sort();
    assert_eq!(values, [("p/a".into(), "+p/a".into()), ("p/b".into(), "+p/b".into())]);
    let one = server.subscriber(&["p/c"]);
    assert_eq!(one.next(), ("p/c".into(), "+p/c".into()));
    assert_eq!(all.next(), ("p/c".into(), "+p/c".into()), "a prefix gets what others have started");
    drop(all);
    server.error_with("p/{x:word}: -p/a");
    server.error_with("p/{x:word}: -p/b");
    drop(one);
    until("the program ends with the last topic", || crate::processes_with("echo.sh").is_empty());
    assert_eq!(server.subscriber(&["p/d"]).value(), "+p/d", "and begins again with the next");
}

#[test]
fn a_shared_program_that_dies_is_started_again_and_told_everything() {
    let directory = Directory::new();
    directory.write("echo.sh", ECHO);
    let mut server = directory.serve(
        "[[route]]\ntopic = 'p/{x:word}'\nmode = 'shared'\ncommand = ['sh', 'echo.sh']\nbackoff_min = '100ms'\n",
    );
    let subscriber = server.subscriber(&["p/a"]);
    assert_eq!(subscriber.value(), "+p/a");
    let killer = server.subscriber(&["p/die"]);
    assert_eq!(killer.value(), "+p/die");
    assert_eq!(server.error_with("status 1"), "oncue serve: p/{x:word}: the program ended with status 1");
    let started = Instant::now();
    drop(killer);
    assert_eq!(subscriber.value(), "+p/a", "it is told again");
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[test]
fn unwanted_values_of_a_shared_program_are_dropped_and_counted() {
    let directory = Directory::new();
    let mut server = directory.serve(
        "[[route]]\ntopic = 'p/{x:word}'\nmode = 'shared'\nline_bytes_max = 20\n\
         command = ['sh', '-c', 'printf \"p/b\\t1\\nother\\t2\\nno tab\\np/a\\tfar too long for a line\\np/a\\t3\\t4\\n\"; cat']\n",
    );
    let subscriber = server.subscriber(&["p/a", "other"]);
    assert_eq!(subscriber.next(), ("p/a".into(), "3\t4".into()));
    // `cat` writes back what it reads, also at the end, which has no tab either.
    for _ in 0..2 {
        server.error_with("without a tab");
    }
    server.program.signal("TERM");
    let summary = server.error_with(" sent by ");
    assert!(summary.contains("2 values of topics that nobody wanted, 4 lines skipped"), "{summary}");
    assert_eq!(server.program.end().code, Some(0));
}

#[test]
fn no_more_programs_run_at_once_than_the_config_allows() {
    let directory = Directory::new();
    let path = directory.write(
        "oncue.toml",
        "bind = 'tcp://127.0.0.1:0'\nprocesses_max = 1\n[[route]]\ntopic = '{x:word}'\nmode = 'stream'\n\
         command = ['sh', '-c', 'echo up; sleep 60']\n",
    );
    let server = directory.serve_file(&path);
    let first = server.subscriber(&["a"]);
    assert_eq!(first.value(), "up");
    let second = server.subscriber(&["b"]);
    assert!(second.is_quiet(A_WHILE));
    drop(first);
    assert_eq!(second.value(), "up", "the first has made room");
}

#[test]
fn a_prefix_starts_the_topics_that_a_program_lists_now() {
    let directory = Directory::new();
    directory.write("topics", "f/a\nf/b\nother\n");
    let mut server = directory.serve(
        "[[route]]\ntopic = 'f/{x:word}'\ncommand = ['echo', '{x}']\nevery = '20ms'\n\
         catalogue = { command = ['cat', 'topics'], every = '50ms' }\n",
    );
    server.error_with("catalogue of f/{x:word}: skipped 1 line with no topic of the route");
    let subscriber = server.subscriber(&["f/"]);
    let mut missing = vec!["f/a", "f/b"];
    while !missing.is_empty() {
        let (topic, value) = subscriber.next();
        assert_eq!(topic, format!("f/{value}"));
        missing.retain(|known| *known != topic);
    }
    std::fs::remove_file(directory.path("topics")).expect("the list");
    server.error_with("the list stays as it was");
    let new = directory.write("topics.new", "f/c\n");
    std::fs::rename(new, directory.path("topics")).expect("the list");
    while subscriber.next().0 != "f/c" {}
}

#[test]
fn the_newest_value_is_sent_after_the_least_interval() {
    let directory = Directory::new();
    let server = directory.serve(
        "[[route]]\ntopic = 'fast'\nmode = 'stream'\nmin_interval = '200ms'\n\
         command = ['sh', '-c', 'seq 1000; sleep 60']\n",
    );
    let subscriber = server.subscriber(&["fast"]);
    let started = Instant::now();
    let first: u32 = subscriber.value().parse().expect("a number");
    assert!(first < 1000, "{first}");
    assert_eq!(subscriber.value(), "1000");
    assert!(started.elapsed() > Duration::from_millis(100), "{:?}", started.elapsed());
}

#[test]
fn a_route_has_no_more_feeds_than_the_config_allows() {
    let directory = Directory::new();
    let server = directory
        .serve("[[route]]\ntopic = '{x:word}'\ncommand = ['echo', '{x}']\nevery = '10ms'\nfeeds_max = 1\n");
    let first = server.subscriber(&["a"]);
    assert_eq!(first.value(), "a");
    let second = server.subscriber(&["b"]);
    assert!(second.is_quiet(A_WHILE));
    drop(first);
    assert_eq!(second.value(), "b");
}

#[test]
fn lines_of_standard_error_are_bounded_in_length_and_number() {
    let directory = Directory::new();
    let mut server = directory.serve(
        "[[route]]\ntopic = 'loud'\nmode = 'stream'\n\
         command = ['sh', '-c', 'head -c 100000 /dev/zero | tr \"\\0\" x >&2; echo >&2; seq 20000 >&2; sleep 60']\n",
    );
    let _subscriber = server.subscriber(&["loud"]);
    let long = server.error_with("xxx");
    assert!(long.len() < 2100 && long.ends_with('…'), "{}", long.len());
    let mut lines = 1;
    while server.program.error_line_within(Duration::from_millis(500)).is_some() {
        lines += 1;
    }
    assert!((50..1000).contains(&lines), "{lines}");
}

#[test]
fn a_route_with_many_topics_does_not_starve_another() {
    let directory = Directory::new();
    let path = directory.write(
        "oncue.toml",
        &format!(
            "{BIND}processes_max = 2\n\
             [[route]]\ntopic = 'many/{{x:int}}'\ncommand = ['sh', '-c', 'sleep 0.03; echo $0', '{{x}}']\nevery = '1ms'\n\
             [[route]]\ntopic = 'one'\ncommand = ['echo', 'here']\nevery = '1ms'\n"
        ),
    );
    let mut server = directory.serve_file(&path);
    let topics: Vec<_> = (0..300).map(|number| format!("many/{number}")).collect();
    let topics: Vec<_> = topics.iter().map(String::as_str).collect();
    let subscriber = server.subscriber(&topics);
    // All of them wait for a permit before the other route does.
    for _ in 0..300 {
        assert!(server.program.line().starts_with("+ many/"));
    }
    subscriber.0.subscribe("one").expect("a subscription");
    assert_eq!(server.program.line(), "+ one");
    // What came before it was wanted.
    while subscriber.0.try_recv().expect("a socket").is_some() {}
    let values = std::iter::repeat_with(|| subscriber.next().0);
    let before = values.take_while(|topic| topic != "one").count();
    assert!(before < 20, "{before} values of the other route came first");
}
