//! Confirmed subscriptions: each wait ends whatever breaks, and at its end the subscription is in force where that was said.

use std::task::Waker;

use super::*;
use crate::engine::{Confirmation, Confirmed};

/// Until the result is there.
const STEP: Duration = Duration::from_micros(500);
const STEPS_MAX: u32 = 400_000;

/// Waits that are under way: of which reader, and their keys there.
type Open = Vec<(usize, usize, Arc<Confirmation>)>;

impl History {
    /// Begins to wait for a subscription of a reader.
    fn confirm(&mut self, open: &mut Open, publishers_min: usize) -> (usize, &'static str) {
        let (r, prefix) = (self.sim.below(self.readers.len()), self.sim.pick(&PREFIXES));
        self.readers[r].subscribe(prefix);
        let hub = self.readers[r].handle().0.hub.clone();
        let (key, confirmation) = hub.confirm(Prefix::from(prefix.as_bytes()), publishers_min);
        open.push((r, key, confirmation));
        (r, prefix)
    }

    /// Ends the waits that are over, or all of them. Returns whether any was over.
    fn confirmed(&self, open: &mut Open, all: bool) -> Option<Confirmed> {
        let mut last = None;
        open.retain(|(r, key, confirmation)| {
            let confirmed = confirmation.poll(Waker::noop());
            let over = confirmed.is_some() || all;
            if over {
                self.readers[*r].handle().0.hub.confirmations.close(*key);
            }
            last = confirmed.or(last);
            !over
        });
        last
    }
}

fn run(seed: u64) {
    let mut history = History::new(seed);
    let mut open = Open::new();
    for _ in 0..30 {
        let publishers_min = history.sim.below(history.publishers.len() + 1);
        history.confirm(&mut open, publishers_min);
        history.chaos(2);
        let gives_up = history.sim.below(20) == 0;
        history.confirmed(&mut open, gives_up);
    }
    // What broke has healed: all are connected again.
    history.calm();
    let publishers = history.publishers.len();
    history.confirmed(&mut open, false);
    assert!(open.is_empty(), "a wait has no end: {:?}", open[0].2.so_far());
    for _ in 0..10 {
        let (r, prefix) = history.confirm(&mut open, publishers);
        let confirmed = (0..STEPS_MAX).find_map(|_| {
            history.sim.run(STEP);
            history.readers[r].read();
            history.confirmed(&mut open, false)
        });
        let confirmed = confirmed.expect("an end");
        assert_eq!((confirmed.in_force, confirmed.publishers()), (publishers, publishers));
        let subscribers = history.readers.iter().filter(|reader| reader.wants(prefix.as_bytes())).count();
        for publisher in &history.publishers {
            // At once, without any further step.
            assert!(publisher.socket.wanted(prefix));
            let known = publisher.socket.subscribers(prefix);
            assert!(known >= 1 && known <= subscribers, "{known} of {subscribers}");
        }
    }
    history.calm();
    history.part();
}

#[test]
fn a_confirmed_subscription_is_in_force_and_every_wait_ends() {
    for_each_seed(run);
}
