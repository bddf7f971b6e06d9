//! W10's publishers: routes that produce on demand, the classic loop that keeps the set of wanted topics, and a loop that
//! produces everything. Each reports what it used in the `--seconds` after the runner's `go`.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use oncue::{Engine, OnDemand, Options};

use super::implementation;
use crate::Outcome;
use crate::args::Args;
use crate::control::{Control, Event, tell};
use crate::demand::{BEGINNING, CATALOGUE, period, produce, topic};
use crate::drivers::{Classic, LibzmqClassic, OncueClassic, port_of};
use crate::measure::{Report, Stopwatch, end_after};

/// Produces the wanted topics of the catalogue, or all of them, once in each period.
pub fn produce_catalogue(args: &Args) -> Outcome {
    end_after(Duration::from_secs_f64(args.or("limit", 60.0)?));
    let run = Run {
        time: Duration::from_secs_f64(args.need("seconds")?),
        period: period(args)?,
        control: Control::listen(),
    };
    match implementation(args)?.as_str() {
        "oncue" => on_demand(false, &run),
        "oncue-batch" => on_demand(true, &run),
        "oncue-loop" => classic::<OncueClassic>(&run),
        "oncue-all" => everything::<OncueClassic>(&run),
        "libzmq" => classic::<LibzmqClassic>(&run),
        "libzmq-all" => everything::<LibzmqClassic>(&run),
        other => Err(format!("`{other}` has no catalogue").into()),
    }
}

struct Run {
    /// How long it is measured.
    time: Duration,
    /// The time between two values of a topic.
    period: Duration,
    control: Control,
}

/// A route with the whole catalogue: one call for each value, or one call for all values of a period.
fn on_demand(batch: bool, run: &Run) -> Outcome {
    let builder = OnDemand::new(&Engine::start()?, Options::new().linger(Duration::ZERO))?;
    let builder = builder.feeds_max(CATALOGUE as usize).bind("tcp://127.0.0.1:0")?;
    let route = builder.route(&format!("{BEGINNING}{{n:int}}")).catalogue((0..CATALOGUE).map(topic));
    let routes = if batch {
        route.batch(run.period, |wanted| {
            for feed in wanted {
                // A failure means that the feed has stopped meanwhile: no value is needed.
                let _ = feed.publish(produce(feed.topic()));
            }
        })
    } else {
        route.every(run.period, |feed| produce(feed.topic()))
    };
    let routes = routes.start()?;
    let endpoint = routes.endpoint().ok_or("the routes have no endpoint")?.to_string();
    tell(&Event::Bound { port: port_of(&endpoint)? });
    while !run.control.may_go() {
        std::thread::sleep(Duration::from_millis(1));
    }
    let (watch, before) = (Stopwatch::start(), routes.stats().done);
    std::thread::sleep(run.time);
    let (seconds, cpu, after) = (watch.elapsed().as_secs_f64(), watch.cpu(), routes.stats().done);
    let messages = after.produced - before.produced;
    let skipped = after.ticks_skipped + after.ticks_congested - before.ticks_skipped - before.ticks_congested;
    tell(&Event::Done(Report { messages, seconds, cpu, skipped, ..Report::default() }));
    while !run.control.must_end() {
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// In each period: reads the notifications, updates the set of wanted topics, and produces a value for each.
fn classic<S: Classic>(run: &Run) -> Outcome {
    let (mut socket, port) = S::bind(true)?;
    tell(&Event::Bound { port });
    let mut wanted: HashSet<Vec<u8>> = HashSet::new();
    in_each_period(run, || {
        socket.drain(|comes, topic| {
            if comes {
                wanted.insert(topic.to_vec());
            } else {
                wanted.remove(topic);
            }
        })?;
        for topic in &wanted {
            socket.send(topic, &produce(topic))?;
        }
        Ok(wanted.len() as u64)
    })
}

/// Produces the whole catalogue in each period, regardless of demand.
fn everything<S: Classic>(run: &Run) -> Outcome {
    let (mut socket, port) = S::bind(false)?;
    tell(&Event::Bound { port });
    let topics: Vec<_> = (0..CATALOGUE).map(topic).collect();
    in_each_period(run, || {
        for topic in &topics {
            socket.send(topic, &produce(topic))?;
        }
        Ok(topics.len() as u64)
    })
}

/// Calls `tick`, which returns how many values it has sent, at whole periods from now on, until the runner ends the run. A
/// period that has passed before its tick could begin is skipped.
fn in_each_period(run: &Run, mut tick: impl FnMut() -> Outcome<u64>) -> Outcome {
    let mut next = Instant::now();
    let mut measured: Option<Stopwatch> = None;
    let mut report = Some(Report::default());
    while !run.control.must_end() {
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
        if measured.is_none() && run.control.may_go() {
            measured = Some(Stopwatch::start());
        }
        let sent = tick()?;
        next += run.period;
        let mut skipped = 0;
        while next <= Instant::now() {
            next += run.period;
            skipped += 1;
        }
        let (Some(watch), Some(so_far)) = (&measured, &mut report) else { continue };
        so_far.messages += sent;
        so_far.skipped += skipped;
        // Wait for the next tick.
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
        if watch.elapsed() >= run.time {
            let (seconds, cpu) = (watch.elapsed().as_secs_f64(), watch.cpu());
            tell(&Event::Done(Report { seconds, cpu, ..report.take().unwrap_or_default() }));
        }
    }
    Ok(())
}
