//! The arguments and the environment of a program for one topic. A peer chooses the topic: which of its bytes may reach a
//! program, and how, is decided here.

use std::env;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::commands::serve::program::launch::{Launcher, Prepared};
use crate::config::Program;

/// The variable that makes Python write its output at once.
const UNBUFFERED: &str = "PYTHONUNBUFFERED";

/// A topic, and the values of the parameters by name.
#[derive(Debug, Default)]
pub(crate) struct Wanted<'f> {
    pub(crate) topic: &'f [u8],
    pub(crate) params: Vec<(&'f str, &'f [u8])>,
}

impl<'f> Wanted<'f> {
    pub(crate) fn of(feed: &'f oncue::demand::Feed) -> Wanted<'f> {
        Wanted { topic: feed.topic(), params: feed.params().collect() }
    }

    /// The value of a parameter; the config was checked for its name.
    pub(crate) fn param(&self, name: &str) -> &'f [u8] {
        self.params.iter().find(|(known, _)| *known == name).map_or(&[], |(_, value)| value)
    }
}

/// The command of a program for a topic.
///
/// # Errors
/// Why the program must not run for it.
pub(crate) fn command(
    launcher: &Launcher,
    program: &Program,
    wanted: &Wanted<'_>,
) -> Result<Prepared, String> {
    let mut prepared = prepared(launcher, program, &words(program, wanted)?);
    prepared.env("ONCUE_TOPIC", OsStr::from_bytes(wanted.topic));
    for (name, value) in &wanted.params {
        prepared.env(format!("ONCUE_PARAM_{}", name.to_ascii_uppercase()), OsStr::from_bytes(value));
    }
    Ok(prepared)
}

/// The command of a program that does not run for one topic.
pub(crate) fn topicless_command(launcher: &Launcher, program: &Program) -> Prepared {
    let words: Vec<_> = program.command.iter().map(|word| OsString::from_vec(word.fill(|_| &[]))).collect();
    prepared(launcher, program, &words)
}

fn prepared(launcher: &Launcher, program: &Program, words: &[OsString]) -> Prepared {
    let mut words = words.to_vec();
    if let Some(name) = words.first_mut() {
        *name = program.located(name).into();
    }
    let mut prepared = launcher.prepare(&words, &program.confinement);
    // A Python that writes to a pipe would keep its output back until it has several KiB.
    if env::var_os(UNBUFFERED).is_none() || program.confinement.clean_environment {
        prepared.env(UNBUFFERED, "1");
    }
    for (name, value) in &program.env {
        prepared.env(name, value);
    }
    prepared.current_dir(&program.cwd);
    prepared
}

fn words(program: &Program, wanted: &Wanted<'_>) -> Result<Vec<OsString>, String> {
    if wanted.topic.contains(&0) {
        return Err("it has a NUL byte, which no argument can have".to_owned());
    }
    let mut words = Vec::with_capacity(program.command.len());
    for template in &program.command {
        let word = template.fill(|name| wanted.param(name));
        let begins_with_value = template.head().is_empty();
        if begins_with_value && word.first() == Some(&b'-') && !program.allow_dash {
            return Err(format!(
                "the argument `{template}` would begin with a dash, like an option; see `allow_dash`"
            ));
        }
        words.push(OsString::from_vec(word));
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::time::Duration;

    use oncue::demand::Backoff;

    use super::*;
    use oncue::demand::Template;

    fn program(words: &[&str], allow_dash: bool) -> Program {
        let command = words.iter().map(|word| Template::parse(word).expect("a template")).collect();
        let env = BTreeMap::from([("OURS".to_owned(), "1".to_owned())]);
        Program {
            command,
            directory: "/".into(),
            cwd: "/".into(),
            env,
            allow_dash,
            stop_after: Duration::ZERO,
            kill_after: Duration::ZERO,
            backoff: Backoff { min: Duration::ZERO, max: Duration::ZERO },
            confinement: Arc::default(),
        }
    }

    fn filled(words_of: &[&str], allow_dash: bool, value: &[u8]) -> Result<Vec<OsString>, String> {
        let topic = [b"proc/", value].concat();
        words(&program(words_of, allow_dash), &Wanted { topic: &topic, params: vec![("x", value)] })
    }

    #[test]
    fn a_value_stays_one_argument_whatever_it_holds() {
        for value in ["1 2", "$(reboot)", ";ls", "'\"", "a\nb", "*", "ä", ""] {
            let words = filled(&["p", "{x}", "-x={x}"], false, value.as_bytes()).expect("it is allowed");
            assert_eq!(words, ["p".into(), OsString::from(value), format!("-x={value}").into()]);
        }
    }

    #[test]
    fn a_value_never_becomes_an_option_unless_that_is_allowed() {
        for value in [&b"-"[..], b"-rf", b"--help", b"-1"] {
            let why = filled(&["rm", "{x}"], false, value).expect_err("a dash");
            assert!(why.contains("`{x}`") && why.contains("allow_dash"), "{why}");
            assert!(filled(&["rm", "{x}"], true, value).is_ok());
            assert!(filled(&["rm", "./{x}"], false, value).is_ok());
            assert!(filled(&["rm", "--x={x}"], false, value).is_ok());
        }
    }

    #[test]
    fn a_nul_byte_reaches_no_program() {
        assert!(filled(&["p"], false, b"a\0b").expect_err("a NUL byte").contains("NUL"));
    }

    #[test]
    fn the_environment_names_the_topic_and_its_parameters() {
        let wanted = Wanted { topic: b"proc/\xff", params: vec![("pid", b"\xff")] };
        let command = command(&Launcher::direct(), &program(&["p"], false), &wanted).expect("a command");
        let of = |name: &str| command.variable(name);
        assert_eq!(of("ONCUE_TOPIC"), Some(OsStr::from_bytes(b"proc/\xff")));
        assert_eq!(of("ONCUE_PARAM_PID"), Some(OsStr::from_bytes(b"\xff")));
        assert_eq!(of("OURS"), Some(OsStr::new("1")));
    }

    #[test]
    fn python_writes_at_once_unless_its_buffer_was_chosen() {
        let unbuffered = |program: &Program| {
            let command = topicless_command(&Launcher::direct(), program);
            command.variable(UNBUFFERED).map(OsStr::to_owned)
        };
        let mut program = program(&["python3"], false);
        if env::var_os(UNBUFFERED).is_none() {
            assert_eq!(unbuffered(&program), Some("1".into()));
        }
        program.env.insert(UNBUFFERED.to_owned(), String::new());
        assert_eq!(unbuffered(&program), Some("".into()));
    }
}
