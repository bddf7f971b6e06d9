//! The table: a line per case and figure, a column per implementation, and the ratios. Readable text that is also Markdown.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::cases::{Aim, IMPLEMENTATIONS};
use super::{Row, same_case};

/// The figures of the table, and whether more is better.
const FIGURES: [(&str, bool); 22] = [
    ("per second", true),
    ("messages per second", true),
    ("publisher ns each", false),
    ("subscriber ns each", false),
    ("proxy ns each", false),
    ("us p50", false),
    ("us added p50", false),
    ("us added p99", false),
    ("us p99", false),
    ("us p99.9", false),
    (PLACEMENT, false),
    ("s until in force", false),
    ("bytes per prefix", false),
    ("s until dropped", false),
    ("KiB per peer", false),
    ("MiB of the publisher", false),
    ("CPU ms per second", false),
    (PRODUCED, false),
    (RECEIVED, true),
    ("ms to first value p50", false),
    ("ms to first value p99", false),
    ("missing", false),
];

/// Figures without a ratio: the placement of threads is neither good nor bad, and the demand decides how much is produced.
const PLACEMENT: &str = "% on one processor";
const PRODUCED: &str = "produced per second";
const RECEIVED: &str = "received per second";
const WITHOUT_RATIO: [&str; 3] = [PLACEMENT, PRODUCED, RECEIVED];

/// Median, minimum and maximum of the repetitions.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

/// One line of the table.
pub struct Line {
    pub label: String,
    pub figure: &'static str,
    pub more_is_better: bool,
    pub cells: BTreeMap<&'static str, Spread>,
}

/// The lines of all cases; a figure that no implementation has is left out.
pub fn lines(rows: &[&Row]) -> Vec<Line> {
    let mut lines = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        if at > 0 && same_case(&rows[at - 1].case, &row.case) {
            continue;
        }
        for (figure, more_is_better) in FIGURES {
            let of_case = rows.iter().filter(|other| same_case(&other.case, &row.case));
            let cells: BTreeMap<_, _> =
                of_case.filter_map(|other| Some((other.player.name, spread(other, figure)?))).collect();
            let silent = figure == "missing" && cells.values().all(|spread| spread.max == 0.0);
            if !cells.is_empty() && !silent {
                let label = format!("{} {}", row.case.workload, row.case.name);
                lines.push(Line { label, figure, more_is_better, cells });
            }
        }
    }
    lines
}

fn spread(row: &Row, figure: &str) -> Option<Spread> {
    let mut values: Vec<f64> = row.runs.iter().filter_map(|run| run.get(figure).copied()).collect();
    values.sort_by(f64::total_cmp);
    let (min, max) = (*values.first()?, *values.last()?);
    let middle = values.len() / 2;
    // For an even number, the mean of the two middle values; otherwise the median would be biased upwards.
    let median = if values.len().is_multiple_of(2) {
        (values[middle - 1] + values[middle]) / 2.0
    } else {
        values[middle]
    };
    Some(Spread { median, min, max })
}

impl Line {
    /// How many times better we are than `rival`; above 1 is in our favour.
    pub fn ratio(&self, rival: &str) -> Option<f64> {
        if WITHOUT_RATIO.contains(&self.figure) {
            return None;
        }
        let (ours, theirs) = (self.cells.get("oncue")?.median, self.cells.get(rival)?.median);
        let ratio = if self.more_is_better { ours / theirs } else { theirs / ours };
        // A time that was too short to measure has no ratio.
        ratio.is_finite().then_some(ratio)
    }

    /// How many times better we are than the best of all rivals.
    pub fn ratio_to_best(&self) -> Option<f64> {
        let rivals = IMPLEMENTATIONS.iter().filter(|name| !name.starts_with("oncue") && **name != "raw");
        rivals.filter_map(|rival| self.ratio(rival)).min_by(f64::total_cmp)
    }
}

/// The tables, and below them the failures and what did not arrive.
pub fn render(rows: &[Row]) -> String {
    let mut out = String::new();
    // Catalogue publishers have other names, and are compared with other implementations.
    let (demand, fast): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(|row| row.case.aim == Aim::OnDemand);
    tabulate(&fast, &["libzmq"], &mut out);
    tabulate(&demand, &["libzmq", "libzmq-all", "oncue-all"], &mut out);
    for row in rows {
        let of = || format!("{} {}, {}", row.case.workload, row.case.name, row.player.name);
        if let Some(why) = &row.failed {
            let _ = writeln!(out, "- {}: failed: {why}", of());
        }
        let forgotten = spread(row, "without a value").map_or(0.0, |spread| spread.max);
        if forgotten != 0.0 {
            let _ = writeln!(out, "- {}: {} topics had no value within two periods", of(), short(forgotten));
        }
        let left_out = spread(row, "ticks left out").map_or(0.0, |spread| spread.max);
        if left_out != 0.0 {
            let _ = writeln!(out, "- {}: {} ticks were skipped", of(), short(left_out));
        }
        let unaccounted = spread(row, "unaccounted").map_or(0.0, |spread| spread.max);
        if unaccounted != 0.0 && !row.case.may_drop {
            let _ = writeln!(out, "- {}: {} messages did not arrive in time", of(), short(unaccounted));
        }
    }
    out
}

/// One table: a line per case and figure, and how many times better we are than the best rival and than each of `compared`.
fn tabulate(rows: &[&Row], compared: &[&str], out: &mut String) {
    if rows.is_empty() {
        return;
    }
    let used: Vec<&str> =
        IMPLEMENTATIONS.into_iter().filter(|name| rows.iter().any(|row| row.player.name == *name)).collect();
    let _ = writeln!(
        out,
        "| case | figure | {} | x best rival | x {} |",
        used.join(" | "),
        compared.join(" | x ")
    );
    let _ = writeln!(out, "|---|---|{}---|", "---|".repeat(used.len() + compared.len()));
    for line in lines(rows).iter().filter(|line| line.figure != "missing") {
        let cells: Vec<String> = used.iter().map(|name| cell(line.cells.get(name))).collect();
        let ratio = |ratio: Option<f64>| ratio.map_or(String::new(), |ratio| format!("{ratio:.2}"));
        let ratios: Vec<String> = compared.iter().map(|rival| ratio(line.ratio(rival))).collect();
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} |",
            line.label,
            line.figure,
            cells.join(" | "),
            ratio(line.ratio_to_best()),
            ratios.join(" | "),
        );
    }
    let _ = writeln!(out);
}

fn cell(spread: Option<&Spread>) -> String {
    match spread {
        None => "-".to_owned(),
        Some(Spread { median, min, max }) if min == max => short(*median),
        Some(Spread { median, min, max }) => format!("{} ({}-{})", short(*median), short(*min), short(*max)),
    }
}

/// A number with three significant digits.
pub fn short(value: f64) -> String {
    let (value, unit) = match value.abs() {
        big if big >= 1e6 => (value / 1e6, " M"),
        big if big >= 1e4 => (value / 1e3, " k"),
        _ => (value, ""),
    };
    let decimals = match value.abs() {
        big if big >= 100.0 => 0,
        big if big >= 10.0 => 1,
        _ => 2,
    };
    format!("{value:.decimals$}{unit}")
}
