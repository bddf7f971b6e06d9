//! Serves `examples/host.toml` to a subscriber of all its routes, each producing every 20 ms, for the given number of minutes,
//! and prints the resources of the command after each minute: `cargo xtask leftovers --soak MINUTES`. It fails if the command
//! holds more than after the first minute.

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use oncue::{Engine, Options, Sub};
use oncue_interop::leftovers::Holdings;
use oncue_interop::program::Program;

const EVERY: &str = "every = \"20ms\"";
/// Tolerances: programs that run during a measurement have pipes, and the allocator keeps freed memory.
const DESCRIPTORS_MORE_MAX: u64 = 8;
const BYTES_MORE_MAX: u64 = 4 << 20;

fn main() -> ExitCode {
    let minutes: u64 = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(10);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = std::fs::read_to_string(root.join("examples/host.toml")).expect("the example");
    let text = text.replace("every = \"1s\"", EVERY).replace("every = \"500ms\"", EVERY);
    let text = text.replace("tcp://127.0.0.1:8888", "tcp://127.0.0.1:0");
    let config = std::env::temp_dir().join(format!("oncue-soak-{}.toml", std::process::id()));
    std::fs::write(&config, text).expect("a config");
    let mut program =
        Program::start(Command::new(root.join("target/release/oncue")).arg("serve").arg(&config));
    let subscriber = Sub::new(&Engine::start().expect("an engine"), Options::new()).expect("a subscriber");
    subscriber.connect(&program.endpoint()).expect("an endpoint");
    for topic in ["host/load", "clock", "proc/1/rss"] {
        subscriber.subscribe(topic).expect("a subscription");
    }
    let (start, mut values, mut first) = (Instant::now(), 0u64, None);
    for minute in 1..=minutes {
        let end = start + Duration::from_secs(60 * minute);
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            values += u64::from(subscriber.recv().wait_timeout(left).is_some());
        }
        let holds = Holdings::of(program.id());
        println!("{minute:>3} min {values:>8} values  descriptors, threads, resident: {holds}");
        let first = *first.get_or_insert(holds);
        let more = holds.descriptors > first.descriptors + DESCRIPTORS_MORE_MAX;
        if more || holds.bytes > first.bytes + BYTES_MORE_MAX {
            eprintln!("soak: the command holds more than after the first minute");
            return ExitCode::FAILURE;
        }
    }
    program.signal("TERM");
    let _ = std::fs::remove_file(&config);
    ExitCode::SUCCESS
}
