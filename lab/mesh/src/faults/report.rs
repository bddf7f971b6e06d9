//! The tables of a fault run.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{After, Point, kinds};
use crate::scene::System;
use crate::table::Table;

/// A system, what was compared, and how long the run took.
type Result = (System, Vec<Point>, Duration);
/// After what, and after the fault rather than while it lasts: in the order of the table.
type Key = (After, bool);

/// Prints what came of each system, and of each kind of fault.
pub(super) fn print(results: &[Result]) {
    summary(results);
    by_kind(results);
    for (system, points, _) in results {
        for point in points {
            let Some(wrong) = &point.quiet.wrong else { continue };
            let when = if point.during { "during" } else { "after" };
            println!("{}, {when} {}: {wrong}", system.title(), point.what);
        }
    }
}

fn summary(results: &[Result]) {
    let mut table = Table::new(&[
        "system",
        "faults",
        "quiet points",
        "wrong",
        "largest difference",
        "longest beyond the limit",
        "exact after p50 / max",
        "took",
    ]);
    for (system, points, took) in results {
        let wrongs: Vec<_> = points.iter().filter_map(|point| point.quiet.wrong.as_ref()).collect();
        let size = wrongs.iter().map(|wrong| wrong.missing + wrong.stale).max().unwrap_or(0);
        let longest = wrongs.iter().map(|wrong| wrong.lasted.map_or("did not end".to_owned(), millis)).max();
        table.row([
            system.title().to_owned(),
            points.iter().filter(|point| !point.during && point.after != After::Begin).count().to_string(),
            points.iter().filter(|point| !point.quiet.open).count().to_string(),
            wrongs.len().to_string(),
            if size == 0 { "–".to_owned() } else { format!("{size} prefixes") },
            longest.unwrap_or("–".to_owned()),
            times(points.iter()),
            format!("{:.0} s", took.as_secs_f64()),
        ]);
    }
    print!("\n{table}");
}

fn by_kind(results: &[Result]) {
    let mut kinds: BTreeMap<Key, Vec<Vec<&Point>>> = BTreeMap::new();
    for (at, (_, points, _)) in results.iter().enumerate() {
        for point in points.iter().filter(|point| !point.quiet.open) {
            let key: Key = (point.after, !point.during);
            let cells = kinds.entry(key).or_insert(vec![Vec::new(); results.len()]);
            cells[at].push(point);
        }
    }
    let titles = results
        .iter()
        .map(|(system, ..)| format!("{}: wrong / compared, exact after p50 / max", system.title()));
    let header: Vec<String> = ["fault".to_owned(), "when".to_owned()].into_iter().chain(titles).collect();
    let mut table = Table::new(&header.iter().map(String::as_str).collect::<Vec<_>>());
    for ((what, after), cells) in kinds {
        let title = match what {
            After::Begin => "none yet".to_owned(),
            After::One(kind) => kinds::title(kind),
            After::Two => "two of these at once".to_owned(),
        };
        let mut row = vec![title, if after { "after" } else { "during" }.to_owned()];
        row.extend(cells.into_iter().map(cell));
        table.row(row);
    }
    print!("\n{table}");
}

fn cell(points: Vec<&Point>) -> String {
    let wrong = points.iter().filter(|point| point.quiet.wrong.is_some()).count();
    match points.len() {
        0 => "–".to_owned(),
        all => format!("{wrong} / {all}, {}", times(points.into_iter())),
    }
}

/// How long it took until all was right, where it was.
fn times<'a>(points: impl Iterator<Item = &'a Point>) -> String {
    let right = points.filter(|point| point.quiet.wrong.is_none() && !point.quiet.open);
    let mut took: Vec<Duration> = right.map(|point| point.quiet.took).collect();
    took.sort_unstable();
    match took.last() {
        None => "–".to_owned(),
        Some(&max) => format!("{} / {}", millis(took[took.len() / 2]), millis(max)),
    }
}

fn millis(time: Duration) -> String {
    format!("{} ms", time.as_millis())
}
