//! The table of costs per message: parsing, writing and comparing.

use std::fmt;

/// The tolerance of a new row, in percent.
const TOLERANCE_DEFAULT: u32 = 10;
/// Allowed in addition to the tolerance: a few allocations per batch, whose number depends on the scheduler. A regression
/// that matters affects every message.
const ALLOCATIONS_SLACK: f64 = 0.01;
const BYTES_SLACK: f64 = 2.0;
/// The same for rows whose few allocations are buffers: how large each is depends on how much had come by then. `recv-sealed-1024` had 10, 21 and
/// 37 bytes a message in three runs of the same program, with 0.04 allocations.
const BYTES_SLACK_OF_EACH: f64 = 400.0;
const ALLOCATIONS_FEW: f64 = 0.1;

/// The whole table.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Table {
    /// The compiler and architecture with which the instructions were counted.
    pub(super) with: String,
    pub(super) rows: Vec<Row>,
}

/// The expected cost of one message of a workload.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    pub(super) name: String,
    instructions: f64,
    allocations: f64,
    bytes: f64,
    /// In percent of each value.
    pub(super) tolerance: u32,
    /// Deliveries of one message. Beyond one, the row ends with it and with the instructions of each delivery.
    deliveries: f64,
}

/// The measured cost of one message.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cost {
    /// `None` if they could not be counted.
    pub(super) instructions: Option<f64>,
    pub(super) allocations: f64,
    pub(super) bytes: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Holds,
    /// At least one value is above its tolerance.
    Dearer,
    /// No value is above its tolerance, and at least one is below.
    Cheaper,
}

const HEADER: &str = "\
# What one message costs on the hot paths, over the public API: instructions (callgrind), allocations, allocated bytes.
# `cargo xtask costs` measures anew and fails where a value exceeds this one by more than the tolerance;
# `cargo xtask costs --update` writes this file. The workloads are in lab/costs/src/workloads.rs.
# Where a message goes to several peers, the row ends with its deliveries and with the instructions of each delivery.
";
const WITH: &str = "# Measured with: ";
const COLUMNS: &str = "name  instructions  allocations  bytes  tolerance";

impl Table {
    pub(super) fn parse(text: &str) -> Result<Table, String> {
        let with = text.lines().find_map(|line| line.strip_prefix(WITH)).unwrap_or_default().to_owned();
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
        let row = |line| Row::parse(line).ok_or_else(|| format!("`{line}` is not `{COLUMNS}`"));
        Ok(Table { with, rows: lines.map(row).collect::<Result<_, _>>()? })
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{HEADER}{WITH}{}\n#\n", self.with)?;
        let [name, instructions, allocations, bytes, tolerance, deliveries, each] =
            ["# name", "instructions", "allocations", "bytes", "tolerance", "deliveries", "each delivery"];
        writeln!(
            f,
            "{name:<22} {instructions:>12} {allocations:>12} {bytes:>10} {tolerance:>10} {deliveries:>10} {each:>14}"
        )?;
        for Row { name, instructions, allocations, bytes, tolerance, deliveries } in &self.rows {
            write!(f, "{name:<22} {instructions:>12.1} {allocations:>12.4} {bytes:>10.2} {tolerance:>9}%")?;
            if *deliveries > 1.0 {
                write!(f, " {deliveries:>10.2} {:>14.1}", instructions / deliveries)?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

impl Row {
    /// The heading for [`beside`](Row::beside).
    pub(super) const HEADING: &str = "                       instructions   (table)  allocations   (table)      bytes   (table)  tolerance";

    /// The row of a measured cost, which must include instructions.
    pub(super) fn new(name: String, cost: &Cost, tolerance: Option<u32>, deliveries: f64) -> Row {
        let Cost { instructions, allocations, bytes } = *cost;
        let instructions = instructions.expect("a table is written only if instructions were counted");
        let tolerance = tolerance.unwrap_or(TOLERANCE_DEFAULT);
        Row { name, instructions, allocations, bytes, tolerance, deliveries }
    }

    fn parse(line: &str) -> Option<Row> {
        let mut words = line.split_whitespace();
        let name = words.next()?.to_owned();
        let mut number = || words.next()?.parse().ok();
        let (instructions, allocations, bytes) = (number()?, number()?, number()?);
        let tolerance = words.next()?.strip_suffix('%')?.parse().ok()?;
        let deliveries = words.next().map_or(Ok(1.0), str::parse).ok()?;
        Some(Row { name, instructions, allocations, bytes, tolerance, deliveries })
    }

    pub(super) fn judge(&self, cost: &Cost) -> Verdict {
        let part = f64::from(self.tolerance) / 100.0;
        let few = if self.allocations < ALLOCATIONS_FEW { self.allocations } else { 0.0 };
        let bytes_slack = BYTES_SLACK.max(BYTES_SLACK_OF_EACH * few);
        let mut columns = vec![
            (self.allocations, cost.allocations, ALLOCATIONS_SLACK),
            (self.bytes, cost.bytes, bytes_slack),
        ];
        columns.extend(cost.instructions.map(|measured| (self.instructions, measured, 0.0)));
        if columns.iter().any(|(table, measured, slack)| *measured > table * (1.0 + part) + slack) {
            Verdict::Dearer
        } else if columns.iter().any(|(table, measured, slack)| *measured < table * (1.0 - part) - slack) {
            Verdict::Cheaper
        } else {
            Verdict::Holds
        }
    }

    /// The measured values beside those of the table, as text.
    pub(super) fn beside(&self, cost: &Cost, verdict: Verdict) -> String {
        let Row { name, instructions, allocations, bytes, tolerance, deliveries } = self;
        let counted = cost.instructions.map_or_else(|| "-".to_owned(), |counted| format!("{counted:.1}"));
        let verdict = match verdict {
            Verdict::Holds => "",
            Verdict::Dearer => "  DEARER",
            Verdict::Cheaper => "  cheaper",
        };
        let each = match cost.instructions {
            Some(counted) if *deliveries > 1.0 => format!("  {:.1} each delivery", counted / deliveries),
            _ => String::new(),
        };
        format!(
            "{name:<22} {counted:>12} {instructions:>9.1} {:>12.4} {allocations:>9.4} {:>10.2} {bytes:>9.2} \
             {tolerance:>9}%{verdict}{each}",
            cost.allocations, cost.bytes,
        )
    }
}

impl Cost {
    /// The lower value of each column.
    pub(super) fn cheapest(self, other: Cost) -> Cost {
        let instructions = match (self.instructions, other.instructions) {
            (Some(one), Some(two)) => Some(one.min(two)),
            (one, two) => one.or(two),
        };
        let (allocations, bytes) = (self.allocations.min(other.allocations), self.bytes.min(other.bytes));
        Cost { instructions, allocations, bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row_of(deliveries: f64) -> Row {
        let name = "send-16".to_owned();
        Row { name, instructions: 100.0, allocations: 2.0, bytes: 64.0, tolerance: 10, deliveries }
    }

    fn row() -> Row {
        row_of(1.0)
    }

    fn judged(instructions: Option<f64>, allocations: f64, bytes: f64) -> Verdict {
        row().judge(&Cost { instructions, allocations, bytes })
    }

    #[test]
    fn a_table_that_was_written_is_read_back() {
        let table = Table { with: "rustc 1.88.0, x86_64".to_owned(), rows: vec![row(), row_of(2.5)] };
        assert_eq!(Table::parse(&table.to_string()), Ok(table));
    }

    #[test]
    fn a_line_that_is_no_row_is_named() {
        let why = Table::parse("# fine\n\nsend-16 1 2 3 4\n").unwrap_err();
        assert!(why.contains("send-16 1 2 3 4"), "{why}");
    }

    #[test]
    fn each_column_is_held_to_the_tolerance() {
        assert_eq!(judged(Some(109.0), 2.1, 70.0), Verdict::Holds);
        assert_eq!(judged(Some(111.0), 2.0, 64.0), Verdict::Dearer);
        assert_eq!(judged(Some(100.0), 3.0, 64.0), Verdict::Dearer);
        assert_eq!(judged(Some(100.0), 2.0, 80.0), Verdict::Dearer);
        assert_eq!(judged(Some(80.0), 2.0, 64.0), Verdict::Cheaper);
        assert_eq!(judged(Some(100.0), 1.0, 64.0), Verdict::Cheaper);
    }

    #[test]
    fn how_large_a_few_buffers_are_is_left_to_chance() {
        let line = "recv-sealed  100.0  0.0400  21.0  10%";
        let row = Row::parse(line).unwrap();
        let judged = |bytes| row.judge(&Cost { instructions: Some(100.0), allocations: 0.04, bytes });
        assert_eq!([judged(10.0), judged(37.0)], [Verdict::Holds, Verdict::Holds]);
        assert_eq!(judged(64.0), Verdict::Dearer, "a buffer for each");
    }

    #[test]
    fn what_is_dearer_in_one_column_and_cheaper_in_another_does_not_hold() {
        assert_eq!(judged(Some(50.0), 3.0, 64.0), Verdict::Dearer);
    }

    #[test]
    fn without_instructions_allocations_are_judged() {
        assert_eq!(judged(None, 2.0, 64.0), Verdict::Holds);
        assert_eq!(judged(None, 3.0, 64.0), Verdict::Dearer);
    }

    #[test]
    fn of_two_measurements_the_lower_values_count() {
        let one = Cost { instructions: Some(1.0), allocations: 4.0, bytes: 5.0 };
        let two = Cost { instructions: Some(2.0), allocations: 3.0, bytes: 6.0 };
        assert_eq!(one.cheapest(two), Cost { instructions: Some(1.0), allocations: 3.0, bytes: 5.0 });
    }
}
