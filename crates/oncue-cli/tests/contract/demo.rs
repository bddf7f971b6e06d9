//! `oncue demo`, and the page beside it.

use std::net::TcpListener;

use oncue_interop::http::{get, place};
use oncue_interop::program::Program;
use oncue_interop::until;
use oncue_observe::schema::{Demand, Routes, State};
use serde::de::DeserializeOwned;

use super::{ANY_PORT, oncue, received, subscriber};

#[test]
fn the_demo_ends_when_both_have_left_and_sums_up() {
    let mut program = oncue(&["demo", "--bind", ANY_PORT, "--every", "60ms"]);
    let endpoint = program.endpoint();
    assert!(program.line().contains("produces only what somebody subscribes to"));
    assert!(program.line().contains(&format!("sub {endpoint} --topic")));
    let end = program.end();
    assert_eq!(end.code, Some(0));
    let count = |text: &str| end.output.iter().filter(|line| line.contains(text)).count();
    assert_eq!((count("s1         receives"), count("s2         receives")), (10, 20));
    for (actor, topics, messages) in [("s1", ["a", "b"], 10), ("s2", ["b", "c"], 20)] {
        let said = end.output.iter().filter_map(|line| line.split_once(&format!("s  {actor}         ")));
        let said: Vec<_> = said.map(|(_, what)| what).collect();
        let [first, received @ .., last] = &said[..] else { panic!("{said:?}") };
        assert_eq!(*first, format!("connects, and subscribes to {} and {}", topics[0], topics[1]));
        for (at, line) in received.iter().enumerate() {
            let is_one = |topic: &&str| line.starts_with(&format!("receives \"{topic} "));
            assert!(topics.iter().any(is_one), "{line}");
            assert!(line.ends_with(&format!(" ({} of {messages})", at + 1)), "{line}");
        }
        assert_eq!(*last, format!("leaves after {messages} messages"));
    }
    assert_eq!(end.errors, <[&str; 0]>::default(), "there is no page");
    for topic in ["a", "b", "c"] {
        assert_eq!(
            (count(&format!("+ {topic} ")), count(&format!("- {topic} "))),
            (1, 1),
            "{topic}: {end:?}"
        );
    }
    // The values that were produced, and those that would have been, are counted in the lines.
    let number = |line: &String| line.split_once("tick ")?.1.split_once(':')?.0.parse::<usize>().ok();
    let ticks = end.output.iter().filter_map(number).max().expect("a tick");
    let values: usize = end
        .output
        .iter()
        .filter(|line| line.contains("sends"))
        .map(|line| line.matches('"').count() / 2)
        .sum();
    let summary = |what: &str| {
        let line = end
            .output
            .iter()
            .find(|line| line.trim_start().starts_with(what))
            .expect("a line of the summary");
        let number = line.split_whitespace().find_map(|word| word.parse::<usize>().ok());
        number.expect("a number in the line")
    };
    assert_eq!(summary("Summary"), ticks);
    assert_eq!(summary("produced on demand"), values);
    assert_eq!(summary("without demand"), 3 * ticks);
    assert_eq!(summary("saved"), 3 * ticks - values);
}

#[test]
fn the_demo_serves_other_subscribers() {
    let mut program = oncue(&["demo", "--bind", ANY_PORT, "--every", "10ms", "--forever"]);
    let subscriber = subscriber(&program.endpoint(), &["zebra"]);
    for _ in 0..3 {
        let frames = received(&subscriber);
        let [frame] = &frames[..] else { panic!("{} frames", frames.len()) };
        let number = frame.strip_prefix(b"zebra ").expect("the topic and a blank");
        assert!(!number.is_empty() && number.iter().all(u8::is_ascii_digit));
    }
    program.signal("INT");
    let end = program.end();
    assert_eq!(end.code, Some(0));
    assert!(
        end.output.iter().any(|line| line.contains("produced on demand") && line.contains("zebra")),
        "{end:?}"
    );
}

/// What a path says about the demo.
fn told<T: DeserializeOwned>(at: &str, target: &str) -> T {
    let answer = get(at, target);
    let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
    serde_json::from_str(body).unwrap_or_else(|why| panic!("{why}: {answer}"))
}

/// HOST:PORT of the page.
fn page_of(program: &mut Program) -> String {
    let line = program.error_line();
    assert!(line.starts_with("oncue demo: page at http://127.0.0.1:"), "{line}");
    place(&line).to_owned()
}

#[test]
fn the_demo_has_a_page_that_knows_its_topics() {
    let mut program = oncue(&["demo", "--bind", ANY_PORT, "--every", "20ms", "--page", "127.0.0.1:0"]);
    let endpoint = program.endpoint();
    let at = page_of(&mut program);
    assert!(get(&at, "/").contains("<title>Oncue</title>"));
    let routes: Routes = told(&at, "/routes");
    assert_eq!(routes.routes[0].catalogue, ["a", "b", "c"]);
    until("b is produced for both", || {
        let demand: Demand = told(&at, "/last/$oncue/demand");
        let b = demand.topics.iter().find(|topic| topic.topic == "b");
        b.is_some_and(|b| b.state == State::Running && b.subscribers == 2 && b.first_value_seconds.is_some())
    });
    // Others get the frames of the classic program, topics that no route has included.
    for topic in ["zebra", "no/route"] {
        let subscriber = subscriber(&endpoint, &[topic]);
        let frames = received(&subscriber);
        assert!(frames.len() == 1 && frames[0].starts_with(format!("{topic} ").as_bytes()), "{frames:?}");
    }
    until("values are saved", || {
        let routes: Routes = told(&at, "/routes");
        routes.routes[0].values > 0 && routes.routes[0].avoided > 0
    });
    let mut left = 0;
    // It goes on: s1 leaves, and comes again.
    while left < 2 {
        let line = program.line();
        assert!(!line.contains("$oncue/"), "those who look are not part of the story: {line}");
        left += usize::from(line.contains("s1         leaves"));
    }
    program.signal("INT");
    let end = program.end();
    assert_eq!(end.code, Some(0), "{end:?}");
    assert!(end.output.iter().any(|line| line.contains("produced on demand")), "{end:?}");
}

#[test]
fn the_usual_place_of_the_page_may_be_taken_and_others_may_not() {
    // If another program has it, that is as good.
    let _taken = TcpListener::bind("127.0.0.1:9180");
    let mut program = oncue(&["demo", "--bind", ANY_PORT, "--page"]);
    program.endpoint();
    let line = program.error_line();
    assert!(line.ends_with("/ (127.0.0.1:9180 is taken)"), "{line}");
    assert!(get(place(&line), "/").contains("<title>Oncue</title>"));
    program.signal("TERM");
    assert_eq!(program.end().code, Some(0));

    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("it is bound").to_string();
    let end = oncue(&["demo", "--bind", ANY_PORT, "--page", &port]).end();
    assert!(
        end.code == Some(1) && end.errors.iter().any(|line| line.contains("--page 127.0.0.1:0")),
        "{end:?}"
    );
    let end = oncue(&["demo", "--bind", ANY_PORT, "--page", "0.0.0.0:9180"]).end();
    assert!(end.code == Some(2) && end.errors.iter().any(|line| line.contains("not a loopback")), "{end:?}");
}
