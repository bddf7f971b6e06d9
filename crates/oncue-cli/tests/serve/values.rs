//! Values that are good enough for a while, and the frames of messages.

use std::fs;
use std::time::Duration;

use oncue_interop::PATIENCE;
use oncue_interop::until;

use crate::{Directory, Server};

/// How often a program has run that appends a line to this file.
fn runs(directory: &Directory, file: &str) -> usize {
    fs::read_to_string(directory.path(file)).map_or(0, |text| text.lines().count())
}

/// Whether nothing of a route is produced.
fn is_idle(server: &mut Server, route: &str) -> bool {
    server.program.signal("USR1");
    server.error_with(&format!("route {route}:")).contains(" 0 produced now")
}

#[test]
fn a_value_that_is_fresh_is_not_produced_again() {
    let directory = Directory::new();
    let program =
        |file: &str| format!("command = ['sh', '-c', 'echo >> {file}; wc -l < {file}']\nfresh_for = '1h'\n");
    let mut server = directory.serve(&format!(
        "[[route]]\ntopic = 'every'\nevery = '10ms'\n{}[[route]]\ntopic = 'stream'\nmode = 'stream'\n{}",
        program("e"),
        program("s")
    ));
    for topic in ["every", "stream"] {
        for _ in 0..3 {
            let subscriber = server.subscriber(&[topic]);
            assert_eq!(subscriber.value().trim(), "1");
            assert_eq!(server.subscriber(&[topic]).value().trim(), "1", "a later one gets it too");
            drop(subscriber);
            until("its feed has stopped", || is_idle(&mut server, topic));
        }
    }
    assert_eq!((runs(&directory, "e"), runs(&directory, "s")), (1, 1));
    server.program.signal("USR1");
    let line = server.error_with("route every");
    assert!(line.contains("saved because the value was fresh"), "{line}");
}

#[test]
fn a_value_that_is_too_old_is_produced_again() {
    let directory = Directory::new();
    let server = directory
        .serve("[[route]]\ntopic = 't'\nevery = '1ms'\nfresh_for = '40ms'\ncommand = ['date', '+%s%N']\n");
    let subscriber = server.subscriber(&["t"]);
    let times: Vec<u64> = (0..4).map(|_| subscriber.value().trim().parse().expect("a time")).collect();
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] > 39_000_000), "{times:?}");
}

#[test]
fn what_is_produced_once_rests_until_nobody_wants_it() {
    let directory = Directory::new();
    let program =
        |file: &str| format!("command = ['sh', '-c', 'echo >> {file}; wc -l < {file}']\nonce = true\n");
    let mut server = directory.serve(&format!(
        "[[route]]\ntopic = 'every'\nevery = '1ms'\n{}[[route]]\ntopic = 'stream'\nmode = 'stream'\n{}\
         [[route]]\ntopic = 'again'\nmode = 'stream'\nfresh_for = '20ms'\n{}",
        program("e"),
        program("s"),
        program("a")
    ));
    for round in 1..=2 {
        for (topic, file) in [("every", "e"), ("stream", "s")] {
            let subscriber = server.subscriber(&[topic]);
            assert_eq!(subscriber.value().trim(), round.to_string());
            assert!(subscriber.is_quiet(Duration::from_millis(100)));
            let state = subscriber.0.state().wait_timeout(PATIENCE).expect("a state").expect("a state");
            assert_eq!(state.state.to_string(), "active", "it has not ended");
            assert_eq!(server.subscriber(&[topic]).value().trim(), round.to_string());
            assert_eq!(runs(&directory, file), round);
            drop(subscriber);
            until("its feed has stopped", || is_idle(&mut server, topic));
        }
    }
    let subscriber = server.subscriber(&["again"]);
    until("it is produced again and again", || subscriber.value().trim() == "4");
}

#[test]
fn a_message_has_the_frames_that_its_route_says() {
    let directory = Directory::new();
    let server = directory.serve(
        "[[route]]\ntopic = 'one/{x}'\nevery = '20ms'\ncommand = ['echo', 'v']\nframes = ['{topic} {value}']\n\
         [[route]]\ntopic = 'more/{x}'\nmode = 'stream'\ncommand = ['sh', '-c', 'echo v; echo v; sleep 60']\n\
         keep_last = true\nframes = ['{topic}', '{count}', '{x}', '{value}']\n",
    );
    let next = |topic: &str| {
        let subscriber = server.subscriber(&[topic]);
        let message = subscriber.0.recv().wait_timeout(PATIENCE).expect("a message").expect("a message");
        let frames: Vec<_> = message.frames().map(<[u8]>::to_vec).collect();
        (subscriber, frames)
    };
    assert_eq!(next("one/1").1, [b"one/1 v"]);
    let (_subscriber, frames) = next("more/a");
    let expected: [&[u8]; 4] = [b"more/a", &[1, 0, 0, 0, 0, 0, 0, 0], b"a", b"v"];
    assert_eq!(frames, expected);
    until("the last one is kept", || next("more/a").1[1] == [2, 0, 0, 0, 0, 0, 0, 0]);
}
