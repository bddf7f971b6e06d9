//! What the server writes on standard error, as the config's `log` says.

use serde_json::Value;

use crate::{BIND, Directory, Server};

const FAILING: &str = "[[route]]\ntopic = 'f/{x}'\ncommand = ['sh', '-c', 'echo oops >&2; exit 3', '{x}']\nevery = '1s'\n\
                       backoff_min = '1h'\n";

/// Serves a failing route, with JSON on standard error.
fn in_json(directory: &Directory, keys: &str) -> Server {
    let config = format!("{BIND}log = {{ format = 'json', {keys} }}\n{FAILING}");
    let config = directory.write("oncue.toml", &config);
    let mut program = directory.oncue(&["serve", config.to_str().expect("a path")]);
    let bound = object(&program.error_line());
    let endpoint = text(&bound, "message").strip_prefix("bound to ").expect("the endpoint").to_owned();
    Server { program, endpoint }
}

fn object(line: &str) -> Value {
    let value: Value = serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}"));
    assert!(value.is_object(), "{line}");
    value
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

/// The next event of this name. Every line before it is an object with a level and a time.
fn event(server: &mut Server, name: &str) -> Value {
    loop {
        let value = object(&server.program.error_line());
        assert!(["info", "warning", "error"].contains(&text(&value, "level")), "{value}");
        let time = text(&value, "time");
        assert!(time.len() == 24 && time.ends_with('Z') && time.contains('T'), "{value}");
        if text(&value, "event") == name {
            return value;
        }
    }
}

#[test]
fn each_line_in_json_says_what_it_is_about() {
    let directory = Directory::new();
    let mut server = in_json(&directory, "demand = true");
    let _subscriber = server.subscriber(&["f/1"]);
    let started = event(&mut server, "feed_started");
    assert_eq!((text(&started, "topic"), text(&started, "route")), ("f/1", "f/{x}"));
    let said = event(&mut server, "program_said");
    assert_eq!((text(&said, "message"), text(&said, "topic")), ("oops", "f/1"));
    let failed = event(&mut server, "program_failed");
    assert_eq!(text(&failed, "message"), "the program ended with status 3");
    assert_eq!((text(&failed, "reason"), text(&failed, "level")), ("exit", "error"));
    assert_eq!(text(&failed, "program"), "sh -c echo oops >&2; exit 3 {x}");
    assert_eq!(text(&event(&mut server, "feed_ended"), "topic"), "f/1");
    assert_eq!([server.program.line(), server.program.line()], ["+ f/1", "- f/1"], "as ever");
    server.program.signal("TERM");
    let end = server.program.end();
    assert_eq!(end.code, Some(0));
    end.errors.iter().for_each(|line| drop(object(line)));
}

#[test]
fn a_reload_changes_the_style_and_its_mistakes_are_lines_of_their_own() {
    let directory = Directory::new();
    let mut server = in_json(&directory, "time = true");
    directory.config("[[route]]\ntopic = 1\nfile = 2\n");
    server.program.signal("HUP");
    let lines: Vec<_> = (0..3).map(|_| object(&server.program.error_line())).collect();
    assert!(text(&lines[0], "message").contains("oncue.toml:3:9: `topic`"), "{lines:?}");
    assert!(text(&lines[1], "message").contains("oncue.toml:4:8: `file`"), "{lines:?}");
    assert!(text(&lines[2], "message").ends_with("stays in force"), "{lines:?}");
    directory.write("oncue.toml", &format!("{BIND}log = {{ time = true }}\n{FAILING}"));
    server.program.signal("HUP");
    let line = server.program.error_line();
    let (time, said) = line.split_once(' ').expect("two parts");
    assert!(time.len() == 24 && said.starts_with("oncue serve: config read again"), "{line}");
    let _subscriber = server.subscriber(&["f/1"]);
    let said = server.error_with("oops");
    assert!(said.ends_with(" oncue serve: f/1: oops"), "{said}");
}
