//! The page docs/BENCHMARKS.md: the parts between its markers are rewritten, the rest is not touched.

use super::plot::Plot;
use super::record::{Machine, docs};
use super::table::{Line, lines, render};
use super::{Row, chart};
use crate::Outcome;

/// The markers of each part.
const TABLE: [&str; 2] = ["<!-- begin of the generated part -->", "<!-- end of the generated part -->"];
const GROWTH: [&str; 2] = ["<!-- begin of the growth part -->", "<!-- end of the growth part -->"];

/// The figures that a chart shows.
const DRAWN: [&str; 7] = [
    "per second",
    "us p50",
    "us p99",
    "bytes per prefix",
    "KiB per peer",
    "CPU ms per second",
    "ms to first value p50",
];

/// Writes the charts, and the table with links to them into the page.
pub fn write(machine: &Machine, rows: &[Row]) -> Outcome {
    let lines = lines(&rows.iter().collect::<Vec<_>>());
    let mut part = format!("{}, minimum and maximum in brackets.\n\n{}\n", machine.sentence(), render(rows));
    for workload in ["W1", "W2", "W3", "W4", "W5", "W6", "W7", "W8", "W9", "W10", "W11", "W13"] {
        let drawn: Vec<&Line> = lines
            .iter()
            .filter(|line| line.label.split(' ').next() == Some(workload) && DRAWN.contains(&line.figure))
            .collect();
        if !drawn.is_empty() {
            let name = format!("{}.svg", workload.to_lowercase());
            std::fs::write(docs().join("benchmarks").join(&name), chart::draw(workload, &drawn))?;
            part += &format!("![{workload}](benchmarks/{name})\n");
        }
    }
    replace(TABLE, &part)
}

/// Writes the charts of how cost grows, and links to them, with the points that are missing, into the page.
pub fn write_growth(machine: &Machine, plots: &[Plot], missing: &[String]) -> Outcome {
    let mut part = format!("{}.\n\n", machine.sentence());
    for plot in plots {
        let name = format!("growth-{}.svg", plot.name);
        std::fs::write(docs().join("benchmarks").join(&name), plot.draw())?;
        part += &format!("![{}](benchmarks/{name})\n", plot.title);
    }
    if !missing.is_empty() {
        part += "\nPoints that could not be measured on this machine:\n\n";
        missing.iter().for_each(|point| part += &format!("- {point}\n"));
    }
    replace(GROWTH, &part)
}

/// Replaces the text between two markers of the page.
fn replace([begin, end]: [&str; 2], part: &str) -> Outcome {
    let path = docs().join("BENCHMARKS.md");
    let page = std::fs::read_to_string(&path)?;
    let lost = |marker| format!("docs/BENCHMARKS.md has lost its marker `{marker}`");
    let (before, rest) = page.split_once(begin).ok_or_else(|| lost(begin))?;
    let (_, after) = rest.split_once(end).ok_or_else(|| lost(end))?;
    Ok(std::fs::write(path, format!("{before}{begin}\n{part}{end}{after}"))?)
}
