//! The examples run as they are, except for the port.

use std::fs;
use std::path::Path;
use std::process::Command;

use oncue_interop::program::Program;

use crate::{Directory, Server};

fn serve(directory: &Directory, name: &str) -> Server {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = fs::read_to_string(root.join("examples").join(name)).expect("the example");
    assert!(text.contains("tcp://127.0.0.1:8888"), "{text}");
    // Beside the programs that it names; the command runs elsewhere.
    for entry in fs::read_dir(root.join("examples")).expect("the examples").flatten() {
        let name = entry.file_name().into_string().expect("text");
        if name.ends_with(".py") {
            directory.write(&name, &fs::read_to_string(entry.path()).expect("a program"));
        }
    }
    let path = directory
        .write(name, &text.replacen("bind = \"tcp://127.0.0.1:8888\"", "bind = \"tcp://127.0.0.1:0\"", 1));
    let mut command = Command::new(env!("CARGO_BIN_EXE_oncue"));
    // The model need not take long here.
    command.env("LOAD_SECONDS", "0.3");
    let mut program = Program::start(command.arg("serve").arg(path).current_dir("/"));
    let endpoint = program.endpoint();
    Server { program, endpoint }
}

#[test]
fn the_metrics_of_the_host() {
    let directory = Directory::new();
    let mut server = serve(&directory, "host.toml");
    let load = server.subscriber(&["host/load"]).value();
    assert_eq!(load.split_whitespace().count(), 5, "{load}");
    let own = format!("proc/{}/rss", std::process::id());
    let (topic, kilobytes) = server.subscriber(&[&own]).next();
    assert_eq!(topic, own);
    assert!(kilobytes.trim().parse::<u64>().is_ok_and(|kilobytes| kilobytes > 0), "{kilobytes}");
    let clock = server.subscriber(&["clock"]).value();
    assert_eq!(clock.len(), "23:59:59".len(), "{clock}");
    assert_eq!(server.program.line(), "+ host/load");
}

#[test]
fn the_size_of_a_directory() {
    let directory = Directory::new();
    let server = serve(&directory, "disk.toml");
    let value = server.subscriber(&["du/etc"]).value();
    let (megabytes, path) = value.split_once('\t').expect("a size and a path");
    assert!(megabytes.parse::<u64>().is_ok() && path == "/etc", "{value}");
}

#[test]
fn the_slow_model() {
    let directory = Directory::new();
    let server = serve(&directory, "model.toml");
    let subscriber = server.subscriber(&["answer/how-much-is-6-times-7"]);
    let words: Vec<String> = (0..5).map(|_| subscriber.value()).collect();
    assert_eq!(words.join(" "), "6 times 7 is 42");
}

#[test]
fn the_prices() {
    let directory = Directory::new();
    let server = serve(&directory, "prices.toml");
    let is_price = |value: &str| value.parse::<f64>().is_ok_and(|price| price > 0.0);
    let one = server.subscriber(&["prices/TSLA"]);
    for _ in 0..3 {
        let (topic, price) = one.next();
        assert!(topic == "prices/TSLA" && is_price(&price), "{topic} {price}");
    }
    let all = server.subscriber(&["prices/"]);
    let mut missing = vec!["prices/AAPL", "prices/GOOG", "prices/MSFT", "prices/TSLA"];
    while !missing.is_empty() {
        let (topic, price) = all.next();
        assert!(is_price(&price), "{topic} {price}");
        missing.retain(|known| *known != topic);
    }
}

#[test]
fn the_slow_query() {
    let directory = Directory::new();
    let mut server = serve(&directory, "sql.toml");
    let answer = server.subscriber(&["sales/music"]).value();
    assert!(answer.starts_with("{\"DE\": ") && answer.ends_with('}'), "{answer}");
    assert_eq!(server.program.line(), "+ sales/music");
    assert_eq!(server.program.line(), "- sales/music");
    assert_eq!(server.subscriber(&["sales/music"]).value(), answer);
    server.program.signal("TERM");
    assert!(server.error_with(" sent by ").contains("1 program run"), "it is fresh, so nothing ran");
}

#[test]
fn the_model_that_stays_loaded() {
    let directory = Directory::new();
    let mut server = serve(&directory, "resident.toml");
    let first = server.subscriber(&["model/the-answer"]);
    let answer = first.value();
    let (text, process) = answer.rsplit_once(' ').expect("a process");
    assert!(text == "the answer?\n42, says process" && process.parse::<u32>().is_ok(), "{answer}");
    assert_eq!(server.program.line(), "+ model/the-answer");
    assert_eq!(server.program.line(), "- model/the-answer", "the answer is complete");
    assert_eq!(server.subscriber(&["model/the-answer"]).value(), answer, "another one asks the same");
    drop(first);
    let other = server.subscriber(&["model/what-else"]).value();
    assert_eq!(other, format!("what else?\n42, says process {process}"), "it has stayed");
}

#[test]
fn the_camera() {
    let directory = Directory::new();
    let server = serve(&directory, "camera.toml");
    let camera = server.subscriber(&["camera/7"]);
    let pictures = [camera.bytes(), camera.bytes(), camera.bytes()];
    for picture in &pictures {
        assert_eq!(picture.len(), 200_000);
        assert!(
            picture.starts_with(b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x07") && picture.ends_with(b"\xff\xd9")
        );
    }
    assert!(pictures[0] != pictures[1]);
}
