//! Files as producers.

use std::fs;

use crate::Directory;

#[test]
fn appended_lines_are_values_even_if_the_file_is_truncated_or_replaced() {
    let directory = Directory::new();
    directory.write("logs/app.log", "before\n");
    let mut server =
        directory.serve("[[route]]\ntopic = 'log/{name:word}'\nfile = 'logs/{name}.log'\nevery = '5ms'\n");
    let subscriber = server.subscriber(&["log/app"]);
    assert_eq!(server.program.line(), "+ log/app");
    // Lines appended before the first look, which may be under way, are not values.
    let mut first = 0;
    while subscriber.is_quiet(std::time::Duration::from_millis(20)) {
        first += 1;
        directory.append("logs/app.log", &format!("{first}\n"));
    }
    directory.append("logs/app.log", "two\n");
    while subscriber.value() != "two" {}
    directory.write("logs/app.log", "cut\n");
    assert_eq!(subscriber.next(), ("log/app".into(), "cut".into()));
    fs::rename(directory.path("logs/app.log"), directory.path("logs/app.log.1")).expect("a rename");
    server.error_with("cannot be read now");
    directory.write("logs/app.log", "new\n");
    assert_eq!(subscriber.next(), ("log/app".into(), "new".into()));
    drop(subscriber);
    assert_eq!(server.program.line(), "- log/app");
}

#[test]
fn the_content_of_a_file_is_a_value_at_once_and_when_it_changes() {
    let directory = Directory::new();
    directory.write("state", "one\n");
    let server =
        directory.serve("[[route]]\ntopic = 'state'\nfile = 'state'\nmode = 'content'\nevery = '5ms'\n");
    let subscriber = server.subscriber(&["state"]);
    assert_eq!(subscriber.value(), "one");
    // Renamed into place: a look must not see it half written.
    let new = directory.write("state.new", "two\nlines");
    fs::rename(new, directory.path("state")).expect("a rename");
    assert_eq!(subscriber.value(), "two\nlines");
}

#[test]
fn no_topic_leads_out_of_the_directory() {
    let directory = Directory::new();
    directory.write("secret.log", "secret\n");
    directory.write("logs/.hidden.log", "hidden\n");
    directory.write("logs/ok.log", "ok\n");
    std::os::unix::fs::symlink("../secret.log", directory.path("logs/link.log")).expect("a link");
    let mut server = directory.serve(
        "[[route]]\ntopic = 'log/{name}'\nfile = 'logs/{name}.log'\nmode = 'content'\nevery = '5ms'\n\
         [[route]]\ntopic = 'dir/{dir}/{name}'\nfile = 'logs/{dir}/{name}.log'\nmode = 'content'\nevery = '5ms'\n",
    );
    let subscriber = server.subscriber(&["log/link"]);
    server.error_with("log/link: the file cannot be read");
    for topic in ["log/.hidden", "dir/../secret", "dir/./ok", "log/ok\0"] {
        subscriber.0.subscribe(topic).expect("a subscription");
        server.error_with("refused: ");
    }
    subscriber.0.subscribe("log/ok").expect("a subscription");
    assert_eq!(subscriber.next(), ("log/ok".into(), "ok".into()), "nothing came before");
}
