//! A sheet: rows under columns, which can be sorted and filtered. It knows neither servers nor terminals.

use std::cmp::Ordering;

/// A column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: &'static str,
    /// Whether its cells are numbers, which stand on the right and are sorted with the largest first.
    pub(super) is_number: bool,
}

pub(super) const fn text(name: &'static str) -> Column {
    Column { name, is_number: false }
}

pub(super) const fn number(name: &'static str) -> Column {
    Column { name, is_number: true }
}

/// A cell: what is shown, and by what it is sorted.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Cell {
    pub(super) shown: String,
    value: f64,
}

impl Cell {
    pub(super) fn text(shown: impl Into<String>) -> Cell {
        Cell { shown: shown.into(), value: 0.0 }
    }

    pub(super) fn count(count: u64) -> Cell {
        Cell::number(count as f64, count.to_string())
    }

    pub(super) fn number(value: f64, shown: String) -> Cell {
        Cell { shown, value }
    }

    /// A number that is not known. It is sorted after all others.
    pub(super) fn unknown() -> Cell {
        Cell { shown: "-".to_owned(), value: f64::NEG_INFINITY }
    }
}

/// How a row is to be seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Mood {
    #[default]
    Usual,
    /// Something is at work.
    Busy,
    /// Something is wrong.
    Wrong,
}

/// A row.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    /// Tells it from the others, as long as it is there.
    pub(super) key: String,
    pub(super) cells: Vec<Cell>,
    pub(super) mood: Mood,
    /// What else is known of it: names and texts.
    pub(super) details: Vec<(&'static str, String)>,
}

/// Rows under columns.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sheet {
    pub(super) columns: &'static [Column],
    pub(super) lines: Vec<Line>,
}

/// By which column a sheet is sorted, and what it shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) column: usize,
    pub(super) reversed: bool,
    /// Only lines with this text in one of their text cells; in any case of letters.
    pub(super) filter: String,
}

impl Sheet {
    /// The lines as they are to be shown.
    pub(super) fn ordered(&self, order: &Order) -> Vec<&Line> {
        let filter = order.filter.to_lowercase();
        let mut lines: Vec<_> = self.lines.iter().filter(|line| self.has(line, &filter)).collect();
        let column = order.column.min(self.columns.len().saturating_sub(1));
        // A stable sort: equal lines stay in the server's order.
        lines.sort_by(|a, b| {
            let compared = self.compare(column, &a.cells[column], &b.cells[column]);
            if order.reversed { compared.reverse() } else { compared }
        });
        lines
    }

    fn has(&self, line: &Line, filter: &str) -> bool {
        let mut texts = self.columns.iter().zip(&line.cells).filter(|(column, _)| !column.is_number);
        filter.is_empty() || texts.any(|(_, cell)| cell.shown.to_lowercase().contains(filter))
    }

    /// The largest number comes first, and the first text.
    fn compare(&self, column: usize, a: &Cell, b: &Cell) -> Ordering {
        match self.columns[column].is_number {
            true => b.value.total_cmp(&a.value),
            false => a.shown.cmp(&b.shown),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[Column] = &[text("NAME"), number("N")];

    fn sheet() -> Sheet {
        let line = |name: &str, cell| Line {
            key: name.to_owned(),
            cells: vec![Cell::text(name), cell],
            mood: Mood::Usual,
            details: Vec::new(),
        };
        let lines = vec![
            line("b", Cell::count(5)),
            line("Alpha", Cell::count(40)),
            line("c", Cell::unknown()),
            line("d", Cell::count(5)),
        ];
        Sheet { columns: COLUMNS, lines }
    }

    fn shown(order: &Order) -> String {
        sheet().ordered(order).iter().map(|line| line.key.as_str()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn texts_are_sorted_upwards_and_numbers_downwards_and_unknown_ones_are_last() {
        assert_eq!(shown(&Order::default()), "Alpha b c d");
        let by_number = Order { column: 1, ..Order::default() };
        assert_eq!(shown(&by_number), "Alpha b d c");
        assert_eq!(shown(&Order { reversed: true, ..by_number }), "c b d Alpha");
        assert_eq!(shown(&Order { column: 9, ..Order::default() }), "Alpha b d c", "the last column");
    }

    #[test]
    fn a_filter_finds_text_in_any_case_and_no_numbers() {
        let filtered = |text: &str| shown(&Order { filter: text.to_owned(), ..Order::default() });
        assert_eq!(
            (filtered("ALPH").as_str(), filtered("5").as_str(), filtered("").as_str()),
            ("Alpha", "", "Alpha b c d")
        );
    }
}
