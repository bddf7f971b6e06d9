//! A publisher's run: probes until the subscribers have reported that they are ready, then messages as fast as possible or at
//! a fixed rate, then end marks until the runner reports that all subscribers have seen them.

use std::time::Duration;

use super::Job;
use crate::Outcome;
use crate::control::{Control, Event, tell};
use crate::drivers::Publisher;
use crate::frame::{FIN, PROBE, Shape, Topics};
use crate::measure::{Report, Stopwatch, now_nanos};

/// The number of messages between two checks of the clock.
const MESSAGES_PER_LOOK: u64 = 64;
/// The size of the messages that fill the buffers of peers that never read.
const FILL_BYTES: usize = 2048;

pub(super) async fn run<P: Publisher>(job: &Job) -> Outcome {
    let control = Control::listen();
    // The topics of W11 are drawn at the first use.
    job.shape.topics.of_message(0);
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
    let (messages, seconds) = match job.rate {
        None => at_full_speed(&mut publisher, job, &watch).await?,
        Some(rate) => at_rate(&mut publisher, job, rate, &watch).await?,
    };
    let at_rate_cpu = job.rate.map(|_| watch.cpu());
    while !control.must_end() {
        mark(&mut publisher, job, FIN).await?;
    }
    // At full speed, much is still queued when the last message was sent.
    let (cpu, refused) = (at_rate_cpu.unwrap_or_else(|| watch.cpu()), publisher.refused());
    tell(&Event::Done(Report { messages, seconds, cpu, refused, ..Report::default() }));
    Ok(())
}

/// Returns how many messages were sent, and in how many seconds.
async fn at_full_speed<P: Publisher>(publisher: &mut P, job: &Job, watch: &Stopwatch) -> Outcome<(u64, f64)> {
    let mut seq = 0;
    let mut seconds = 0.0;
    while watch.elapsed() < job.run {
        for _ in 0..MESSAGES_PER_LOOK {
            publisher.send(&job.shape, job.shape.topics.of_message(seq), seq).await?;
            seq += 1;
        }
        seconds = watch.elapsed().as_secs_f64();
    }
    Ok((seq, seconds))
}

/// The same at `rate` messages a second, by a schedule that does not wait for a slow publisher: what is late is sent at
/// once. Between two messages the thread sleeps, and the system wakes it up to 50 us late; all that is due then is sent.
async fn at_rate<P: Publisher>(
    publisher: &mut P,
    job: &Job,
    rate: f64,
    watch: &Stopwatch,
) -> Outcome<(u64, f64)> {
    let (start, count) = (now_nanos(), (job.run.as_secs_f64() * rate) as u64);
    let due = |seq: u64| start + (seq as f64 / rate * 1e9) as u64;
    let mut seq = 0;
    while seq < count {
        let now = now_nanos();
        while seq < count && due(seq) <= now {
            let number = if job.shape.topics == Topics::Market { due(seq) } else { seq };
            publisher.send(&job.shape, job.shape.topics.of_message(seq), number).await?;
            seq += 1;
        }
        std::thread::sleep(Duration::from_nanos(due(seq).saturating_sub(now_nanos())));
    }
    Ok((seq, watch.elapsed().as_secs_f64()))
}

async fn mark<P: Publisher>(publisher: &mut P, job: &Job, seq: u64) -> Outcome {
    for topic in job.shape.topics.edges() {
        publisher.send(&job.shape, topic, seq).await?;
    }
    // Sending an end mark to thousands of peers is work, so pause between two of them.
    std::thread::sleep(Duration::from_millis(5) + Duration::from_micros(20 * job.peers));
    Ok(())
}
