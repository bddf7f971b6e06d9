//! Fan-outs: which subscribers there are, and what one round sends them.

use std::collections::{BTreeSet, HashMap};

use crate::raw::wire_bytes;

/// Prefixes of a fan-out to ten of many, and how many subscribers want each.
const PREFIXES: usize = 1000;
const HOLDERS: usize = 10;
pub(crate) const MESSAGES_TO_TEN: usize = 2000;

const PEERS_OF_THEIR_OWN: usize = 100;
pub(crate) const MESSAGES_TO_ALL: usize = 200;
pub(crate) const MESSAGES_TO_ONE: usize = 2000;

const MARKET_TOPICS: usize = 1000;
const MARKET_PEERS: usize = 50;
const HELD: usize = 50;
pub(crate) const MARKET_MESSAGES: usize = 1000;

/// Bytes of the messages that are not just a topic.
const PADDED: usize = 64;

/// The subscribers' sets of prefixes, and the messages of a round.
pub(crate) struct FanOut {
    pub(crate) sets: Vec<Vec<String>>,
    pub(crate) messages: Vec<String>,
    /// Bytes on the wire that each subscriber gets in a round.
    pub(crate) bytes: Vec<usize>,
    /// Deliveries of a message, on average.
    pub(crate) deliveries: f64,
}

/// Each of 1000 topics is wanted by 10 of `subscribers`, and no two of them have the same set. The holders of a prefix are
/// `step` apart.
pub(crate) fn to_ten_of(subscribers: usize, step: impl Fn(usize) -> usize) -> FanOut {
    let mut sets = vec![Vec::new(); subscribers];
    for prefix in 0..PREFIXES {
        for holder in 0..HOLDERS {
            sets[(prefix + holder * step(prefix)) % subscribers].push(topic(prefix));
        }
    }
    let messages = (0..MESSAGES_TO_TEN).map(|message| topic(message % PREFIXES) + "bid");
    FanOut::new(sets, messages.collect())
}

/// Each of 100 subscribers wants every message, and holds a prefix of its own beside.
pub(crate) fn to_all_with_prefixes_of_their_own() -> FanOut {
    FanOut::new(vec![vec![topic(0)]; PEERS_OF_THEIR_OWN], vec![padded(0); MESSAGES_TO_ALL])
}

/// Each of 100 subscribers wants one topic that no other wants; the messages go to them in turn.
pub(crate) fn to_one_of_many() -> FanOut {
    let sets = (0..PEERS_OF_THEIR_OWN).map(|peer| vec![topic(peer)]).collect();
    FanOut::new(sets, (0..MESSAGES_TO_ONE).map(|message| padded(message % PEERS_OF_THEIR_OWN)).collect())
}

/// A small market: 50 subscribers hold 50 of 1000 topics each. Messages and subscribers draw their topics by Zipf's law with
/// exponent 1.
pub(crate) fn market() -> FanOut {
    let mut upto: Vec<f64> = Vec::new();
    for rank in 1..=MARKET_TOPICS {
        upto.push(upto.last().unwrap_or(&0.0) + 1.0 / rank as f64);
    }
    let sum = upto[MARKET_TOPICS - 1];
    let mut drawn = 0;
    let mut draw = || {
        drawn += 1;
        let share = (mix(drawn) >> 11) as f64 / (1u64 << 53) as f64 * sum;
        upto.partition_point(|&upto| upto <= share)
    };
    let mut set = || {
        let mut held = BTreeSet::new();
        while held.len() < HELD {
            held.insert(draw());
        }
        held.into_iter().map(topic).collect()
    };
    let sets = (0..MARKET_PEERS).map(|_| set()).collect();
    FanOut::new(sets, (0..MARKET_MESSAGES).map(|_| padded(draw())).collect())
}

impl FanOut {
    fn new(mut sets: Vec<Vec<String>>, messages: Vec<String>) -> FanOut {
        let mut holders: HashMap<String, Vec<usize>> = HashMap::new();
        for (subscriber, set) in sets.iter_mut().enumerate() {
            for prefix in &*set {
                holders.entry(prefix.clone()).or_default().push(subscriber);
            }
            // The same length as the others: each distinct length costs a probe.
            set.push(format!("alone_/{subscriber:04}/"));
        }
        let mut bytes = vec![0; sets.len()];
        let mut deliveries = 0;
        for message in &messages {
            let wanted_by = holders.get(&message[..topic(0).len()]).map_or(&[][..], Vec::as_slice);
            wanted_by.iter().for_each(|&subscriber| bytes[subscriber] += wire_bytes(message.len()));
            deliveries += wanted_by.len();
        }
        let deliveries = deliveries as f64 / messages.len() as f64;
        FanOut { sets, messages, bytes, deliveries }
    }
}

fn topic(number: usize) -> String {
    format!("prices/{number:04}/")
}

/// A message of a topic.
fn padded(number: usize) -> String {
    format!("{:x<PADDED$}", topic(number))
}

/// A pseudo-random number derived from `n` (the finaliser of splitmix64).
fn mix(n: u64) -> u64 {
    let mut z = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_subscribers_have_the_same_set() {
        for fan_out in [to_ten_of(100, |prefix| 10 + prefix / 100), to_ten_of(1000, |_| 97), market()] {
            // Without the prefix that is only its own.
            let sets: HashSet<&[String]> = fan_out.sets.iter().map(|set| &set[..set.len() - 1]).collect();
            assert_eq!(sets.len(), fan_out.sets.len());
        }
    }

    #[test]
    fn a_message_has_the_deliveries_that_its_workload_names() {
        assert_eq!(to_ten_of(100, |prefix| 10 + prefix / 100).deliveries, 10.0);
        assert_eq!(to_ten_of(1000, |_| 97).deliveries, 10.0);
        assert_eq!(to_one_of_many().deliveries, 1.0);
        assert_eq!(to_all_with_prefixes_of_their_own().deliveries, 100.0);
        let market = market();
        let sent: usize = market.bytes.iter().sum();
        assert_eq!(market.deliveries * MARKET_MESSAGES as f64, (sent / wire_bytes(PADDED)) as f64);
        assert!(market.deliveries > 10.0, "{}", market.deliveries);
    }
}
