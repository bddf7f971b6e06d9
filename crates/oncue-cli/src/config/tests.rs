//! What configs mean, and the messages about wrong ones.

use std::time::Duration;

use oncue::OnFull;
use oncue::demand::LastLimits;

use super::file::line_and_column;
use super::*;

const BIND: &str = "bind = \"tcp://127.0.0.1:0\"\n";

fn config(text: &str) -> Config {
    Config::parse(text, Path::new("/etc/oncue")).unwrap_or_else(|problems| panic!("{problems:?} in {text}"))
}

/// The problems of a text, each as `line:column: what`.
fn problems(text: &str) -> Vec<String> {
    let problems = Config::parse(text, Path::new("/etc/oncue")).expect_err(text);
    let place = |problem: &Problem| {
        let (line, column) = line_and_column(text, problem.at);
        format!("{line}:{column}: {}", problem.text)
    };
    problems.iter().map(place).collect()
}

/// The problems of a config with one route.
fn route_problems(route: &str) -> Vec<String> {
    problems(&format!("{BIND}[[route]]\n{route}"))
}

#[test]
fn a_config_without_an_endpoint_is_refused() {
    for none in ["", "bind = []\n", "bind = []\nconnect = []\n"] {
        let problems = problems(&format!("{none}[[route]]\ntopic = 'a'\nfile = 'a'\n"));
        assert!(problems.len() == 1 && problems[0].contains("nobody can subscribe"), "{problems:?}");
    }
    let problems = problems("bind = 1\n[[route]]\ntopic = 'a'\nfile = 'a'\n");
    assert!(problems.len() == 1 && problems[0].contains("`bind`"), "{problems:?}");
}

#[test]
fn a_config_of_every_kind_of_route() {
    let config = config(
        r#"
        bind = ["tcp://127.0.0.1:8888", "ipc://@oncue"]
        grace = "2s"
        feeds_max = 100
        processes_max = 8
        send_hwm = 10
        on_full = "drop-oldest"
        evict_after = "30s"
        heartbeat = "2s"
        heartbeat_timeout = "4s"
        status_prefix = "status/"
        [[rule]]
        allow = ["host/", "clock"]
        from = "10.0.0.0/8"
        [[rule]]
        deny = ""
        status = "nothing for you"
        [[route]]
        topic = "proc/{pid}/rss"
        command = ["ps", "-o", "rss=", "-p", "{pid}"]
        every = "500ms"
        timeout = "5s"
        grace = "0s"
        [[route]]
        topic = "prices/{symbol}"
        command = ["python3", "examples/prices.py"]
        mode = "shared"
        catalogue = ["prices/AAPL", "prices/MSFT"]
        env = { PYTHONUNBUFFERED = "1" }
        cwd = "/tmp"
        [[route]]
        topic = "lines/{name}"
        command = ["tail", "--", "{name}"]
        mode = "stream"
        restart = "always"
        backoff_min = "1s"
        line_bytes_max = 1000
        allow_dash = true
        kill_after = "5s"
        min_run = "1s"
        min_interval = "50ms"
        feeds_max = 9
        on_full = "latest"
        [[route]]
        topic = "log/{name}"
        file = "logs/{name}.log"
        catalogue = { command = ["ls", "logs"], every = "1m" }
        keep_last = true
        [[route]]
        topic = "state"
        keep_last = { age_max = "1m", outlive = true }
        file = "/run/state"
        mode = "content"
        every = "1s"
        frames = ["{topic} {value}"]
        [[route]]
        topic = "sql"
        command = ["query"]
        every = "5s"
        fresh_for = "30s"
        once = true
        "#,
    );
    assert_eq!(config.bind, ["tcp://127.0.0.1:8888", "ipc://@oncue"]);
    assert_eq!(
        (config.routes[1].grace, config.feeds_max, config.processes_max),
        (Duration::from_secs(2), 100, 8)
    );
    let expected = Options::new()
        .send_hwm(10)
        .on_full(OnFull::DropOldest)
        .evict_after(Duration::from_secs(30))
        .heartbeat(Duration::from_secs(2), Duration::from_secs(4))
        .discard_messages(true);
    assert_eq!(format!("{:?}", config.options), format!("{expected:?}"), "all others are the library's own");
    assert_eq!(config.status_prefix.as_deref(), Some("status/"));
    let [allow, deny] = &config.rules[..] else { panic!("{config:?}") };
    assert!(allow.allows && allow.prefixes == ["host/", "clock"] && allow.from.len() == 1);
    assert!(!deny.allows && deny.prefixes == [""] && deny.status.as_deref() == Some("nothing for you"));
    let [runs, shared, stream, log, state, sql] = &config.routes[..] else { panic!("{config:?}") };
    assert_eq!((runs.grace, shared.grace), (Duration::ZERO, Duration::from_secs(2)));
    assert_eq!(shared.catalogue, Catalogue::Topics(vec!["prices/AAPL".into(), "prices/MSFT".into()]));
    assert_eq!((runs.feeds_max, shared.feeds_max, stream.feeds_max), (Some(1000), None, Some(9)));
    assert_eq!((stream.min_run, stream.min_interval), (Duration::from_secs(1), Duration::from_millis(50)));
    assert_eq!((runs.on_full, stream.on_full), (None, Some(OnFull::Latest)));
    let Catalogue::Listing(listing) = &log.catalogue else { panic!("{log:?}") };
    assert_eq!((listing.every, listing.program.command.len()), (Duration::from_secs(60), 2));
    let Source::Runs(Runs { program, every, timeout, .. }) = &runs.source else { panic!("{runs:?}") };
    let words: Vec<_> = program.command.iter().map(ToString::to_string).collect();
    assert_eq!(words, ["ps", "-o", "rss=", "-p", "{pid}"]);
    assert_eq!((*every, *timeout), (Duration::from_millis(500), Duration::from_secs(5)));
    let Source::Shared(Running { program, restart, .. }) = &shared.source else { panic!("{shared:?}") };
    assert_eq!(program.env.get("PYTHONUNBUFFERED").map(String::as_str), Some("1"));
    assert_eq!(program.cwd, Path::new("/tmp"));
    assert_eq!((*restart, program.backoff.max), (Restart::Failure, Duration::from_secs(30)));
    let Source::Stream(Running { program, restart, line_bytes_max, .. }) = &stream.source else {
        panic!("{stream:?}")
    };
    assert!(program.allow_dash && program.kill_after == Duration::from_secs(5));
    assert_eq!((*restart, program.backoff.min), (Restart::Always, Duration::from_secs(1)));
    assert_eq!(*line_bytes_max, 1000);
    assert_eq!((runs.keep_last, log.keep_last), (None, Some(LastLimits::default())));
    assert!(
        state.keep_last.is_some_and(|last| last.outlive && last.age_max == Some(Duration::from_secs(60)))
    );
    assert_eq!((sql.fresh_for, sql.once), (Some(Duration::from_secs(30)), true));
    assert_eq!((runs.fresh_for, runs.once), (None, false));
    assert_eq!(
        (&runs.frames[..], &state.frames[..]),
        (&["{topic}".into(), "{value}".into()][..], &["{topic} {value}".into()][..])
    );
    let Source::Lines(Watched { path, .. }) = &log.source else { panic!("{log:?}") };
    assert_eq!(
        (path.directory.as_path(), path.path.to_string()),
        (Path::new("/etc/oncue/logs"), "{name}.log".to_owned())
    );
    let Source::Content(Watched { path, every, .. }) = &state.source else { panic!("{state:?}") };
    assert_eq!((path.directory.as_path(), path.path.to_string()), (Path::new("/run/"), "state".to_owned()));
    assert_eq!(*every, Duration::from_secs(1));
}

#[test]
fn a_mark_of_zero_is_no_bound_in_messages() {
    let route = "[[route]]\ntopic = 'x'\ncommand = ['x']\nmode = 'stream'";
    let options = config(&format!("{BIND}send_hwm = 0\n{route}")).options;
    assert!(format!("{options:?}").contains("send_hwm: 0,"), "{options:?}");
    assert!(problems(&format!("{BIND}queue_bytes_max = 0\n{route}"))[0].contains("expected a number from 1"));
}

fn heartbeat(interval: Option<Duration>, timeout: Option<Duration>) -> String {
    let options = args::with_heartbeat(Options::new(), interval, timeout, ["", ""]).expect("a heartbeat");
    format!("{:?}", options.discard_messages(true))
}

#[test]
fn the_quotas_of_the_config_are_those_of_the_library() {
    let route = "[[route]]\ntopic = 'x'\ncommand = ['x']\nmode = 'stream'";
    let keys = "peers_max = 1\npeers_per_address_max = 2\nhandshakes_max = 3\nmessage_bytes_max = 4\n\
                prefix_length_max = 5\nprefixes_max = 6\nprefix_bytes_max = 7\nprefixes_per_user_max = 8\n\
                prefix_bytes_per_user_max = 9\nchanges_per_second_max = 10\nstarts_per_minute_max = 11\n";
    let config = config(&format!("{BIND}heartbeat = 'off'\n{keys}{route}"));
    let options = Options::new().heartbeat_off().discard_messages(true);
    let options = options.peers_max(1).peers_per_address_max(2).handshakes_max(3).message_bytes_max(4);
    let options = options.prefix_length_max(5).prefixes_max(6).prefix_bytes_max(7);
    let options = options.prefixes_per_user_max(8).prefix_bytes_per_user_max(9).changes_per_second_max(10);
    assert_eq!(format!("{:?}", config.options), format!("{options:?}"));
    assert_eq!(config.starts_per_minute_max, 11);
}

#[test]
fn heartbeats_are_on_unless_they_are_off() {
    let route = "[[route]]\ntopic = 'x'\ncommand = ['x']\nmode = 'stream'";
    let of = |keys: &str| format!("{:?}", config(&format!("{BIND}{keys}\n{route}")).options);
    let secs = Duration::from_secs;
    assert_eq!(of(""), heartbeat(Some(secs(5)), Some(secs(15))));
    assert_eq!(of("heartbeat = 'off'"), heartbeat(Some(Duration::ZERO), None));
    assert_eq!(of("heartbeat = '1s'"), heartbeat(Some(secs(1)), Some(secs(3))));
    let cases = [
        (
            "heartbeat = 'on'",
            "2:13: `heartbeat` of the config: expected a duration from \"1ms\" to a year, or \"off\", found 'on'",
        ),
        (
            "heartbeat = 5",
            "2:13: `heartbeat` of the config: expected a duration from \"1ms\" to a year, or \"off\", found 5",
        ),
        ("heartbeat = '5s'\nheartbeat_timeout = '5s'", "3:21: `heartbeat_timeout` (5s) must be longer"),
        (
            "heartbeat = 'off'\nheartbeat_timeout = '5s'",
            "3:21: `heartbeat_timeout` is not allowed while `heartbeat` is off",
        ),
    ];
    for (keys, expected) in cases {
        let found = problems(&format!("{BIND}{keys}\n{route}"));
        assert!(found.len() == 1 && found[0].starts_with(expected), "{found:?}");
    }
}

#[test]
fn every_mistake_is_shown_at_once_each_at_its_place() {
    let found = problems(
        "bind = \"localhost:80\"\ngrase = \"2s\"\n\n[[route]]\ntopic = \"prices/{symbol}\"\ncommand = [\"cat\", \"{symbl}\"]\n\
         evry = \"1s\"\nevery = \"1 sec\"\n[[route]]\ntopic = \"b\"\ncommand = \"cat b\"\nmode = \"stream\"\n",
    );
    let expected = [
        "1:8: `bind` of the config: ",
        "2:1: unknown key `grase` in the config; did you mean `grace`?",
        "6:19: `command` of route 1 (`prices/{symbol}`): the topic has no parameter `{symbl}`; did you mean `{symbol}`?",
        "7:1: unknown key `evry` in route 1 (`prices/{symbol}`); did you mean `every`?",
        "8:9: `every` of route 1 (`prices/{symbol}`): expected a duration from \"1ms\" to a year, found \"1 sec\"",
        "11:11: `command` of route 2 (`b`): expected a list of strings such as [\"a\", \"b\"], found \"cat b\"",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found}\n{expected}");
    }
}

#[test]
fn a_text_that_is_not_toml_is_refused_with_its_place() {
    let found = problems("bind = \"tcp://127.0.0.1:0\"\n[[route]\ntopic = 'x'\n");
    assert!(found[0].starts_with("2:") && found[0].contains("not TOML"), "{found:?}");
    let found = problems("ä = 1\nb = [1\n");
    assert!(found[0].contains("not TOML"), "{found:?}");
    let found = problems("bind = 'a'\nbind = 'b'\n");
    assert!(found[0].starts_with("2:1: not TOML") && found[0].contains("duplicate"), "{found:?}");
}

#[test]
fn a_missing_key_is_named_with_the_remedy() {
    assert!(problems("")[0].contains("bind = "), "nowhere to subscribe");
    assert!(problems("")[1].contains("[[route]]"), "nothing to serve");
    let cases = [
        ("command = ['x']\nevery = '1s'", "2:1: route 1 has no `topic`; write topic = "),
        ("topic = 'x'", "2:1: route 1 (`x`) has no producer; give it `command` or `file`"),
        ("topic = 'x'\nfile = 'x'\ncommand = ['x']", "2:1: route 1 (`x`) has both `command` and `file`"),
        (
            "topic = 'x'\ncommand = ['x']",
            "2:1: route 1 (`x`) does not say when `command` runs; give it `every`",
        ),
        ("topic = 'x'\ncommand = []\nevery = '1s'", "4:11: `command` of route 1 (`x`): it is empty"),
    ];
    for (route, expected) in cases {
        let found = route_problems(route);
        assert!(found.len() == 1 && found[0].starts_with(expected), "{found:?}");
    }
}

#[test]
fn a_key_that_is_not_allowed_here_is_refused_with_its_places() {
    let cases = [
        (
            "topic = 'x'\ncommand = ['x']\nmode = 'stream'\nevery = '1s'",
            "6:1: `every` is not allowed in route 1 (`x`): it goes with `file` or `command` without `mode`; leave it out",
        ),
        (
            "topic = 'x'\ncommand = ['x']\nevery = '1s'\nrestart = 'never'",
            "6:1: `restart` is not allowed in route 1 (`x`): it goes with mode = \"stream\" or mode = \"shared\"",
        ),
        (
            "topic = 'x'\nfile = 'x'\nenv = {}",
            "5:1: `env` is not allowed in route 1 (`x`): it goes with `command`",
        ),
        (
            "topic = 'x'\nfile = 'x'\ncolour = 'x'",
            "5:1: unknown key `colour` in route 1 (`x`); leave it out; the keys are allow_dash, backoff_max",
        ),
    ];
    for (route, expected) in cases {
        let found = route_problems(route);
        assert!(found.len() == 1 && found[0].starts_with(expected), "{found:?}");
    }
}

#[test]
fn values_of_the_wrong_kind_or_size_are_refused() {
    let cases = [
        ("every = 5", "`every` of route 1 (`x`): expected a duration from \"1ms\" to a year, found 5"),
        ("every = '0s'", "expected a duration from \"1ms\" to a year, found '0s'"),
        ("every = '1s'\ngrace = true", "expected a duration such as \"500ms\", up to a year, found true"),
        ("every = '1s'\nallow_dash = 'yes'", "expected true or false, found 'yes'"),
        ("every = '1s'\noutput_bytes_max = 0", "expected a number from 1 to 1073741824, found 0"),
        ("every = '1s'\noutput_bytes_max = -1", "found -1"),
        ("every = '1s'\noutput_bytes_max = 1.5", "found 1.5"),
        (
            "every = '1s'\nenv = { A = 1 }",
            "expected a table of strings such as { LANG = \"C\" }, found { A = 1 }",
        ),
        ("every = '1s'\nenv = { 'A=B' = '1' }", "`A=B` is not possible"),
        ("every = '1s'\nenv = 'A=B'", "expected a table of strings such as { LANG = \"C\" }, found"),
        ("mode = 'streem'", "expected \"stream\" or \"shared\", found 'streem'"),
        (
            "mode = 'stream'\nrestart = 'maybe'",
            "expected \"always\" or \"failure\" or \"never\", found 'maybe'",
        ),
        ("mode = 'stream'\nbackoff_min = '2s'\nbackoff_max = '1s'", "shorter than `backoff_min`"),
        (
            "every = '1s'\ncatalogue = { command = ['ls'] }",
            "`catalogue` of route 1 (`x`) has no `every`; write every = \"1m\"",
        ),
        ("every = '1s'\ncatalogue = { every = '1s' }", "`catalogue` of route 1 (`x`) has no `command`"),
        (
            "every = '1s'\ncatalogue = { command = ['ls', '{x}'], every = '1s' }",
            "the topic has no parameter `{x}`",
        ),
        (
            "every = '1s'\ncatalogue = { command = ['ls'], every = '1s', allow_dash = true }",
            "unknown key `allow_dash`",
        ),
        ("every = '1s'\nfeeds_max = 0", "found 0"),
        (
            "every = '1s'\non_full = 'refuse'",
            "`on_full` of route 1 (`x`): expected \"drop-newest\" or \"drop-oldest\" or \"latest\" or \"disconnect\"",
        ),
        ("every = '1s'\nkeep_last = 1", "expected true, false, or a table, found 1"),
        (
            "every = '1s'\nkeep_last = { age = '1s' }",
            "unknown key `age` in `keep_last` of route 1 (`x`); did you mean `age_max`?",
        ),
        ("every = '1s'\ncatalogue = ['y']", "`y` is not a topic of the route"),
        ("every = '1s'\nkeep_last = false\nfresh_for = '1s'", "`keep_last` of route 1 (`x`): it contradicts"),
        ("every = '1s'\nkeep_last = { outlive = false }\nfresh_for = '1s'", "it contradicts `fresh_for`"),
        ("mode = 'stream'\nonce = true\nrestart = 'always'", "contradicts restart = \"always\""),
        ("mode = 'shared'\nfresh_for = '1s'", "`fresh_for` is not allowed in route 1"),
        ("every = '1s'\nonce = 1", "expected true or false"),
        ("every = '1s'\nframes = 'x'", "expected a list of strings"),
    ];
    for (keys, expected) in cases {
        let found = route_problems(&format!("topic = 'x'\ncommand = ['x']\n{keys}"));
        assert!(found.len() == 1 && found[0].contains(expected), "{keys}: {found:?}");
    }
    assert!(
        problems("route = 1")
            .iter()
            .any(|found| found.ends_with("`route` of the config: expected tables, found 1"))
    );
    assert!(route_problems("topic = 'a}'\nfile = 'x'")[0].contains("`topic` of route 1"));
}

#[test]
fn what_a_program_writes_and_how_it_ends_can_be_chosen() {
    let source = |keys: &str| {
        config(&format!("{BIND}[[route]]\ntopic = 'x'\ncommand = ['p']\n{keys}")).routes.remove(0).source
    };
    for (framing, expected) in
        [("", Framing::Lines), ("framing = 'length'", Framing::Length), ("framing = 'json'", Framing::Json)]
    {
        let Source::Stream(stream) = source(&format!("mode = 'stream'\n{framing}")) else {
            panic!("{framing}")
        };
        assert_eq!(stream.framing, expected);
    }
    let Source::Shared(shared) = source("mode = 'shared'") else { panic!("it is shared") };
    assert_eq!((shared.idle, shared.program.stop_after), (Duration::ZERO, Duration::from_secs(1)));
    let Source::Shared(shared) = source("mode = 'shared'\nidle = '1m'\nstop_after = '0s'") else {
        panic!("it is shared")
    };
    assert_eq!((shared.idle, shared.program.stop_after), (Duration::from_secs(60), Duration::ZERO));
    for (keys, trims) in [("", true), ("trim = false", false)] {
        let Source::Runs(runs) = source(&format!("every = '1s'\n{keys}")) else { panic!("{keys}") };
        assert_eq!(runs.trim, trims);
    }
    for (keys, expected) in [
        (
            "every = '1s'\nframing = 'json'",
            "`framing` is not allowed in route 1 (`x`): it goes with mode = \"stream\" or",
        ),
        ("mode = 'stream'\nidle = '1s'", "it goes with mode = \"shared\""),
        ("mode = 'stream'\ntrim = false", "it goes with `command` without `mode` or mode = \"content\""),
        ("mode = 'stream'\nframing = 'xml'", "expected \"lines\" or \"length\" or \"json\", found 'xml'"),
    ] {
        let found = route_problems(&format!("topic = 'x'\ncommand = ['p']\n{keys}"));
        assert!(found.len() == 1 && found[0].contains(expected), "{found:?}");
    }
}

#[test]
fn a_subscriber_chooses_neither_the_program_nor_code() {
    let cases = [
        ("command = ['{x}']\nevery = '1s'", "a subscriber must not choose the program"),
        ("command = ['sh', '-c', 'echo {x}']\nevery = '1s'", "`sh` would execute the value of a parameter"),
        ("command = ['cat', '{x}']\nmode = 'shared'", "one program serves all topics"),
    ];
    for (keys, expected) in cases {
        let found = route_problems(&format!("topic = '{{x}}'\n{keys}"));
        assert!(found.len() == 1 && found[0].contains(expected), "{keys}: {found:?}");
    }
    let found = route_problems("topic = '{x}/{X}'\ncommand = ['cat', '{x}']\nevery = '1s'");
    assert!(found[0].contains("ONCUE_PARAM_X"), "{found:?}");
}

#[test]
fn the_path_of_a_file_stays_below_what_comes_before_the_first_parameter() {
    let path = |file: &str| {
        let text = format!("{BIND}[[route]]\ntopic = '{{a}}/{{b}}'\nfile = '{file}'");
        let Source::Lines(Watched { path, .. }) = config(&text).routes.remove(0).source else {
            panic!("{file}")
        };
        (path.directory.display().to_string(), path.path.to_string())
    };
    assert_eq!(path("{a}"), ("/etc/oncue".into(), "{a}".into()));
    assert_eq!(path("x{a}"), ("/etc/oncue".into(), "x{a}".into()));
    assert_eq!(path("/var/log/{a}/{b}.log"), ("/var/log".into(), "{a}/{b}.log".into()));
    assert_eq!(path("../x/y-{a}"), ("/etc/oncue/../x".into(), "y-{a}".into()));
    assert_eq!(path("/etc/motd"), ("/etc".into(), "motd".into()));
    for bad in ["logs/{a}/../{b}", "logs/{a}/", "logs/{a}//x", "logs/", "l{{ogs/{a}", "{a}/./x", "{c}"] {
        let found = route_problems(&format!("topic = '{{a}}/{{b}}'\nfile = '{bad}'"));
        assert!(found.len() == 1 && found[0].starts_with("4:8: `file` of route 1"), "{bad}: {found:?}");
    }
}

#[test]
fn rules_without_or_with_two_decisions_are_refused() {
    let cases = [
        ("", "2:1: rule 1 neither allows nor denies; write allow = "),
        ("allow = 'a'\ndeny = 'b'", "2:1: rule 1 has both `allow` and `deny`"),
        ("deny = 'a'\nfrom = 'localhost'", "4:8: `from` of rule 1: `localhost` is not an address"),
        ("allow = 'a'\nstatus = 'x'", "4:1: `status` is not allowed in rule 1: it goes with `deny`"),
        ("allow = 1", "3:9: `allow` of rule 1: expected a string or a list of strings, found 1"),
    ];
    for (rule, expected) in cases {
        let found = problems(&format!("{BIND}[[rule]]\n{rule}\n[[route]]\ntopic = 'x'\nfile = 'x'\n"));
        assert!(found.iter().any(|found| found.starts_with(expected)), "{found:?}");
    }
}

#[test]
fn columns_are_characters() {
    assert_eq!(line_and_column("äö\nüx", 7), (2, 2));
    assert_eq!(line_and_column("", 0), (1, 1));
    assert_eq!(line_and_column("a\n", 2), (2, 1));
}

#[test]
fn every_broken_text_is_refused_with_a_place() {
    let whole = include_str!("../../../../examples/host.toml");
    let pieces = [
        "[[route]]",
        "{",
        "}",
        "\"",
        "'",
        "=",
        "\n",
        "[",
        "]",
        "ä",
        "{x}",
        "every",
        "1s",
        ",",
        "\\",
        "#",
        "-1",
    ];
    let mut seed: u32 = 1;
    let mut random = |below: usize| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        usize::try_from(seed >> 8).expect("24 bits") % below
    };
    for _ in 0..3000 {
        let mut text: Vec<char> = whole.chars().collect();
        for _ in 0..=random(4) {
            let at = random(text.len());
            let end = (at + random(20)).min(text.len());
            let piece = pieces[random(pieces.len())].chars();
            drop(text.splice(at..end, piece));
        }
        let text: String = text.into_iter().collect();
        for problem in Config::parse(&text, Path::new("/etc/oncue")).err().unwrap_or_default() {
            assert!(problem.at <= text.len() && !problem.text.is_empty(), "{problem:?} in {text}");
            line_and_column(&text, problem.at);
        }
    }
}

/// A config with these lines outside of its route.
fn with_lines(lines: &str) -> String {
    format!("{BIND}{lines}\n[[route]]\ntopic = 'a'\nfile = 'a'\n")
}

#[test]
fn the_options_of_the_systems_sockets_are_those_of_the_library() {
    let options = |lines: &str| format!("{:?}", config(&with_lines(lines)).options);
    let plain = options("");
    for lines in [
        "ipc_mode = 0o660",
        "ipc_user = 0",
        "ipc_group = 4294967294",
        "ip_versions = '6'",
        "ip_versions = '4'",
        "bind_to_device = 'eth0'",
        "type_of_service = 0xB8",
        "socket_priority = 6",
        "listen_backlog = 10",
        "handshake_timeout = '5s'",
        "connect_timeout = '5s'",
        "send_buffer = 65536",
        "tcp_keepalive = true",
        "tcp_keepalive_idle = '1m'",
        "tcp_keepalive_interval = '10s'",
        "tcp_keepalive_count = 3",
        "tcp_user_timeout = '30s'",
        "socks_proxy = 'proxy:1080'",
    ] {
        assert_ne!(options(lines), plain, "{lines}");
    }
    let all = options("ipc_mode = 0o640\nip_versions = '4'\ntcp_keepalive_count = 3\nconnect_timeout = '7s'");
    for part in ["ipc_mode: Some(416)", "ip_versions: V4", "count: Some(3)", "connect_timeout: Some(7s)"] {
        assert!(all.contains(part), "{part} in {all}");
    }
    let login = "socks_proxy = 'proxy:1080'\nsocks_username = 'me'\nsocks_password = 'pa55word'";
    let options = options(login);
    assert!(options.contains("username: \"me\"") && !options.contains("pa55word"), "{options}");
}

#[test]
fn options_of_the_systems_sockets_that_cannot_be_right_are_refused_at_their_place() {
    for (lines, at, part) in [
        ("ipc_mode = 660", "2:12", "expected a number from 0o000 to 0o777, found 660"),
        ("ipc_mode = '0660'", "2:12", "0o777"),
        ("ipc_user = 4294967295", "2:12", "from 0 to 4294967294"),
        ("bind_to_device = 'a/b'", "2:18", "\"a/b\" is not the name of a device"),
        ("type_of_service = 256", "2:19", "from 0 to 255"),
        ("ip_versions = 'six'", "2:15", "\"4\""),
        ("socks_proxy = 'proxy'", "2:15", "port is missing"),
        ("socks_username = 'me'", "2:18", "there is no `socks_proxy`"),
        ("socks_password = 'secret'", "2:18", "there is no `socks_proxy`"),
        ("socks_proxy = 'a:1'\nsocks_password = 'secret'", "3:18", "there is no `socks_username`"),
        ("socks_proxy = 'a:1'\nsocks_username = ''", "3:18", "1 to 255"),
    ] {
        let problems = problems(&with_lines(lines));
        assert!(problems.len() == 1 && problems[0].starts_with(&format!("{at}: ")), "{lines}: {problems:?}");
        assert!(problems[0].contains(part) && !problems[0].contains("secret"), "{problems:?}");
    }
}

#[test]
fn passed_sockets_may_be_bound_and_not_connected_to() {
    let bound = config("bind = ['fd://', 'fd://web']\n[[route]]\ntopic = 'a'\nfile = 'a'\n");
    assert_eq!(bound.bind, ["fd://", "fd://web"]);
    let problems = problems("connect = 'fd://web'\n[[route]]\ntopic = 'a'\nfile = 'a'\n");
    assert!(problems.len() == 1 && problems[0].contains("\"fd\" is not known"), "{problems:?}");
}

#[test]
fn what_a_program_may_take_has_units() {
    let confinement = |keys: &str| {
        let route = format!("[[route]]\ntopic = 'a'\ncommand = ['x']\nevery = '1s'\n{keys}\n");
        let config = config(&format!("{BIND}{route}"));
        let Source::Runs(runs) = &config.routes[0].source else { panic!("{config:?}") };
        runs.program.confinement.clone()
    };
    assert_eq!(*confinement(""), Confinement::default());
    for (text, bytes) in [
        ("\"256 MiB\"", 256 << 20),
        ("\"1024KiB\"", 1 << 20),
        ("\"1.5 GiB\"", 3 << 29),
        ("\"1 TiB\"", 1 << 40),
        ("1_048_576", 1 << 20),
    ] {
        assert_eq!(confinement(&format!("memory_max = {text}")).memory_max, Some(bytes), "{text}");
    }
    for text in ["10s", "10 s"] {
        let cpu_max = confinement(&format!("cpu_max = \"{text}\"")).cpu_max;
        assert_eq!(cpu_max, Some(Duration::from_secs(10)), "{text}");
    }
    let all = confinement("files_max = 4\nnew_privileges = true\nclean_environment = true");
    assert_eq!(all.files_max, Some(4));
    assert!(all.new_privileges && all.clean_environment);
}

#[test]
fn a_bound_of_a_program_that_means_nothing_is_refused() {
    let problem = |keys: &str| {
        let found = route_problems(&format!("topic = 'a'\ncommand = ['x']\nevery = '1s'\n{keys}\n"));
        assert_eq!(found.len(), 1, "{found:?}");
        found.into_iter().next().unwrap_or_default()
    };
    for value in [
        "'256 MB'",
        "'256'",
        "'1023 KiB'",
        "'2 TiB'",
        "'x MiB'",
        "'1. MiB'",
        "'-1 MiB'",
        "1000",
        "true",
        "'99999999999999 TiB'",
    ] {
        let why = problem(&format!("memory_max = {value}"));
        let expected = "`memory_max` of route 1 (`a`): expected a size such as \"256 MiB\", or a number of bytes; \
                        from 1 MiB to 1 TiB, found";
        assert!(why.contains(expected), "{why}");
    }
    for value in ["'1.5s'", "'0s'", "'500ms'", "10", "'400000h'"] {
        let why = problem(&format!("cpu_max = {value}"));
        let expected =
            "`cpu_max` of route 1 (`a`): expected a duration of whole seconds, from \"1s\" to a year, found";
        assert!(why.contains(expected), "{why}");
    }
    assert!(problem("files_max = 3").contains("expected a number from 4 to 16777216, found 3"));
    assert!(problem("user = 1000").contains("`user` of route 1 (`a`): expected a string"));
    assert!(problem("user = 'no-such-user'").contains("there is no user `no-such-user` in /etc/passwd"));
    let file = route_problems("topic = 'a'\nfile = 'x'\ncpu_max = '1s'\n");
    assert!(
        file[0].contains("`cpu_max` is not allowed in route 1 (`a`): it goes with `command`"),
        "{file:?}"
    );
}

#[test]
fn a_rule_that_can_never_apply_is_a_mistake() {
    let with = |rule: &str, more: &str| {
        let text = format!(
            "bind = 'tcp://127.0.0.1:1'\n{more}\n[[rule]]\ndeny = ''\nfrom = '{rule}'\n[[route]]\ntopic = 'a'\nfile = 'a'\n"
        );
        Config::parse(&text, Path::new("/")).err().map(|problems| problems[0].text.clone())
    };
    let key = format!("key:{}", oncue::curve::generate().public());
    let curve = "[curve]\nsecret_key_file = 'k'\nclients = 'd'";
    let any = "[curve]\nsecret_key_file = 'k'\nclients = 'any'";
    assert!(with("user:ann", any).is_some_and(|text| text.contains("write from = \"key:")));
    assert!(with("user:ann", "").is_some_and(|text| text.contains("add [curve] or [plain]")));
    assert!(with(&key, "[plain]\nusers = 'u'").is_some_and(|text| text.contains("add [curve]")));
    assert_eq!(
        (with("user:ann", curve), with(&key, curve), with("user:ann", "[plain]\nusers = 'u'")),
        (None, None, None)
    );
}
