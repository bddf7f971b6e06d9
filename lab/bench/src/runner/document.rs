//! The page docs/BENCHMARKS.md: the part between its markers is rewritten, the rest is not touched.

use super::record::{Machine, docs};
use super::table::{Line, lines, render};
use super::{Row, chart};
use crate::Outcome;

const BEGIN: &str = "<!-- begin of the generated part -->";
const END: &str = "<!-- end of the generated part -->";

/// The figures that a chart shows.
const DRAWN: [&str; 6] = [
    "per second",
    "us p50",
    "bytes per prefix",
    "KiB per peer",
    "CPU ms per second",
    "ms to first value p50",
];

/// Writes the charts, and the table with links to them into the page.
pub fn write(machine: &Machine, rows: &[Row]) -> Outcome {
    let lines = lines(&rows.iter().collect::<Vec<_>>());
    let mut part = format!("{}\n\n{}\n", machine.sentence(), render(rows));
    for workload in ["W1", "W2", "W3", "W4", "W5", "W6", "W7", "W8", "W10"] {
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
    let path = docs().join("BENCHMARKS.md");
    let page = std::fs::read_to_string(&path)?;
    let (before, rest) = page.split_once(BEGIN).ok_or("docs/BENCHMARKS.md has lost its first marker")?;
    let (_, after) = rest.split_once(END).ok_or("docs/BENCHMARKS.md has lost its second marker")?;
    Ok(std::fs::write(path, format!("{before}{BEGIN}\n{part}{END}{after}"))?)
}
