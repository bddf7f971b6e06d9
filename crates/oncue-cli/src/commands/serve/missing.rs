//! What a config needs and the system does not have: programs and directories. They may come later.

use std::env;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::config::{Config, Need, Needed};
use crate::output::escaped;

/// A line for each thing that is missing now.
pub(super) fn missing(config: &Config) -> Vec<String> {
    let line = |need: &Need| {
        let why = why_not(&need.needed)?;
        Some(format!("{}: {}: {why}", need.place, need.named))
    };
    config.needs.iter().filter_map(line).collect()
}

/// Why it cannot be used now; None if it can.
fn why_not(needed: &Needed) -> Option<String> {
    let shown = |path: &Path| escaped(path.as_os_str().as_encoded_bytes());
    match needed {
        Needed::Directory(path) if path.is_dir() => None,
        Needed::Directory(path) => Some(format!("there is no directory `{}`; create it", shown(path))),
        Needed::Program { path, directories } => {
            let directories = directories.as_ref().map(Into::into).or_else(|| env::var_os("PATH"));
            let found = match path.as_os_str().as_encoded_bytes().contains(&b'/') {
                true => vec![path.clone()],
                false => env::split_paths(&directories.unwrap_or_default()).map(|at| at.join(path)).collect(),
            };
            if found.iter().any(|path| is_executable(path)) {
                return None;
            }
            let path = shown(path);
            Some(match found.iter().find(|path| path.is_file()) {
                Some(file) => format!("`{path}` is not executable; try chmod +x {}", shown(file)),
                None => format!("there is no program `{path}`; is it installed?"),
            })
        }
    }
}

fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}
