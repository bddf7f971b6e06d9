//! A subscriber's run: it counts from the first message to the end mark.

use std::time::Instant;

use super::Job;
use crate::Outcome;
use crate::control::{Event, tell};
use crate::drivers::Subscriber;
use crate::measure::Tally;

pub(super) async fn run<S: Subscriber>(job: &Job) -> Outcome {
    let start = Instant::now();
    let mut subscriber = S::connect(job.setup, job.port, &job.shape.topics.prefixes(0)).await?;
    tell(&Event::Connected);
    let mut tally = Tally::new(job.shape);
    while !tally.is_finished() {
        let count = |message: &[u8]| {
            if tally.count(message) {
                tell(&Event::Ready { seconds: start.elapsed().as_secs_f64() });
            }
        };
        subscriber.recv(count).await?;
    }
    tell(&Event::Done(tally.into_report()));
    Ok(())
}
