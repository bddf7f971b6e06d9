//! The config of `oncue serve`, from any text.

use std::path::Path;

use crate::config::Config;

/// A key that no config has.
const UNKNOWN: &str = "zzz-unknown = 1\n";

/// Reads a config: it is read, or refused with messages that have a place in the text and are in its order. A key that does
/// not exist is refused in any config that is right, and a comment changes nothing.
pub fn check_config(text: &str) {
    let read = |text: &str| Config::parse(text, Path::new("/etc/oncue"));
    match read(text) {
        Err(problems) => {
            assert!(!problems.is_empty() && problems.is_sorted_by_key(|problem| problem.at));
            for problem in &problems {
                assert!(text.is_char_boundary(problem.at) && !problem.text.is_empty(), "{problem:?}");
            }
            assert_eq!(read(text).err(), Some(problems), "the same text, the same messages");
        }
        Ok(config) => {
            assert!(!config.routes.is_empty() && config.routes.len() == config.places.len());
            for need in &config.needs {
                assert!(text.is_char_boundary(need.at));
            }
            assert!(read(&format!("# a comment\n{text}\n# another")).is_ok());
            let problems = read(&format!("{UNKNOWN}{text}")).expect_err("an unknown key is refused");
            assert!(problems.len() == 1 && problems[0].at < UNKNOWN.len(), "{problems:?}");
        }
    }
}
