//! What a value of a shared program costs `oncue serve`, and how fast values come end to end, beside the same Python program
//! with a PUB of pyzmq: `cargo xtask shared`.
//!
//! All have one subscriber, of this process. The cost is the processor time of the server's threads; the rate is that of
//! values received. The program is py/values.py, or this binary (`shared write RATE`), which writes each line by itself, the
//! lines as evenly as it can: the worst case of a rate, since nothing gathers in the pipe.

use std::io::{BufRead, Write, stdin, stdout};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use oncue::{Engine, Options, Sub};
use oncue_interop::PATIENCE;
use oncue_interop::directory::Directory;
use oncue_interop::foreign::{oncue, python};
use oncue_interop::program::Program;

const TOPIC: &str = "values/a";
/// The rate of a paced program, in values a second.
const RATE: u32 = 100_000;
/// Before the measurement begins, and how long it takes.
const SETTLE: Duration = Duration::from_millis(500);
const MEASURE: Duration = Duration::from_secs(4);
/// What is to hold on an idle machine.
const MICROS_MAX: f64 = 2.0;
const TIMES_MIN: f64 = 2.0;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [role, rate] = &words[..]
        && role == "write"
    {
        return write(rate.parse().expect("a rate"));
    }
    let mut holds = true;
    let itself = std::env::current_exe().expect("this program");
    let itself = itself.to_str().expect("a path that is text").to_owned();
    let values = python("values.py");
    let script: Vec<String> = std::iter::once(values.get_program())
        .chain(values.get_args())
        .map(|word| word.to_str().expect("text").to_owned())
        .collect();
    let with = |way: &str, rate: u32| [&script[..], &[way.to_owned(), rate.to_string()]].concat();
    for (name, command) in [
        ("each line by itself", vec![itself, "write".to_owned(), RATE.to_string()]),
        ("python, 100 lines at a time", with("lines", RATE)),
    ] {
        let Measured { rate, micros } = serve(&command);
        holds &= micros <= MICROS_MAX;
        println!(
            "paced, {name}: {rate:.0} values/s, {micros:.2} us of the server for each (at most {MICROS_MAX})"
        );
    }
    let Measured { rate, micros } = serve(&with("lines", 0));
    println!("unpaced, python, oncue serve: {rate:.0} values/s, {micros:.2} us of the server for each");
    let mut publisher = Program::start(python("values.py").args(["pub", "0"]));
    let endpoint = publisher.line();
    let classic = measure(&subscriber(&endpoint), publisher.id());
    println!("unpaced, python, pyzmq's PUB: {:.0} values/s", classic.rate);
    let times = rate / classic.rate;
    holds &= times >= TIMES_MIN;
    println!("oncue serve has {times:.2} times the rate of pyzmq's PUB (at least {TIMES_MIN})");
    if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What was measured: values received in a second, and microseconds of processor time for each.
struct Measured {
    rate: f64,
    micros: f64,
}

fn serve(command: &[String]) -> Measured {
    let directory = Directory::new();
    let words: Vec<String> = command.iter().map(|word| format!("{word:?}")).collect();
    let config = format!(
        "bind = \"tcp://127.0.0.1:0\"\n[[route]]\ntopic = \"values/{{name:word}}\"\nmode = \"shared\"\ncommand = [{}]\n",
        words.join(", ")
    );
    let path = directory.write("oncue.toml", &config);
    let mut server = Program::start(oncue(&["serve"]).arg(path));
    let subscriber = subscriber(&server.endpoint());
    measure(&subscriber, server.id())
}

fn subscriber(endpoint: &str) -> Sub {
    let socket = Sub::new(&Engine::start().expect("an engine"), Options::new()).expect("a subscriber");
    socket.subscribe(TOPIC).expect("a subscription");
    socket.connect(endpoint).expect("an endpoint");
    socket
}

fn measure(subscriber: &Sub, server: u32) -> Measured {
    let receive = |time: Duration| {
        let (start, mut values) = (Instant::now(), 0u32);
        while start.elapsed() < time {
            subscriber.recv().wait_timeout(PATIENCE).expect("a value in time").expect("a value");
            values += 1;
        }
        (f64::from(values), start.elapsed())
    };
    receive(SETTLE);
    let before = processor_time(server);
    let (values, time) = receive(MEASURE);
    let used = processor_time(server).saturating_sub(before);
    Measured { rate: values / time.as_secs_f64(), micros: used.as_secs_f64() * 1e6 / values }
}

/// The processor time of all threads of a process.
fn processor_time(process: u32) -> Duration {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).expect("a process").flatten();
    let nanos = threads.filter_map(|thread| {
        // A thread may end meanwhile.
        let text = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanos.sum())
}

fn write(rate: u32) -> ExitCode {
    let mut line = String::new();
    stdin().lock().read_line(&mut line).expect("a topic that is wanted");
    let topic = line.trim_end().trim_start_matches('+').to_owned();
    let (mut out, start, period) = (stdout(), Instant::now(), Duration::from_secs(1) / rate);
    for number in 0u32.. {
        while start.elapsed() < period * number {
            std::hint::spin_loop();
        }
        // Standard output ends with each line, and ends this process with the server.
        if writeln!(out, "{topic}\t{number}").is_err() {
            break;
        }
    }
    ExitCode::SUCCESS
}
