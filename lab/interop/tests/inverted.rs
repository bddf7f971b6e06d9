//! `invert_matching`, with libzmq on either side.

use oncue::{Engine, Options, Pub, Sub};
use oncue_interop::foreign::Foreign;
use oncue_interop::peers::settle;
use oncue_interop::within_a_minute;

fn options() -> Options {
    Options::new().invert_matching(true)
}

#[test]
fn inverted_matching_agrees_with_libzmq() {
    within_a_minute(|| {
        let engine = Engine::start().expect("an engine");
        let mut ours = Pub::new(&engine, options()).expect("our PUB");
        let mut theirs = Foreign::new("SUB").set("INVERT_MATCHING", 1);
        theirs.connect(&ours.bind("tcp://127.0.0.1:0").expect("our PUB binds").to_string());
        theirs.subscribe(b"a");
        settle(&mut ours, &mut theirs, b"b", b"a", false);
        theirs.unsubscribe(b"a");
        settle(&mut ours, &mut theirs, b"b", b"a", true);

        let mut theirs = Foreign::new("PUB").set("INVERT_MATCHING", 1);
        let mut ours = Sub::new(&engine, options()).expect("our SUB");
        ours.connect(&theirs.bind("tcp://127.0.0.1:*")).expect("our SUB connects");
        ours.subscribe("a").expect("a subscription");
        settle(&mut theirs, &mut ours, b"b", b"a", false);
        ours.unsubscribe("a").expect("there was one");
        settle(&mut theirs, &mut ours, b"b", b"a", true);
    });
}
