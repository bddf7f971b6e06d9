//! A publisher's run: probes until the subscribers have reported that they are ready, then messages as fast as possible,
//! then end marks until the runner reports that all subscribers have seen them.

use std::time::Duration;

use super::Job;
use crate::Outcome;
use crate::control::{Control, Event, tell};
use crate::drivers::Publisher;
use crate::frame::{FIN, PROBE, Shape, Topics};
use crate::measure::{Report, Stopwatch};

/// The number of messages between two checks of the clock.
const MESSAGES_PER_LOOK: u64 = 64;
/// The size of the messages that fill the buffers of peers that never read.
const FILL_BYTES: usize = 2048;

pub(super) async fn run<P: Publisher>(job: &Job) -> Outcome {
    let control = Control::listen();
    let (mut publisher, port) = P::bind(job.setup).await?;
    tell(&Event::Bound { port });
    while !control.may_probe() {
        std::thread::sleep(Duration::from_millis(1));
    }
    while !control.may_go() {
        mark(&mut publisher, job, PROBE).await?;
    }

    let fill = Shape { size: FILL_BYTES, topics: Topics::Fill };
    for number in 0..job.fill {
        publisher.send(&fill, 0, PROBE).await?;
        if number % 100 == 99 {
            // Messages that are sent faster than they can be written to all peers are dropped, and fill no buffers.
            std::thread::sleep(Duration::from_millis(50) + Duration::from_micros(10 * job.idle));
        }
    }

    let watch = Stopwatch::start();
    let mut seq = 0;
    let mut seconds = 0.0;
    while watch.elapsed() < job.run {
        for _ in 0..MESSAGES_PER_LOOK {
            publisher.send(&job.shape, job.shape.topics.of_message(seq), seq).await?;
            seq += 1;
        }
        seconds = watch.elapsed().as_secs_f64();
    }
    while !control.must_end() {
        mark(&mut publisher, job, FIN).await?;
    }
    let (messages, cpu, refused) = (seq, watch.cpu(), publisher.refused());
    tell(&Event::Done(Report { messages, seconds, cpu, refused, ..Report::default() }));
    Ok(())
}

async fn mark<P: Publisher>(publisher: &mut P, job: &Job, seq: u64) -> Outcome {
    for topic in job.shape.topics.edges() {
        publisher.send(&job.shape, topic, seq).await?;
    }
    // Sending an end mark to thousands of peers is work, so pause between two of them.
    std::thread::sleep(Duration::from_millis(5) + Duration::from_micros(20 * job.peers));
    Ok(())
}
