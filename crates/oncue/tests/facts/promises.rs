//! What `send` promises, whatever the caller's types do and however many threads call it.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use oncue::{Batch, OnFull, Pub, Sub};

use super::raw::*;

/// Bytes that panic when they are asked for the `nth` time.
struct Panicking {
    nth: u32,
    asked: Cell<u32>,
}

impl AsRef<[u8]> for Panicking {
    fn as_ref(&self) -> &[u8] {
        self.asked.set(self.asked.get() + 1);
        assert!(self.asked.get() < self.nth, "on purpose");
        b"never sent"
    }
}

/// Bytes that grow each time they are asked for.
#[derive(Default)]
struct Growing(Cell<usize>);

impl AsRef<[u8]> for Growing {
    fn as_ref(&self) -> &[u8] {
        self.0.set(self.0.get() + 200);
        &[b'g'; 4000][..self.0.get()]
    }
}

#[test]
fn a_message_that_panics_leaves_no_bytes_behind() {
    let x = Pub::new(&engine(), options()).unwrap();
    let door = Door::new(&x, Side::Binding);
    let mut peer = door.peer(Zmtp::V3_1);
    peer.send(subscribe("t"));
    while !x.wanted("t") {
        std::thread::yield_now();
    }
    let mut batch = Batch::new();
    for i in 0..100 {
        let text = i.to_string();
        x.send(("t", &text)).unwrap();
        // A single message is examined before it is encoded; one that follows at once is encoded behind those that wait.
        for nth in [1, 2] {
            let bad = ("t", Panicking { nth, asked: Cell::new(0) });
            let panicked = |send: &mut dyn FnMut()| catch_unwind(AssertUnwindSafe(send)).is_err();
            let in_send = panicked(&mut || x.send(&bad).unwrap());
            assert!(in_send || nth == 2);
            assert!(panicked(&mut || batch.push(&bad).unwrap()) || in_send || nth == 2);
            if !in_send {
                peer.expect(message(&["t", &text]));
                peer.expect(message(&["t", "never sent"]));
            }
            if nth == 1 {
                assert!(panicked(&mut || x.send_last(&bad).unwrap()));
                assert!(panicked(&mut || x.keep_last(&bad).unwrap()));
            }
            if !in_send {
                x.send(("t", &text)).unwrap();
            }
        }
        batch.push(("t", "batch")).unwrap();
        assert_eq!(batch.len(), 1);
        x.send_many(&mut batch).unwrap();
        peer.expect(message(&["t", &text]));
        peer.expect(message(&["t", "batch"]));
        peer.barrier();
    }
}

#[test]
fn bytes_that_are_others_each_time_make_whole_messages() {
    let x = Pub::new(&engine(), options()).unwrap();
    let door = Door::new(&x, Side::Binding);
    let mut peer = door.peer(Zmtp::V3_1);
    peer.send(subscribe("t"));
    while !x.wanted("t") {
        std::thread::yield_now();
    }
    for i in 0..200 {
        for _ in 0..3 {
            x.send(("t", Growing::default())).unwrap();
        }
        x.send_last(("t", Growing::default())).unwrap();
        for _ in 0..4 {
            let frames = peer.message();
            assert!(frames.len() == 2 && frames[1].iter().all(|b| *b == b'g'), "round {i}");
        }
    }
}

#[test]
fn the_waiting_forms_drop_nothing_whatever_the_policy() {
    const THREADS: usize = 8;
    const EACH: usize = 3000;
    for policy in [OnFull::DropNewest, OnFull::Refuse] {
        // Little room in the socket, and no bound in the peer's queue.
        let narrow = options().send_hwm(1).outbox_bytes_max(4096).on_full(policy);
        let p = Pub::new(&engine(), narrow).unwrap();
        let s = Sub::new(&engine(), options()).unwrap();
        s.subscribe("").unwrap();
        s.connect(&p.bind("tcp://127.0.0.1:0").unwrap().to_string()).unwrap();
        while !p.wanted("") {
            std::thread::yield_now();
        }
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let p = &p;
                scope.spawn(move || {
                    let payload = [0; 500];
                    for _ in 0..EACH {
                        if thread % 2 == 0 {
                            p.send_wait(("t", payload)).wait().unwrap();
                        } else {
                            let mut batch = Batch::new();
                            batch.push(("t", payload)).unwrap();
                            p.send_many_wait(&mut batch).wait().unwrap();
                        }
                    }
                });
            }
            let (p, s) = (&p, &s);
            scope.spawn(move || {
                let all = (THREADS * EACH) as u64;
                let pause = std::time::Duration::from_millis(200);
                while s.recv_many().wait_timeout(pause).is_some()
                    || p.stats().sent + p.stats().outbox_full < all
                {}
            });
        });
        let stats = p.stats();
        assert_eq!((stats.sent, stats.outbox_full), ((THREADS * EACH) as u64, 0), "{policy:?}");
    }
}

#[test]
fn a_mark_of_zero_bounds_bytes_alone() {
    const PART: usize = 1000;
    let bytes_max = 12 << 20;
    let p = Pub::new(&engine(), options().send_hwm(0).queue_bytes_max(bytes_max as u64)).unwrap();
    let door = Door::new(&p, Side::Binding);
    let mut peer = door.peer(Zmtp::V3_1);
    peer.send(subscribe("t"));
    while !p.wanted("t") {
        std::thread::yield_now();
    }
    let mut sent = 0;
    while p.stats().missed == 0 {
        p.send_wait(("t", [0; PART])).wait().unwrap();
        sent += PART;
        assert!(sent < 10 * bytes_max, "the bound in bytes stays");
    }
    assert!(sent > bytes_max, "{sent} bytes were sent before the first was missed");

    let p = Pub::new(&engine(), options().send_hwm(100_000)).unwrap();
    let s = Sub::new(&engine(), options().recv_hwm(0)).unwrap();
    s.subscribe("").unwrap();
    s.connect(&p.bind("tcp://127.0.0.1:0").unwrap().to_string()).unwrap();
    while !p.wanted("") {
        std::thread::yield_now();
    }
    for _ in 0..20_000 {
        p.send_wait(("t", [0; PART])).wait().unwrap();
    }
    let start = std::time::Instant::now();
    while s.stats().received < 20_000 {
        assert!(start.elapsed() < SOON, "{} were received", s.stats().received);
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}
