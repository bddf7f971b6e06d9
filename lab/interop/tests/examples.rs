//! Runs the examples that are not in Rust. Only their endpoint is changed, so that several tests can run at once.

use std::path::PathBuf;
use std::process::Command;

use oncue_interop::directory::Directory;
use oncue_interop::foreign::{Foreign, oncue, python};
use oncue_interop::program::Program;
use oncue_interop::within_a_minute;

/// The endpoint of the examples.
const ENDPOINT: &str = "tcp://127.0.0.1:8888";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn text(file: &str) -> String {
    std::fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// A copy of an example that uses another endpoint.
fn moved(example: &str, endpoint: &str) -> PathBuf {
    let text = text(&format!("examples/{example}"));
    assert!(text.contains(ENDPOINT), "{example} names {ENDPOINT}");
    let copy = std::env::temp_dir().join(format!("oncue-{}-{example}", std::process::id()));
    std::fs::write(&copy, text.replace(ENDPOINT, endpoint)).expect("the temporary directory is writable");
    copy
}

#[test]
fn the_python_subscriber_gets_what_nobody_has_produced_before() {
    within_a_minute(|| {
        let mut demo = Program::start(&mut oncue(&[
            "demo",
            "--bind",
            "tcp://127.0.0.1:0",
            "--every",
            "50ms",
            "--forever",
        ]));
        let script = moved("subscriber.py", &demo.endpoint());
        let ended = Program::start(&mut python(script.to_str().expect("a path that is text"))).end();
        std::fs::remove_file(script).expect("the copy is still there");
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert_eq!(ended.output.len(), 3, "{ended:?}");
        assert!(ended.output.iter().all(|line| line.starts_with("[b'zebra ")), "{ended:?}");
    });
}

/// `oncue serve` with an example, in a copy of its directory, which must live as long.
fn serve(example: &str) -> (Program, String, Directory) {
    let directory = Directory::new();
    // Beside the programs that it names; the command runs elsewhere.
    for entry in std::fs::read_dir(root().join("examples")).expect("the examples").flatten() {
        let name = entry.file_name().into_string().expect("text");
        if name.ends_with(".py") {
            directory.write(&name, &text(&format!("examples/{name}")));
        }
    }
    let config = text(&format!("examples/{example}"));
    assert!(config.contains(ENDPOINT), "{example} names {ENDPOINT}");
    let config = directory.write(example, &config.replace(ENDPOINT, "tcp://127.0.0.1:0"));
    let config = config.to_str().expect("a path that is text");
    // The model need not take long here.
    let mut command = oncue(&["serve", config]);
    let mut server = Program::start(command.env("LOAD_SECONDS", "0.3").current_dir("/"));
    let endpoint = server.endpoint();
    (server, endpoint, directory)
}

#[test]
fn a_python_program_has_its_memory_measured_without_code() {
    within_a_minute(|| {
        let (mut server, endpoint, _directory) = serve("host.toml");
        let script = moved("memory.py", &endpoint);
        let ended = Program::start(&mut python(script.to_str().expect("a path that is text"))).end();
        std::fs::remove_file(script).expect("the copy is still there");
        assert_eq!((ended.code, ended.output.len()), (Some(0), 3), "{ended:?}");
        let produced = server.line();
        for line in &ended.output {
            let (topic, kilobytes) = line.split_once(' ').expect("a topic and a number");
            assert!(topic.starts_with("proc/") && topic.ends_with("/rss"), "{line}");
            assert!(kilobytes.parse::<u64>().is_ok_and(|kilobytes| kilobytes > 1000), "{line}");
            assert_eq!(produced, format!("+ {topic}"));
        }
        assert_eq!(
            server.line(),
            produced.replace('+', "-"),
            "it has ended, so its memory is no longer measured"
        );
    });
}

#[test]
fn a_foreign_subscriber_is_served_by_one_program_for_all_topics() {
    within_a_minute(|| {
        let (mut server, endpoint, _directory) = serve("prices.toml");
        let mut peer = Foreign::new("SUB");
        peer.connect(&endpoint);
        peer.subscribe(b"prices/TSLA");
        let frames = peer.recv();
        let [topic, price] = &frames[..] else { panic!("{} frames", frames.len()) };
        assert_eq!(topic, b"prices/TSLA");
        assert!(String::from_utf8_lossy(price).parse::<f64>().is_ok_and(|price| price > 0.0));
        assert_eq!(server.line(), "+ prices/TSLA");
        peer.kill();
        assert_eq!(server.line(), "- prices/TSLA", "a dead peer wants nothing");
    });
}

/// What an example prints that subscribes at this endpoint, in a directory of its own.
fn printed(script: &str, words: &[&str], endpoint: &str) -> (Vec<String>, Directory) {
    let directory = Directory::new();
    let script = moved(script, endpoint);
    let mut command = python(script.to_str().expect("a path that is text"));
    let ended = Program::start(command.args(words).current_dir(directory.path(""))).end();
    std::fs::remove_file(script).expect("the copy is still there");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    (ended.output, directory)
}

#[test]
fn a_slow_query_is_answered() {
    within_a_minute(|| {
        let (_server, endpoint, _directory) = serve("sql.toml");
        let (lines, _) = printed("sql_subscriber.py", &["books"], &endpoint);
        assert_eq!(lines, ["DE 4000032", "FR 4083333", "IT 4166634", "PL 4250034"]);
    });
}

#[test]
fn a_model_stays_loaded_between_two_questions() {
    within_a_minute(|| {
        let (_server, endpoint, _directory) = serve("resident.toml");
        let ask = |question| printed("resident_subscriber.py", &[question], &endpoint).0;
        let (first, second) = (ask("the-answer"), ask("what-else"));
        assert!(first[0] == "the answer?" && second[0] == "what else?", "{first:?} {second:?}");
        assert_eq!(first[1], second[1], "the same process");
    });
}

#[test]
fn pictures_of_a_camera_arrive_whole() {
    within_a_minute(|| {
        let (_server, endpoint, _directory) = serve("camera.toml");
        let (lines, directory) = printed("camera_subscriber.py", &[], &endpoint);
        assert_eq!(lines, ["camera/1 200000"; 3]);
        let picture = std::fs::read(directory.path("picture-3.jpg")).expect("a picture");
        assert!(picture.starts_with(b"\xff\xd8\xff") && picture.ends_with(b"\xff\xd9"));
    });
}

#[test]
fn the_shell_producer_reads_the_load_while_somebody_looks() {
    within_a_minute(|| {
        let endpoint = format!("ipc://@oncue-load-{}", std::process::id());
        let script = moved("load.sh", &endpoint);
        let binary = PathBuf::from(oncue(&[]).get_program());
        let path = format!(
            "{}:{}",
            binary.parent().expect("the command is in a directory").display(),
            std::env::var("PATH").unwrap_or_default()
        );
        let producer = Program::start(Command::new("bash").arg(&script).env("PATH", path));
        let seen = Program::start(&mut oncue(&[
            "sub",
            &endpoint,
            "--topic",
            "host/load",
            "--count",
            "2",
            "--timeout",
            "20s",
        ]))
        .end();
        drop(producer);
        std::fs::remove_file(script).expect("the copy is still there");
        assert_eq!(seen.code, Some(0), "{seen:?}");
        let numbers = seen.output[0].strip_prefix("host/load\t").expect("topic and payload").split(' ');
        assert!(
            numbers.clone().count() == 3 && numbers.clone().all(|n| n.parse::<f64>().is_ok()),
            "{seen:?}"
        );
    });
}

#[test]
fn the_readme_shows_the_examples_as_they_are() {
    let readme = text("README.md");
    let guide = text("docs/PYTHON.md");
    let five = readme.split_once("```python\n").expect("a producer").1.split_once("```").expect("its end").0;
    let five = five.split_once("def usage").expect("the function that makes the value").1;
    assert!(guide.contains(five.trim_end()), "docs/PYTHON.md differs from README.md");
    let script = text("examples/memory.py");
    let code = script.split_once("import zmq\n\n").expect("imports, then the code").1;
    assert!(readme.contains(code.trim_end()), "README.md differs from examples/memory.py");
    let shown = readme.split_once("```toml\n").expect("a config").1.split_once("```").expect("its end").0;
    assert!(text("examples/disk.toml").ends_with(shown), "README.md differs from examples/disk.toml");
}
