//! A queue of messages with policies of their own against a naive model.

use std::collections::HashSet;

use super::*;
use crate::options::OnFull;

const POLICIES: [OnFull; 4] = [OnFull::DropNewest, OnFull::Disconnect, OnFull::DropOldest, OnFull::Latest];

fn is_soft(policy: OnFull) -> bool {
    matches!(policy, OnFull::DropOldest | OnFull::Latest)
}

/// A message, or control bytes without a policy.
struct Item {
    bytes: Vec<u8>,
    policy: Option<OnFull>,
}

#[derive(Default)]
struct Mixture {
    items: Vec<Item>,
    /// How much of the first item the stream has taken.
    begun: usize,
    missed: u64,
    written: u64,
    too_slow: bool,
}

impl Mixture {
    fn left(&self) -> usize {
        self.items.iter().map(|item| item.bytes.len()).sum::<usize>() - self.begun
    }

    /// The stream has taken these bytes of what is queued.
    fn taken(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let item = &self.items[0];
            let n = bytes.len().min(item.bytes.len() - self.begun);
            assert_eq!(bytes[..n], item.bytes[self.begun..self.begun + n]);
            bytes = &bytes[n..];
            self.begun += n;
            if self.begun == item.bytes.len() {
                self.written += u64::from(item.policy.is_some());
                self.items.remove(0);
                self.begun = 0;
            }
        }
    }

    fn is_begun(&self, at: usize) -> bool {
        at == 0 && self.begun > 0
    }

    /// The number of messages of which this holds, and their bytes.
    fn load(&self, which: impl Fn(usize, OnFull) -> bool) -> (u64, u64) {
        let items = self.items.iter().enumerate();
        let chosen = items.filter(|(at, item)| item.policy.is_some_and(|policy| which(*at, policy)));
        chosen.fold((0, 0), |(count, bytes), (at, item)| {
            let begun = if at == 0 { self.begun } else { 0 };
            (count + 1, bytes + (item.bytes.len() - begun) as u64)
        })
    }

    fn drop(&mut self, at: usize) {
        self.items.remove(at);
        self.missed += 1;
    }

    /// Offers a message. Returns whether it was queued.
    fn admit(&mut self, bytes: &[u8], policy: OnFull, mark: Mark) -> bool {
        let soft = is_soft(policy);
        // For a message that may give way, a partly written one counts towards no mark.
        let counts = |model: &Mixture, at| !(soft && model.is_begun(at));
        let firm = self.load(|at, other| (!is_soft(other) || self.is_begun(at)) && counts(self, at));
        let fits = firm.0 < mark.messages && firm.1.saturating_add(bytes.len() as u64) <= mark.bytes;
        if !fits && firm.0 > 0 {
            self.missed += 1;
            self.too_slow |= policy == OnFull::Disconnect;
            return false;
        }
        if policy == OnFull::Latest {
            let same = |(at, item): (usize, &Item)| {
                let same = item.policy == Some(policy) && frame::topic(&item.bytes) == frame::topic(bytes);
                (same && !self.is_begun(at)).then_some(at)
            };
            if let Some(at) = self.items.iter().enumerate().find_map(same) {
                self.drop(at);
            }
        }
        self.items.push(Item { bytes: bytes.to_vec(), policy: Some(policy) });
        loop {
            let (messages, all) = self.load(|at, _| counts(self, at));
            let newest = self.items.len() - 1;
            let mut waiting = self.items.iter().enumerate().take(if soft { newest } else { newest + 1 });
            let oldest =
                waiting.position(|(at, item)| item.policy.is_some_and(is_soft) && !self.is_begun(at));
            match oldest.filter(|_| messages > mark.messages || all > mark.bytes) {
                Some(at) => self.drop(at),
                None => return true,
            }
        }
    }

    /// Offers runs, of which the stream has taken the first `direct` bytes at once.
    fn offer(&mut self, runs: &[Run], own: OnFull, mark: Mark, mut direct: usize) {
        for run in runs {
            let (policy, mut room) = (run.on_full().unwrap_or(own), true);
            for message in messages(run) {
                if direct >= message.len() {
                    direct -= message.len();
                    self.written += 1;
                } else if direct > 0 {
                    assert!(self.items.is_empty());
                    self.begun = std::mem::take(&mut direct);
                    self.items.push(Item { bytes: message, policy: Some(policy) });
                } else if room {
                    room = self.admit(&message, policy, mark) || is_soft(policy);
                } else {
                    self.missed += 1;
                }
            }
        }
    }

    fn check(&self, queue: &WriteQueue) {
        let backlog = &queue.backlog;
        assert_eq!((backlog.messages, backlog.bytes), self.load(|_, _| true));
        assert_eq!(queue.is_empty(), self.items.is_empty());
        let holes = backlog.runs.iter().filter(|run| run.bytes_left() == 0).count();
        assert!(holes <= backlog.runs.len() - holes + 64, "{holes} of {}", backlog.runs.len());
        if let Yields::Mixed(mixed) = &backlog.yields {
            // Apart from what is being written, nothing small keeps a large chunk alive.
            let runs = backlog.runs.iter().filter(|run| run.messages() > 0);
            assert!(runs.skip(2).all(Run::is_fair_part));
            let latest = self.items.iter().filter(|item| item.policy == Some(OnFull::Latest));
            let topics: HashSet<_> = latest.map(|item| frame::topic(&item.bytes)).collect();
            assert_eq!(mixed.topics().len(), topics.len());
            assert!(topics.iter().all(|topic| mixed.topics().contain(topic)));
        }
    }
}

#[test]
fn what_may_give_way_makes_room_for_what_does_not() {
    for_seeds(600, |rng| {
        let seed = rng.seed();
        let own = POLICIES[rng.below(4) as usize];
        let yields = match own {
            OnFull::DropOldest => Yields::Oldest,
            OnFull::Latest => Yields::SameTopic(Box::new(ByTopic::new())),
            _ => Yields::Newest,
        };
        let mut stream =
            Fickle { rng: Rng::new(!seed), taken: Vec::new(), full: false, patient: seed % 4 < 2 };
        let mut queue = WriteQueue::new(yields);
        let mut model = Mixture::default();
        let (mut next, mut missed, mut written, mut seen) = (0, 0, 0, 0);
        let marks = match seed % 5 {
            0 => Mark { messages: u64::MAX, bytes: 1 << 20 },
            1 => Mark { messages: 1 + rng.below(3), bytes: 1 << 20 },
            _ => Mark { messages: 1 + rng.below(50), bytes: 1 + rng.below(1000) },
        };
        for step in 0..120 {
            // At first all messages have one policy, and fit.
            let mixed = step >= 10;
            let mark = if mixed { marks } else { Mark::NONE };
            if mixed {
                queue.backlog.mix(own);
            }
            if stream.full && rng.below(if seed % 3 == 0 { 20 } else { 3 }) == 0 {
                stream.full = false;
                queue.unblock();
            }
            let (before, mut offered) = (model.left(), Vec::new());
            match rng.below(5) {
                0 => {
                    let bytes = vec![0xff; rng.below(20) as usize];
                    if !bytes.is_empty() {
                        model.items.push(Item { bytes: bytes.clone(), policy: None });
                    }
                    queue.backlog.control(bytes);
                }
                1 => written += queue.flush(&mut stream),
                _ => {
                    for _ in 0..rng.below(6) {
                        let run = run_with_topics(rng, &mut next);
                        let policy = mixed.then(|| POLICIES.get(rng.below(5) as usize).copied()).flatten();
                        offered.push(run.with_policy(policy));
                    }
                    let result = queue.offer(&mut stream, &offered, mark);
                    (written, missed) = (written + result.written, missed + result.missed);
                }
            }
            let now = &stream.taken[seen..];
            let queued = before.min(now.len());
            if offered.is_empty() {
                model.taken(now);
            } else {
                model.taken(&now[..queued]);
                model.offer(&offered, own, mark, now.len() - queued);
            }
            seen = stream.taken.len();
            model.check(&queue);
            assert_eq!((missed, written), (model.missed, model.written), "missed and written");
            if mixed {
                assert_eq!(queue.backlog.take_too_slow(), std::mem::take(&mut model.too_slow));
            }
        }
        while !queue.is_empty() {
            stream.full = false;
            queue.unblock();
            written += queue.flush(&mut stream);
            model.taken(&stream.taken[seen..]);
            seen = stream.taken.len();
            model.check(&queue);
        }
        assert_eq!(written, model.written);
    });
}
