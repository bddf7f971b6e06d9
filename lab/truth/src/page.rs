//! The table of what was found.

use crate::histories::History;
use crate::verdict::Found;

/// One implementation's column.
pub struct Column {
    /// Its name and version; what is missing, if it could not be played to.
    pub about: Result<String, String>,
    /// What was found, in the order of the histories; empty if it could not be played to.
    pub found: Vec<Found>,
}

const MARKERS: [(&str, &str); 2] = [
    ("<!-- begin of the table -->", "<!-- end of the table -->"),
    ("<!-- begin of what was told -->", "<!-- end of what was told -->"),
];

/// The page with these parts between its markers; the rest is not touched.
///
/// # Errors
/// If a marker is missing.
pub fn filled(page: &str, table: &str, details: &str) -> Result<String, String> {
    let mut page = page.to_owned();
    for ((begin, end), part) in MARKERS.iter().zip([table, details]) {
        let (before, rest) = page.split_once(begin).ok_or(format!("the page has lost `{begin}`"))?;
        let (_, after) = rest.split_once(end).ok_or(format!("the page has lost `{end}`"))?;
        page = format!("{before}{begin}\n{part}{end}{after}");
    }
    Ok(page)
}

/// The verdicts: a row for each history, a column for each implementation.
pub fn table(histories: &[&History], columns: &[Column]) -> String {
    let mut page = String::new();
    let names: Vec<&str> = columns.iter().map(Column::name).collect();
    row(&mut page, "history", names.iter().copied());
    row(&mut page, "---", names.iter().map(|_| "---"));
    for (at, history) in histories.iter().enumerate() {
        let words =
            columns.iter().map(|column| column.found.get(at).map_or("–", |found| found.verdict.word()));
        row(&mut page, history.name, words);
    }
    page
}

/// For each history: what happens in it, what was true, and what each implementation told.
pub fn details(histories: &[&History], columns: &[Column]) -> String {
    let mut page = String::new();
    for (at, history) in histories.iter().enumerate() {
        page.push_str(&format!("\n### {}\n\n{}\n\n", history.name, history.what));
        row(&mut page, "", ["verdict", "true", "told"].into_iter());
        row(&mut page, "---", ["---", "---", "---"].into_iter());
        for column in columns {
            if let Some(found) = column.found.get(at) {
                let truth = if found.truth.is_empty() { "–" } else { &found.truth };
                row(&mut page, column.name(), [found.verdict.word(), truth, &found.told].into_iter());
            }
        }
    }
    page.push('\n');
    page
}

impl Column {
    fn name(&self) -> &str {
        match &self.about {
            Ok(about) => about,
            Err(name) => name,
        }
    }
}

fn row<'a>(page: &mut String, first: &str, cells: impl Iterator<Item = &'a str>) {
    page.push_str("| ");
    page.push_str(first);
    for cell in cells {
        page.push_str(" | ");
        page.push_str(&cell.replace('|', "\\|"));
    }
    page.push_str(" |\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histories::ALL;
    use crate::verdict::Verdict;

    fn columns() -> [Column; 2] {
        let found = Found { verdict: Verdict::True, truth: "`A|B`".to_owned(), told: "the same".to_owned() };
        [
            Column { about: Ok("ours 1".to_owned()), found: vec![found] },
            Column { about: Err("theirs (left out)".to_owned()), found: Vec::new() },
        ]
    }

    #[test]
    fn a_column_that_was_left_out_is_marked_and_has_no_details() {
        let histories = [&ALL[0]];
        let table = table(&histories, &columns());
        assert_eq!(
            table,
            "| history | ours 1 | theirs (left out) |\n| --- | --- | --- |\n| foreign cancel | true | – |\n"
        );
        let details = details(&histories, &columns());
        assert!(details.contains("| ours 1 | true | `A\\|B` | the same |"), "{details}");
        assert!(!details.contains("theirs"), "{details}");
    }

    #[test]
    fn only_what_is_between_the_markers_changes() {
        let page = "a\n<!-- begin of the table -->old<!-- end of the table -->\nb\n\
                    <!-- begin of what was told -->old<!-- end of what was told -->\nc";
        assert_eq!(
            filled(page, "T\n", "D\n").as_deref(),
            Ok("a\n<!-- begin of the table -->\nT\n<!-- end of the table -->\nb\n\
                <!-- begin of what was told -->\nD\n<!-- end of what was told -->\nc")
        );
        assert!(filled("a", "T", "D").is_err());
    }
}
