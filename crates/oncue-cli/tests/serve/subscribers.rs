//! What subscribers get besides live values, and what they may subscribe to.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use oncue::{Engine, Options, Sub};
use oncue_interop::raw::{Raw, Version};
use oncue_interop::until;

use crate::{BIND, Directory, Subscriber};

const A_WHILE: Duration = Duration::from_millis(200);

#[test]
fn a_later_subscriber_gets_the_last_value_at_once() {
    let directory = Directory::new();
    let once = "command = ['sh', '-c', 'echo $$; sleep 60']\nmode = 'stream'\n";
    let mut server = directory.serve(&format!(
        "[[route]]\ntopic = 'kept'\n{once}keep_last = true\n[[route]]\ntopic = 'not'\n{once}\
         [[route]]\ntopic = 'outlives'\n{once}keep_last = {{ outlive = true, age_max = '1h' }}\n"
    ));
    let first = server.subscriber(&["kept"]);
    let value = first.value();
    assert_eq!(server.subscriber(&["kept"]).value(), value);
    first.0.subscribe("not").expect("a subscription");
    first.value();
    assert!(server.subscriber(&["not"]).is_quiet(A_WHILE));
    let last = server.subscriber(&["outlives"]).value();
    until("the feed ends", || server.program.line() == "- outlives");
    assert_eq!(server.subscriber(&["outlives"]).value(), last);
}

#[test]
fn a_slow_subscriber_gets_the_newest_pictures_and_every_order() {
    let directory = Directory::new();
    // The pictures, and the orders that come when the subscriber is behind with them, are more than its queue holds.
    let (pictures, orders) = (150, 300);
    let picture = format!(
        "pad=$(head -c 100000 /dev/zero | tr \\\\0 x); for i in $(seq {pictures}); do echo $i $pad; done; touch done-$1; sleep 60"
    );
    let order = format!(
        "while [ ! -e done-a ] || [ ! -e done-b ]; do sleep 0.01; done; seq {orders}; touch done; sleep 60"
    );
    let path = directory.write(
        "oncue.toml",
        &format!(
            "{BIND}send_hwm = 310\n[[route]]\ntopic = 'picture/{{name}}'\nmode = 'stream'\non_full = 'latest'\n\
             command = ['sh', '-c', '{picture}', 'sh', '{{name}}']\n\
             [[route]]\ntopic = 'order'\nmode = 'stream'\non_full = 'drop-newest'\ncommand = ['sh', '-c', '{order}']\n"
        ),
    );
    let server = directory.serve_file(&path);
    let engine = Engine::start().expect("an engine");
    let slow = Sub::new(&engine, Options::new().recv_hwm(1).recv_buffer(64 << 10)).expect("a subscriber");
    for topic in ["picture/a", "picture/b", "order"] {
        slow.subscribe(topic).expect("a subscription");
    }
    slow.connect(&server.endpoint).expect("an endpoint to connect to");
    until("all is produced", || directory.path("done").exists());
    // It reads again, and gets what waits for it.
    let slow = Subscriber(slow);
    let (mut shown, mut newest, mut got) = (0, ["0".to_owned(), "0".to_owned()], Vec::new());
    let last = pictures.to_string();
    while got.len() < orders || newest != [last.clone(), last.clone()] {
        let (topic, value) = slow.next();
        match topic.as_str() {
            "order" => got.push(value),
            topic => {
                let number = value.split(' ').next().unwrap_or_default();
                newest[usize::from(topic == "picture/b")] = number.to_owned();
                shown += 1;
            }
        }
    }
    assert_eq!(got, (1..=orders).map(|n| n.to_string()).collect::<Vec<_>>());
    assert!(shown < 2 * pictures, "newer pictures take the place of older ones");
}

#[test]
fn the_states_of_topics_are_published() {
    let directory = Directory::new();
    let path = directory.write(
        "oncue.toml",
        &format!(
            "{BIND}status_prefix = 'status/'\n[[route]]\ntopic = '{{x:word}}'\nmode = 'stream'\nbackoff_min = '1h'\n\
             backoff_max = '1h'\ncommand = ['sh', '-c', 'echo value; while [ ! -e die ]; do sleep 0.01; done; exit 1']\n"
        ),
    );
    let server = directory.serve_file(&path);
    let states = server.subscriber(&["status/"]);
    assert!(states.is_quiet(A_WHILE), "a subscription to a state does not start the topic");
    let subscriber = server.subscriber(&["a"]);
    assert_eq!(subscriber.value(), "value");
    assert_eq!(states.next(), ("status/a".into(), "active".into()));
    directory.write("die", "");
    assert_eq!(states.next(), ("status/a".into(), "stale".into()));
}

#[test]
fn sub_prints_the_states_of_topics() {
    let directory = Directory::new();
    let server = directory.serve(
        "[[rule]]\ndeny = 'secret'\nstatus = 'not you'\n\
         [[route]]\ntopic = 'a'\nmode = 'stream'\nbackoff_min = '100ms'\nbackoff_max = '100ms'\n\
         command = ['sh', '-c', 'if [ -e again ]; then echo two; sleep 60; fi; echo one; touch again; exit 1']\n\
         [[route]]\ntopic = 'b'\nmode = 'stream'\ncommand = ['echo', 'all']\n",
    );
    let mut sub = directory.oncue(&["sub", &server.endpoint, "--topic", "a", "--topic", "secret"]);
    let mut said: Vec<_> = (0..5).map(|_| sub.error_line()).collect();
    said.retain(|line| !line.contains("connect"));
    said.sort();
    assert_eq!(
        said,
        [
            "oncue sub: a is active",
            "oncue sub: a is stale: its producer starts again",
            "oncue sub: secret is rejected: not you"
        ]
    );
    assert_eq!([sub.line(), sub.line()], ["a\tone", "a\ttwo"]);
    let mut sub = directory.oncue(&["sub", &server.endpoint, "--topic", "b", "--count", "1"]);
    assert_eq!(sub.line(), "b\tall");
    let mut sub = directory.oncue(&["sub", &server.endpoint, "--topic", "b"]);
    let said: Vec<_> = (0..3).map(|_| sub.error_line()).collect();
    assert!(said.contains(&"oncue sub: b is closed: its producer has ended".to_owned()), "{said:?}");
}

#[test]
fn the_counts_of_routes_are_printed_on_sigusr1() {
    let directory = Directory::new();
    let mut server = directory.serve(
        "[[route]]\ntopic = 'a/{x:word}'\ncommand = ['echo', '{x}']\nmode = 'stream'\n\
         [[route]]\ntopic = 'b'\ncommand = ['true']\nevery = '1s'\n\
         [[route]]\ntopic = 'c/{x:word}'\ncatalogue = ['c/1', 'c/2', 'c/3']\n\
         command = ['sh', '-c', 'sleep 0.05; echo']\nevery = '20ms'\n",
    );
    let subscriber = server.subscriber(&["a/b", "a/c"]);
    subscriber.value();
    subscriber.value();
    let (third, another) = (server.subscriber(&["c/1"]), server.subscriber(&["c/1"]));
    for _ in 0..3 {
        assert_eq!(third.value(), another.value());
    }
    server.program.signal("USR1");
    let line = server.error_with("route a/{x:word}");
    assert!(
        line.contains("2 topics wanted")
            && line.contains("2 values by 2 feeds, 2 messages offered, the first of each after"),
        "{line}"
    );
    assert!(
        server
            .error_with("route b")
            .contains("0 topics wanted, 0 produced now; since the start 0 values by 0 feeds")
    );
    let line = server.error_with("route c/{x:word}");
    for what in [
        "messages offered",
        "skipped because the one before had not ended",
        "not produced because nobody wanted the topic",
        "spent on them",
    ] {
        assert!(line.contains(what), "{line}");
    }
    let line = server.error_with(" sent by 3 feeds");
    assert!(line.contains("programs run") && line.contains("messages delivered"), "{line}");
}

#[test]
fn rules_say_who_may_subscribe_to_what_and_change() {
    let directory = Directory::new();
    let routes = "[[route]]\ntopic = '{x}/{y}'\ncommand = ['echo', 'value']\nevery = '10ms'\n";
    let rules =
        "[[rule]]\nallow = 'open/'\n[[rule]]\ndeny = ''\nfrom = ['127.0.0.0/8']\nstatus = 'not you'\n";
    let mut server = directory.serve(&format!("{rules}{routes}"));
    let subscriber = server.subscriber(&["secret/a", "", "ope", "open/a"]);
    for _ in 0..3 {
        assert_eq!(subscriber.next().0, "open/a");
    }
    assert_eq!(server.program.line(), "+ open/a", "a denied subscription is not demand");
    directory.config(routes);
    server.program.signal("HUP");
    server.error_with("config read again: 1 route kept");
    let allowed = server.subscriber(&["secret/b"]);
    assert_eq!(allowed.next().0, "secret/b");
    assert_eq!(server.program.line(), "+ secret/b");
    directory.config(&format!("[[rule]]\ndeny = 'secret/'\n{routes}"));
    server.program.signal("HUP");
    assert_eq!(server.program.line(), "- secret/b", "it is revoked");
    while !allowed.is_quiet(A_WHILE) {}
    assert_eq!(subscriber.next().0, "open/a");
}

#[test]
fn nothing_runs_for_full_subscribers_and_they_are_evicted() {
    let directory = Directory::new();
    let route = "[[route]]\ntopic = 'big'\ncommand = ['head', '-c', '1000000', '/dev/zero']\nevery = '5ms'\n";
    let path = directory.write("oncue.toml", &format!("{BIND}send_hwm = 2\nevict_after = '1s'\n{route}"));
    let mut server = directory.serve_file(&path);
    let mut raw = Raw::connect(&server.endpoint);
    raw.greet(Version::V3_1, "SUB", "XPUB");
    raw.subscribe(Version::V3_1, b"big");
    assert_eq!(server.program.line(), "+ big");
    assert_eq!(server.program.line(), "- big", "it was disconnected: it never reads");
    server.program.signal("TERM");
    let summary = server.error_with(" sent by ");
    assert!(summary.contains("skipped because all subscribers were full"), "{summary}");
}

#[test]
fn one_program_serves_all_subscribers_of_a_topic_and_outlives_the_last_for_its_grace() {
    let directory = Directory::new();
    let mut server = directory.serve(
        "[[route]]\ntopic = '{x:word}'\nmode = 'stream'\ngrace = '1s'\n\
         command = ['sh', '-c', 'while :; do echo $$; sleep 0.01; done']\n",
    );
    let (first, second) = (server.subscriber(&["a"]), server.subscriber(&["a"]));
    let process = first.value();
    assert_eq!(second.value(), process);
    drop((first, second));
    std::thread::sleep(A_WHILE);
    assert_eq!(server.subscriber(&["a"]).value(), process, "it still runs");
    assert_eq!([server.program.line(), server.program.line()], ["+ a", "- a"]);
    assert_ne!(server.subscriber(&["a"]).value(), process, "its grace was over");
}

#[test]
fn runs_that_take_longer_than_their_period_do_not_pile_up() {
    let directory = Directory::new();
    let server = directory.serve(
        "[[route]]\ntopic = 'slow'\nevery = '5ms'\n\
         command = ['sh', '-c', 'mkdir busy || touch twice; sleep 0.05; rmdir busy; echo done']\n",
    );
    let subscriber = server.subscriber(&["slow"]);
    for _ in 0..5 {
        assert_eq!(subscriber.value(), "done");
    }
    assert!(!directory.path("twice").exists());
}

#[test]
fn a_subscriber_beyond_the_bound_is_turned_away_and_a_line_says_so() {
    let directory = Directory::new();
    for bound in ["peers_max", "peers_per_address_max"] {
        let route = "[[route]]\ntopic = 'a'\ncommand = ['echo', 'x']\nevery = '1s'\n";
        let mut server = directory.serve(&format!("{bound} = 1\n{route}"));
        let first = server.subscriber(&["a"]);
        assert_eq!(first.value(), "x");
        let second = server.subscriber(&["a"]);
        server.error_with(&format!("turned away: 1 peer beyond {bound}; the last one was tcp://127.0.0.1:"));
        assert!(second.is_quiet(Duration::from_millis(200)));
    }
}

#[test]
fn a_topic_that_no_route_serves_is_said() {
    let directory = Directory::new();
    let mut server = directory.serve("[[route]]\ntopic = 'proc/{pid}'\ncommand = ['true']\nevery = '1h'\n");
    let mut sub = directory.oncue(&["sub", &server.endpoint, "--topic", "clokc", "--topic", "proc/"]);
    let mut said: Vec<_> = (0..4).map(|_| sub.error_line()).collect();
    said.retain(|line| !line.contains("connect"));
    said.sort();
    let why =
        "topics of `proc/{pid}` begin with it; subscribe to whole topics, or give the route a catalogue";
    let clokc = "oncue sub: clokc is unserved: no route serves this topic";
    assert_eq!(said, [clokc.to_owned(), format!("oncue sub: proc/ is unserved: {why}")]);
    assert!(
        server.error_with("wanted and not served").contains("no route serves this topic"),
        "and the other is held back"
    );
    server.program.signal("USR1");
    server.error_with("2 topics wanted that no route serves");
}

#[test]
fn the_file_of_an_endpoint_has_the_permissions_of_the_config() {
    let directory = Directory::new();
    let path = directory.path("socket");
    let route = "[[route]]\ntopic = 'a'\ncommand = ['echo', 'x']\nevery = '10ms'\n";
    let bind =
        format!("bind = 'ipc://{}'\nipc_mode = 0o613\ntcp_keepalive_idle = '30s'\n{route}", path.display());
    let server = directory.serve_file(&directory.write("oncue.toml", &bind));
    assert_eq!(fs::metadata(&path).expect("the file").permissions().mode() & 0o777, 0o613);
    assert_eq!(server.subscriber(&["a"]).value(), "x");
}
