//! One run of one case by one implementation: its processes, their order, and the resulting figures.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::cases::{Aim, Case, Side};
use super::child::{Process, resident_bytes};
use super::market;
use super::noise::{Noise, cpu_seconds};
use super::placement::Placement;
use crate::Outcome;
use crate::demand::nanos_to_produce;
use crate::frame::{Keys, Topics};
use crate::measure::Report;

/// An implementation with its setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Player {
    pub name: &'static str,
    pub threads: usize,
}

/// The results of a run: figures by their names.
pub type Figures = BTreeMap<&'static str, f64>;

/// Messages that fill the buffers and the queues of peers that never read, before the measurement.
const FILL: u64 = 3000;

/// The time that one connection, and one prefix, may take, in addition to the limit of a run.
const TO_CONNECT: Duration = Duration::from_micros(200);
const TO_SUBSCRIBE: Duration = Duration::from_micros(2);

/// How long a run lasts, and how long it may be silent.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// Duration of sending, in seconds.
    pub seconds: f64,
    /// A process that reports nothing for this time has failed.
    pub limit: Duration,
}

/// Runs a case.
pub fn run(case: &Case, player: &Player, times: Times) -> Outcome<Figures> {
    let before = Noise::look()?;
    let mut figures = match case.aim {
        Aim::RoundTrip => round_trips(case, player, times),
        Aim::ProxyRate => through_proxy(case, player, times),
        Aim::ProxyTrip => trips(case, player, times),
        Aim::OnDemand => on_demand(case, player, times),
        Aim::Sustained => market::sustained(case, player, times),
        Aim::Offered(_) => market::offered(case, player, times),
        _ => stream(case, player, times),
    }?;
    figures.insert("others %", Noise::look()?.since(&before));
    Ok(figures)
}

pub(super) fn options(case: &Case, player: &Player, seconds: f64) -> Vec<String> {
    let topics = match case.topics {
        Topics::None => "none".to_owned(),
        Topics::All => "all".to_owned(),
        Topics::Fill => "fill".to_owned(),
        Topics::Own => "own".to_owned(),
        Topics::Ring => "ring".to_owned(),
        Topics::Market => "market".to_owned(),
        Topics::Random(Keys::Names, count) => format!("names:{count}"),
        Topics::Random(Keys::Digests, count) => format!("digests:{count}"),
    };
    let mut options: Vec<String> = Vec::new();
    let mut add = |name: &str, value: String| options.extend([format!("--{name}"), value]);
    add("impl", player.name.to_owned());
    add("threads", player.threads.to_string());
    add("size", case.size.to_string());
    add("topics", topics);
    add("seconds", seconds.to_string());
    add("cut", (seconds + 2.0).to_string());
    add("peers", case.peers.to_string());
    add("idle", case.idle.to_string());
    if case.idle > 0 {
        add("fill", FILL.to_string());
    }
    if let Some(rate) = case.rate {
        options.extend(["--rate".to_owned(), rate.to_string()]);
    }
    if case.may_drop {
        options.push("--drop".to_owned());
    }
    if case.curve {
        options.push("--curve".to_owned());
    }
    if case.ws {
        options.push("--ws".to_owned());
    }
    options
}

fn stream(case: &Case, player: &Player, Times { seconds, limit }: Times) -> Outcome<Figures> {
    let options = options(case, player, seconds);
    let role = |side, ours, raw| if side == Side::Raw || player.name == "raw" { raw } else { ours };
    let mut publisher = Process::start(role(case.publisher, "pub", "raw-writer"), &options)?;
    let port = publisher.bound()?;
    let empty = resident_bytes(publisher.id())?;

    let mut options = options;
    options.extend(["--port".to_owned(), port.to_string()]);
    let mut subscriber = Process::start(role(case.subscriber, "sub", "drain"), &options)?;
    subscriber.connected(limit + TO_CONNECT * (case.peers + case.idle) as u32)?;
    publisher.say("probe")?;
    let ready = subscriber.ready(limit + TO_SUBSCRIBE * case.topics.count() as u32)?;
    // Wait until the work after the handshakes is done before memory and time are measured.
    std::thread::sleep(Duration::from_millis(if case.aim == Aim::Rate { 20 } else { 200 }));
    let full = resident_bytes(publisher.id())?;
    let per_peer = (full - empty) / case.peers as f64 / 1024.0;
    if case.aim == Aim::IdlePeers {
        return Ok(Figures::from([("KiB per peer", per_peer)]));
    }

    let before = cpu_seconds(publisher.id())?;
    publisher.say("go")?;
    let received = subscriber.done(limit)?;
    let spent = cpu_seconds(publisher.id())? - before;
    let mut figures = Figures::new();
    match case.aim {
        _ if player.name == "raw" => {}
        Aim::Prefixes => {
            figures.insert("s until in force", ready);
            figures.insert("bytes per prefix", (full - empty) / case.topics.count() as f64);
            subscriber.end();
            figures.insert("s until dropped", busy(publisher.id(), limit)?);
        }
        Aim::Peers => {
            figures.insert("KiB per peer", per_peer);
        }
        Aim::SlowPeers => {
            figures.insert("MiB of the publisher", resident_bytes(publisher.id())? / f64::from(1 << 20));
        }
        _ => {}
    }
    publisher.end();
    // A publisher that waits for room goes on, and reports, when its subscribers have gone.
    subscriber.end();
    let sent = publisher.done(Duration::from_secs(3)).ok();
    rates(case, &received, sent.as_ref(), &mut figures)?;
    let late = figures.get("unaccounted").is_none_or(|&late| late > 0.0) && !case.may_drop;
    if late && case.publisher == Side::Measured && player.name != "raw" {
        // Its own figure, if there is one, has what it did for messages that were not counted any more.
        figures.insert("publisher ns each", spent * 1e9 / received.messages as f64);
    }
    Ok(figures)
}

/// How long a process keeps working, in seconds.
fn busy(id: u32, limit: Duration) -> Outcome<f64> {
    const LOOK: Duration = Duration::from_millis(50);
    let (start, mut last, mut quiet) = (Instant::now(), cpu_seconds(id)?, 0);
    let mut until = Duration::ZERO;
    while quiet < 6 && start.elapsed() < limit {
        std::thread::sleep(LOOK);
        let now = cpu_seconds(id)?;
        if now - last > LOOK.as_secs_f64() * 0.5 {
            (until, quiet) = (start.elapsed(), 0);
        } else {
            quiet += 1;
        }
        last = now;
    }
    Ok(until.as_secs_f64())
}

fn rates(case: &Case, received: &Report, sent: Option<&Report>, figures: &mut Figures) -> Outcome {
    if received.messages == 0 || received.seconds <= 0.0 {
        return Err("nothing was received".into());
    }
    let deliveries = received.messages as f64;
    // A reader that was held up until the end had at least the time that the publisher had.
    let sending = sent.map_or(0.0, |sent| sent.seconds);
    let seconds = if case.may_drop { received.seconds.max(sending) } else { received.seconds };
    figures.insert("per second", deliveries / seconds);
    if case.subscriber == Side::Measured {
        figures.insert("subscriber ns each", received.cpu * 1e9 / deliveries);
    }
    figures.insert("missing", received.missing as f64);
    if let Some(sent) = sent {
        if case.publisher == Side::Measured {
            figures.insert("publisher ns each", sent.cpu * 1e9 / deliveries);
        }
        figures.insert("refused", sent.refused as f64);
        figures.insert("unaccounted", (sent.messages * case.deliveries()) as f64 - deliveries);
    }
    Ok(())
}

fn through_proxy(case: &Case, player: &Player, Times { seconds, limit }: Times) -> Outcome<Figures> {
    let options = options(case, player, seconds);
    let with = |more: &[&str]| -> Vec<String> {
        options.iter().cloned().chain(more.iter().map(|word| (*word).to_owned())).collect()
    };
    // The last value of an option counts: the writer has one connection, to the proxy.
    let mut publisher = Process::start("raw-writer", &with(&["--proxied", "--peers", "1"]))?;
    let upstream = publisher.bound()?;
    let mut proxy = Process::start("proxy", &options)?;
    proxy.say(&format!("port {upstream}"))?;
    let port = proxy.bound()?.to_string();
    let mut subscriber = Process::start("drain", &with(&["--port", &port]))?;
    subscriber.connected(limit)?;
    publisher.say("probe")?;
    subscriber.ready(limit)?;
    std::thread::sleep(Duration::from_millis(20));
    let before = cpu_seconds(proxy.id())?;
    publisher.say("go")?;
    let received = subscriber.done(limit)?;
    let busy = cpu_seconds(proxy.id())? - before;
    subscriber.end();
    publisher.end();
    let sent = publisher.done(Duration::from_secs(3)).ok();
    let mut figures = Figures::new();
    rates(case, &received, sent.as_ref(), &mut figures)?;
    figures.insert("proxy ns each", busy * 1e9 / received.messages as f64);
    Ok(figures)
}

fn trips(case: &Case, player: &Player, Times { seconds, limit }: Times) -> Outcome<Figures> {
    let mut options = options(case, player, seconds);
    options.extend(["--count".to_owned(), ((20_000.0 * seconds) as u64).to_string()]);
    let mut trip = Process::start("trip", &options)?;
    let upstream = trip.bound()?;
    let mut proxy = Process::start("proxy", &options)?;
    proxy.say(&format!("port {upstream}"))?;
    let port = proxy.bound()?;
    trip.say(&format!("port {port}"))?;
    let alone = trip.ready(limit)? * 1e6;
    trip.say("go")?;
    let watch = Placement::watch(trip.id(), proxy.id());
    let micros = trip.done(limit)?.micros;
    let together = watch.share_together();
    let mut figures = Figures::from([
        ("us p50", at(&micros, 0.5)),
        ("us added p50", at(&micros, 0.5) - alone),
        ("us added p99", at(&micros, 0.99) - alone),
    ]);
    figures.extend(together.map(|share| ("% on one processor", share * 100.0)));
    Ok(figures)
}

fn round_trips(case: &Case, player: &Player, Times { seconds, limit }: Times) -> Outcome<Figures> {
    let mut options = options(case, player, seconds);
    options.extend(["--count".to_owned(), ((20_000.0 * seconds) as u64).to_string()]);
    let mut pong = Process::start("pong", &options)?;
    let mut ping = Process::start("ping", &options)?;
    let (pong_port, ping_port) = (pong.bound()?, ping.bound()?);
    pong.say(&format!("port {ping_port}"))?;
    ping.say(&format!("port {pong_port}"))?;
    ping.ready(limit)?;
    pong.ready(limit)?;
    ping.say("go")?;
    pong.say("go")?;
    let watch = Placement::watch(ping.id(), pong.id());
    let micros = ping.done(limit)?.micros;
    let together = watch.share_together();
    if micros.is_empty() {
        return Err("no round trip was completed".into());
    }
    let mut figures = Figures::from([
        ("us p50", at(&micros, 0.5)),
        ("us p99", at(&micros, 0.99)),
        ("us p99.9", at(&micros, 0.999)),
    ]);
    figures.extend(together.map(|share| ("% on one processor", share * 100.0)));
    Ok(figures)
}

/// The factor by which this run is longer than others: it consists of ticks, and of topics that come and go.
pub(super) const LONGER: f64 = 5.0;

fn on_demand(case: &Case, player: &Player, Times { seconds, limit }: Times) -> Outcome<Figures> {
    let nanos = nanos_to_produce();
    let mut options: Vec<String> = Vec::new();
    let mut add = |name: &str, value: String| options.extend([format!("--{name}"), value]);
    add("impl", player.name.to_owned());
    add("seconds", (seconds * LONGER).to_string());
    add("period", case.period.as_millis().to_string());
    add("wanted", case.wanted.to_string());
    add("changes", case.changes.to_string());
    let mut publisher = Process::start("catalogue", &options)?;
    let port = publisher.bound()?;
    options.extend(["--port".to_owned(), port.to_string()]);
    let mut peer = Process::start("churn", &options)?;
    peer.connected(limit)?;
    peer.ready(limit)?;
    std::thread::sleep(Duration::from_millis(200));
    peer.say("go")?;
    publisher.say("go")?;
    let received = peer.done(limit)?;
    let sent = publisher.done(limit)?;
    let mut figures = Figures::from([
        ("CPU ms per second", sent.cpu * 1e3 / sent.seconds),
        ("produced per second", sent.messages as f64 / sent.seconds),
        ("received per second", received.messages as f64 / received.seconds),
        ("without a value", received.missing as f64),
        ("ticks left out", sent.skipped as f64),
        ("ns to produce", nanos),
    ]);
    match (case.changes, received.micros.is_empty()) {
        (0, _) => {}
        (_, true) => return Err("no newly wanted topic got a value".into()),
        (_, false) => figures.extend([
            ("ms to first value p50", at(&received.micros, 0.5) / 1e3),
            ("ms to first value p99", at(&received.micros, 0.99) / 1e3),
        ]),
    }
    Ok(figures)
}

/// The percentile of sorted values; `share` is between 0 and 1.
fn at(sorted: &[f64], share: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * share) as usize]
}
