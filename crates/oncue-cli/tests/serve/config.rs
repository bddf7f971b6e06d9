//! The messages about a config.

use crate::{BIND, Directory, Server};

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
fn everything_that_is_missing_is_shown_with_its_place_and_status_1() {
    let directory = Directory::new();
    directory.config(
        "[[route]]\ntopic = 'a'\ncommand = ['no-such-program']\nevery = '1s'\n\
         catalogue = { command = ['./no-such-list'], every = '1s' }\n\
         [[route]]\ntopic = 'b'\ncommand = ['cat']\ncwd = 'no/directory'\nevery = '1s'\n\
         [[route]]\ntopic = 'c/{x}'\nfile = 'logs/{x}.log'\n\
         [[route]]\ntopic = 'd'\ncommand = ['./oncue.toml']\nmode = 'stream'\n\
         [[route]]\ntopic = 'e'\ncommand = ['only-here']\nmode = 'stream'\nenv = { PATH = '/no/such' }\n",
    );
    let own = directory.path("").canonicalize().expect("the directory");
    let own = own.to_str().expect("text").to_owned();
    let shown = [
        "4:12: `command` of route 1 (`a`): there is no program `no-such-program`; is it installed?"
            .to_owned(),
        format!(
            "6:26: `command` of `catalogue` of route 1 (`a`): there is no program `{own}/no-such-list`; is it installed?"
        ),
        format!("10:7: `cwd` of route 2 (`b`): there is no directory `{own}/no/directory`; create it"),
        format!("14:8: `file` of route 3 (`c/{{x}}`): there is no directory `{own}/logs`; create it"),
        format!(
            "17:12: `command` of route 4 (`d`): `{own}/oncue.toml` is not executable; try chmod +x {own}/oncue.toml"
        ),
        "21:12: `command` of route 5 (`e`): there is no program `only-here`; is it installed?".to_owned(),
    ];
    let shown = shown.map(|line| format!("oncue serve: oncue.toml:{line}"));
    let end = directory.oncue(&["serve", "oncue.toml", "--check"]).end();
    assert_eq!(end.code, Some(1), "{end:?}");
    assert_eq!(end.errors, shown);
    assert!(end.output.is_empty(), "{end:?}");
    // They may come later: a server starts, and says so.
    let mut program = directory.oncue(&["serve", "oncue.toml"]);
    program.endpoint();
    for line in shown {
        assert_eq!(program.error_line(), line);
    }
    program.signal("TERM");
    assert_eq!(program.end().code, Some(0));
    for name in ["no/directory/x", "logs/x"] {
        directory.write(name, "");
    }
    directory.config(
        "[[route]]\ntopic = 'b'\ncommand = ['cat']\ncwd = 'no/directory'\nevery = '1s'\n\
         [[route]]\ntopic = 'c/{x}'\nfile = 'logs/{x}.log'\n",
    );
    assert_eq!(directory.oncue(&["serve", "oncue.toml", "--check"]).end().code, Some(0));
}

#[test]
fn relative_paths_begin_in_the_directory_of_the_config() {
    use std::os::unix::fs::PermissionsExt;
    let directory = Directory::new();
    directory.write(
        "conf/oncue.toml",
        &format!(
            "{BIND}[[route]]\ntopic = 'script'\ncommand = ['./say.sh', 'a']\nevery = '1h'\n\
         [[route]]\ntopic = 'elsewhere'\ncommand = ['./say.sh', 'b']\nevery = '1h'\ncwd = 'sub'\n\
         [[route]]\ntopic = 'argument'\ncommand = ['cat', 'sub/file']\nevery = '1h'\n\
         [[route]]\ntopic = 'shared/{{x}}'\ncommand = ['sh', 'shared.sh']\nmode = 'shared'\n\
         [[route]]\ntopic = 'file/{{x}}'\nfile = 'sub/{{x}}'\nmode = 'content'\n\
         [[route]]\ntopic = 'plain'\nfile = 'plain'\nmode = 'content'\n\
         [[route]]\ntopic = 'listed/{{x}}'\nfile = 'sub/{{x}}'\nmode = 'content'\n\
         catalogue = {{ command = ['cat', 'list'], every = '1h' }}\n"
        ),
    );
    let script = directory.write("conf/say.sh", "#!/bin/sh\necho $1 $PWD\n");
    std::fs::set_permissions(script, PermissionsExt::from_mode(0o755)).expect("a script");
    directory.write("conf/sub/file", "content");
    directory.write("conf/plain", "text");
    directory.write("conf/list", "listed/file\n");
    directory.write("conf/shared.sh", "while read line; do printf '%s\\there\\n' \"${line#?}\"; done\n");
    let conf = directory.path("conf").canonicalize().expect("a directory");
    let conf = conf.to_str().expect("text");
    // Both as a path from another directory and as an absolute one.
    for config in ["conf/oncue.toml".to_owned(), format!("{conf}/oncue.toml")] {
        let check = directory.oncue(&["serve", &config, "--check"]).end();
        assert_eq!(check.code, Some(0), "{check:?}");
        let mut program = directory.oncue(&["serve", &config]);
        let endpoint = program.endpoint();
        let mut server = Server { program, endpoint };
        let value = |topic: &str| server.subscriber(&[topic]).value();
        assert_eq!(value("script"), format!("a {conf}"));
        assert_eq!(value("elsewhere"), format!("b {conf}/sub"));
        assert_eq!(value("argument"), "content");
        assert_eq!(value("shared/x"), "here");
        assert_eq!(value("file/file"), "content");
        assert_eq!(value("plain"), "text");
        assert_eq!(server.subscriber(&["listed/"]).next(), ("listed/file".into(), "content".into()));
        // Another place in the text changes no route.
        let text = std::fs::read_to_string(directory.path("conf/oncue.toml")).expect("the config");
        directory.write("conf/oncue.toml", &format!("\n{text}"));
        server.program.signal("HUP");
        assert!(server.error_with("config read again").ends_with("7 routes kept, 0 added, 0 removed"));
    }
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
