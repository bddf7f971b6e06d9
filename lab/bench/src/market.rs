//! The data of W11: topics whose popularity follows Zipf's law, and subscribers that choose their topics by the same law. The
//! same for every implementation.

use std::sync::OnceLock;
use std::time::Duration;

use crate::frame::mix;

/// Different topics of the messages. Topic `i` has the weight `1 / (i + 1)`.
pub const TOPICS: u64 = 10_000;
/// The number of the topic that every subscriber holds in addition, for probes and end marks.
pub const MARK: u64 = TOPICS;

/// Subscribers with topics that never change; subscribers to everything; and subscribers that change one topic in each period.
pub const FIXED: u64 = 200;
pub const TO_EVERYTHING: u64 = 10;
pub const CHANGING: u64 = 20;
pub const PEERS: u64 = FIXED + TO_EVERYTHING + CHANGING;
/// Topics that each subscriber holds, but for those to everything.
pub const HELD: usize = 200;
/// How often each subscriber of the last kind cancels a topic and subscribes to another.
pub const PERIOD: Duration = Duration::from_millis(100);

/// Topics of messages are drawn once and then repeated, so that drawing one costs a publisher nothing.
const DRAWN: usize = 1 << 18;

/// Zipf's law with exponent 1: rank `i`, from 0, has the weight `1 / (i + 1)`.
struct Zipf {
    /// The share of each rank and of all ranks before it.
    upto: Vec<f64>,
}

impl Zipf {
    fn new(ranks: u64) -> Zipf {
        let mut upto: Vec<f64> = Vec::new();
        for rank in 0..ranks {
            upto.push(upto.last().unwrap_or(&0.0) + 1.0 / (rank + 1) as f64);
        }
        let sum = *upto.last().expect("there are ranks");
        upto.iter_mut().for_each(|share| *share /= sum);
        Zipf { upto }
    }

    /// The rank for a random number.
    fn rank(&self, random: u64) -> u64 {
        let share = (random >> 11) as f64 / (1u64 << 53) as f64;
        self.upto.partition_point(|&upto| upto <= share) as u64
    }
}

fn law() -> &'static Zipf {
    static LAW: OnceLock<Zipf> = OnceLock::new();
    LAW.get_or_init(|| Zipf::new(TOPICS))
}

/// Topics drawn by the law, one after the other.
pub struct Draws {
    seed: u64,
    drawn: u64,
}

impl Draws {
    /// The draws of one subscriber.
    pub fn of(peer: u64) -> Draws {
        Draws { seed: mix(peer + 1), drawn: 0 }
    }

    /// The next topic that is not among `held`.
    pub fn next_beside(&mut self, held: &[u64]) -> u64 {
        loop {
            self.drawn += 1;
            let topic = law().rank(mix(self.seed ^ self.drawn));
            if !held.contains(&topic) {
                return topic;
            }
        }
    }
}

/// The topics that a subscriber holds at first, and the draws that continue.
pub fn held(peer: u64) -> (Vec<u64>, Draws) {
    let (mut topics, mut draws) = (Vec::with_capacity(HELD), Draws::of(peer));
    while topics.len() < HELD {
        topics.push(draws.next_beside(&topics));
    }
    (topics, draws)
}

/// Whether subscriber number `peer` wants everything.
pub fn wants_everything(peer: u64) -> bool {
    (FIXED..FIXED + TO_EVERYTHING).contains(&peer)
}

/// Whether the topics of subscriber number `peer` change.
pub fn changes(peer: u64) -> bool {
    peer >= FIXED + TO_EVERYTHING
}

/// The topic of message `seq`.
pub fn topic_of(seq: u64) -> u64 {
    static DRAWS: OnceLock<Vec<u16>> = OnceLock::new();
    let draws = DRAWS.get_or_init(|| (0..DRAWN as u64).map(|n| law().rank(mix(n)) as u16).collect());
    u64::from(draws[seq as usize % DRAWN])
}

/// How many deliveries the first `messages` messages cause to subscribers whose topics do not change.
pub fn deliveries(messages: u64) -> u64 {
    static HOLDERS: OnceLock<Vec<u64>> = OnceLock::new();
    let holders = HOLDERS.get_or_init(|| {
        let mut holders = vec![TO_EVERYTHING; TOPICS as usize];
        (0..FIXED).for_each(|peer| held(peer).0.iter().for_each(|&topic| holders[topic as usize] += 1));
        holders
    });
    (0..messages).map(|seq| holders[topic_of(seq) as usize]).sum()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_rank_is_drawn_in_proportion_to_its_weight() {
        const DRAWS: u64 = 1_000_000;
        let zipf = Zipf::new(100);
        let mut counts = [0u32; 100];
        (0..DRAWS).for_each(|n| counts[zipf.rank(mix(n)) as usize] += 1);
        let sum: f64 = (1..=100).map(|rank| 1.0 / f64::from(rank)).sum();
        for (rank, &count) in counts.iter().enumerate() {
            let expected = DRAWS as f64 / (rank + 1) as f64 / sum;
            // Five standard deviations.
            assert!((f64::from(count) - expected).abs() < 5.0 * expected.sqrt(), "rank {rank}: {count}");
        }
    }

    #[test]
    fn the_least_and_the_greatest_number_have_the_first_and_the_last_rank() {
        let zipf = Zipf::new(7);
        assert_eq!((zipf.rank(0), zipf.rank(u64::MAX)), (0, 6));
    }

    #[test]
    fn a_subscriber_holds_no_topic_twice_and_no_two_hold_the_same() {
        let mut sets = HashSet::new();
        for peer in 0..PEERS {
            let (mut topics, mut draws) = held(peer);
            let next = draws.next_beside(&topics);
            assert!(next < TOPICS && !topics.contains(&next));
            topics.sort_unstable();
            topics.dedup();
            assert_eq!(topics.len(), HELD);
            assert!(sets.insert(topics));
        }
    }

    #[test]
    fn deliveries_are_those_of_the_holders_of_each_topic() {
        let sets: Vec<HashSet<u64>> = (0..FIXED).map(|peer| held(peer).0.into_iter().collect()).collect();
        let of = |seq| sets.iter().filter(|set| set.contains(&topic_of(seq))).count() as u64 + TO_EVERYTHING;
        assert_eq!(deliveries(500), (0..500).map(of).sum::<u64>());
    }
}
