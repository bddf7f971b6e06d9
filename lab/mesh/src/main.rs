//! The laboratory of the mesh: three sites as processes, faults, and measurements (W14). `mesh-lab --help` lists what it does.

mod bench;
mod clock;
mod faults;
mod forwarder;
mod model;
mod namespaces;
mod process;
mod protocol;
mod roles;
mod scene;
mod table;

use std::process::ExitCode;
use std::time::Duration;

use scene::System;

/// What succeeds, or the reason why not.
type Outcome<T> = Result<T, String>;

const HELP: &str = "\
The laboratory of the mesh.

Usage: mesh-lab faults [OPTIONS]
       mesh-lab bench [--system NAME]... [--parts LETTERS]
       mesh-lab namespaces [SEED]

faults: kills, stops and cuts at random, and compares what producers are told with what is true. It ends with 1 if a producer
of a mesh was told anything wrong at a quiet point.

  --system NAME     peers, router, routers, libzmq, libzmq-tuned or libzmq-proxies; may be given again
                    [default: peers and routers]
  --faults N        Faults for each system [default: 100]
  --seconds N       No fault begins after this time, for each system [default: 900]
  --seed N          Of all that is random [default: the time]
  --timeout MS      How long a site or a peer may be silent [default: 1000]
  --patience MS     How long after the timeout what is told may be wrong [default: 8000]
  --python PATH     A Python with pyzmq, for libzmq
  --verbose         Says each fault as it happens
  --wear            Never kills site a, its producer and router r1, prints what they hold, and ends with 1 if that grows

namespaces: three sites in network namespaces, each cut off in turn (needs root).

bench: W14, on meshes alone [default: peers and router].

  --parts LETTERS   a: declare many prefixes; b: change them; c: death of a site; d: throughput; e: latency;
                    f: a stopped site beside a healthy one [default: abcdef]
  --only SIZE:RATE  Of d, messages of this size offered at this rate alone, as 64:2000000
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match args.first().map(String::as_str) {
        Some("role") => roles::play(args.get(1).map_or("", String::as_str)).map(|()| true),
        Some("bench") => bench(&args[1..]).and_then(|choice| bench::run(&choice)),
        Some("namespaces") => namespaces::play(seed(&args), Duration::from_secs(1)).map(|()| true),
        Some("faults") => faults(&args[1..]).and_then(|run| faults::run(&run)),
        _ => {
            print!("{HELP}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("mesh-lab: {why}");
            ExitCode::FAILURE
        }
    }
}

/// The seed that is the second argument, or another one each time.
fn seed(args: &[String]) -> u64 {
    args.get(1).and_then(|seed| seed.parse().ok()).unwrap_or_else(|| clock::now() % 1_000_000)
}

fn faults(args: &[String]) -> Outcome<faults::Run> {
    let mut run = faults::Run {
        systems: Vec::new(),
        faults: 100,
        longest: Duration::from_secs(900),
        seed: seed(&[]),
        timeout: Duration::from_secs(1),
        patience: Duration::from_secs(8),
        python: None,
        verbose: false,
        wear: false,
    };
    let mut args = args.iter();
    while let Some(flag) = args.next() {
        if flag == "--verbose" {
            run.verbose = true;
            continue;
        }
        if flag == "--wear" {
            run.wear = true;
            continue;
        }
        let value = args.next().ok_or(format!("{flag} needs a value"))?;
        let number = || value.parse::<u64>().map_err(|_| format!("{flag} needs a number, not `{value}`"));
        match flag.as_str() {
            "--system" => run.systems.push(System::named(value)?),
            "--faults" => run.faults = number()? as usize,
            "--seconds" => run.longest = Duration::from_secs(number()?),
            "--seed" => run.seed = number()?,
            "--timeout" => run.timeout = Duration::from_millis(number()?),
            "--patience" => run.patience = Duration::from_millis(number()?),
            "--python" => run.python = Some(value.into()),
            other => return Err(format!("`{other}` is not an option")),
        }
    }
    if run.systems.is_empty() {
        run.systems = vec![System::Peers, System::Routers(2)];
    }
    Ok(run)
}

fn bench(args: &[String]) -> Outcome<bench::Choice> {
    let mut choice = bench::Choice { systems: Vec::new(), parts: "abcdef".to_owned(), only: None };
    let mut args = args.iter();
    while let Some(flag) = args.next() {
        let value = args.next().ok_or(format!("{flag} needs a value"))?;
        match flag.as_str() {
            "--system" => choice.systems.push(System::named(value)?),
            "--parts" => choice.parts.clone_from(value),
            "--only" => choice.only = Some(size_and_rate(value)?),
            other => return Err(format!("`{other}` is not an option")),
        }
    }
    if choice.systems.is_empty() {
        choice.systems = vec![System::Peers, System::Routers(1)];
    }
    Ok(choice)
}

/// As in `64:2000000`.
fn size_and_rate(text: &str) -> Outcome<(usize, u64)> {
    let numbers =
        text.split_once(':').and_then(|(size, rate)| Some((size.parse().ok()?, rate.parse().ok()?)));
    numbers.ok_or(format!("--only needs bytes and messages a second, as in 64:2000000, not `{text}`"))
}
