//! What a periodic function may return.

use super::*;
use crate::State;

#[test]
fn an_error_makes_the_topic_stale_and_is_tried_again_after_the_backoff() {
    let calls = Arc::new(AtomicUsize::new(0));
    let (count, reports) = (calls.clone(), Arc::new(Mutex::new(Vec::new())));
    let reported = reports.clone();
    let od = OnDemand::bind(ENDPOINT)
        .unwrap()
        .on_failure(move |feed, failure| {
            lock(&reported).push(format!("{} {failure}", feed.topic().escape_ascii()))
        })
        .route("e")
        .backoff(ms(20), ms(20))
        .every(PATIENCE, move |_| match count.fetch_add(1, SeqCst) {
            0 => Ok(Some("first")),
            _ => Err("unused"),
        })
        .route("f")
        .backoff(ms(20), ms(20))
        .every(2 * PATIENCE, |feed| -> Result<Option<String>, std::num::ParseIntError> {
            // Fails twice, and has a value at the third start.
            let n = feed.generation();
            let text = if n < 4 { "no number".to_owned() } else { n.to_string() };
            Ok(Some(text.parse::<u64>()?.to_string()))
        })
        .start()
        .unwrap();
    let sub = subscriber(&od, &["e"]);
    assert_eq!(text(&sub), "e first");
    let start = Instant::now();
    sub.subscribe("f").unwrap();
    assert_eq!(text(&sub), "f 4");
    assert!(start.elapsed() >= ms(40) && start.elapsed() < PATIENCE, "{:?}", start.elapsed());
    assert_eq!((od.stats().done.failed, od.stats().now.running), (2, 2));
    assert_eq!(lock(&reports)[0], "f the producer failed: invalid digit found in string");
    let mut stale = 0;
    while let Ok(Some(state)) = sub.try_state() {
        stale += u32::from(&*state.topic == b"f" && state.state == State::Stale);
    }
    assert!(stale > 0, "subscribers are told");
}

#[test]
fn none_sends_nothing_and_the_feed_goes_on() {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    let od = OnDemand::bind(ENDPOINT)
        .unwrap()
        .route("n")
        .every(ms(2), move |_| {
            let n = count.fetch_add(1, SeqCst);
            Ok::<_, std::io::Error>((n % 3 == 2).then(|| n.to_string()))
        })
        .start()
        .unwrap();
    let sub = subscriber(&od, &["n"]);
    assert_eq!([text(&sub), text(&sub), text(&sub)], ["n 2", "n 5", "n 8"]);
    assert_eq!((od.stats().done.failed, od.stats().done.started), (0, 1));
}

#[test]
fn a_plain_value_is_whatever_is_bytes() {
    fn function(_: &Feed) -> [u8; 2] {
        *b"fn"
    }
    let od = OnDemand::bind(ENDPOINT)
        .unwrap()
        .route("text")
        .every(PATIENCE, |_| "text")
        .route("string")
        .every(PATIENCE, |feed| format!("{}", feed.generation() > 0))
        .route("bytes")
        .every(PATIENCE, |_| vec![b'v'])
        .route("function")
        .every(PATIENCE, function)
        .route("boxed")
        .every(PATIENCE, |_| -> Result<Option<Vec<u8>>, Box<dyn std::error::Error + Send + Sync>> {
            Ok(Some(vec![b'b']))
        })
        .start()
        .unwrap();
    let sub = subscriber(&od, &[""]);
    let mut all: Vec<_> = (0..5).map(|_| text(&sub)).collect();
    all.sort();
    assert_eq!(all, ["boxed b", "bytes v", "function fn", "string true", "text text"]);
}
