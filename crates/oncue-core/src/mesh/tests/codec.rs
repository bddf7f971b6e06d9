use alloc::string::ToString;
use alloc::vec::Vec;

use super::super::codec::{Change, Delta, HEARTBEAT_BYTES, Heartbeat, Snapshot};
use super::super::{Log, Malformed, next_epoch};
use super::{DELTA_BYTES, told};
use oncue_testing::for_seeds;

#[test]
fn the_formats_are_these_bytes_and_the_hash_is_the_same_on_all_platforms() {
    let (log, deltas) = told(0x0102, &[("ab", true), ("", true), ("ab", false)]);
    let head = [1, 2, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(deltas[0], [&head[..], &[1, 5, b'a', b'b']].concat());
    assert_eq!(deltas[1], [&head[..], &[2, 1]].concat());
    assert_eq!(deltas[2], [&head[..], &[3, 4, b'a', b'b']].concat());
    let heartbeat = Heartbeat::decode(&log.heartbeat()).unwrap();
    let hash = 3_063_935_499_256_431_933;
    assert_eq!(heartbeat, Heartbeat { epoch: 0x0102, sequence: 3, hash, count: 1 });
    assert_eq!(log.heartbeat().len(), HEARTBEAT_BYTES);
    let snapshot = log.snapshot();
    assert_eq!(snapshot[..2], [1, 3]);
    assert_eq!(snapshot[2..34], log.heartbeat()[2..]);
    assert_eq!(snapshot[34..], [0]);
    let (log, _) = told(1, &[("weather/de/berlin", true)]);
    assert_eq!(Heartbeat::decode(&log.heartbeat()).unwrap().hash, 15_158_041_980_683_775_141);
}

#[test]
fn what_is_written_is_read() {
    for_seeds(100, |rng| {
        let (mut log, mut want) = (Log::new(rng.next(), rng.next()), Vec::new());
        for _ in 0..rng.below(30) {
            let (prefix, wanted) = (rng.prefix(3), rng.one_in(2));
            if log.change(&prefix, wanted).unwrap() {
                want.push((prefix, wanted));
                let payload = log.take_delta(DELTA_BYTES).unwrap();
                let delta = Delta::decode(&payload).unwrap();
                let (prefix, wanted) = want.last().unwrap();
                assert_eq!((delta.epoch, delta.first), (log.epoch(), want.len() as u64));
                assert_eq!(delta.last, delta.first);
                assert!(delta.changes().eq([Change { prefix, wanted: *wanted }]));
            }
        }
        let payload = log.snapshot();
        let snapshot = Snapshot::decode(&payload).unwrap();
        assert_eq!(snapshot.head, Heartbeat::decode(&log.heartbeat()).unwrap());
        assert_eq!(snapshot.prefixes().count(), log.len());
        for prefix in snapshot.prefixes() {
            let last = want.iter().rfind(|(changed, _)| changed == prefix);
            assert_eq!(last.map(|(_, wanted)| *wanted), Some(true));
        }
    });
}

#[test]
fn each_fault_has_its_error() {
    let (log, deltas) = told(5, &[("ab", true)]);
    let (heartbeat, snapshot, delta) = (log.heartbeat(), log.snapshot(), &deltas[0]);
    let with = |payload: &[u8], at: usize, byte: u8| {
        let mut payload = payload.to_vec();
        payload[at] = byte;
        payload
    };
    let heartbeat_error = |payload: &[u8]| Heartbeat::decode(payload).unwrap_err();
    let delta_error = |payload: &[u8]| Delta::decode(payload).unwrap_err();
    let snapshot_error = |payload: &[u8]| Snapshot::decode(payload).unwrap_err();

    assert_eq!(heartbeat_error(&with(&heartbeat, 0, 9)), Malformed::Version { found: 9, known: 1 });
    assert!(heartbeat_error(&with(&heartbeat, 0, 9)).to_string().contains("the same release of oncue"));
    assert_eq!(heartbeat_error(delta), Malformed::Kind { found: 2, expected: 1 });
    assert_eq!(heartbeat_error(&[]), Malformed::Short);
    assert_eq!(heartbeat_error(&heartbeat[..33]), Malformed::Short);
    assert_eq!(heartbeat_error(&[&heartbeat[..], &[0]].concat()), Malformed::Length);

    assert_eq!(delta_error(&delta[..18]), Malformed::Empty);
    assert_eq!(delta_error(&delta[..delta.len() - 1]), Malformed::Length);
    assert_eq!(delta_error(&with(delta, 17, 0)), Malformed::Sequence, "numbers begin with 1");
    let last = [&delta[..10], &[0xff; 8], &delta[18..]].concat();
    assert_eq!(Delta::decode(&last).unwrap().last, u64::MAX);
    assert_eq!(delta_error(&[&last[..], &[3, b'x']].concat()), Malformed::Sequence);
    let endless = [&delta[..18], &[0xff; 20]].concat();
    assert_eq!(delta_error(&endless), Malformed::Length);

    assert_eq!(snapshot_error(&with(&snapshot, 33, 2)), Malformed::Count);
    assert_eq!(snapshot_error(&with(&snapshot, 36, b'c')), Malformed::Hash);
}

#[test]
fn damaged_bytes_are_an_error_or_a_payload() {
    for_seeds(300, |rng| {
        let mut log = Log::new(rng.next(), 1);
        for _ in 0..rng.below(5) {
            let _ = log.change(&rng.prefix(3), true);
        }
        let delta = log.take_delta(DELTA_BYTES).unwrap_or_default();
        for mut payload in [delta, log.heartbeat(), log.snapshot()] {
            rng.damage(&mut payload);
            let _ = Heartbeat::decode(&payload);
            if let Ok(delta) = Delta::decode(&payload) {
                assert_eq!(delta.changes().count() as u64, delta.last - delta.first + 1);
            }
            if let Ok(snapshot) = Snapshot::decode(&payload) {
                assert_eq!(snapshot.prefixes().count() as u64, snapshot.head.count);
            }
        }
    });
}

#[test]
fn an_epoch_is_the_clock_unless_an_earlier_process_was_ahead_of_it() {
    assert_eq!(next_epoch(1000, None), 1000);
    assert_eq!(next_epoch(1000, Some(999)), 1000);
    assert_eq!(next_epoch(1000, Some(1000)), 1001);
    assert_eq!(next_epoch(1000, Some(u64::MAX)), u64::MAX);
}
