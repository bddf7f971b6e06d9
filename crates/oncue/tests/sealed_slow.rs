//! Slow readers under CURVE, with each policy: what arrives is whole, in order, and never twice; what is missed is counted.

use std::time::{Duration, Instant};

use oncue::{AllowAny, Engine, OnFull, Options, XPub, XSub, curve};
use oncue_interop::{until, within_a_minute};

#[test]
fn slow_readers_of_all_kinds_get_whole_messages_in_order() {
    within_a_minute(|| {
        for policy in [OnFull::DropNewest, OnFull::DropOldest, OnFull::Latest] {
            for buffer in [4096_u32, 65_536] {
                let engine = Engine::start().unwrap();
                let server = curve::generate();
                let key = *server.public();
                let options = Options::new()
                    .curve_server(server, AllowAny)
                    .on_full(policy)
                    .send_hwm(20)
                    .send_buffer(buffer);
                let publisher = XPub::new(&engine, options).unwrap();
                let at = publisher.bind("tcp://127.0.0.1:0").unwrap().to_string();
                let readers: Vec<_> = (0..3)
                    .map(|n| {
                        let options = Options::new()
                            .curve_client(curve::generate(), key)
                            .recv_hwm(if n == 0 { 1000 } else { 1 })
                            .recv_buffer(if n == 2 { 16_384 } else { 65536 });
                        let reader = XSub::new(&engine, options).unwrap();
                        reader.subscribe("").unwrap();
                        reader.connect(&at).unwrap();
                        reader
                    })
                    .collect();
                until("all are there", || {
                    publisher.peers().unwrap().iter().filter(|peer| peer.prefixes == 1).count() == 3
                });
                let sizes =
                    [0_usize, 1, 254, 255, 256, 5000, 65_502, 65_503, 65_536, 70_000, 300_000, 5_000_000];
                let all = 300_u32;
                let sender = {
                    let publisher = publisher.clone();
                    std::thread::spawn(move || {
                        for number in 0..all {
                            let topic = format!("t{}", number % 7);
                            std::thread::sleep(Duration::from_millis(2));
                            let size = sizes[(number as usize * 5) % sizes.len()];
                            let size = if size == 5_000_000 && number % 24 != 0 { 17 } else { size };
                            let body = vec![number as u8; size];
                            let message: [Vec<u8>; 4] =
                                [topic.into_bytes(), number.to_be_bytes().to_vec(), Vec::new(), body];
                            match policy {
                                OnFull::Refuse => publisher.send_wait(&message[..]).wait().unwrap(),
                                _ => publisher.send(&message[..]).unwrap(),
                            }
                        }
                    })
                };
                let counts: Vec<_> = readers
                    .iter()
                    .enumerate()
                    .map(|(n, reader)| {
                        let reader = reader.clone();
                        std::thread::spawn(move || {
                            let (mut last, mut count) = (None::<u32>, 0_u64);
                            let mut quiet = Instant::now();
                            while quiet.elapsed() < Duration::from_millis(2500) {
                                let Some(message) = reader.recv().wait_timeout(Duration::from_millis(100))
                                else {
                                    continue;
                                };
                                let message = message.unwrap();
                                quiet = Instant::now();
                                let frames: Vec<_> = message.frames().collect();
                                assert_eq!(frames.len(), 4);
                                let number = u32::from_be_bytes(frames[1].try_into().unwrap());
                                assert!(
                                    last.is_none_or(|last| last < number),
                                    "{last:?} {number} {policy:?}"
                                );
                                assert_eq!(frames[0], format!("t{}", number % 7).as_bytes());
                                assert!(frames[2].is_empty() && frames[3].iter().all(|&b| b == number as u8));
                                last = Some(number);
                                count += 1;
                                if n > 0 && number % 40 == 0 {
                                    std::thread::sleep(Duration::from_millis(30));
                                }
                            }
                            (count, last)
                        })
                    })
                    .collect();
                sender.join().unwrap();
                let counts: Vec<_> = counts.into_iter().map(|thread| thread.join().unwrap()).collect();
                let statuses = publisher.peers().unwrap();
                assert_eq!(statuses.len(), 3, "{policy:?}: nobody was disconnected");
                let (delivered, missed): (u64, u64) =
                    statuses.iter().fold((0, 0), |(d, m), s| (d + s.delivered, m + s.missed));
                println!("{policy:?} {buffer}: {counts:?} delivered {delivered} missed {missed}");
                let received: u64 = counts.iter().map(|(count, _)| count).sum();
                assert_eq!(received, delivered, "{policy:?}");
                assert_eq!(delivered + missed, publisher.stats().sent * 3, "{policy:?}");
                if policy == OnFull::Refuse {
                    assert_eq!(missed, 0);
                }
                if matches!(policy, OnFull::DropOldest | OnFull::Latest | OnFull::Refuse) {
                    assert!(counts.iter().all(|(_, last)| *last == Some(all - 1)), "{policy:?} {counts:?}");
                }
            }
        }
    });
}
