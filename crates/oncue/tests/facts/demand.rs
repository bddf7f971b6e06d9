//! Watching demand while it changes: the snapshot and the stream of changes fit together.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use oncue::{DemandEvent, DemandWatch, Prefix, XPub};

use super::raw::*;

/// How long to wait before looking again.
const LOOK: Duration = Duration::from_millis(10);

/// What a watch has reported, which must be consistent at each step.
struct Told {
    watch: DemandWatch,
    wanted: HashSet<Prefix>,
    changes: u32,
}

impl Told {
    fn new(x: &XPub) -> Told {
        let watch = x.demand();
        let wanted: HashSet<_> = watch.snapshot().iter().cloned().collect();
        assert_eq!(wanted.len(), watch.snapshot().len(), "no prefix twice");
        Told { watch, wanted, changes: 0 }
    }

    fn take(&mut self, event: DemandEvent) {
        self.changes += 1;
        match event {
            DemandEvent::Wanted(p) => assert!(self.wanted.insert(p.clone()), "an overlap at {p}"),
            DemandEvent::Unwanted(p) => assert!(self.wanted.remove(&p), "a gap at {p}"),
        }
    }

    fn take_all(&mut self) {
        while let Some(event) = self.watch.try_next().unwrap() {
            self.take(event);
        }
    }
}

/// Ends the churn, also when a check has failed: otherwise the threads would be joined for ever.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Subscribes and cancels at random until told to end, and reconnects meanwhile.
fn churn(door: &Door, seed: u64, end: &AtomicBool) {
    let mut random = seed;
    while !end.load(Ordering::Relaxed) {
        let mut peer = door.peer(Zmtp::V3_1);
        for _ in 0..50 {
            let mut batch = Vec::new();
            for _ in 0..8 {
                random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                let prefix = format!("{}", (random >> 33) % 5);
                batch.extend(if random >> 63 == 0 { subscribe(&prefix) } else { cancel(&prefix) });
            }
            peer.send(batch);
        }
        peer.barrier();
    }
}

#[test]
fn a_snapshot_and_the_changes_after_it_meet() {
    both_sides(|side| {
        for io_threads in [1, 2] {
            let x = XPub::new(&engine_of(io_threads), options()).unwrap();
            let doors: Vec<_> = (0..3).map(|_| Door::new(&x, side)).collect();
            let mut steady = Door::new(&x, side).peer(Zmtp::V3_1);
            steady.send(subscribe("4"));
            assert_eq!(event(&x), "+4");
            let end = AtomicBool::new(false);
            std::thread::scope(|scope| {
                for (i, door) in doors.iter().enumerate() {
                    scope.spawn({
                        let end = &end;
                        move || churn(door, i as u64, end)
                    });
                }
                let ending = Ending(&end);
                let mut watched = Vec::new();
                for round in 0..300 {
                    // Read for a while, and then only at the end.
                    let mut told = Told::new(&x);
                    assert!(told.wanted.contains(&b"4"[..]));
                    let next = told.watch.next().wait_timeout(SOON).expect("there is churn").unwrap();
                    told.take(next);
                    told.take_all();
                    if round % 30 == 0 {
                        watched.push(told);
                    }
                }
                drop(ending);
                let end_by = Instant::now() + SOON;
                for told in &mut watched {
                    while told.wanted != HashSet::from([Prefix::from(&b"4"[..])])
                        || x.stats().peers > 1
                        || told.watch.try_next().unwrap().is_some_and(|event| {
                            told.take(event);
                            true
                        })
                    {
                        // A peer that wanted nothing alone leaves without an event.
                        assert!(Instant::now() < end_by, "all leave");
                        if let Some(event) = told.watch.next().wait_timeout(LOOK) {
                            told.take(event.unwrap());
                        }
                    }
                    assert!(told.changes > 100);
                }
            });
            steady.barrier();
        }
    });
}

#[test]
fn events_begin_with_what_is_wanted_when_they_are_first_asked_for() {
    both_sides(|side| {
        let x = XPub::new(&engine(), options()).unwrap();
        let door = Door::new(&x, side);
        let mut peer = door.peer(Zmtp::V3_1);
        peer.send(["a", "b", "c"].map(subscribe).concat());
        peer.send([cancel("a"), cancel("c"), subscribe("d")].concat());
        peer.barrier();
        let mut first = [event(&x), event(&x)];
        first.sort();
        assert_eq!(first, ["+b", "+d"]);
        no_event(&x);
        peer.send([cancel("b"), subscribe("b"), subscribe("a")].concat());
        assert_eq!([event(&x), event(&x), event(&x)], ["-b", "+b", "+a"]);
        drop(peer);
        let mut last = [event(&x), event(&x), event(&x)];
        last.sort();
        assert_eq!(last, ["-a", "-b", "-d"]);
    });
}
