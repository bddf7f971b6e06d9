//! Every chore of the repository: `cargo xtask --help` lists them. Only the choice between the chores lives here.

mod bench;
mod costs;
mod deny;
mod fuzz;
mod house;
mod interop;
mod leftovers;
mod python;
mod sim;
mod step;
mod test;
mod workspace;

use std::process::ExitCode;

const HELP: &str = "\
Every chore of the repository.

Usage: cargo xtask <CHORE> [OPTIONS]

Chores:
  test                            Everything that must hold: formatting, lints, documentation, all tests of the
                                  workspace, the foreign peers, then the costs. Ends with the line `N passed, N failed`
  house [--at DIR]                Which module imports which, import circles, lines per package, and what breaks the
                                  rules of the house; --at shows another checkout
  interop [FILTER]                The tests against foreign peers alone (needs python3; makes target/venv)
  costs [--update]                Instructions and allocations per message (needs valgrind) against the table in
                                  docs/benchmarks/costs.txt; --update writes what is measured into it
  deny                            Licences, duplicates, sources and advisories of the dependencies, against deny.toml
                                  (installs cargo-deny into target/tools where there is none)
  sim [--seed N | --seeds N]      Replay one simulated seed, or run N of them  [--release]
  fuzz [TARGET] [--seconds N]     Fuzz one target, or each in turn, for N seconds (default 60)
  leftovers [--rounds N]          What comes and goes leaves nothing behind: a table of scenes, each of N rounds
                                  [--soak MINUTES: instead serve an example for so long and look at the process]
  bench [--quick] [--only W1,..]  The laboratory: this library and its rivals, measured side by side  [--case TEXT]
                                  [--impl NAME,..] [--reps N] [--seconds S] [--save | --no-save]

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
        "sim" => sim::run(&args),
        "fuzz" => fuzz::run(&args),
        "house" => house::run(&args),
        "bench" => bench::run(&args),
        "leftovers" => leftovers::run(&args),
        other => Err(Trouble::Usage(format!("there is no chore `{other}`"))),
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

/// Why a chore did not end well.
enum Trouble {
    /// What was checked does not hold; the output has said what.
    Failed,
    /// The chore could not be done here.
    Cannot(String),
    /// The command line makes no sense.
    Usage(String),
}

/// Takes the value that follows `flag` out of `args`, if the flag is there.
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

/// Takes `flag` out of `args`: whether it was there.
fn take_flag(args: &mut Vec<String>, flag: &str) -> bool {
    let before = args.len();
    args.retain(|arg| arg != flag);
    args.len() != before
}

/// Refuses whatever no chore has taken.
fn nothing_left(args: &[String]) -> Result<(), Trouble> {
    match args.first() {
        None => Ok(()),
        Some(arg) => Err(Trouble::Usage(format!("`{arg}` is not understood here"))),
    }
}
