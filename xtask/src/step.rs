//! One step of a chore: a command with its progress, its time, and its counts for the closing line.

use std::io::{BufRead, BufReader, Write, pipe, stdout};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::Trouble;

/// The results so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
    /// The events of simulations.
    pub(crate) events: u64,
}

impl Tally {
    pub(crate) const ONE_PASSED: Tally = Tally { passed: 1, failed: 0, skipped: 0, events: 0 };
    pub(crate) const ONE_FAILED: Tally = Tally { passed: 0, failed: 1, skipped: 0, events: 0 };

    pub(crate) fn add(&mut self, other: Tally) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.events += other.events;
    }

    /// Prints the closing line.
    pub(crate) fn finish(self) -> Result<(), Trouble> {
        println!("{}", self.closing_line());
        if self.failed == 0 { Ok(()) } else { Err(Trouble::Failed) }
    }

    /// The closing line, in a form that CI can parse.
    fn closing_line(self) -> String {
        let Tally { passed, failed, skipped, .. } = self;
        match skipped {
            0 => format!("{passed} passed, {failed} failed"),
            _ => format!("{passed} passed, {failed} failed, {skipped} skipped"),
        }
    }
}

/// How a step is counted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counts {
    /// The command's exit status is one test.
    AsOne,
    /// The command prints `test result:` lines, which are summed.
    TestResults,
    /// The command ends with a line as of pytest, `3 failed, 40 passed, 1 skipped in 2.1s`.
    Pytest,
    /// The command ends with lines as of Node's test runner, `# pass 40`, `# fail 3`.
    Tap,
}

/// Runs one step, shows the command and the time, and shows the whole output if it fails.
pub(crate) fn run(name: &str, command: Command, counts: Counts) -> Tally {
    println!("== {name}: {}", shown(&command));
    let start = Instant::now();
    let outcome = execute(command, counts);
    let took = seconds(start.elapsed());
    match outcome {
        Ok(Ran { log, success, tally }) => {
            let tally = judge(counts, success, tally);
            if tally.failed > 0 {
                println!("{}", log.trim_end());
                println!("== {name}: FAILED after {took}");
            } else {
                println!("== {name}: ok in {took}");
            }
            tally
        }
        Err(why) => {
            println!("== {name}: FAILED, the command could not be run: {why}");
            Tally::ONE_FAILED
        }
    }
}

struct Ran {
    log: String,
    success: bool,
    tally: Tally,
}

/// Runs the command with both of its outputs in one pipe, so that the log preserves their order.
fn execute(mut command: Command, counts: Counts) -> std::io::Result<Ran> {
    let (reader, writer) = pipe()?;
    command.stdin(std::process::Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn()?;
    // The command holds the write ends of the pipe; without this, the log would never end.
    drop(command);
    let mut ran = Ran { log: String::new(), success: false, tally: Tally::default() };
    for line in BufReader::new(reader).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        if counts == Counts::Pytest
            && let Some(result) = pytest_result(&line)
        {
            println!("   {}", line.trim());
            ran.tally = result;
        }
        if counts == Counts::Tap
            && let Some(result) = tap_result(&line)
        {
            ran.tally.add(result);
        }
        if counts == Counts::TestResults {
            show_progress(&line);
            if let Some(result) = test_result(&line) {
                ran.tally.add(result);
            }
            if let Some((simulation, events)) = simulated(&line) {
                println!("   {simulation}");
                ran.tally.events += events;
            }
        }
        ran.log.push_str(&line);
        ran.log.push('\n');
    }
    ran.success = child.wait()?.success();
    Ok(ran)
}

/// The result of a finished step. A command can fail without a failed test: by a build error, or when a test process is
/// killed. A run without any test is a failure too.
fn judge(counts: Counts, success: bool, tally: Tally) -> Tally {
    match counts {
        Counts::AsOne if success => Tally::ONE_PASSED,
        Counts::AsOne => Tally::ONE_FAILED,
        Counts::TestResults | Counts::Pytest | Counts::Tap => {
            let silent = success && tally.passed == 0;
            let died = !success && tally.failed == 0;
            let extra = u64::from(silent || died);
            Tally { failed: tally.failed + extra, ..tally }
        }
    }
}

fn show_progress(line: &str) {
    let text = line.trim_start();
    let of_interest = ["Running ", "Doc-tests ", "test result: ", "error"];
    if of_interest.iter().any(|start| text.starts_with(start)) {
        println!("   {text}");
        // Standard output is block-buffered if it is a file or a pipe.
        let _ = stdout().flush();
    }
}

/// Parses `test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s`.
fn test_result(line: &str) -> Option<Tally> {
    let (_, counts) = line.trim_start().strip_prefix("test result: ")?.split_once(". ")?;
    let count_of = |word: &str| {
        let mut parts = counts.split("; ").filter_map(|part| part.split_once(' '));
        parts.find(|(_, label)| *label == word).and_then(|(number, _)| number.parse().ok())
    };
    let (passed, failed) = (count_of("passed")?, count_of("failed")?);
    Some(Tally { passed, failed, skipped: count_of("ignored")?, events: 0 })
}

/// Parses `# pass 40`. A test that was cancelled is a failure.
fn tap_result(line: &str) -> Option<Tally> {
    let (label, number) = line.strip_prefix("# ")?.split_once(' ')?;
    let number = number.parse().ok()?;
    match label {
        "pass" => Some(Tally { passed: number, ..Tally::default() }),
        "fail" | "cancelled" => Some(Tally { failed: number, ..Tally::default() }),
        "skipped" => Some(Tally { skipped: number, ..Tally::default() }),
        _ => None,
    }
}

/// Parses `3 failed, 40 passed, 1 skipped in 2.1s`, in any order. An error of a test is a failure.
fn pytest_result(line: &str) -> Option<Tally> {
    let line = line.trim().trim_matches('=').trim();
    let line = line.split_once(" in ").map_or(line, |(counts, _)| counts);
    let mut tally = Tally::default();
    for part in line.split(", ") {
        let (number, what) = part.split_once(' ')?;
        let number: u64 = number.parse().ok()?;
        match what {
            "passed" | "xfailed" => tally.passed += number,
            "failed" | "error" | "errors" | "xpassed" => tally.failed += number,
            "skipped" => tally.skipped += number,
            "warning" | "warnings" | "deselected" => {}
            _ => return None,
        }
    }
    Some(tally)
}

/// Parses `simulation::seeds: seeds 0..200, 1234567 events`, which may follow other words. Returns it, and the events.
fn simulated(line: &str) -> Option<(&str, u64)> {
    let (_, simulation) = line.split_once("simulation::")?;
    let (_, events) = simulation.split_once(": seeds ")?.1.split_once(", ")?;
    Some((simulation, events.strip_suffix(" events")?.parse().ok()?))
}

/// The command as it would be typed.
pub(crate) fn shown(command: &Command) -> String {
    let mut words = vec![
        std::path::Path::new(command.get_program())
            .file_name()
            .map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
    ];
    words.extend(command.get_args().map(|arg| arg.to_string_lossy().into_owned()));
    words.join(" ")
}

/// A duration in seconds, as text.
pub(crate) fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_line_of_the_test_runner_is_read() {
        let line = "test result: FAILED. 5 passed; 2 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.01s";
        assert_eq!(test_result(line), Some(Tally { passed: 5, failed: 2, skipped: 1, events: 0 }));
        assert_eq!(test_result("test ledger::tests::an_edge ... ok"), None);
    }

    #[test]
    fn a_result_line_of_pytest_is_read() {
        let line = "3 failed, 40 passed, 1 skipped, 2 warnings in 2.10s";
        assert_eq!(pytest_result(line), Some(Tally { passed: 40, failed: 3, skipped: 1, events: 0 }));
        let line = "===== 7 passed, 1 error in 0.1s =====";
        assert_eq!(pytest_result(line), Some(Tally { passed: 7, failed: 1, ..Tally::default() }));
        assert_eq!(pytest_result("238 passed, 0 failed"), Some(Tally { passed: 238, ..Tally::default() }));
        assert_eq!(pytest_result("test_sockets.py ...... [ 12%]"), None);
    }

    #[test]
    fn the_closing_lines_of_nodes_test_runner_are_read() {
        let mut tally = Tally::default();
        let lines = "# Subtest: 5 pass\n# tests 9\n# pass 5\n# fail 1\n# cancelled 2\n# skipped 1\n# todo 0";
        lines.lines().filter_map(tap_result).for_each(|result| tally.add(result));
        assert_eq!(tally, Tally { passed: 5, failed: 3, skipped: 1, events: 0 });
    }

    #[test]
    fn a_command_that_dies_without_a_failed_test_counts_as_one() {
        let some = Tally { passed: 3, ..Tally::default() };
        assert_eq!(judge(Counts::TestResults, false, some).failed, 1);
        assert_eq!(judge(Counts::TestResults, true, some).failed, 0);
    }

    #[test]
    fn a_run_of_no_tests_is_a_failure() {
        assert_eq!(judge(Counts::TestResults, true, Tally::default()).failed, 1);
    }

    #[test]
    fn the_closing_line_names_skipped_tests_only_if_there_are_any() {
        assert_eq!(Tally { passed: 7, failed: 1, ..Tally::default() }.closing_line(), "7 passed, 1 failed");
        assert_eq!(
            Tally { passed: 7, skipped: 2, ..Tally::default() }.closing_line(),
            "7 passed, 0 failed, 2 skipped"
        );
    }

    #[test]
    fn a_step_shows_and_counts_what_its_command_printed_on_either_output() {
        let mut command = Command::new("sh");
        command.args([
            "-c",
            "echo 'test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured'; \
             echo 'test x ... simulation::x::y: seeds 0..9, 12 events'; \
             echo 'test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured' >&2",
        ]);
        assert_eq!(
            run("sample", command, Counts::TestResults),
            Tally { passed: 5, events: 12, ..Tally::default() }
        );
    }
}
