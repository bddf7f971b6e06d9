//! What a server says about itself: `oncue routes`, `oncue demand --of`, rules, `observe`, and proxies in between.

use std::process::{Command, Output};

use oncue_interop::{until, within_a_minute};

use super::{Directory, Server};

const ROUTES: &str = "[[route]]\ntopic = \"n/{n:int}\"\ncommand = [\"echo\", \"{n}\"]\nevery = \"50ms\"\ncatalogue = [\"n/1\", \"n/2\"]\n";

fn run(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_oncue")).args(words).output().expect("it runs")
}

/// Standard output of a command that must succeed.
fn said(words: &[&str]) -> String {
    let Output { status, stdout, stderr } = run(words);
    assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).expect("text")
}

/// Status and standard error of a command that fails.
fn fails(words: &[&str]) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = run(words);
    assert!(!status.success());
    (status.code(), String::from_utf8(stderr).expect("text"))
}

#[test]
fn the_routes_of_a_server_are_listed_and_what_is_wanted_there_and_by_whom() {
    within_a_minute(|| {
        let place = Directory::new();
        let server = place.serve(ROUTES);
        let sub = server.subscriber(&["n/1", "else"]);
        sub.next();
        let routes = said(&["routes", &server.endpoint]);
        let lines: Vec<_> = routes.lines().collect();
        let cells: Vec<_> = lines[1].split_whitespace().collect();
        assert!(lines[0].starts_with("ROUTE") && cells[..3] == ["n/{n:int}", "1", "1"], "{routes}");
        assert_eq!(lines[2], "n/{n:int} lists n/1 n/2");
        until("who wants what is told", || {
            let demand = said(&["demand", "--of", &server.endpoint]);
            let rows: Vec<Vec<_>> = demand.lines().map(|line| line.split_whitespace().collect()).collect();
            let row = |prefix: &str| rows.iter().find(|row| row[0] == prefix).map(|row| row[1..3].join(" "));
            rows.len() == 3
                && row("else").as_deref() == Some("1 nothing")
                && row("n/1").as_deref() == Some("1 running")
                && rows[1][3].starts_with("tcp://127.0.0.1:")
        });
        let json = said(&["demand", "--of", &server.endpoint, "--json"]);
        assert!(json.contains(r#""prefix":"n/1""#), "{json}");
        drop(sub);
        until("nothing is wanted", || said(&["demand", "--of", &server.endpoint]).lines().count() == 1);
    });
}

#[test]
fn a_server_that_does_not_say_it_is_named_with_the_remedy() {
    within_a_minute(|| {
        let place = Directory::new();
        let server = place.serve(&format!("observe = \"off\"\n{ROUTES}"));
        let (status, why) = fails(&["routes", &server.endpoint]);
        assert!(status == Some(1) && why.contains("unserved") && why.contains("observe = \"off\""), "{why}");
        let denied =
            "[[rule]]\nallow = \"$oncue/stats\"\n[[rule]]\ndeny = \"$oncue/\"\nstatus = \"not for you\"\n";
        let server = place.serve(&format!("{ROUTES}{denied}"));
        let (status, why) = fails(&["demand", "--of", &server.endpoint]);
        assert!(status == Some(1) && why.contains("not for you") && why.contains("[[rule]]"), "{why}");
        // What is denied is out of reach of a subscription to everything, which is not denied for it.
        server.subscriber(&[""]).next();
        said(&["sub", &server.endpoint, "--topic", "$oncue/stats", "--count", "1"]);
        let (status, why) = fails(&["routes", "tcp://127.0.0.1:9", "--timeout", "300ms"]);
        assert!(status == Some(3) && why.contains("connection refused"), "{why}");
        let bad = place.config(&format!("observe = \"a{{b\"\n{ROUTES}"));
        let (status, why) = fails(&["serve", bad.to_str().unwrap()]);
        assert!(status == Some(2) && why.contains("oncue.toml:2:") && why.contains("$oncue/"), "{why}");
    });
}

#[test]
fn another_prefix_is_as_good_and_a_reload_leaves_the_topics_alone() {
    within_a_minute(|| {
        let place = Directory::new();
        let mut server = place.serve(&format!("observe = \"me/\"\n{ROUTES}"));
        let viewer = server.subscriber(&["me/routes"]);
        viewer.next();
        place.config(&format!(
            "observe = \"me/\"\n{ROUTES}[[route]]\ntopic = \"b\"\ncommand = [\"echo\"]\nevery = \"1s\"\n"
        ));
        server.program.signal("HUP");
        server.error_with("config read again: 1 route kept, 1 added, 0 removed");
        until("the new route is told", || viewer.value().contains("\"pattern\":\"b\""));
        assert!(said(&["routes", &server.endpoint, "--observe", "me/"]).contains("\nb "));
    });
}

#[test]
fn a_proxy_passes_it_to_those_that_ask_for_it_alone() {
    within_a_minute(|| {
        let place = Directory::new();
        let server = place.serve(ROUTES);
        let words = ["proxy", "--frontend-connect", &server.endpoint, "--backend-bind", "tcp://127.0.0.1:0"];
        let mut behind = Server { program: place.oncue(&words), endpoint: String::new() };
        let line = behind.error_with("backend bound to ");
        behind.endpoint = line.split("bound to ").nth(1).unwrap().trim().to_owned();
        let everything = behind.subscriber(&[""]);
        let routes = said(&["routes", &behind.endpoint]);
        assert!(routes.contains("n/{n:int}"), "{routes}");
        let viewer = behind.subscriber(&["$oncue/stats"]);
        for _ in 0..2 {
            viewer.next();
        }
        for _ in 0..20 {
            assert!(everything.next().0.starts_with("n/"));
        }
    });
}
