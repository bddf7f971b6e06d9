//! Values that are good enough for a while: `fresh_for` and `once`.

use super::*;
use crate::State;

/// Counts the calls of a producer.
fn counter() -> (Arc<AtomicUsize>, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    (calls.clone(), calls)
}

/// Waits until no feed runs or stops.
fn idle(od: &OnDemand) {
    eventually("no feed is left", || od.stats().now.running + od.stats().now.stopping == 0);
}

#[test]
fn a_subscriber_that_comes_back_gets_the_fresh_value_and_nothing_is_produced() {
    let (calls, called) = counter();
    let (batched, in_batch) = counter();
    let (threads, started) = counter();
    let od = OnDemand::bind(ENDPOINT)
        .unwrap()
        .route("every")
        .fresh_for(PATIENCE)
        .every(ms(2), move |_| called.fetch_add(1, SeqCst).to_string())
        .route("batch/{x}")
        .fresh_for(PATIENCE)
        .batch(ms(2), move |feeds| {
            let call = in_batch.fetch_add(1, SeqCst).to_string();
            feeds.iter().for_each(|feed| feed.publish(&call).unwrap_or_default());
        })
        .route("thread")
        .fresh_for(PATIENCE)
        .thread(move |feed| {
            feed.publish(started.fetch_add(1, SeqCst).to_string())?;
            feed.wait_stopped();
            Ok(())
        })
        .start()
        .unwrap();
    let saved = |route: usize| od.route_stats()[route].done.ticks_fresh;
    for (route, topic) in ["every", "batch/1", "thread"].into_iter().enumerate() {
        for round in 0..3 {
            let before = saved(route);
            let sub = subscriber(&od, &[topic]);
            assert_eq!(text(&sub), format!("{topic} 0"), "round {round}");
            let told = sub.state().wait_timeout(PATIENCE).expect("a state comes").unwrap();
            assert_eq!(told.state, State::Active);
            eventually("runs are saved", || saved(route) > before || topic == "thread");
            assert_eq!(subscriber(&od, &[topic]).recv().wait().unwrap().frame(1), Some(&b"0"[..]));
            assert!(sub.try_recv().unwrap().is_none(), "no other value comes");
            drop(sub);
            idle(&od);
        }
    }
    assert_eq!([&calls, &batched, &threads].map(|calls| calls.load(SeqCst)), [1, 1, 1]);
    let stats = od.route_stats();
    // One in each later round; those of the first round may be of the first route alone.
    assert!(stats[0].done.ticks_fresh >= 3 && stats[1].done.ticks_fresh >= 2);
    assert_eq!((stats[2].done.ticks_fresh, stats[2].done.started), (2, 3));
}

#[test]
fn a_value_that_is_too_old_is_replaced_at_once_and_forgotten_without_a_feed() {
    let fresh = ms(40);
    let (sender, times) = channel();
    let sender = Mutex::new(sender);
    let od = OnDemand::bind(ENDPOINT)
        .unwrap()
        .route("t")
        .fresh_for(fresh)
        .every(ms(3), move |_| {
            let _ = lock(&sender).send(Instant::now());
            "value"
        })
        .route("slow")
        .fresh_for(fresh)
        .every(PATIENCE, |feed| feed.generation().to_string())
        .start()
        .unwrap();
    let sub = subscriber(&od, &["t"]);
    let times: Vec<_> = (0..5).map(|_| times.recv_timeout(PATIENCE).expect("it is produced")).collect();
    for pair in times.windows(2) {
        assert!(pair[1] - pair[0] >= fresh, "{times:?}");
    }
    drop(sub);
    idle(&od);
    eventually("it is kept only while it is fresh", || od.xpub().last("t").is_none());
    // A later feed produces anew.
    let first = text(&subscriber(&od, &["slow"]));
    idle(&od);
    eventually("it is too old", || od.xpub().last("slow").is_none());
    assert_ne!(text(&subscriber(&od, &["slow"])), first);
}

#[test]
fn outliving_values_of_another_age_are_kept_as_they_say() {
    let od = OnDemand::bind(ENDPOINT)
        .unwrap()
        .route("t")
        .keep_last_with(LastLimits { outlive: true, ..LastLimits::default() })
        .fresh_for(ms(10))
        .every(PATIENCE, |feed| feed.generation().to_string())
        .start()
        .unwrap();
    let first = text(&subscriber(&od, &["t"]));
    idle(&od);
    thread::sleep(ms(15));
    let sub = subscriber(&od, &["t"]);
    assert_eq!(text(&sub), first, "the old one first, and then");
    assert_ne!(text(&sub), first, "one is produced");
}

#[test]
fn a_producer_may_ask_how_long_its_value_is_fresh() {
    let (builder, changes) =
        manual(OnDemand::bind(ENDPOINT).unwrap().route("t").fresh_for(PATIENCE).max_rate(ms(1)));
    let od = builder.start().unwrap();
    let sub = subscriber(&od, &["t"]);
    let feed = started(&changes);
    assert_eq!((feed.fresh_for(), feed.skip_for_freshness()), (None, false));
    feed.publish("value").unwrap();
    assert!(feed.fresh_for().is_some_and(|left| left > PATIENCE / 2 && left <= PATIENCE));
    assert!(feed.skip_for_freshness());
    assert_eq!(od.stats().done.ticks_fresh, 1);
    drop(sub);
    stopped(&changes);
    assert_eq!(feed.wait_while_fresh(), Err(Stopped));
    let _sub = subscriber(&od, &["t"]);
    assert!(started(&changes).fresh_for().is_some(), "of the feed before");
}

#[test]
fn once_a_value_is_there_its_feed_rests_until_the_last_subscriber_has_gone() {
    let (calls, called) = counter();
    let (asked, asks) = counter();
    let (batched, in_batch) = counter();
    let od = OnDemand::bind(ENDPOINT)
        .unwrap()
        .route("thread")
        .once(true)
        .thread(move |feed| Ok(feed.publish(called.fetch_add(1, SeqCst).to_string())?))
        .route("every")
        .once(true)
        .every(ms(2), move |_| -> io::Result<_> {
            let call = asks.fetch_add(1, SeqCst);
            Ok((call % 3 == 2).then(|| call.to_string()))
        })
        .route("batch")
        .once(true)
        .batch(ms(2), move |feeds| {
            let call = in_batch.fetch_add(1, SeqCst).to_string();
            feeds.iter().for_each(|feed| feed.publish(&call).unwrap_or_default());
        })
        .start()
        .unwrap();
    for round in 0..3 {
        let sub = subscriber(&od, &["thread", "every", "batch"]);
        let mut values = [text(&sub), text(&sub), text(&sub)];
        values.sort();
        let last = format!("every {}", 3 * round + 2);
        assert_eq!(values, [format!("batch {round}"), last.clone(), format!("thread {round}")]);
        assert_eq!(text(&subscriber(&od, &["thread"])), format!("thread {round}"), "for later ones too");
        assert_eq!(text(&subscriber(&od, &["every"])), last);
        eventually("the others run, and rest", || od.stats().now.running == 3);
        thread::sleep(ms(20));
        assert!(sub.try_recv().unwrap().is_none());
        while let Some(told) = sub.try_state().unwrap() {
            assert_eq!(told.state, State::Active, "{told:?}");
        }
        drop(sub);
        idle(&od);
        assert!(od.xpub().last("thread").is_none() && od.xpub().last("every").is_none());
    }
    assert_eq!([&calls, &asked, &batched].map(|calls| calls.load(SeqCst)), [3, 9, 3]);
    assert_eq!(od.stats().done.failed, 0);
}

#[test]
fn once_with_a_time_is_again_when_the_value_is_too_old() {
    let fresh = ms(30);
    let sent = Arc::new(Mutex::new(Vec::new()));
    let (in_thread, in_every) = (sent.clone(), sent.clone());
    let od = OnDemand::bind(ENDPOINT)
        .unwrap()
        .route("thread")
        .once(true)
        .fresh_for(fresh)
        .thread(move |feed| {
            lock(&in_thread).push(("thread", Instant::now()));
            Ok(feed.publish("value")?)
        })
        .route("every")
        .once(true)
        .fresh_for(fresh)
        .every(PATIENCE, move |_| {
            lock(&in_every).push(("every", Instant::now()));
            "value"
        })
        .start()
        .unwrap();
    let _sub = subscriber(&od, &["thread", "every"]);
    for route in ["thread", "every"] {
        let times = || {
            let sent = lock(&sent);
            sent.iter().filter(|(of, _)| *of == route).map(|(_, at)| *at).collect::<Vec<_>>()
        };
        eventually("it comes again and again", || times().len() >= 4);
        assert!(times().windows(2).all(|pair| pair[1] - pair[0] >= fresh));
    }
    assert_eq!(od.stats().done.started, 2, "by the same feeds");
}

#[test]
fn a_thread_that_returns_when_its_value_is_too_old_is_called_again() {
    let od = OnDemand::bind(ENDPOINT)
        .unwrap()
        .route("t")
        .once(true)
        .fresh_for(ms(5))
        .thread({
            let (_, calls) = counter();
            move |feed| {
                feed.publish(calls.fetch_add(1, SeqCst).to_string())?;
                thread::sleep(ms(20));
                Ok(())
            }
        })
        .start()
        .unwrap();
    let sub = subscriber(&od, &["t"]);
    for call in 0..3 {
        assert_eq!(text(&sub), format!("t {call}"));
    }
    assert_eq!(od.stats().done.started, 1, "the same feed");
}

#[test]
fn a_failure_of_what_is_produced_once_is_tried_again() {
    let (calls, called) = counter();
    let od = OnDemand::bind(ENDPOINT)
        .unwrap()
        .route("t")
        .once(true)
        .backoff(ms(1), ms(1))
        .thread(move |feed| match called.fetch_add(1, SeqCst) {
            0 | 1 => Err("not now".into()),
            _ => Ok(feed.publish("value")?),
        })
        .route("nothing")
        .once(true)
        .thread(|_| Ok(()))
        .start()
        .unwrap();
    let sub = subscriber(&od, &["t"]);
    assert_eq!(text(&sub), "t value");
    assert_eq!((calls.load(SeqCst), od.stats().done.failed), (3, 2));
    let none = subscriber(&od, &["nothing"]);
    let told = none.state().wait_timeout(PATIENCE).expect("a state comes").unwrap();
    assert_eq!(told.state, State::Closed, "without a value there is nothing to rest on");
}

#[test]
fn contradictions_about_freshness_are_refused() {
    let refused = |route: RouteBuilder| route.every(ms(1), |_| "").check().unwrap_err().to_string();
    let route = || OnDemand::routes().route("t");
    let why = refused(route().fresh_for(Duration::ZERO));
    assert!(why.contains("`t`") && why.contains("`fresh_for`"), "{why}");
    let young = LastLimits { age_max: Some(ms(9)), ..LastLimits::default() };
    let why = refused(route().keep_last_with(young).fresh_for(ms(10)));
    assert!(why.contains("make `age_max` at least as long as `fresh_for`"), "{why}");
    let why = route().once(true).manual(|_| ()).check().unwrap_err().to_string();
    assert!(why.contains("produce it by `every`"), "{why}");
}
