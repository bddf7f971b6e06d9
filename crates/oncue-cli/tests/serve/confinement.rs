//! What a program may not do and may not take: each key as the program sees it, and what is said when a limit ends it.

use std::fs;
use std::process::Command;
use std::time::Duration;

use oncue_interop::program::Program;
use oncue_interop::until;

use crate::{BIND, Directory, Server, processes_with};

/// A program that has written something runs this long.
const LONG: &str = "1h";

/// The value of a route with these keys, whose program is this script.
fn seen(keys: &str, script: &str) -> String {
    let directory = Directory::new();
    let route =
        format!("[[route]]\ntopic = 'a'\ncommand = ['sh', '-c', '{script}']\nevery = '{LONG}'\n{keys}\n");
    directory.serve(&route).subscriber(&["a"]).value()
}

/// What is logged of a route with these keys, whose program is this script, as soon as it contains a text.
fn logged(keys: &str, script: &str, text: &str) -> String {
    let directory = Directory::new();
    let route =
        format!("[[route]]\ntopic = 'a'\ncommand = ['sh', '-c', '{script}']\nevery = '{LONG}'\n{keys}\n");
    let mut server = directory.serve(&route);
    let _subscriber = server.subscriber(&["a"]);
    server.error_with(text)
}

fn is_root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        eprintln!("only root can run a program as another user: NOT tested");
    }
    is_root
}

#[test]
fn a_program_sees_its_limits() {
    let limits = "for limit in v t n; do ulimit -S$limit; ulimit -H$limit; done";
    let keys = "memory_max = \"256 MiB\"\ncpu_max = \"10 s\"\nfiles_max = 64";
    assert_eq!(seen(keys, limits), "262144\n262144\n10\n11\n64\n64");
    assert_eq!(seen("memory_max = 67108864", "ulimit -v"), "65536");
    // Each alone: the others stay those of the server.
    let given = |limit: &str| {
        let given = Command::new("sh").args(["-c", &format!("ulimit {limit}")]).output().expect("a shell");
        String::from_utf8(given.stdout).expect("a number").trim().to_owned()
    };
    assert_eq!(seen("cpu_max = \"1m\"", "ulimit -t; ulimit -v"), format!("60\n{}", given("-v")));
    assert_eq!(
        seen("memory_max = \"1 GiB\"", "ulimit -n; ulimit -t"),
        format!("{}\n{}", given("-n"), given("-t"))
    );
}

#[test]
fn every_kind_of_program_has_them() {
    let directory = Directory::new();
    let server = directory.serve(
        "[[route]]\ntopic = 'stream'\ncommand = ['sh', '-c', 'ulimit -n; sleep 60']\nmode = 'stream'\nfiles_max = 61\n\
         [[route]]\ntopic = 'shared'\ncommand = ['sh', '-c', 'echo shared\"\t\"$(ulimit -n); cat >&2']\nmode = 'shared'\n\
         files_max = 62\n\
         [[route]]\ntopic = 'listed/{x}'\ncommand = ['echo', '{x}']\nevery = '1h'\n\
         catalogue = { command = ['sh', '-c', 'echo listed/$(ulimit -n)'], every = '1h', files_max = 63 }\n",
    );
    assert_eq!(server.subscriber(&["stream"]).value(), "61");
    assert_eq!(server.subscriber(&["shared"]).value(), "62");
    assert_eq!(server.subscriber(&["listed/"]).value(), "63");
}

#[test]
fn a_program_that_uses_too_much_processor_time_ends_and_the_log_says_why() {
    let busy = "while :; do :; done";
    let expected = |how: &str| {
        format!(
            "oncue serve: a: the program ended {how}: it used more than 1s of processor time; see `cpu_max`"
        )
    };
    let line = logged("cpu_max = \"1s\"", busy, "the program");
    assert_eq!(line, expected(&format!("by signal {}", rustix::process::Signal::XCPU.as_raw())));
    let line = logged("cpu_max = \"1s\"", &format!("trap \"\" XCPU; {busy}"), "the program");
    assert_eq!(line, expected("by signal 9"));
    // A shell that passes on how its own program has ended.
    let line = logged("cpu_max = \"1s\"", &format!("sh -c \"{busy}\"; exit $?"), "the program");
    assert_eq!(line, expected("with status 152"));
}

#[test]
fn a_program_that_is_killed_by_another_is_not_over_its_processor_time() {
    let line = logged("cpu_max = \"1h\"", "kill -KILL $$", "the program");
    assert_eq!(line, "oncue serve: a: the program ended by signal 9");
}

#[test]
fn a_program_that_needs_more_memory_fails_and_the_log_says_so() {
    // Most programs say it themselves.
    logged("memory_max = \"64 MiB\"", "dd if=/dev/zero of=/dev/null bs=200M count=1", "memory exhausted");
    let line = logged("memory_max = \"64 MiB\"", "kill -SEGV $$", "the program");
    assert!(line.ends_with("by signal 11: perhaps it needs more memory; see `memory_max`"), "{line}");
    // Too little even to execute it.
    let line = logged("memory_max = \"1 MiB\"", "echo up", "the program");
    assert!(line.contains("ended") || line.contains("cannot be started"), "{line}");
}

#[test]
fn a_program_that_opens_too_many_files_fails() {
    logged("files_max = 5", "exec 3</dev/null; exec 4</dev/null; exec 5</dev/null", "Too many open files");
}

#[test]
fn a_program_that_cannot_be_executed_within_its_limits_is_said_so_as_ever() {
    let directory = Directory::new();
    directory.write("text", "no program");
    let mut server = directory.serve(
        "[[route]]\ntopic = 'missing'\ncommand = ['no-such-program']\nevery = '1h'\nfiles_max = 64\n\
         env = { PATH = '/usr/bin:/bin' }\n\
         [[route]]\ntopic = 'text'\ncommand = ['./text']\nmode = 'stream'\ncpu_max = '1s'\n",
    );
    let _subscriber = server.subscriber(&["missing"]);
    let line = server.error_with("missing: the program");
    assert!(
        line.ends_with("cannot be started: there is no program `no-such-program`; is it installed?"),
        "{line}"
    );
    let _subscriber = server.subscriber(&["text"]);
    let line = server.error_with("text: the program");
    assert!(line.contains("cannot be started") && line.ends_with("is it executable?"), "{line}");
}

/// The flag against new privileges of the process that reads this.
const NO_NEW_PRIVILEGES: &str = "grep NoNewPrivs: /proc/self/status | cut -f 2";

#[test]
fn a_program_gains_no_privileges_unless_it_may() {
    let status = fs::read_to_string("/proc/thread-self/status").expect("/proc");
    if status.contains("NoNewPrivs:\t1") {
        return eprintln!("this process may gain no privileges itself: NOT tested");
    }
    // With and without a launcher.
    for limit in ["", "cpu_max = \"1m\"\n"] {
        assert_eq!(seen(limit, NO_NEW_PRIVILEGES), "1");
        assert_eq!(seen(&format!("{limit}new_privileges = true"), NO_NEW_PRIVILEGES), "0");
    }
    // Both from the same server, many times.
    let directory = Directory::new();
    let route = |topic: &str, may: bool| {
        format!(
            "[[route]]\ntopic = '{topic}'\ncommand = ['sh', '-c', '{NO_NEW_PRIVILEGES}']\nevery = '5ms'\nnew_privileges = {may}\n"
        )
    };
    let server = directory.serve(&(route("may", true) + &route("not", false)));
    let (may, not) = (server.subscriber(&["may"]), server.subscriber(&["not"]));
    for _ in 0..10 {
        assert_eq!((may.value(), not.value()), ("0".to_owned(), "1".to_owned()));
    }
}

/// Serves a route as this command, whose environment has a variable that is the server's own.
fn serve_with_environment(directory: &Directory, keys: &str) -> Server {
    let path = directory.config(&format!(
        "[[route]]\ntopic = 'a/{{x}}'\ncommand = ['env']\nevery = '1h'\nenv = {{ OURS = 'x' }}\n{keys}\n"
    ));
    let mut command = Command::new(env!("CARGO_BIN_EXE_oncue"));
    command.args(["serve".as_ref(), path.as_os_str()]);
    command
        .env("SECRET", "1")
        .env("LANG", "C")
        .env("TZ", "UTC")
        .env("HOME", "/root/home")
        .env_remove("PYTHONUNBUFFERED");
    let mut program = Program::start(&mut command);
    let endpoint = program.endpoint();
    Server { program, endpoint }
}

/// The names of the variables in the output of `env`.
fn names(environment: &str) -> Vec<&str> {
    let mut names: Vec<_> = environment.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    names.sort_unstable();
    names
}

#[test]
fn a_clean_environment_has_what_the_route_gives_and_little_else() {
    let directory = Directory::new();
    let server = serve_with_environment(&directory, "");
    assert!(names(&server.subscriber(&["a/1"]).value()).contains(&"SECRET"));
    let clean = [
        "HOME",
        "LANG",
        "ONCUE_PARAM_X",
        "ONCUE_SERVER",
        "ONCUE_TOPIC",
        "OURS",
        "PATH",
        "PYTHONUNBUFFERED",
        "TZ",
    ];
    // With and without a launcher.
    for limit in ["", "files_max = 64"] {
        let server = serve_with_environment(&directory, &format!("clean_environment = true\n{limit}"));
        let environment = server.subscriber(&["a/1"]).value();
        assert_eq!(names(&environment), clean);
        for line in ["HOME=/root/home", "LANG=C", "TZ=UTC", "ONCUE_TOPIC=a/1", "OURS=x", "PYTHONUNBUFFERED=1"]
        {
            assert!(environment.lines().any(|known| known == line), "{line} in {environment}");
        }
    }
}

#[test]
fn a_program_runs_as_its_user() {
    if !is_root() {
        return;
    }
    let ids = "id -u; id -g; id -G; echo $HOME $USER $LOGNAME; grep CapEff: /proc/self/status | cut -f 2";
    let entry = |name: &str| {
        let passwd = fs::read_to_string("/etc/passwd").expect("the users");
        let line =
            passwd.lines().find(|line| line.starts_with(&format!("{name}:"))).expect("a user").to_owned();
        line.split(':').map(str::to_owned).collect::<Vec<_>>()
    };
    let nobody = entry("nobody");
    let (uid, gid, home) = (&nobody[2], &nobody[3], &nobody[5]);
    let none = "0000000000000000";
    let value = seen("user = \"nobody\"", ids);
    assert_eq!(value, format!("{uid}\n{gid}\n{gid}\n{home} nobody nobody\n{none}"));
    let value = seen("user = \"nobody:7\"", ids);
    assert_eq!(value, format!("{uid}\n7\n7\n{home} nobody nobody\n{none}"));
    assert_eq!(seen("user = \"54321:54322\"", ids), format!("54321\n54322\n54322\n/\n{none}"));
    // All ids, not only those in force: the program cannot become root again.
    let all = "grep -E \"^[UG]id:\" /proc/self/status | tr -s \"\\t\" \" \"";
    assert_eq!(seen("user = \"5:6\"", all), "Uid: 5 5 5 5\nGid: 6 6 6 6");
    // Its pipes are its own, and so are its signals and limits; it cannot raise them.
    let own = "echo out > /dev/stdout; echo $(ulimit -n); ulimit -n 100 2>/dev/null || echo refused";
    assert_eq!(seen("user = \"5:6\"\nfiles_max = 64", own), "out\n64\nrefused");
    let environment = {
        let directory = Directory::new();
        let server = serve_with_environment(&directory, "clean_environment = true\nuser = \"nobody\"");
        server.subscriber(&["a/1"]).value()
    };
    assert!(environment.contains(&format!("HOME={home}\n")), "{environment}");
}

/// A launcher has the rights of the server, and libraries are chosen by variables.
#[test]
fn the_variables_of_a_program_do_nothing_to_its_launcher() {
    let directory = Directory::new();
    let mut server = directory.serve(
        "[[route]]\ntopic = 'a'\ncommand = ['sh', '-c', 'echo done $LD_PRELOAD $RUST_BACKTRACE >&2']\nevery = '1h'\nfiles_max = 64\n\
         env = { LD_PRELOAD = '/no/such/library.so', RUST_BACKTRACE = '7', PATH = '/no/such:/usr/bin:/bin' }\n",
    );
    let _subscriber = server.subscriber(&["a"]);
    let mut complaints = 0;
    loop {
        let line = server.program.error_line();
        if line.ends_with(": done /no/such/library.so 7") {
            break;
        }
        complaints += u32::from(line.contains("/no/such/library.so"));
    }
    // That of the shell; other systems' loaders say nothing.
    assert!(complaints <= 1, "{complaints}");
}

#[test]
fn a_program_that_its_user_may_not_execute_is_named() {
    use std::os::unix::fs::PermissionsExt;
    if !is_root() {
        return;
    }
    let directory = Directory::new();
    let script = directory.write("say.sh", "#!/bin/sh\necho hello\n");
    fs::set_permissions(script, fs::Permissions::from_mode(0o700)).expect("a script");
    let mut server =
        directory.serve("[[route]]\ntopic = 'a'\ncommand = ['./say.sh']\nevery = '1h'\nuser = '5:6'\n");
    let _subscriber = server.subscriber(&["a"]);
    let line = server.error_with("the program");
    assert!(line.contains("cannot be started") && line.contains("say.sh"), "{line}");
    assert!(line.ends_with("is it executable? And may its `user` enter its directory?"), "{line}");
}

#[test]
fn a_catalogue_is_listed_by_the_user_of_its_route_unless_it_has_its_own() {
    if !is_root() {
        return;
    }
    for (own, uid) in [("", 5), (", user = \"7:8\"", 7)] {
        let directory = Directory::new();
        let server = directory.serve(&format!(
            "[[route]]\ntopic = 'u/{{x}}'\ncommand = ['id', '-u']\nevery = '1h'\nuser = '5:6'\n\
             catalogue = {{ command = ['sh', '-c', 'echo u/$(id -u)'], every = '1h'{own} }}\n"
        ));
        assert_eq!(server.subscriber(&["u/"]).next(), (format!("u/{uid}"), "5".to_owned()));
    }
}

#[test]
fn programs_of_other_users_end_with_their_topic_and_with_a_killed_server() {
    if !is_root() {
        return;
    }
    let directory = Directory::new();
    let mark = format!("oncue-mark-{}-user", std::process::id());
    let mut server = directory.serve(&format!(
        "[[route]]\ntopic = 'a'\ncommand = ['sh', '-c', 'echo up >&2; sleep 60 & wait', '{mark}']\nmode = 'stream'\nuser = '5:6'\n"
    ));
    let subscriber = server.subscriber(&["a"]);
    server.error_with("up");
    drop(subscriber);
    until("it ends with its topic", || processes_with(&mark).is_empty());
    let _subscriber = server.subscriber(&["a"]);
    server.error_with("up");
    assert!(!processes_with(&mark).is_empty());
    server.program.kill();
    until("it ends with the server", || processes_with(&mark).is_empty());
}

#[test]
fn a_user_that_is_not_there_is_an_error_of_the_config() {
    let directory = Directory::new();
    directory.write(
        "oncue.toml",
        &format!("{BIND}[[route]]\ntopic = 'a'\ncommand = ['id']\nevery = '1s'\nuser = 'no-such-user'\n"),
    );
    for words in [&["serve", "oncue.toml", "--check"][..], &["serve", "oncue.toml"]] {
        let end = directory.oncue(words).end();
        assert_eq!(end.code, Some(2), "{end:?}");
        let expected = "oncue serve: oncue.toml:6:8: `user` of route 1 (`a`): there is no user `no-such-user` in /etc/passwd; \
                        create it, or write ";
        assert!(end.errors.len() == 1 && end.errors[0].starts_with(expected), "{end:?}");
    }
}

/// Runs the command as a user without rights, with this hard limit of files; None if that cannot be done here.
fn unprivileged(directory: &Directory, words: &str, files: u32) -> Option<Program> {
    use std::os::unix::fs::PermissionsExt;
    let open = fs::Permissions::from_mode(0o755);
    fs::set_permissions(directory.path(""), open).expect("the directory is ours");
    let script = format!("ulimit -n {files}; exec {} {words}", env!("CARGO_BIN_EXE_oncue"));
    let with = |script: &str| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=54321", "--regid=54321", "--clear-groups", "sh", "-c", script]);
        command.current_dir(directory.path(""));
        command
    };
    let may = with(&format!("exec {} --version && cat oncue.toml", env!("CARGO_BIN_EXE_oncue"))).output();
    if !rustix::process::geteuid().is_root() || !may.is_ok_and(|output| output.status.success()) {
        eprintln!("the command cannot be run as another user here: NOT tested");
        return None;
    }
    Some(Program::start(&mut with(&script)))
}

#[test]
fn only_root_may_choose_a_user() {
    let directory = Directory::new();
    directory.config("[[route]]\ntopic = 'a'\ncommand = ['id']\nevery = '1s'\nuser = '5:6'\n");
    for words in ["serve oncue.toml --check", "serve oncue.toml"] {
        let Some(program) = unprivileged(&directory, words, 1024) else { return };
        let end = program.end();
        assert_eq!(end.code, Some(2), "{end:?}");
        let expected =
            "`user` of route 1 (`a`): only root can run a program as another user; start `oncue` as root";
        assert!(end.errors.len() == 1 && end.errors[0].contains(expected), "{end:?}");
    }
}

#[test]
fn a_limit_beyond_that_of_the_server_is_named() {
    let directory = Directory::new();
    directory.config("[[route]]\ntopic = 'a'\ncommand = ['id']\nevery = '1s'\nfiles_max = 200\n");
    let Some(mut program) = unprivileged(&directory, "serve oncue.toml", 100) else { return };
    let endpoint = program.endpoint();
    let mut server = Server { program, endpoint };
    let _subscriber = server.subscriber(&["a"]);
    let line = server.error_with("the program");
    let expected = "cannot be started: `files_max` is 200, more than the hard limit of `oncue`, 100; lower it, or raise that";
    assert!(line.ends_with(expected), "{line}");
}

#[test]
fn the_config_may_be_read_again_with_other_limits() {
    let directory = Directory::new();
    let route = |files: u32| {
        format!(
            "[[route]]\ntopic = 'a'\ncommand = ['sh', '-c', 'ulimit -n']\nevery = '20ms'\nfiles_max = {files}\n"
        )
    };
    let mut server = directory.serve(&route(64));
    let subscriber = server.subscriber(&["a"]);
    assert_eq!(subscriber.value(), "64");
    directory.config(&route(65));
    server.program.signal("HUP");
    assert!(server.error_with("config read again").ends_with("0 routes kept, 1 added, 1 removed"));
    while subscriber.value() != "65" {}
    assert!(!subscriber.is_quiet(Duration::from_secs(5)));
}
