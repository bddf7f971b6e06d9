//! The configs of `oncue serve` and `oncue mesh`, from any text.

use std::fmt::Debug;
use std::path::Path;

use crate::config::node::Node;
use crate::config::{Config, Problem};

/// A key that no config has.
const UNKNOWN: &str = "zzz-unknown = 1\n";

/// Reads a config of each kind: it is read, or refused with messages that have a place in the text and are in its order. A key that does
/// not exist is refused in any config that is right, and a comment changes nothing.
pub fn check_config(text: &str) {
    if let Some(config) = check(text, Config::parse) {
        assert!(!config.routes.is_empty() && config.routes.len() == config.places.len());
        for need in &config.needs {
            assert!(text.is_char_boundary(need.at));
        }
    }
    check(text, Node::parse);
}

fn check<T: Debug>(text: &str, parse: fn(&str, &Path) -> Result<T, Vec<Problem>>) -> Option<T> {
    let read = |text: &str| parse(text, Path::new("/etc/oncue"));
    match read(text) {
        Err(problems) => {
            assert!(!problems.is_empty() && problems.is_sorted_by_key(|problem| problem.at));
            for problem in &problems {
                assert!(text.is_char_boundary(problem.at) && !problem.text.is_empty(), "{problem:?}");
            }
            assert_eq!(read(text).err(), Some(problems), "the same text, the same messages");
            None
        }
        Ok(config) => {
            assert!(read(&format!("# a comment\n{text}\n# another")).is_ok());
            let problems = read(&format!("{UNKNOWN}{text}")).expect_err("an unknown key is refused");
            assert!(problems.len() == 1 && problems[0].at < UNKNOWN.len(), "{problems:?}");
            Some(config)
        }
    }
}
