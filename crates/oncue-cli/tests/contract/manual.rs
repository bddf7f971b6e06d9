//! `oncue completions` and `oncue man`.

use std::fs;
use std::process::Command;

use oncue_interop::directory::Directory;

use super::oncue;

#[test]
fn each_shell_has_completions_of_all_subcommands_and_options() {
    for shell in ["bash", "zsh", "fish"] {
        let end = oncue(&["completions", shell]).end();
        assert_eq!((end.code, &end.errors[..]), (Some(0), &[][..]));
        let script = end.output.join("\n");
        for word in ["demand", "completions", "until-closed", "frontend-bind"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    let end = oncue(&["completions", "tcsh"]).end();
    assert!(end.code == Some(2) && end.errors.iter().any(|line| line.contains("bash, zsh, fish")), "{end:?}");
}

#[test]
fn bash_completes_with_the_script() {
    let place = Directory::new();
    let script = place.write("oncue.bash", &oncue(&["completions", "bash"]).end().output.join("\n"));
    let complete = "source \"$0\"; COMP_WORDS=(oncue sub --format ''); COMP_CWORD=3; _oncue oncue '' --format; echo \"${COMPREPLY[@]}\"";
    let output = Command::new("bash").args(["--norc", "-c", complete]).arg(script).output().expect("bash");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "text json raw\n", "{output:?}");
}

#[test]
fn each_subcommand_has_a_man_page() {
    let place = Directory::new();
    let dir = place.path("man/man1");
    let end = oncue(&["man", &dir.display().to_string()]).end();
    assert_eq!((end.code, end.errors.len()), (Some(0), 0), "{end:?}");
    let page = |name: &str| fs::read_to_string(dir.join(name)).unwrap_or_else(|why| panic!("{name}: {why}"));
    for name in ["demo", "sub", "pub", "demand", "proxy", "relay", "keygen", "passwd", "serve", "man"] {
        assert!(page(&format!("oncue-{name}.1")).contains(".SH NAME"), "{name}");
    }
    let printed = oncue(&["man"]).end().output.join("\n");
    assert_eq!(printed.trim(), page("oncue.1").trim());
    let options = page("oncue-sub.1");
    assert!(options.contains("\\-\\-until\\-closed") && options.contains(".SH SECURITY"), "{options}");
    let file = place.write("file", "").display().to_string();
    let end = oncue(&["man", &file]).end();
    assert!(end.code == Some(1) && end.errors[0].contains(&file), "{end:?}");
}
