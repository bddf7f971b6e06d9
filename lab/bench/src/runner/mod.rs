//! The runner: every case by every implementation, interleaved, so that other work on the machine affects all equally. Each
//! setting is tried in the first repetition, and only the best one continues.

mod cases;
mod chart;
mod child;
mod document;
mod growth;
mod limits;
mod market;
mod noise;
mod placement;
mod plot;
mod record;
mod run;
mod search;
mod table;

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use self::cases::{Aim, Case, IMPLEMENTATIONS};
use self::record::{Machine, Record};
use self::run::{Figures, Player, Times};
use crate::Outcome;
use crate::args::Args;
use crate::frame::Topics;

/// Figures of one case by one implementation at one setting, one per repetition.
pub struct Row {
    pub case: Case,
    pub player: Player,
    pub runs: Vec<Figures>,
    pub failed: Option<String>,
}

/// The least repetitions of W4 in a run without `--quick` and `--reps`: its times depend most on where the threads run.
const ROUND_TRIPS: usize = 9;

/// The most repetitions of W11 in such a run: each has a search of many runs.
const MARKETS: usize = 3;

/// Runs what the options choose: `--quick`, `--only W1,W3`, `--case TEXT`, `--impl oncue,libzmq`, `--reps N`,
/// `--seconds S`, `--offered N` (messages a second in place of the best rival's highest rate in W11). A complete run rewrites docs/BENCHMARKS.md and adds a file under docs/benchmarks/; a partial run does so
/// only with `--save`, and no run does so with `--no-save`. With `--growth` it measures how cost grows instead.
pub fn run(args: &Args) -> Outcome {
    limits::raise()?;
    if args.has("growth") {
        return growth::run(args);
    }
    let quick = args.has("quick");
    let reps: usize = args.or("reps", if quick { 1 } else { 5 })?;
    let offered: Option<f64> = args.find("offered")?;
    let seconds: f64 = args.or("seconds", if quick { 0.4 } else { 1.0 })?;
    let limit = Duration::from_secs(if quick { 6 } else { 20 });
    let mut rows = choose(args, quick)?;
    let part = ["quick", "only", "case", "impl", "reps", "seconds"].iter().any(|name| args.has(name));
    let save = args.has("save") || !(part || args.has("no-save"));
    // Read before the run: a commit that is made meanwhile was not measured.
    let machine = Machine::look(reps, seconds);
    let mut records = Vec::new();
    let start = Instant::now();
    let reps_of = |case: &Case| match case.aim {
        _ if quick || args.has("reps") => reps,
        Aim::RoundTrip => reps.max(ROUND_TRIPS),
        Aim::Sustained | Aim::Offered(_) => reps.min(MARKETS),
        _ => reps,
    };
    let most = rows.iter().map(|row| reps_of(&row.case)).max().unwrap_or(0);
    for rep in 0..most {
        let total = rows.len();
        for number in 0..total {
            rows[number].case.rate = rate_of(&rows, number, offered);
            let row = &mut rows[number];
            if row.failed.is_some() || rep >= reps_of(&row.case) {
                continue;
            }
            let Player { name, threads } = row.player;
            progress(&format!(
                "[{:>4.0} s] repetition {} of {}, {} of {total}: {} {}, {name} with {threads} I/O threads",
                start.elapsed().as_secs_f64(),
                rep + 1,
                reps_of(&row.case),
                number + 1,
                row.case.workload,
                row.case.name,
            ));
            match run::run(&row.case, &row.player, Times { seconds, limit }) {
                Ok(figures) => row.runs.push(figures),
                Err(why) => row.failed = Some(why.to_string()),
            }
            records.push(Record::of(row, rep + 1));
        }
        if rep == 0 {
            keep_best(&mut rows);
        }
    }
    progress("");
    std::io::stdout().lock().write_all(table::render(&rows).as_bytes())?;
    if save {
        let path = record::write("", &machine, &records)?;
        document::write(&machine, &rows)?;
        eprintln!("The rows are in {}, the table and the charts in docs/BENCHMARKS.md.", path.display());
    }
    Ok(())
}

/// The rate at which a case of W11 runs: a search begins at its last result, the others take their share of the highest rate that
/// a rival had in the first repetition. Without a rival, the best implementation counts.
fn rate_of(rows: &[Row], number: usize, offered: Option<f64>) -> Option<f64> {
    const FIGURE: &str = "messages per second";
    let row = &rows[number];
    let Aim::Offered(percent) = row.case.aim else { return row.runs.last()?.get(FIGURE).copied() };
    let of_size = |other: &&Row| other.case.aim == Aim::Sustained && other.case.size == row.case.size;
    let best = |rivals: bool| {
        let rows = rows.iter().filter(of_size).filter(|other| !rivals || other.player.name != "oncue");
        rows.filter_map(|other| other.runs.first()?.get(FIGURE).copied()).max_by(f64::total_cmp)
    };
    Some(offered.or_else(|| best(true)).or_else(|| best(false))? * f64::from(percent) / 100.0)
}

/// Shows the progress line.
fn progress(line: &str) {
    let mut out = std::io::stderr().lock();
    // A file or a pipe gets lines. If progress cannot be written, the run still goes on.
    let _ = if out.is_terminal() { write!(out, "\r\x1b[2K{line}") } else { writeln!(out, "{line}") };
    let _ = out.flush();
}

fn choose(args: &Args, quick: bool) -> Outcome<Vec<Row>> {
    let only: String = args.or("only", String::new())?;
    let text: String = args.or("case", String::new())?;
    let wanted: String = args.or("impl", String::new())?;
    let named = |list: &str, name: &str| list.is_empty() || list.split(',').any(|word| word == name);
    let mut rows = Vec::new();
    for case in cases::all(quick) {
        if !named(&only, case.workload) || !case.name.contains(&text) {
            continue;
        }
        for name in IMPLEMENTATIONS.into_iter().filter(|name| case.is_for(name) && named(&wanted, name)) {
            // Rivals run at their best setting; Oncue runs at its default, since users should not have to tune it.
            let settings: &[usize] = match name {
                "raw" | "oncue" | "oncue-many" => &[1],
                // With many peers, the tasks of a runtime starve each other on one thread.
                "rzmq" | "zeromq" if quick => &[2],
                _ if quick => &[1],
                // The results of these cases do not depend on the number of threads, and they take long.
                "rzmq" | "zeromq" if case.aim.is_of_scale() || case.topics == Topics::Market => &[2],
                _ if case.aim.is_of_scale() => &[1],
                _ => &[1, 2],
            };
            rows.extend(settings.iter().map(|&threads| {
                let (case, player) = (case.clone(), Player { name, threads });
                Row { case, player, runs: Vec::new(), failed: None }
            }));
        }
    }
    if rows.is_empty() {
        return Err("the options select nothing".into());
    }
    Ok(rows)
}

/// Of rows that differ only in their setting, keeps the best one.
fn keep_best(rows: &mut Vec<Row>) {
    let worth = |row: &Row| match (row.runs.first(), row.case.aim) {
        (None, _) => f64::NEG_INFINITY,
        (Some(figures), Aim::RoundTrip | Aim::ProxyTrip) => -figures["us p50"],
        (Some(figures), Aim::Offered(_)) => -figures["us p99"],
        (Some(figures), _) => figures["per second"],
    };
    let mut kept: Vec<Row> = Vec::new();
    for row in rows.drain(..) {
        match kept.last_mut() {
            Some(last) if last.player.name == row.player.name && same_case(&last.case, &row.case) => {
                if worth(&row) > worth(last) {
                    *last = row;
                }
            }
            _ => kept.push(row),
        }
    }
    *rows = kept;
}

/// Whether two rows belong to the same line of the table.
pub fn same_case(a: &Case, b: &Case) -> bool {
    a.workload == b.workload && a.name == b.name
}
