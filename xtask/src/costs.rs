//! `cargo xtask costs`: instructions and allocations per message, compared with the table in docs/benchmarks. Unlike times,
//! these counts are stable, so a regression is visible.

mod table;
mod valgrind;

use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use crate::step::{self, Counts, Tally, seconds};
use crate::workspace::{cargo, root, target};
use crate::{Trouble, nothing_left, take_flag};
use table::{Cost, Row, Table, Verdict};

/// How often allocations are counted.
const RUNS: usize = 7;
const UPDATE: &str = "cargo xtask costs --update";

pub(crate) fn run(args: &[String]) -> Result<(), Trouble> {
    let mut args = args.to_vec();
    let update = take_flag(&mut args, "--update");
    nothing_left(&args)?;
    match update {
        true => write_reference().map_err(Trouble::Cannot),
        false => steps().finish(),
    }
}

/// Builds, measures and compares. Counts as one test.
pub(crate) fn steps() -> Tally {
    let build = build();
    if build.failed > 0 {
        return build;
    }
    println!("== costs: against {}", shown_path());
    let start = Instant::now();
    match compare() {
        Ok(true) => {
            println!("== costs: ok in {}", seconds(start.elapsed()));
            Tally::ONE_PASSED
        }
        Ok(false) => {
            println!("== costs: FAILED after {}", seconds(start.elapsed()));
            Tally::ONE_FAILED
        }
        Err(why) => {
            println!("== costs: FAILED: {why}");
            Tally::ONE_FAILED
        }
    }
}

/// Builds what is measured: the release build, which users run.
fn build() -> Tally {
    step::run("costs, built", cargo(&["build", "--release", "--package", "oncue-costs"]), Counts::AsOne)
}

fn reference() -> PathBuf {
    root().join("docs").join("benchmarks").join("costs.txt")
}

fn shown_path() -> String {
    reference().strip_prefix(root()).unwrap_or(&reference()).display().to_string()
}

/// Whether all rows are within their tolerances.
fn compare() -> Result<bool, String> {
    let text = std::fs::read_to_string(reference()).map_err(|why| format!("{}: {why}", shown_path()))?;
    let table = Table::parse(&text)?;
    let workloads = workloads()?;
    if let Some(row) = table.rows.iter().find(|row| workloads.iter().all(|w| w.name != row.name)) {
        return Err(format!("the table's `{}` is not a workload; run `{UPDATE}`", row.name));
    }
    let count = counts_instructions(&table);
    println!("   {}", Row::HEADING);
    let (mut holds, mut cheaper) = (true, false);
    for workload in &workloads {
        let row = table.rows.iter().find(|row| row.name == workload.name);
        let row =
            row.ok_or_else(|| format!("the table has no row for `{}`; run `{UPDATE}`", workload.name))?;
        let mut measured = workload.measure(count)?;
        if row.judge(&measured) == Verdict::Dearer {
            // A real regression is measured the second time too.
            measured = measured.cheapest(workload.measure(count)?);
        }
        let verdict = row.judge(&measured);
        println!("   {}", row.beside(&measured, verdict));
        holds &= verdict != Verdict::Dearer;
        cheaper |= verdict == Verdict::Cheaper;
    }
    if !holds {
        println!(
            "   costs are above the tolerance; the table was measured with {}, this is {}",
            table.with,
            compiler()
        );
        println!("   if the cost is justified, explain it in the commit and run `{UPDATE}`");
    }
    if cheaper {
        println!("   costs are below the tolerance; to record the improvement, run `{UPDATE}`");
    }
    Ok(holds)
}

/// Whether instructions can be counted and compared here. If not, the reason is printed; allocations are always compared.
fn counts_instructions(table: &Table) -> bool {
    if !table.with.ends_with(std::env::consts::ARCH) {
        let arch = std::env::consts::ARCH;
        println!("   instructions are NOT compared: the table is of {}, this is {arch}", table.with);
        return false;
    }
    match valgrind::ready() {
        Ok(()) => true,
        Err(why) => {
            println!("   instructions are NOT compared: {why}");
            false
        }
    }
}

/// Measures, and writes the results into the table. The tolerances stay.
fn write_reference() -> Result<(), String> {
    if build().failed > 0 {
        return Err("lab/costs does not build".to_owned());
    }
    valgrind::ready()?;
    let old = std::fs::read_to_string(reference()).unwrap_or_default();
    let old = if old.is_empty() { Table::default() } else { Table::parse(&old)? };
    let mut table = Table { with: compiler(), rows: Vec::new() };
    println!("   {}", Row::HEADING);
    for workload in workloads()? {
        let cost = workload.measure(true)?;
        let row = old.rows.iter().find(|row| row.name == workload.name);
        let new = Row::new(workload.name, &cost, row.map(|row| row.tolerance), workload.deliveries);
        println!("   {}", row.unwrap_or(&new).beside(&cost, Verdict::Holds));
        table.rows.push(new);
    }
    std::fs::write(reference(), table.to_string()).map_err(|why| format!("{}: {why}", shown_path()))?;
    println!("== costs: written to {}", shown_path());
    Ok(())
}

/// The compiler and architecture, on which the instructions depend.
fn compiler() -> String {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc).current_dir(root()).arg("--version").output();
    let version = version.map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned());
    format!("{}, {}", version.unwrap_or_else(|_| "an unknown rustc".to_owned()), std::env::consts::ARCH)
}

/// A line of the list that `oncue-costs` prints.
struct Workload {
    name: String,
    messages: u64,
    rounds_few: u64,
    rounds_many: u64,
    deliveries: f64,
}

fn workloads() -> Result<Vec<Workload>, String> {
    let list = output(&mut Command::new(program()))?.stdout;
    list.lines()
        .map(|line| Workload::parse(line).ok_or_else(|| format!("not a workload: `{line}`")))
        .collect()
}

impl Workload {
    fn parse(line: &str) -> Option<Workload> {
        let mut words = line.split(' ');
        let name = words.next()?.to_owned();
        let mut number = || words.next()?.parse().ok();
        let (messages, rounds_few, rounds_many) = (number()?, number()?, number()?);
        let deliveries = words.next()?.parse().ok()?;
        Some(Workload { name, messages, rounds_few, rounds_many, deliveries })
    }

    /// The cost of a message: the difference of a long and a short run, so that one-time costs do not count.
    fn measure(&self, count_instructions: bool) -> Result<Cost, String> {
        let messages = (self.messages * (self.rounds_many - self.rounds_few)) as f64;
        let each = |few: u64, many: u64| (many as f64 - few as f64) / messages;
        // Not under valgrind, so that the columns are independent.
        let (few, many) = (self.allocated(self.rounds_few)?, self.allocated(self.rounds_many)?);
        let mut cost =
            Cost { instructions: None, allocations: each(few.0, many.0), bytes: each(few.1, many.1) };
        if count_instructions {
            let count = |rounds| valgrind::instructions(&program(), &self.args(rounds));
            // At the same time: what is counted does not depend on the time that it takes.
            let (few, many) = std::thread::scope(|scope| {
                let few = scope.spawn(|| count(self.rounds_few));
                let many = count(self.rounds_many);
                (few.join().expect("counting does not panic"), many)
            });
            cost.instructions = Some(each(few?, many?));
        }
        Ok(cost)
    }

    /// Allocations and allocated bytes of a run: the medians of several runs, since a read that brings half of a round, as
    /// chance will have it, takes buffers of its own.
    fn allocated(&self, rounds: u64) -> Result<(u64, u64), String> {
        let runs: Vec<_> = (0..RUNS).map(|_| self.allocated_once(rounds)).collect::<Result<_, _>>()?;
        let median = |mut column: Vec<u64>| {
            column.sort_unstable();
            column[RUNS / 2]
        };
        Ok((median(runs.iter().map(|run| run.0).collect()), median(runs.iter().map(|run| run.1).collect())))
    }

    fn allocated_once(&self, rounds: u64) -> Result<(u64, u64), String> {
        let out = output(Command::new(program()).args(self.args(rounds)))?.stdout;
        let numbers = out.trim().split_once(' ').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
        numbers.ok_or_else(|| format!("{}: no counts in `{out}`", self.name))
    }

    fn args(&self, rounds: u64) -> [String; 2] {
        [self.name.clone(), rounds.to_string()]
    }
}

fn program() -> PathBuf {
    target().join("release").join("oncue-costs")
}

struct Output {
    stdout: String,
    stderr: String,
}

/// The output of a command that must succeed.
fn output(command: &mut Command) -> Result<Output, String> {
    let out = command.output().map_err(|why| format!("{}: {why}", step::shown(command)))?;
    let stderr = String::from_utf8_lossy(&out.stderr).into_owned();
    match out.status.success() {
        true => Ok(Output { stdout: String::from_utf8_lossy(&out.stdout).into_owned(), stderr }),
        false => Err(format!("{}: {}\n{}", step::shown(command), out.status, stderr.trim_end())),
    }
}
