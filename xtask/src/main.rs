//! The chores of the repository: `cargo xtask --help` lists them. This file only selects the chore.

mod bench;
mod command;
mod costs;
mod deny;
mod fuzz;
mod house;
mod interop;
mod js;
mod leftovers;
mod libraries;
mod mesh;
mod miri;
mod package;
mod python;
mod serve;
mod ship;
mod sim;
mod step;
mod supply;
mod test;
mod tools;
mod truth;
mod workspace;

use std::process::ExitCode;

const HELP: &str = "\
The chores of the repository.

Usage: cargo xtask <CHORE> [OPTIONS]

Chores:
  test                            All checks and tests: formatting, lints, documentation, dependencies, all tests of the
                                  workspace, foreign peers, costs. Ends with the line `N passed, N failed`
  house [--at DIR]                Which module imports from which, import circles, violations of the rules, and lines
                                  per package; --at shows another checkout
  interop [FILTER]                Only the tests against foreign peers (needs python3; creates target/venv)
  js [FILTER]                     Only the JavaScript client and the page (needs node, npm and for the page chromium;
                                  installs what the tests use into target/js-*)
  package                         Only the Python package: builds the wheel, and runs its tests, pyzmq's tests and mypy
                                  (needs python3; creates target/python-*)  [--bench: W12 instead, with its options]
  costs [--update]                Instructions and allocations per message (needs valgrind), compared with the table in
                                  docs/benchmarks/costs.txt; --update writes the measured values into it
  deny                            Check licences, duplicates, sources and advisories of the dependencies against
                                  deny.toml (installs cargo-deny into target/tools if it is missing)
  sim [--seed N | --seeds N]      Replay one simulated seed, or run N of them  [--release]
  fuzz [TARGET] [--seconds N]     Fuzz one target, or each in turn, for N seconds (default 60); installs cargo-fuzz
                                  into target/tools if it is missing
  miri [FILTER]                   The tests of oncue-pattern and oncue-core under Miri, which takes long (needs a nightly
                                  toolchain with it)
  ship                            The command as it is shipped: a static program in an empty root, the Debian package, metrics
                                  before a real Prometheus (installs cargo-deb and prometheus into target/tools)
  reproduce                       Two clean release builds of the command, in two directories, are the same
  sbom                            What the command is made of: target/oncue.cdx.json, in CycloneDX (installs
                                  cargo-cyclonedx into target/tools if it is missing)
  msrv                            Check the packages with the oldest Rust that Cargo.toml allows (needs rustup)
  leftovers [--rounds N]          Check for leaks: a table of scenes, each with N rounds
                                  [--soak MINUTES: instead serve an example and observe its process]
  shared                          What a value of a shared program costs `oncue serve`, and its rate beside a PUB of pyzmq
  soak [MINUTES]                  Whether a server of 20 routes wears out under subscribers that come and go [default: 20]
  storm [MINUTES]                 Whether 10,000 subscribers a minute that come and go leave anything in a publisher
                                  process [default: 5]
  truth [--only TEXT] [--save]    What each implementation tells its user, against what is true: the same wire histories for
                                  libzmq, omq-tokio, zeromq, JeroMQ (needs a JDK) and ours; --save writes docs/TRUTH.md
                                  [--commands: the peers speak ZMTP 3.1]
  bench [--quick] [--only W1,..]  The laboratory: this library and its rivals, measured side by side  [--case TEXT]
                                  [--impl NAME,..] [--reps N] [--seconds S] [--offered N] [--save | --no-save]
                                  [--growth: instead, how cost grows with peers, prefixes, topics, feeds and changes]
  mesh-faults [--faults N]        Kills, stops and cuts at random among three sites of a mesh and of libzmq's proxies, and
                                  how often producers were told wrong demand  [--seed N] [--system NAME]... [--timeout MS]
                                  [--patience MS] [--seconds N] [--verbose] [--wear]
  mesh-bench [--parts abcdef]     What a mesh of three sites costs (W14)  [--system NAME]...

Options:
  -h, --help                      Show this help

Examples:
  cargo xtask test
  cargo xtask interop reconnect
  cargo xtask costs
  cargo xtask sim --seed 4711
  cargo xtask fuzz handshake --seconds 300
  cargo xtask bench --quick --only W2
";

fn main() -> ExitCode {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    if args.is_empty() {
        eprint!("{HELP}");
        return ExitCode::from(2);
    }
    if args.iter().any(|arg| arg == "-h" || arg == "--help" || arg == "help") {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    }
    let chore = args.remove(0);
    let outcome = match chore.as_str() {
        "test" => test::run(&args),
        "costs" => costs::run(&args),
        "deny" => deny::run(&args),
        "interop" => interop::run(&args),
        "js" => js::run(&args),
        "sim" => sim::run(&args),
        "fuzz" => fuzz::run(&args),
        "miri" => miri::run(&args),
        "reproduce" => supply::reproduce(&args),
        "sbom" => supply::sbom(&args),
        "msrv" => supply::msrv(&args),
        "house" => house::run(&args),
        "bench" => bench::run(&args),
        "mesh-faults" => mesh::faults(&args),
        "mesh-bench" => mesh::bench(&args),
        "leftovers" => leftovers::run(&args),
        "package" => package::run(&args),
        "ship" => ship::run(&args),
        "shared" => serve::shared(&args),
        "soak" => serve::soak(&args),
        "storm" => serve::storm(&args),
        "truth" => truth::run(&args),
        other => Err(Trouble::Usage(format!("`{other}` is not a chore"))),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Trouble::Failed) => ExitCode::FAILURE,
        Err(Trouble::Cannot(why)) => {
            eprintln!("xtask {chore}: {why}");
            ExitCode::FAILURE
        }
        Err(Trouble::Usage(why)) => {
            eprintln!("xtask: {why}\n\n{HELP}");
            ExitCode::from(2)
        }
    }
}

/// Why a chore has failed.
enum Trouble {
    /// A check has failed, and its output was shown.
    Failed,
    /// The chore cannot run here.
    Cannot(String),
    /// The command line is wrong.
    Usage(String),
}

/// Removes `flag` and the value after it from `args`, and returns the value.
fn take_text(args: &mut Vec<String>, flag: &str) -> Result<Option<String>, Trouble> {
    let Some(at) = args.iter().position(|arg| arg == flag) else { return Ok(None) };
    args.remove(at);
    if at == args.len() {
        return Err(Trouble::Usage(format!("{flag} needs a value")));
    }
    Ok(Some(args.remove(at)))
}

/// The same for a number.
fn take_number(args: &mut Vec<String>, flag: &str) -> Result<Option<u64>, Trouble> {
    let Some(value) = take_text(args, flag)? else { return Ok(None) };
    let number = value.parse();
    number.map(Some).map_err(|_| Trouble::Usage(format!("{flag} needs a number, not `{value}`")))
}

/// Removes `flag` from `args`. Returns whether it was there.
fn take_flag(args: &mut Vec<String>, flag: &str) -> bool {
    let before = args.len();
    args.retain(|arg| arg != flag);
    args.len() != before
}

/// Refuses arguments that the chore has not used.
fn nothing_left(args: &[String]) -> Result<(), Trouble> {
    match args.first() {
        None => Ok(()),
        Some(arg) => Err(Trouble::Usage(format!("`{arg}` is not an argument of this chore"))),
    }
}
