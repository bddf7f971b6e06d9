//! The roles that any implementation can play, and the choice of the implementation. The child modules define what a role
//! does with its driver.

mod demand;
mod proxy;
mod publisher;
mod roundtrip;
mod subscriber;

pub use self::demand::produce_catalogue;
pub use self::proxy::forward;

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::Outcome;
use crate::args::Args;
use crate::drivers::{
    LibzmqPub, LibzmqSub, OmqPub, OmqSub, OncuePub, OncueSub, RzmqPub, RzmqSub, Setup, ZeromqPub, ZeromqSub,
};
use crate::frame::{Shape, Topics};
use crate::measure::end_after;

/// The options that every role gets.
struct Job {
    setup: Setup,
    shape: Shape,
    run: Duration,
    port: u16,
    peers: u64,
    idle: u64,
    fill: u64,
    /// Messages a second; without it as many as possible.
    rate: Option<f64>,
}

impl Job {
    fn read(args: &Args) -> Outcome<Job> {
        end_after(Duration::from_secs_f64(args.or("limit", 60.0)?));
        let shape = Shape { size: args.or("size", 64)?, topics: args.or("topics", Topics::None)? };
        let setup = Setup {
            threads: args.or("threads", 1)?,
            may_drop: args.has("drop"),
            many: implementation(args)?.ends_with("-many"),
            prefixes: shape.topics.count(),
            curve: args.has("curve"),
            ws: args.has("ws"),
        };
        let run = Duration::from_secs_f64(args.or("seconds", 1.0)?);
        let (port, peers, fill) = (args.or("port", 0)?, args.or("peers", 1)?, args.or("fill", 0)?);
        let (idle, rate) = (args.or("idle", 0)?, args.find("rate")?);
        Ok(Job { setup, shape, run, port, peers, idle, fill, rate })
    }
}

fn implementation(args: &Args) -> Outcome<String> {
    args.need("impl")
}

/// Publishes for `--seconds` from the runner's `go` on.
pub fn publish(args: &Args) -> Outcome {
    let job = Job::read(args)?;
    match implementation(args)?.trim_end_matches("-many") {
        "oncue" => at_once(publisher::run::<OncuePub>(&job)),
        "libzmq" => at_once(publisher::run::<LibzmqPub>(&job)),
        "omq" => at_once(publisher::run::<OmqPub>(&job)),
        "rzmq" => on_tokio(job.setup, publisher::run::<RzmqPub>(&job)),
        "zeromq" => on_tokio(job.setup, publisher::run::<ZeromqPub>(&job)),
        other => Err(format!("`{other}` cannot publish").into()),
    }
}

/// Subscribes to all topics at `--port` and counts messages.
pub fn subscribe(args: &Args) -> Outcome {
    let job = Job::read(args)?;
    match implementation(args)?.trim_end_matches("-many") {
        "oncue" => at_once(subscriber::run::<OncueSub>(&job)),
        "libzmq" => at_once(subscriber::run::<LibzmqSub>(&job)),
        "omq" => at_once(subscriber::run::<OmqSub>(&job)),
        "rzmq" => on_tokio(job.setup, subscriber::run::<RzmqSub>(&job)),
        "zeromq" => on_tokio(job.setup, subscriber::run::<ZeromqSub>(&job)),
        other => Err(format!("`{other}` cannot subscribe").into()),
    }
}

/// Sends, waits for the echo, and measures the time.
pub fn ping(args: &Args) -> Outcome {
    round_trips(args, true)
}

/// Echoes.
pub fn pong(args: &Args) -> Outcome {
    round_trips(args, false)
}

fn round_trips(args: &Args, ping: bool) -> Outcome {
    let (job, count) = (Job::read(args)?, args.or("count", 20_000)?);
    match implementation(args)?.as_str() {
        "oncue" => at_once(roundtrip::run::<OncuePub, OncueSub>(&job, ping, count)),
        "libzmq" => at_once(roundtrip::run::<LibzmqPub, LibzmqSub>(&job, ping, count)),
        "omq" => at_once(roundtrip::run::<OmqPub, OmqSub>(&job, ping, count)),
        "rzmq" => on_tokio(job.setup, roundtrip::run::<RzmqPub, RzmqSub>(&job, ping, count)),
        "zeromq" => on_tokio(job.setup, roundtrip::run::<ZeromqPub, ZeromqSub>(&job, ping, count)),
        "raw" => roundtrip::run_raw(&job, ping, count),
        other => Err(format!("`{other}` cannot make round trips").into()),
    }
}

/// Runs a future that waits by blocking its thread, and so is ready at the first poll.
fn at_once(work: impl Future<Output = Outcome>) -> Outcome {
    match pin!(work).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => unreachable!("a driver that blocks does not yield"),
    }
}

fn on_tokio(setup: Setup, work: impl Future<Output = Outcome>) -> Outcome {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(setup.threads).enable_all().build()?;
    runtime.block_on(work)
}
