//! Finds commands that would execute the value of a parameter as code. It knows the usual mistakes, and proves nothing: a
//! program may still pass a value to something that executes it.

use std::collections::BTreeMap;

use oncue::demand::Template;

/// Programs that execute an argument as code, and the letters of the options before it.
const INTERPRETERS: [(&[&str], &str); 4] = [
    (&["sh", "bash", "dash", "ash", "zsh", "ksh", "mksh", "fish", "csh", "tcsh", "busybox", "su"], "c"),
    (&["python", "pypy"], "c"),
    (&["perl", "ruby", "node", "deno", "bun", "lua", "luajit", "Rscript", "osascript"], "eEp"),
    (&["php"], "rBRE"),
];
/// Programs that execute as code their first argument that is not an option.
const FIRST_ARGUMENT: [&str; 6] = ["awk", "gawk", "mawk", "nawk", "sed", "jq"];
/// Programs that pass all their arguments to a shell.
const ALL_ARGUMENTS: [&str; 3] = ["ssh", "watch", "eval"];

/// The words of a command that have parameters and would be executed as code, each with what to do instead.
pub(super) fn scripts(command: &[Template]) -> Vec<(usize, String)> {
    let words: Vec<String> = command.iter().map(Template::to_string).collect();
    let mut found = Vec::new();
    // An interpreter may come after `env`, `nice` and the like.
    for (place, word) in words.iter().enumerate() {
        let program = word.rsplit('/').next().unwrap_or_default();
        for (index, _) in words.iter().enumerate().skip(place + 1) {
            let has_param = command.get(index).is_some_and(|word| word.names().next().is_some());
            let runs = ALL_ARGUMENTS.contains(&program)
                || runs_after_option(program, words.get(index - 1), index - 1 > place)
                || runs_first(program, words.get(place + 1..index).unwrap_or_default());
            if has_param && runs && found.iter().all(|(known, _)| *known != index) {
                found.push((index, remedy(program, words.get(index).map_or("", String::as_str))));
            }
        }
    }
    found
}

fn remedy(program: &str, word: &str) -> String {
    format!(
        "`{program}` would execute the value of a parameter as part of `{word}`; let the code read the variable \
         $ONCUE_PARAM_NAME instead, or pass the value as an argument after the code"
    )
}

fn runs_after_option(program: &str, before: Option<&String>, is_option: bool) -> bool {
    let version = |c: char| c.is_ascii_digit() || c == '.';
    let name = program.trim_end_matches(version);
    let Some((_, letters)) = INTERPRETERS.iter().find(|(names, _)| names.contains(&name)) else {
        return false;
    };
    let Some(options) = before.filter(|_| is_option).and_then(|word| word.strip_prefix('-')) else {
        return false;
    };
    matches!(options, "-eval" | "-print" | "-command") || options.ends_with(|c| letters.contains(c))
}

fn runs_first(program: &str, between: &[String]) -> bool {
    let variable = between.last().is_some_and(|word| word == "-v");
    FIRST_ARGUMENT.contains(&program) && !variable && between.iter().all(|word| word.starts_with('-'))
}

/// Why two parameters would have one variable of the environment, if there are two.
pub(super) fn same_variable<'n>(names: impl Iterator<Item = &'n str>) -> Option<String> {
    let mut seen = BTreeMap::new();
    for name in names {
        let variable = name.to_ascii_uppercase();
        if let Some(other) = seen.insert(variable.clone(), name) {
            return Some(format!(
                "the parameters `{other}` and `{name}` would both be ONCUE_PARAM_{variable}; rename one of them"
            ));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guarded(words: &[&str]) -> Vec<usize> {
        let command: Vec<_> = words.iter().map(|word| Template::parse(word).expect("a template")).collect();
        scripts(&command).into_iter().map(|(index, _)| index).collect()
    }

    #[test]
    fn a_value_is_never_part_of_code() {
        let bad: [&[&str]; 13] = [
            &["sh", "-c", "echo {x}"],
            &["/bin/bash", "-euc", "{x}"],
            &["env", "A=1", "sh", "-c", "{x}"],
            &["nice", "-n", "5", "bash", "-lc", "ls {x}"],
            &["python3", "-c", "print({x})"],
            &["python3.11", "-Ic", "print({x})"],
            &["perl", "-ne", "{x}"],
            &["node", "--eval", "{x}"],
            &["php", "-r", "{x}"],
            &["awk", "/{x}/"],
            &["sed", "-n", "/{x}/p"],
            &["jq", "-r", ".{x}"],
            &["ssh", "host", "cat", "{x}"],
        ];
        for words in bad {
            assert_eq!(guarded(words), [words.len() - 1], "{words:?}");
        }
    }

    #[test]
    fn a_value_may_be_an_argument_of_code() {
        let good: [&[&str]; 8] = [
            &["sh", "-c", "echo \"$1\"", "sh", "{x}"],
            &["sh", "script.sh", "{x}"],
            &["python3", "model.py", "{x}"],
            &["python3", "-c", "import sys; print(sys.argv[1])", "{x}"],
            &["awk", "-v", "x={x}", "{{ print x }}", "file"],
            &["grep", "-c", "{x}", "file"],
            &["ps", "-o", "rss=", "-p", "{x}"],
            &["cat", "{x}"],
        ];
        for words in good {
            assert_eq!(guarded(words), [0; 0], "{words:?}");
        }
    }

    #[test]
    fn two_parameters_are_never_one_variable() {
        let why = same_variable(["a", "b_c", "B_c"].into_iter()).expect("a collision");
        assert!(why.contains("`b_c` and `B_c`") && why.contains("ONCUE_PARAM_B_C"), "{why}");
        assert_eq!(same_variable(["a", "b"].into_iter()), None);
    }
}
