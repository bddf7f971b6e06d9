//! `ONCUE_ENDPOINT`: the endpoint of a command that is given none.

use std::process::Command;

use oncue_interop::program::Program;

use super::{ANY_PORT, publisher, wanted};

fn oncue(endpoint: &str, words: &[&str]) -> Program {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oncue"));
    Program::start(command.env("ONCUE_ENDPOINT", endpoint).args(words))
}

#[test]
fn the_endpoint_of_the_environment_is_taken_if_none_is_given() {
    for words in [&["pub"][..], &["demand"], &["serve", "--every", "1s"], &["sub", "--bind"]] {
        let mut program = oncue(ANY_PORT, words);
        let name = words[0];
        assert!(program.error_line().starts_with(&format!("oncue {name}: bound to tcp://127.0.0.1:")));
    }
    let (socket, endpoint) = publisher();
    let mut sub = oncue(&endpoint, &["sub", "--count", "1"]);
    assert_eq!(sub.error_line(), format!("oncue sub: connecting to {endpoint}"));
    wanted(&socket, 1);
    // What is given counts.
    let mut sub = oncue("tcp://127.0.0.1:1", &["sub", &endpoint]);
    assert_eq!(sub.error_line(), format!("oncue sub: connecting to {endpoint}"));
}

#[test]
fn a_wrong_or_missing_endpoint_of_the_environment_is_named() {
    for (set, said) in [
        ("nonsense", "ONCUE_ENDPOINT is not an endpoint: "),
        ("inproc://x", "ONCUE_ENDPOINT is not an endpoint: "),
        ("", "there is no endpoint: give "),
    ] {
        for words in [&["sub"][..], &["pub"], &["demand"], &["routes"], &["serve", "--every", "1s"]] {
            let end = oncue(set, words).end();
            let line = end.errors.first().expect("a line");
            assert!(end.code == Some(2) && line.contains(said) && line.contains("ONCUE_ENDPOINT"), "{end:?}");
        }
    }
    // A config has its own.
    let end = oncue("nonsense", &["serve", "/nowhere/oncue.toml"]).end();
    assert!(end.errors[0].contains("/nowhere/oncue.toml"), "{end:?}");
}
