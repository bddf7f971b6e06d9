//! Tables of text, and numbers for people.

/// Where the text of a column stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// The longest cell, in characters.
const CELL_CHARS_MAX: usize = 100;

/// A cell as it is shown: the beginning and the end of a long one.
fn cut(cell: String) -> String {
    let count = cell.chars().count();
    if count <= CELL_CHARS_MAX {
        return cell;
    }
    let half = (CELL_CHARS_MAX - 1) / 2;
    let (head, tail): (String, String) =
        (cell.chars().take(half).collect(), cell.chars().skip(count - half).collect());
    format!("{head}…{tail}")
}

/// Rows of cells, printed in columns that are as wide as their widest cell.
pub(crate) struct Table {
    aligns: Vec<Align>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings.
    pub(crate) fn new(columns: &[(&str, Align)]) -> Table {
        let (headings, aligns) = columns.iter().map(|(name, align)| ((*name).to_owned(), *align)).unzip();
        Table { aligns, rows: vec![headings] }
    }

    /// Adds a row. Longer cells than [`CELL_CHARS_MAX`] are cut in the middle, so that one of them does not widen all rows.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(cut).collect());
    }

    pub(crate) fn lines(&self) -> impl Iterator<Item = String> {
        let width =
            |at: usize| self.rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max();
        let widths: Vec<_> = (0..self.aligns.len()).map(|at| width(at).unwrap_or(0)).collect();
        self.rows.iter().map(move |row| {
            let cells = row.iter().zip(&widths).zip(&self.aligns);
            let cells: Vec<_> = cells
                .map(|((cell, width), align)| match align {
                    Align::Left => format!("{cell:<width$}"),
                    Align::Right => format!("{cell:>width$}"),
                })
                .collect();
            cells.join("  ").trim_end().to_owned()
        })
    }
}

/// A duration in seconds with three significant digits, as in `1.25ms`, `310ms`, `12.5s`, `3m20s` or `5h02m`.
pub(crate) fn seconds(seconds: f64) -> String {
    let digits = |number: f64, unit: &str| {
        let places = if number >= 99.95 { 0 } else { 1 + usize::from(number < 9.995) };
        format!("{number:.places$}{unit}")
    };
    match seconds {
        s if s <= 0.0 => "0s".to_owned(),
        s if s < 0.000_999_5 => digits(s * 1e6, "us"),
        s if s < 0.999_5 => digits(s * 1e3, "ms"),
        s if s < 59.95 => digits(s, "s"),
        s if s < 3599.5 => format!("{:.0}m{:02.0}s", (s / 60.0).floor(), (s % 60.0).floor()),
        s if s >= 360_000_000.0 => "over 10000h".to_owned(),
        s => format!("{:.0}h{:02.0}m", (s / 3600.0).floor(), (s % 3600.0 / 60.0).floor()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(&[("NAME", Align::Left), ("N", Align::Right)]);
        table.row(["a".to_owned(), "100".to_owned()]);
        table.row(["longer".to_owned(), "7".to_owned()]);
        assert_eq!(table.lines().collect::<Vec<_>>(), ["NAME      N", "a       100", "longer    7"]);
    }

    #[test]
    fn a_long_cell_is_cut_and_does_not_widen_the_others() {
        let mut table = Table::new(&[("NAME", Align::Left)]);
        table.row([format!("{}end", "x".repeat(10_000))]);
        let line = table.lines().nth(1).expect("the row");
        assert!(line.chars().count() == 99 && line.ends_with("end") && line.contains('…'), "{line}");
    }

    #[test]
    fn durations_have_three_digits_and_a_unit() {
        let shown = [0.0, 0.000_002, 0.001_25, 0.31, 0.9996, 1.0, 12.54, 59.9, 200.0, 18_120.0].map(seconds);
        assert_eq!(
            shown,
            ["0s", "2.00us", "1.25ms", "310ms", "1.00s", "1.00s", "12.5s", "59.9s", "3m20s", "5h02m"]
        );
    }
}
