//! A file of TOML as a config, and where its mistakes are.

use std::fs;
use std::path::{Path, PathBuf, absolute};

use toml::de::DeTable;

use super::keys::Places;
use super::reader::{Keys, Problem, Problems};

/// The text of a file.
pub(super) fn text(path: &Path) -> Result<String, Vec<String>> {
    fs::read_to_string(path).map_err(|error| vec![format!("{} cannot be read: {error}", path.display())])
}

/// The directory of a file.
pub(super) fn directory(path: &Path) -> Result<PathBuf, Vec<String>> {
    let whole =
        absolute(path).map_err(|error| vec![format!("{} has no directory: {error}", path.display())])?;
    Ok(whole.parent().unwrap_or(Path::new("/")).to_owned())
}

/// Reads a text by `read`, whose keys are those of this place. What it returns counts only if there is no problem in the end. The
/// problems are in the order of the text.
pub(super) fn parse<T>(
    text: &str,
    directory: &Path,
    place: Places,
    read: impl FnOnce(Keys<'_, '_>) -> T,
) -> Result<T, Vec<Problem>> {
    let problems = Problems::new(text, directory);
    let (table, errors) = DeTable::parse_recoverable(text);
    let config =
        errors.is_empty().then(|| read(Keys::new("the config", 0, table.into_inner(), place, &problems)));
    for error in errors {
        let at = error.span().map_or(0, |span| span.start);
        problems.add(at, format!("not TOML: {}", error.message()));
    }
    let problems = problems.sorted();
    config.filter(|_| problems.is_empty()).ok_or(problems)
}

/// Problems as lines for people, each with file, line and column.
pub(super) fn told(path: &Path, text: &str, problems: Vec<Problem>) -> Vec<String> {
    let told = |problem: Problem| format!("{}: {}", place(path, text, problem.at), problem.text);
    problems.into_iter().map(told).collect()
}

/// File, line and column of the byte at this offset.
pub(super) fn place(path: &Path, text: &str, at: usize) -> String {
    let (line, column) = line_and_column(text, at);
    format!("{}:{line}:{column}", path.display())
}

/// The line and the column of the byte at this offset, in characters, both from 1.
pub(super) fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}
