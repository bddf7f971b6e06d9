//! Viewers that read more slowly than values are made see recent values.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use oncue::{OnFull, Options, Pub};

use super::raw::*;

const FRAME_BYTES: usize = 200_000;
/// 50 frames a second are made, 5 are read.
const MADE_EVERY: Duration = Duration::from_millis(20);
const TAKEN_EVERY: Duration = Duration::from_millis(200);
/// The system's buffers on each side.
const BUFFER_BYTES: u32 = 16 << 10;

fn buffered(policy: OnFull) -> Options {
    options().on_full(policy).send_buffer(BUFFER_BYTES)
}

/// A frame of a topic, with its number.
fn frame_of(topic: &str, number: u64) -> [Vec<u8>; 3] {
    [topic.as_bytes().to_vec(), number.to_be_bytes().to_vec(), vec![number as u8; FRAME_BYTES]]
}

fn number_of(frames: &[Vec<u8>]) -> u64 {
    let number = u64::from_be_bytes(frames[1][..].try_into().unwrap());
    assert!(frames.len() == 3 && frames[2] == vec![number as u8; FRAME_BYTES], "whole");
    number
}

/// A viewer that wants `""`, with small buffers of the system.
fn viewer(p: &Pub, door: &Door) -> Raw {
    let mut viewer = door.peer(Zmtp::V3_1);
    viewer.hold_little(BUFFER_BYTES as usize);
    viewer.send(subscribe(""));
    while !p.wanted("") {
        std::thread::yield_now();
    }
    viewer
}

/// Ends the threads, also when a check has failed.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_slow_viewer_sees_frames_that_are_new() {
    for policy in [OnFull::Latest, OnFull::DropOldest] {
        // With Latest one message of a topic waits; otherwise as many messages as the mark allows.
        let options = buffered(policy).send_hwm(if policy == OnFull::Latest { 1000 } else { 1 });
        let p = Pub::new(&engine(), options).unwrap();
        let door = Door::new(&p, Side::Binding);
        let mut viewer = viewer(&p, &door);
        let (end, newest, start) = (AtomicBool::new(false), AtomicU64::new(0), Instant::now());
        std::thread::scope(|scope| {
            let _ending = Ending(&end);
            let (p, end, newest) = (&p, &end, &newest);
            scope.spawn(move || {
                for number in 0u64.. {
                    if end.load(Ordering::Relaxed) {
                        return;
                    }
                    p.send(frame_of("camera", number)).unwrap();
                    newest.store(number, Ordering::SeqCst);
                    let next = MADE_EVERY * (number as u32 + 1);
                    std::thread::sleep(next.saturating_sub(start.elapsed()));
                }
            });
            let (mut before, mut ages) = (0, Vec::new());
            for _ in 0..8 {
                std::thread::sleep(TAKEN_EVERY);
                let at = newest.load(Ordering::SeqCst);
                let number = number_of(&viewer.message());
                // Its production began when the viewer had read the one before.
                assert!(
                    number + 3 >= before,
                    "{policy:?}: frame {number}, while {before} were made before the pause"
                );
                before = at;
                ages.push(newest.load(Ordering::SeqCst) - number);
            }
            ages.sort_unstable();
            let age = MADE_EVERY * ages[ages.len() / 2] as u32;
            eprintln!("{policy:?}: frames are {age:?} old, of {ages:?} frames");
            assert!(age < Duration::from_millis(300), "{policy:?}: {age:?}");
        });
        assert!(p.stats().missed > 40, "{policy:?}");
    }
}

#[test]
fn each_topic_has_its_latest_frame_and_what_is_small_is_not_lost() {
    let p = Pub::new(&engine(), buffered(OnFull::Latest)).unwrap();
    let door = Door::new(&p, Side::Binding);
    let mut viewer = viewer(&p, &door);
    for number in 0..100 {
        for topic in ["a", "b"] {
            p.send_wait(frame_of(topic, number)).wait().unwrap();
        }
        p.send_wait((format!("note {number}"), "")).wait().unwrap();
    }
    while p.stats().missed < 190 {
        std::thread::yield_now();
    }
    let (mut last, mut notes) = ([None, None], 0);
    while notes < 100 || last != [Some(99), Some(99)] {
        let frames = viewer.message();
        match &frames[0][..] {
            b"a" | b"b" => {
                let last = &mut last[usize::from(frames[0] == b"b")];
                let number = number_of(&frames);
                assert!(*last < Some(number), "in order");
                *last = Some(number);
            }
            topic => {
                assert_eq!(topic, format!("note {notes}").as_bytes());
                notes += 1;
            }
        }
    }
    viewer.barrier();
    assert_eq!(p.stats().delivered + p.stats().missed, 300);
}

#[test]
fn the_oldest_messages_give_way_whole() {
    both_sides(|side| {
        let p = Pub::new(&engine(), buffered(OnFull::DropOldest).send_hwm(10)).unwrap();
        let door = Door::new(&p, side);
        let mut viewer = viewer(&p, &door);
        for number in 0..200 {
            p.send_wait(frame_of("t", number)).wait().unwrap();
        }
        let closer = std::thread::spawn({
            let p = p.clone();
            move || p.close().wait_timeout(SOON).expect("all goes out")
        });
        let mut got = vec![number_of(&viewer.message())];
        while *got.last().unwrap() < 199 {
            got.push(number_of(&viewer.message()));
        }
        assert_eq!(viewer.ended(), b"", "nothing but whole messages");
        drop(viewer);
        closer.join().unwrap();
        assert!(got.is_sorted() && got.ends_with(&(190..200).collect::<Vec<_>>()), "{got:?}");
        let stats = p.stats();
        assert_eq!((stats.delivered, stats.missed), (got.len() as u64, 200 - got.len() as u64));
    });
}

#[test]
fn a_slow_viewer_does_not_slow_the_others_whatever_gives_way() {
    for policy in [OnFull::Latest, OnFull::DropOldest] {
        let p = Pub::new(&engine(), buffered(policy).send_hwm(100)).unwrap();
        let slow_door = Door::new(&p, Side::Binding);
        let _slow = viewer(&p, &slow_door);
        let mut quick = slow_door.peer(Zmtp::V3_1);
        quick.send(subscribe("t"));
        while p.subscribers("t") < 2 {
            std::thread::yield_now();
        }
        for number in 0..400 {
            p.send_wait((format!("t{number}"), vec![0; 3000])).wait().unwrap();
            assert_eq!(quick.message()[0], format!("t{number}").into_bytes());
        }
        assert!(p.stats().missed > 100, "{policy:?}");
    }
}
