//! Runs one workload over the public API and says what it allocated. Only the command line lives here; `cargo xtask
//! costs` runs this program, under valgrind where it counts instructions, and compares.
//!
//! Without arguments it lists the workloads, one a line: name, messages a round, rounds of the short run and of the
//! long one. With a name and a number of rounds it runs that workload and prints allocations and allocated bytes. What
//! a message costs is the difference between a long run and a short one, over the difference in messages.

mod count;
mod gate;
mod raw;
mod workloads;

use std::process::ExitCode;
use std::time::Duration;

use workloads::WORKLOADS;

/// No run takes longer, even under valgrind on a loaded machine; one that does hangs.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [name, rounds] = &args[..] else {
        for w in WORKLOADS {
            println!("{} {} {} {}", w.name, w.messages, w.rounds_few, w.rounds_many);
        }
        return ExitCode::SUCCESS;
    };
    let (Some(workload), Ok(rounds)) = (WORKLOADS.iter().find(|w| w.name == name), rounds.parse()) else {
        eprintln!("oncue-costs: there is no workload `{name}`, or `{rounds}` is no number of rounds");
        return ExitCode::from(2);
    };
    std::thread::spawn(|| {
        std::thread::sleep(PATIENCE);
        eprintln!("oncue-costs: not done within {PATIENCE:?}");
        std::process::exit(1);
    });
    let counts = (workload.run)(rounds);
    println!("{} {}", counts.allocations, counts.bytes);
    ExitCode::SUCCESS
}
