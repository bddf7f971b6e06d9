//! The runner: every case by every implementation, interleaved, so that what else the machine does hits all alike. Each
//! setting is tried in the first repetition, and the best one goes on.

mod cases;
mod child;
mod run;
mod table;

use std::io::Write;
use std::time::Instant;

use self::cases::{Aim, Case, IMPLEMENTATIONS};
use self::run::{Figures, Player};
use crate::Outcome;
use crate::args::Args;

/// Figures of one case by one implementation at one setting, one per repetition.
pub struct Row {
    pub case: Case,
    pub player: Player,
    pub runs: Vec<Figures>,
    pub failed: Option<String>,
}

/// Runs what the options choose: `--quick`, `--only W1,W3`, `--case TEXT`, `--impl oncue,libzmq`, `--reps N`,
/// `--seconds S`.
pub fn run(args: &Args) -> Outcome {
    let quick = args.has("quick");
    let reps: usize = args.or("reps", if quick { 1 } else { 5 })?;
    let seconds: f64 = args.or("seconds", if quick { 0.4 } else { 1.0 })?;
    let mut rows = choose(args, quick)?;
    let start = Instant::now();
    for rep in 0..reps {
        let total = rows.len();
        for (number, row) in rows.iter_mut().enumerate().filter(|(_, row)| row.failed.is_none()) {
            let Player { name, threads } = row.player;
            progress(&format!(
                "[{:>4.0} s] repetition {} of {reps}, {number} of {total}: {} {}, {name} with {threads} I/O threads",
                start.elapsed().as_secs_f64(),
                rep + 1,
                row.case.workload,
                row.case.name,
            ));
            match run::run(&row.case, &row.player, seconds) {
                Ok(figures) => row.runs.push(figures),
                Err(why) => row.failed = Some(why.to_string()),
            }
        }
        if rep == 0 {
            keep_best(&mut rows);
        }
    }
    progress("");
    let mut out = std::io::stdout().lock();
    Ok(out.write_all(table::render(&rows).as_bytes())?)
}

/// The line that says what is going on.
fn progress(line: &str) {
    eprint!("\r\x1b[2K{line}");
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
            // Rivals run at their best setting; what a user of ours would have to know about is no result.
            let fixed = quick || name == "raw" || name.starts_with("oncue");
            let settings: &[usize] = if fixed { &[1] } else { &[1, 2] };
            rows.extend(settings.iter().map(|&threads| {
                let (case, player) = (case.clone(), Player { name, threads });
                Row { case, player, runs: Vec::new(), failed: None }
            }));
        }
    }
    if rows.is_empty() {
        return Err("the options choose nothing".into());
    }
    Ok(rows)
}

/// Of two rows that differ in their setting alone, leaves the better one.
fn keep_best(rows: &mut Vec<Row>) {
    let worth = |row: &Row| match (row.runs.first(), row.case.aim) {
        (None, _) => f64::NEG_INFINITY,
        (Some(figures), Aim::RoundTrip) => -figures["us p50"],
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

/// Whether two rows stand side by side in the table.
pub fn same_case(a: &Case, b: &Case) -> bool {
    a.workload == b.workload && a.name == b.name
}
