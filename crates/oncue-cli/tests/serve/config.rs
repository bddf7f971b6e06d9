//! The messages about a config.

use crate::{BIND, Directory};

#[test]
fn a_good_config_is_confirmed() {
    let directory = Directory::new();
    directory.config("[[route]]\ntopic = 'a/{x:int}'\ncommand = ['cat', '/dev/null', '{x}']\nevery = '1s'\n");
    let end = directory.oncue(&["serve", "oncue.toml", "--check"]).end();
    assert_eq!(
        (end.code, &end.output[..]),
        (Some(0), &["oncue.toml: ok, 1 route".to_owned()][..]),
        "{end:?}"
    );
    assert!(end.errors.is_empty(), "{end:?}");
}

#[test]
fn every_mistake_of_a_bad_one_is_shown_with_line_and_column_and_status_2() {
    let directory = Directory::new();
    directory.config("grase = '1s'\n[[route]]\ntopic = 'a'\ncommand = ['cat', '{b}']\nevery = 5\n");
    for words in [&["serve", "oncue.toml", "--check"][..], &["serve", "oncue.toml"]] {
        let end = directory.oncue(words).end();
        let expected = [
            "oncue serve: oncue.toml:2:1: unknown key `grase` in the config; did you mean `grace`?",
            "oncue serve: oncue.toml:5:19: `command` of route 1 (`a`): the topic has no parameter `{b}`; write",
            "oncue serve: oncue.toml:6:9: `every` of route 1 (`a`): expected a duration from \"1ms\" to a year, found 5",
        ];
        assert_eq!((end.code, end.errors.len()), (Some(2), expected.len()), "{end:?}");
        for (line, expected) in end.errors.iter().zip(expected) {
            assert!(line.starts_with(expected), "{line}");
        }
        assert!(end.output.is_empty(), "{end:?}");
    }
}

#[test]
fn what_the_library_refuses_is_an_error_of_the_config() {
    let directory = Directory::new();
    directory.write(
        "oncue.toml",
        &format!(
            "{BIND}catalogue_topics_max = 1\n[[route]]\ntopic = '{{x}}'\nfile = '{{x}}'\ncatalogue = ['a', 'b']\n"
        ),
    );
    let end = directory.oncue(&["serve", "oncue.toml", "--check"]).end();
    assert_eq!(end.code, Some(2), "{end:?}");
    assert!(end.errors[0].contains("catalogue_topics_max"), "{end:?}");
}

#[test]
fn a_missing_config_is_named() {
    let directory = Directory::new();
    let end = directory.oncue(&["serve", "missing.toml"]).end();
    assert_eq!(end.code, Some(2), "{end:?}");
    assert!(end.errors[0].contains("missing.toml cannot be read: No such file"), "{end:?}");
}

#[test]
fn a_missing_program_is_remarked_upon() {
    let directory = Directory::new();
    directory.config(
        "[[route]]\ntopic = 'a'\ncommand = ['no-such-program']\nevery = '1s'\n\
         catalogue = { command = ['./no-such-list'], every = '1s' }\n\
         [[route]]\ntopic = 'b'\ncommand = ['cat']\ncwd = 'no/directory'\nevery = '1s'\n",
    );
    let end = directory.oncue(&["serve", "oncue.toml", "--check"]).end();
    assert_eq!(end.code, Some(0), "{end:?}");
    assert!(end.errors[0].contains("`a`: there is no program `no-such-program` now"), "{end:?}");
    assert!(end.errors[1].contains("`a`: there is no program `./no-such-list` now"), "{end:?}");
    assert!(end.errors[2].contains("`b`: there is no directory `no/directory` now"), "{end:?}");
}

#[test]
fn a_config_and_a_counter_are_two_things() {
    let directory = Directory::new();
    for words in [&["serve"][..], &["serve", "x.toml", "--bind", "tcp://127.0.0.1:0"], &["serve", "--check"]]
    {
        let end = directory.oncue(words).end();
        assert_eq!(end.code, Some(2), "{words:?}: {end:?}");
    }
}
