//! Functions that are quick are called by the thread of the routes itself, and hold nobody up if they block one day.

use std::sync::atomic::AtomicBool;

use super::*;

/// The names of the threads that have called a function, in order.
type Threads = Arc<Mutex<Vec<String>>>;

fn noted(threads: &Threads) -> impl Fn() + Send + Sync + 'static {
    let threads = threads.clone();
    move || lock(&threads).push(thread::current().name().unwrap_or_default().to_owned())
}

/// Subscribes to one topic after the other, until a thread of the routes has called the function.
fn until_quick(sub: &Sub, threads: &Threads) {
    let mut n = 0;
    eventually("a thread of the routes calls the function itself", || {
        n += 1;
        sub.subscribe(format!("t/{n}")).unwrap();
        assert_eq!(text(sub), format!("t/{n} v"));
        lock(threads).last().is_some_and(|name| name.starts_with("oncue-demand"))
    });
    assert_eq!(lock(threads)[0], "oncue-every", "whether it is quick is not known at first");
}

#[test]
fn a_quick_function_that_blocks_one_day_holds_up_nobody_else() {
    let (threads, blocks) = (Threads::default(), Arc::new(AtomicBool::new(false)));
    let (note, is_blocking) = (noted(&threads), blocks.clone());
    let entered = Arc::new(AtomicUsize::new(0));
    let count = entered.clone();
    let od = OnDemand::bind(ENDPOINT)
        .unwrap()
        .route("t/{n}")
        .every(Duration::from_secs(3600), move |feed| {
            note();
            if is_blocking.load(SeqCst) {
                count.fetch_add(1, SeqCst);
                feed.wait_stopped();
            }
            "v"
        })
        .route("clock")
        .every(ms(5), |_| "tick")
        .start()
        .unwrap();
    let sub = subscriber(&od, &[]);
    until_quick(&sub, &threads);
    blocks.store(true, SeqCst);
    for n in 0..3 {
        sub.subscribe(format!("t/b{n}")).unwrap();
    }
    eventually("all three are called", || entered.load(SeqCst) == 3);
    assert!(od.responds_within(PATIENCE), "another thread has the helm");
    sub.subscribe("clock").unwrap();
    for _ in 0..20 {
        assert_eq!(text(&sub), "clock tick");
    }
    sub.unsubscribe("t/b1").unwrap();
    eventually("one of them stops", || {
        od.stats().now.stopping == 0 && od.topic_stats().iter().all(|t| t.topic != b"t/b1")
    });
    drop(od);
}

#[test]
fn a_batch_for_a_new_feed_is_called_by_the_thread_of_the_routes_too() {
    let threads = Threads::default();
    let note = noted(&threads);
    let od = OnDemand::bind(ENDPOINT)
        .unwrap()
        .route("t/{n}")
        .batch(Duration::from_secs(3600), move |feeds| {
            note();
            for feed in feeds {
                let _ = feed.publish("v");
            }
        })
        .start()
        .unwrap();
    until_quick(&subscriber(&od, &[]), &threads);
}

#[test]
fn a_slow_function_is_never_called_by_the_thread_of_the_routes() {
    let threads = Threads::default();
    let note = noted(&threads);
    let od = OnDemand::bind(ENDPOINT)
        .unwrap()
        .route("t/{n}")
        .every(Duration::from_secs(3600), move |_| {
            note();
            thread::sleep(ms(20));
            "v"
        })
        .start()
        .unwrap();
    let sub = subscriber(&od, &[]);
    for n in 0..10 {
        sub.subscribe(format!("t/{n}")).unwrap();
        assert_eq!(text(&sub), format!("t/{n} v"));
    }
    assert!(lock(&threads).iter().all(|name| name == "oncue-every"));
}
