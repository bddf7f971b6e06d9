//! What subscribers may name, and what they get.

use std::time::Duration;

use oncue_interop::raw::{Raw, Version};

use crate::Directory;

#[test]
fn a_value_is_one_argument_whatever_its_bytes_are() {
    let directory = Directory::new();
    let server = directory
        .serve("[[route]]\ntopic = 'say/{x}'\ncommand = ['printf', '[%s]', 'x{x}', '{x}']\nevery = '1s'\n");
    for value in ["$(touch made)", "`touch made`", ";touch made", "a b", "*", "'", "\n", "~", "$HOME"] {
        let subscriber = server.subscriber(&[&format!("say/{value}")]);
        assert_eq!(subscriber.value(), format!("[x{value}][{value}]"));
    }
    assert!(!directory.path("made").exists());
}

#[test]
fn a_value_never_becomes_an_option_and_a_nul_reaches_no_program() {
    let directory = Directory::new();
    let mut server = directory.serve(
        "[[route]]\ntopic = 'cat/{x}'\ncommand = ['cat', '{x}']\nevery = '1s'\n\
         [[route]]\ntopic = 'open/{x}'\ncommand = ['echo', '{x}']\nmode = 'stream'\nallow_dash = true\n",
    );
    let subscriber = server.subscriber(&["cat/--version"]);
    assert!(
        server
            .error_with("refused")
            .contains("cat/--version: refused: the argument `{x}` would begin with a dash")
    );
    subscriber.0.subscribe("cat/a\0b").expect("a subscription");
    assert!(server.error_with("refused").contains("NUL"));
    assert!(subscriber.is_quiet(Duration::from_millis(100)));
    subscriber.0.subscribe("open/-x").expect("a subscription");
    assert_eq!(subscriber.value(), "-x");
}

#[test]
fn a_topic_that_would_forge_a_line_is_not_told_to_a_shared_program() {
    let directory = Directory::new();
    let mut server = directory.serve(
        "[[route]]\ntopic = 'p/{x}'\nmode = 'shared'\ncommand = ['sed', '-u', 's/^.\\(.*\\)/\\1\\t&/']\n",
    );
    let subscriber = server.subscriber(&[]);
    for bad in [&b"p/a\n-b"[..], b"p/a\tb", b"p/\xff", b"p/a\r"] {
        subscriber.0.subscribe(bad).expect("a subscription");
        assert!(server.error_with("refused").contains("and the program reads"));
    }
    subscriber.0.subscribe("p/good").expect("a subscription");
    assert_eq!(subscriber.next(), ("p/good".into(), "+p/good".into()));
}

#[test]
fn a_plain_connection_gets_two_frames() {
    let directory = Directory::new();
    let server =
        directory.serve("[[route]]\ntopic = 'a/{x:int}'\ncommand = ['echo', '{x}']\nevery = '10ms'\n");
    for version in [Version::V3_1, Version::V3_0] {
        let mut raw = Raw::connect(&server.endpoint);
        raw.greet(version, "SUB", "XPUB");
        raw.subscribe(version, b"a/7");
        // A topic that no route has, and one whose value is not of its kind.
        raw.subscribe(version, b"a/seven");
        raw.subscribe(version, b"b");
        raw.expect("the topic, with more to come", b"\x01\x03a/7");
        raw.expect("the value", b"\x00\x017");
    }
}
