//! The worked example of docs/MESH.md, and every config in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use oncue_interop::directory::Directory;
use oncue_interop::program::Program;

use super::{eventually, free_port, line_with, oncue, said, site, status};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn page() -> String {
    fs::read_to_string(repository().join("docs/MESH.md")).expect("the page")
}

/// The ports of the example, and free ones in their place.
struct Ports(Vec<(&'static str, String)>);

impl Ports {
    fn new() -> Ports {
        let all = ["8888", "8890", "9001", "9002", "9465", "7447", "7448"];
        Ports(all.into_iter().map(|port| (port, free_port().to_string())).collect())
    }

    fn of(&self, text: &str) -> String {
        let marked = self.0.iter().fold(text.to_owned(), |text, (port, _)| {
            text.replace(&format!(":{port}"), &format!(":<{port}>"))
        });
        self.0.iter().fold(marked, |text, (port, free)| text.replace(&format!("<{port}>"), free))
    }
}

#[test]
fn the_example_runs_as_it_is_but_for_the_ports() {
    let (directory, ports, page) = (Directory::new(), Ports::new(), page());
    let start = |command: &str, name: &str| {
        assert!(page.contains(&format!("$ oncue {command} examples/mesh/{name}")), "{command} {name}");
        let text = fs::read_to_string(repository().join("examples/mesh").join(name)).expect("the example");
        let path = directory.write(name, &ports.of(&text));
        Program::start(&mut oncue(&[command, path.to_str().expect("text")]))
    };
    let mut paris = start("serve", "paris.toml");
    let mut tokyo = start("mesh", "tokyo.toml");
    line_with(&mut paris, "site tokyo joined (epoch ");
    line_with(&mut tokyo, "site paris joined (epoch ");
    let command = |words: &str| {
        assert!(page.contains(&format!("$ oncue {words}\n")), "{words}");
        ports.of(words).split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    let run = |words: &str| said(&command(words).iter().map(String::as_str).collect::<Vec<_>>());
    let load = run("sub tcp://127.0.0.1:9002 --topic host/load --count 2");
    assert!(load.lines().count() == 2 && load.lines().all(|line| line.starts_with("host/load\t")), "{load}");
    assert_eq!(paris.line(), "+ host/load");
    assert_eq!(paris.line(), "- host/load");
    // The other way round: a publisher of tokyo, a subscriber of paris.
    let words = command("pub tcp://127.0.0.1:8890 --connect");
    let mut publisher = Program::start(&mut oncue(&words.iter().map(String::as_str).collect::<Vec<_>>()));
    let words = command("sub tcp://127.0.0.1:9001 --topic orders/ --topic du/usr");
    let mut subscriber = Program::start(&mut oncue(&words.iter().map(String::as_str).collect::<Vec<_>>()));
    while publisher.line() != "+orders/" {}
    publisher.write(b"orders/7\tpaid\n");
    let mut missing = vec!["orders/7\tpaid", "du/usr\t"];
    while !missing.is_empty() {
        let line = subscriber.line();
        missing.retain(|known| !line.starts_with(known));
    }
    let table = run("mesh status tcp://127.0.0.1:9002");
    assert!(table.lines().any(|line| line.starts_with("paris  live ")), "{table}");
    let at = ports.of("tcp://127.0.0.1:8888");
    let of_paris = status(&at);
    assert_eq!((&of_paris["site"], &site(&of_paris, "tokyo")["phase"]), (&"paris".into(), &"live".into()));
    drop(subscriber);
    while publisher.line() != "-orders/" {}
    tokyo.signal("KILL");
    line_with(&mut paris, "site tokyo left");
    eventually(|| {
        let status = status(&at);
        (site(&status, "tokyo")["phase"] == "gone").then_some(()).ok_or(status)
    });
    paris.signal("TERM");
    assert_eq!(paris.end().code, Some(0));
}

#[test]
fn every_config_of_the_page_is_right() {
    let (directory, page) = (Directory::new(), page());
    for file in ["ca.pem", "paris.pem", "paris.key"] {
        directory.write(file, "");
    }
    let mut checked = 0;
    for block in page.split("```toml\n").skip(1) {
        let block = block.split("```").next().expect("its end");
        let is_server = block.contains("[[route]]") || block.contains("[mesh]");
        let mut text = block.to_owned();
        // A part of a config: the rest is as simple as it may be.
        if !is_server && !text.contains("site =") {
            text.insert_str(0, "site = \"paris\"\nsubscribers = \"tcp://127.0.0.1:0\"\n");
        }
        if !is_server && !text.contains("[link]") {
            text.push_str("[link]\nrole = \"edge\"\nrouters = \"tcp/10.0.0.1:7447\"\n");
        }
        if is_server && !text.contains("[[route]]") {
            text.insert_str(0, "bind = \"tcp://127.0.0.1:0\"\n[[route]]\ntopic = \"a\"\nfile = \"a\"\n");
        }
        let path = directory.write("x.toml", &text);
        let command = if is_server { "serve" } else { "mesh" };
        let Output { status, stderr, .. } =
            oncue(&[command, path.to_str().expect("text"), "--check"]).output().expect("it runs");
        let why = String::from_utf8_lossy(&stderr).into_owned();
        // The files of TLS hold nothing here.
        let is_right = status.success() || text.contains("authority") && why.contains("has no section");
        assert!(is_right, "{text}\n{why}");
        checked += 1;
    }
    assert!(checked >= 6, "{checked}");
}
