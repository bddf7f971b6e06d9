//! How cost grows with the number of peers, prefixes, topics, feeds and changes: Oncue and libzmq, short runs, a chart each.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::cases::{Aim, Case};
use super::limits::{PEERS_MAX, descriptors_max, peers_max};
use super::plot::{Plot, PlotLine};
use super::record::{self, Machine};
use super::run::{self, Figures, LONGER, Player, Times};
use super::{document, progress};
use crate::Outcome;
use crate::args::Args;
use crate::demand::VALUE_BYTES;
use crate::frame::{Keys, Topics};

const IMPLEMENTATIONS: [&str; 2] = ["oncue", "libzmq"];

/// Prefixes in force while the rate grows.
const PREFIXES: u64 = 100_000;
/// The time between two values of a feed while their number grows: 100,000 values in 100 ms are too many for any publisher here.
const PERIOD: Duration = Duration::from_secs(1);
/// Wanted topics while the rate of changes grows: few, so that their values cost little beside the changes.
const WANTED: usize = 100;
/// A point whose rate is lower than this share of what it stands for was not reached.
const REACHED: f64 = 0.9;
/// The cost of changes must exceed this share of the cost without any, which differs from run to run.
const ABOVE_NOISE: f64 = 0.1;

/// What is varied in a chart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chart {
    Peers,
    Prefixes,
    Topics,
    Feeds,
    Changes,
}

const CHARTS: [Chart; 5] = [Chart::Peers, Chart::Prefixes, Chart::Topics, Chart::Feeds, Chart::Changes];

/// One point of a chart.
struct Point {
    chart: Chart,
    line: String,
    x: f64,
    case: Case,
    player: Player,
    runs: Vec<Figures>,
    failed: Option<String>,
}

/// The same as a line of JSON.
#[derive(Serialize)]
struct Record {
    chart: &'static str,
    line: String,
    x: f64,
    repetition: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    failed: Option<String>,
    #[serde(flatten)]
    figures: Figures,
}

/// Runs what the options choose: `--only peers,feeds`, `--impl oncue`, `--reps N`, `--seconds S`, and writes the charts into
/// docs/BENCHMARKS.md, and the rows below docs/benchmarks/. A partial run writes only with `--save`, no run with `--no-save`.
pub fn run(args: &Args) -> Outcome {
    let (reps, seconds): (usize, f64) = (args.or("reps", 1)?, args.or("seconds", 1.0)?);
    let (only, wanted): (String, String) = (args.or("only", String::new())?, args.or("impl", String::new())?);
    let named = |list: &str, name: &str| list.is_empty() || list.split(',').any(|word| word == name);
    let charts: Vec<Chart> = CHARTS.into_iter().filter(|chart| named(&only, chart.name())).collect();
    let mut points: Vec<Point> = charts
        .iter()
        .flat_map(|chart| chart.points())
        .filter(|point| named(&wanted, point.player.name))
        .collect();
    if points.is_empty() {
        return Err("the options select nothing".into());
    }
    let machine = Machine::look(reps, seconds);
    let (mut records, start, total) = (Vec::new(), Instant::now(), points.len());
    for rep in 1..=reps {
        for (number, point) in points.iter_mut().enumerate().filter(|(_, point)| point.failed.is_none()) {
            let (at, name) = (start.elapsed().as_secs_f64(), point.chart.name());
            progress(&format!("[{at:>4.0} s] {rep} of {reps}, {number} of {total}: {}", point.label()));
            let seconds = point.chart.seconds(seconds);
            match run::run(&point.case, &point.player, Times { seconds, limit: Duration::from_secs(20) }) {
                Ok(figures) => point.runs.push(figures),
                Err(why) => point.failed = Some(why.to_string()),
            }
            let figures = point.runs.get(rep - 1).cloned().unwrap_or_default();
            let (line, x, failed) = (point.line.clone(), point.x, point.failed.clone());
            records.push(Record { chart: name, line, x, repetition: rep, failed, figures });
        }
    }
    progress("");
    let (plots, missing) = draw(&charts, &points);
    for plot in &plots {
        println!("{}: {}", plot.title, plot.y);
        for line in &plot.lines {
            let points: Vec<String> = line.points.iter().map(|(x, y)| format!("{x}: {y:.1}")).collect();
            println!("  {}: {}", line.label, points.join(", "));
        }
    }
    missing.iter().for_each(|point| println!("- {point}"));
    let part = ["only", "impl", "reps", "seconds"].iter().any(|name| args.has(name));
    if args.has("save") || !(part || args.has("no-save")) {
        let path = record::write("growth-", &machine, &records)?;
        document::write_growth(&machine, &plots, &missing)?;
        eprintln!("The rows are in {}, the charts in docs/BENCHMARKS.md.", path.display());
    }
    Ok(())
}

/// The charts, and the points that they lack, with the reasons.
fn draw(charts: &[Chart], points: &[Point]) -> (Vec<Plot>, Vec<String>) {
    let (mut plots, mut missing) = (Vec::new(), Vec::new());
    for &chart in charts {
        let mut lines: Vec<PlotLine> = Vec::new();
        for point in points.iter().filter(|point| point.chart == chart && point.x > 0.0) {
            let same = |other: &&Point| other.chart == chart && other.line == point.line && other.x == 0.0;
            match point.cost(points.iter().find(same)) {
                Ok(cost) => match lines.iter_mut().find(|line| line.label == point.line) {
                    Some(line) => line.points.push((point.x, cost)),
                    None => {
                        lines.push(PlotLine { label: point.line.clone(), points: vec![(point.x, cost)] });
                    }
                },
                Err(why) => missing.push(format!("{}: {why}", point.label())),
            }
        }
        if chart == Chart::Peers && peers_max() < PEERS_MAX {
            let (peers, max) = (peers_max(), descriptors_max());
            missing.push(format!(
                "more than {peers} peers, up to {PEERS_MAX}: a process may have only {max} descriptors"
            ));
        }
        let (title, x, y) = chart.labels();
        plots.push(Plot { name: chart.name(), title, x, y, lines });
    }
    (plots, missing)
}

impl Chart {
    fn name(self) -> &'static str {
        match self {
            Chart::Peers => "peers",
            Chart::Prefixes => "prefixes",
            Chart::Topics => "topics",
            Chart::Feeds => "feeds",
            Chart::Changes => "changes",
        }
    }

    /// The title, and what the axes show.
    fn labels(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Chart::Peers => ("Peers", "peers", "publisher: ns of processor time for a delivery"),
            Chart::Prefixes => {
                ("Prefixes", "prefixes in force", "publisher: ns of processor time for a message")
            }
            Chart::Topics => (
                "Topics a second",
                "messages a second, each with a topic drawn from 100,000",
                "publisher: ns of processor time for a message",
            ),
            Chart::Feeds => (
                "Feeds",
                "wanted topics of 100,000, a value of each every second",
                "publisher: ns of processor time for a value",
            ),
            Chart::Changes => (
                "Changes a second",
                "subscriptions and cancels a second, 100 topics wanted at a time",
                "publisher: us of processor time for a change",
            ),
        }
    }

    /// How long a run of this chart sends, as the option of a run.
    fn seconds(self, seconds: f64) -> f64 {
        match self {
            Chart::Feeds => 3.0 * seconds / LONGER,
            Chart::Changes => 2.0 * seconds / LONGER,
            _ => seconds,
        }
    }

    fn points(self) -> Vec<Point> {
        let mut points = Vec::new();
        for name in IMPLEMENTATIONS {
            let mut add = |line: &str, x: u64, case: Case| {
                let (line, player) = (format!("{name}{line}"), Player { name, threads: 1 });
                points.push(Point {
                    chart: self,
                    line,
                    x: x as f64,
                    case,
                    player,
                    runs: Vec::new(),
                    failed: None,
                });
            };
            let case = |aim, size, peers| {
                let case = Case::new("growth", self.name().to_owned(), size).into_drain(peers);
                Case { aim, ..case }
            };
            let names = |count| Topics::Random(Keys::Names, count);
            match self {
                Chart::Peers => {
                    for (line, topics) in [(", one audience", Topics::All), (", all different", Topics::Own)]
                    {
                        for peers in [10, 100, 1000, 10_000, peers_max()] {
                            add(line, peers, Case { topics, ..case(Aim::Peers, 64, peers) });
                        }
                    }
                }
                Chart::Prefixes => {
                    for count in (1..=7).map(|power| 10u64.pow(power)) {
                        add("", count, Case { topics: names(count), ..case(Aim::Prefixes, 32, 1) });
                    }
                }
                Chart::Topics => {
                    for rate in (1..=6).map(|power| 10u64.pow(power)) {
                        let case = Case { topics: names(PREFIXES), ..case(Aim::Rate, 32, 1) };
                        add("", rate, Case { rate: Some(rate as f64), ..case });
                    }
                }
                Chart::Feeds => {
                    for wanted in (0..=5).map(|power| 10usize.pow(power)) {
                        let case = Case { period: PERIOD, ..case(Aim::OnDemand, VALUE_BYTES, 1) };
                        add("", wanted as u64, Case { wanted, ..case });
                    }
                }
                Chart::Changes => {
                    for changes in [0, 10, 100, 1000, 3000, 10_000] {
                        let case = Case { wanted: WANTED, ..case(Aim::OnDemand, VALUE_BYTES, 1) };
                        add("", changes, Case { changes, ..case });
                    }
                }
            }
        }
        points
    }
}

impl Point {
    fn label(&self) -> String {
        format!("{}, {}, {}", self.chart.name(), self.line, self.x)
    }

    /// The median of a figure.
    fn median(&self, figure: &str) -> Result<f64, String> {
        let mut values: Vec<f64> = self.runs.iter().filter_map(|run| run.get(figure).copied()).collect();
        values.sort_by(f64::total_cmp);
        values
            .get(values.len() / 2)
            .copied()
            .ok_or_else(|| format!("the publisher has not reported {figure}"))
    }

    /// The height of the point, or why it has none. `without` is the same without any changes.
    fn cost(&self, without: Option<&Point>) -> Result<f64, String> {
        if let Some(why) = &self.failed {
            return Err(why.clone());
        }
        let reached = |figure, expected: f64| match self.median(figure)? {
            rate if rate < expected * REACHED => Err(format!("{rate:.0} a second were reached")),
            rate => Ok(rate),
        };
        match self.chart {
            Chart::Peers | Chart::Prefixes => self.median("publisher ns each"),
            Chart::Topics => {
                reached("per second", self.x)?;
                self.median("publisher ns each")
            }
            Chart::Feeds => {
                let produced = reached("produced per second", self.x / PERIOD.as_secs_f64())?;
                Ok(self.median("CPU ms per second")? * 1e6 / produced)
            }
            Chart::Changes => {
                let without = without.ok_or("the run without changes failed")?;
                let without = without.median("CPU ms per second")?;
                let added = self.median("CPU ms per second")? - without;
                if added < without * ABOVE_NOISE {
                    return Err(format!(
                        "{added:.2} ms in a second are lost in {without:.2} ms without changes"
                    ));
                }
                Ok(added * 1e3 / self.x)
            }
        }
    }
}
