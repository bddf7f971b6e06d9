//! Counts instructions with valgrind, and installs it if possible.

use std::path::Path;
use std::process::Command;

use super::output;

/// Makes sure that valgrind is installed. The error says how to install it.
pub(super) fn ready() -> Result<(), String> {
    if works() {
        return Ok(());
    }
    let root = Command::new("id").arg("-u").output().is_ok_and(|out| out.stdout == b"0\n");
    if !root {
        return Err("valgrind is missing: install it (on Debian `apt-get install valgrind`)".to_owned());
    }
    println!("   valgrind is missing: apt-get install -y valgrind");
    // An outdated package list may be sufficient; the second step shows whether it was.
    let _ = output(apt_get().arg("update"));
    output(apt_get().args(["install", "-y", "valgrind"]))
        .map_err(|why| format!("valgrind is missing and cannot be installed: {why}"))?;
    if works() { Ok(()) } else { Err("valgrind is installed but does not start".to_owned()) }
}

fn works() -> bool {
    Command::new("valgrind").arg("--version").output().is_ok_and(|out| out.status.success())
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// The number of instructions that a run of a program executes, on all threads.
pub(super) fn instructions(program: &Path, args: &[String]) -> Result<u64, String> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(program).args(args);
    let log = output(&mut command)?.stderr;
    collected(&log).ok_or_else(|| format!("valgrind printed no count:\n{log}"))
}

/// Parses `==4711== Collected : 9610632`.
fn collected(log: &str) -> Option<u64> {
    let (_, rest) = log.split_once("Collected : ")?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_found_in_valgrinds_log() {
        let log = "==7== Events    : Ir\n==7== Collected : 9610632\n==7== \n==7== I   refs:      9,610,632\n";
        assert_eq!(collected(log), Some(9_610_632));
        assert_eq!(collected("==7== Events    : Ir\n"), None);
    }
}
