//! Runs one workload over the public API and reports its allocations. This file is only the command line; `cargo xtask
//! costs` runs this program, under valgrind to count instructions, and compares.
//!
//! Without arguments it lists the workloads, one per line: name, messages per round, rounds of the short run and of the
//! long one, deliveries of a message. With a name and a number of rounds it runs that workload and prints allocations and allocated bytes. The cost
//! of a message is the difference between a long run and a short one, divided by the difference in messages.

mod count;
mod fanout;
mod gate;
mod raw;
mod sealed;
mod workloads;

use std::process::ExitCode;
use std::time::Duration;

use workloads::WORKLOADS;

/// The limit of a run, enough under valgrind on a loaded machine; a longer run hangs.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [name, rounds] = &args[..] else {
        for w in WORKLOADS {
            println!("{} {} {} {} {}", w.name, w.messages, w.rounds_few, w.rounds_many, w.deliveries());
        }
        return ExitCode::SUCCESS;
    };
    let (Some(workload), Ok(rounds)) = (WORKLOADS.iter().find(|w| w.name == name), rounds.parse()) else {
        eprintln!("oncue-costs: `{name}` is not a workload, or `{rounds}` is not a number of rounds");
        return ExitCode::from(2);
    };
    std::thread::spawn(|| {
        std::thread::sleep(PATIENCE);
        eprintln!("oncue-costs: not finished within {PATIENCE:?}");
        std::process::exit(1);
    });
    let counts = workload.run(rounds);
    println!("{} {}", counts.allocations, counts.bytes);
    ExitCode::SUCCESS
}
