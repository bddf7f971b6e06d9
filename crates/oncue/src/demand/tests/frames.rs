//! The frames of messages.

use super::*;

/// The next message: its frames as text.
fn frames(sub: &Sub) -> Vec<String> {
    receive(sub).frames().map(|frame| frame.escape_ascii().to_string()).collect()
}

fn number(n: u8) -> String {
    [n, 0, 0, 0, 0, 0, 0, 0].escape_ascii().to_string()
}

#[test]
fn a_message_has_the_frames_that_its_route_says() {
    let od = OnDemand::bind(ENDPOINT)
        .unwrap()
        .route("one/{x}")
        .frames(["{topic} {value}"])
        .every(ms(5), |_| "v")
        .route("more/{a}-{b}")
        .frames(["{topic}", "{b}{{{a}}}", "{count}", "", "{value}{value}"])
        .batch(ms(5), |feeds| feeds.iter().for_each(|feed| feed.publish("v").unwrap_or_default()))
        .route("plain")
        .frames(["{topic}", "{value}"])
        .every(ms(5), |_| "v")
        .start()
        .unwrap();
    assert_eq!(frames(&subscriber(&od, &["one/1"])), ["one/1 v"]);
    assert_eq!(frames(&subscriber(&od, &["plain"])), ["plain", "v"]);
    let sub = subscriber(&od, &["more/1-2"]);
    assert_eq!(frames(&sub), ["more/1-2", "2{1}", &number(1), "", "vv"]);
    assert_eq!(frames(&sub)[2], number(2));
}

#[test]
fn a_count_goes_on_over_feeds_and_ends_with_the_route() {
    let layout = |builder: Builder| manual(builder.route("t/{x}").frames(["{topic}", "{count}"]));
    let (builder, changes) = layout(OnDemand::bind(ENDPOINT).unwrap());
    let od = builder.start().unwrap();
    for n in [1, 3] {
        let sub = subscriber(&od, &["t/1"]);
        let feed = started(&changes);
        feed.publish("").unwrap();
        feed.publish_frames(&[b"own"]).unwrap();
        feed.publish("").unwrap();
        assert_eq!(frames(&sub), ["t/1", &number(n)]);
        assert_eq!(frames(&sub), ["t/1", "own"], "which does not count");
        assert_eq!(frames(&sub), ["t/1", &number(n + 1)]);
        drop(sub);
        stopped(&changes);
    }
    let other = subscriber(&od, &["t/2"]);
    started(&changes).publish("").unwrap();
    assert_eq!(frames(&other), ["t/2", &number(1)], "each topic has its own");
    let (builder, changes) = layout(od.builder());
    od.reload(builder).unwrap();
    started(&changes).publish("").unwrap();
    assert_eq!(frames(&other), ["t/2", &number(1)]);
}

#[test]
fn frames_may_be_kept_held_and_filled_in() {
    let (builder, changes) = manual(
        OnDemand::bind(ENDPOINT)
            .unwrap()
            .route("t/{x}")
            .frames(["{topic} {count} {value}"])
            .max_rate(ms(30))
            .keep_last_with(LastLimits { age_max: Some(PATIENCE), outlive: true, ..LastLimits::default() })
            .fill(|_| Some("filled")),
    );
    let od = builder.start().unwrap();
    let sub = subscriber(&od, &["t/1"]);
    let feed = started(&changes);
    assert_eq!(frames(&sub), [format!("t/1 {} filled", number(1))]);
    // The socket keeps one value of the topic, whatever its first frame is.
    for (sent, first) in [("a", format!("t/1 {} a", number(2))), ("b", format!("t/1 {} b", number(3)))] {
        feed.publish(sent).unwrap();
        assert_eq!(frames(&sub).join("|"), first);
        assert_eq!(frames(&subscriber(&od, &["t/1"])).join("|"), first);
        assert_eq!(od.xpub().last("t/1").unwrap().topic().escape_ascii().to_string(), first);
        assert_eq!(od.xpub().stats().last_values, 1);
    }
    // Of those that are held the newest is sent, one value or frames.
    let last = || {
        let last = od.xpub().last("t/1").unwrap();
        last.frames().map(|frame| frame.escape_ascii().to_string()).collect::<Vec<_>>()
    };
    let superseded = || od.stats().done.superseded;
    while superseded() == 0 {
        feed.publish("c").unwrap();
        feed.publish_frames(&[b"d", b"e"]).unwrap();
    }
    eventually("the frames are sent", || last() == ["t/1", "d", "e"]);
    assert_eq!(frames(&subscriber(&od, &["t/1"])), ["t/1", "d", "e"]);
    let before = superseded();
    while superseded() == before {
        feed.publish_frames(&[b"f"]).unwrap();
        feed.publish("g").unwrap();
    }
    eventually("the value is sent", || last()[0].ends_with(" g"));
    assert_eq!(feed.publish_frames(&[]), Ok(()));
    eventually("the topic alone is sent", || last() == ["t/1"]);
    drop(sub);
    stopped(&changes);
    assert_eq!(feed.publish_frames(&[b"late"]), Err(Stopped));
    assert_eq!(frames(&subscriber(&od, &["t/1"])), ["t/1"], "it outlives its feed");
}

#[test]
fn several_feeds_that_publish_together_keep_their_frames() {
    let (builder, changes) =
        manual(OnDemand::bind(ENDPOINT).unwrap().route("t/{x}").frames(["{topic}={value}"]));
    let od = builder.start().unwrap();
    let sub = subscriber(&od, &["t/1", "t/2"]);
    let (one, two) = (started(&changes), started(&changes));
    assert_eq!(Feed::publish_all(&[(&one, b"a"), (&two, b"b")]), 0);
    let mut got = [frames(&sub).join(" "), frames(&sub).join(" ")];
    got.sort();
    let mut sent =
        [(&one, "a"), (&two, "b")].map(|(feed, value)| format!("{}={value}", feed.topic().escape_ascii()));
    sent.sort();
    assert_eq!(got, sent);
    drop(od);
}

#[test]
fn wrong_frames_are_refused_with_the_remedy() {
    let refused = |pattern: &str, frames: &[&str]| {
        let route = OnDemand::routes().route(pattern).frames(frames.iter().copied());
        route.every(ms(1), |_| "").check().unwrap_err().to_string()
    };
    let begins = "does not begin with `{topic}`";
    let cases = [
        (refused("t", &[]), begins),
        (refused("t", &["{value}", "{topic}"]), begins),
        (refused("t", &["{{topic}}"]), begins),
        (refused("t", &["{topic}", "{valu}"]), "`{valu}`"),
        (refused("t/{x}", &["{topic}", "{y}"]), "`{y}`"),
        (refused("t", &["{topic}", "{"]), "{{"),
        (refused("t/{count}", &["{topic}"]), "parameter `{count}`"),
    ];
    for (why, part) in cases {
        assert!(why.contains("the route `t") && why.contains(part), "{part}: {why}");
    }
}

#[test]
fn values_published_together_have_the_frames_and_counts_of_their_route() {
    let builder = OnDemand::bind(ENDPOINT).unwrap().route("t/{x}").frames(["{topic} {value}", "{count}"]);
    let (builder, changes) = manual(builder);
    let od = builder.start().unwrap();
    let sub = subscriber(&od, &["t/1", "t/2"]);
    let (a, b) = (started(&changes), started(&changes));
    let topics = [a.topic(), b.topic()].map(|topic| topic.escape_ascii().to_string());
    a.publish("0").unwrap();
    assert_eq!(Feed::publish_all(&[(&a, b"1"), (&b, b"2"), (&a, b"3"), (&a, b"4")]), 0);
    b.publish("5").unwrap();
    for (topic, value, count) in [(0, 0, 1), (0, 1, 2), (1, 2, 1), (0, 3, 3), (0, 4, 4), (1, 5, 2)] {
        assert_eq!(frames(&sub), [format!("{} {value}", topics[topic]), number(count)]);
    }
}
