//! Proxies: one process that forwards from the publisher at a port that the runner sends.

use std::convert::Infallible;

use super::{Job, implementation, on_tokio};
use crate::Outcome;
use crate::args::Args;
use crate::control::{Control, Event, tell};
use crate::drivers::proxy;
use crate::raw;

/// Forwards between the publisher at the port that the runner sends and `--peers` subscribers, until the runner ends.
pub fn forward(args: &Args) -> Outcome {
    let (job, name) = (Job::read(args)?, implementation(args)?);
    let control = Control::listen();
    let upstream = control.wait_for_port();
    let ends = control.clone();
    std::thread::spawn(move || {
        while !ends.must_end() {
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        std::process::exit(0);
    });
    let bound = |port| tell(&Event::Bound { port });
    let never = |outcome: Outcome<Infallible>| outcome.map(|never| match never {});
    match name.as_str() {
        "oncue" => never(proxy::oncue(job.setup, upstream, bound)),
        "libzmq" => never(proxy::libzmq(job.setup, upstream, bound)),
        "omq" => on_tokio(job.setup, async { never(proxy::omq(upstream, bound).await) }),
        "raw" => raw::copier::run(upstream, job.peers, bound),
        other => Err(format!("`{other}` has no proxy to be measured").into()),
    }
}
