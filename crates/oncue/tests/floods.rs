//! A flood at each quota, by strangers on raw connections: the memory stays bounded, and a normal subscriber receives at 80 %
//! of its rate or more. A test program of its own, since it measures the memory of the whole process: its tests run one after
//! the other.
//!
//! `ONCUE_WRITE_DOCS=1 cargo test --release -p oncue --test floods` writes what it measures to docs/benchmarks/floods.md.

#[path = "facts/raw.rs"]
#[allow(dead_code, reason = "shared with the facts, which use all of it")]
mod raw;

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{fs, thread};

use oncue::{OnDemand, Options, QuotaStats, Sub, XPub};
use raw::*;

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// The messages that the normal subscriber is sent in a millisecond, of 100 bytes.
const PER_MILLISECOND: u64 = 20;
const WINDOWS: usize = 6;
const WINDOW: Duration = Duration::from_millis(250);
/// After a change of the flood, before anything is counted.
const SETTLED: Duration = Duration::from_millis(50);
/// How long a stranger waits until its bytes are taken.
const STUCK: Duration = Duration::from_millis(20);
/// And until it hears why it is disconnected.
const HEARD: Duration = Duration::from_millis(200);
/// The memory that any flood may cost, beside what its own quota allows.
const BYTES_MORE_MAX: u64 = 24 << 20;

/// The memory of this process in bytes.
fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// One stranger, or many: where they connect, and the connections that they hold.
struct Strangers {
    at: SocketAddr,
    held: VecDeque<TcpStream>,
    /// Connections that were made.
    made: u64,
    /// Of the bytes that are sent again and again: how far the last connection has come.
    sent: usize,
}

impl Strangers {
    /// As [`come`](Self::come), and lets those that go read why they are disconnected.
    fn come_and_hear(&mut self, bytes: &[u8], others: usize) {
        self.come(bytes, others + 1);
        if self.held.len() > others + 1
            && let Some(mut stream) = self.held.pop_front()
        {
            stream.set_read_timeout(Some(HEARD)).unwrap();
            // Until it is closed, or silent.
            let _ = stream.read_to_end(&mut Vec::new());
        }
    }

    /// Opens one more connection, sends these bytes as far as they are taken, and holds it with `others` older ones.
    fn come(&mut self, bytes: &[u8], others: usize) {
        let Ok(mut stream) = TcpStream::connect(self.at) else { return thread::sleep(STUCK) };
        self.made += 1;
        stream.set_write_timeout(Some(STUCK)).unwrap();
        let _ = stream.write_all(bytes);
        self.held.push_back(stream);
        while self.held.len() > others + 1 {
            self.held.pop_front();
        }
    }

    /// Sends bytes over one connection, again and again.
    fn go_on(&mut self, bytes: &[u8]) {
        if self.held.is_empty() {
            self.come(&Zmtp::V3_1.hello("SUB"), 0);
        }
        let Some(stream) = self.held.front_mut() else { return };
        match stream.write(&bytes[self.sent..]) {
            Ok(n) => self.sent = (self.sent + n) % bytes.len(),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(e) => panic!("a stranger that only waits is not disconnected: {e}"),
        }
    }
}

/// Ends the threads of a flood.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// A flood, and what is measured beside it.
struct Flood<'a> {
    quota: &'a str,
    default: &'a str,
    /// The bound of the test.
    bound: u64,
    /// What the strangers do.
    tried: &'a str,
    /// The memory that the quota itself allows, about.
    allowed: u64,
}

/// What the normal subscriber has received.
#[derive(Default)]
struct Received {
    messages: AtomicU64,
    /// How long each message took, in microseconds: without the flood, and with it.
    times: [Mutex<Vec<u32>>; 2],
}

impl Received {
    fn percentile_99(&self, flooded: bool) -> f64 {
        let mut times = self.times[usize::from(flooded)].lock().unwrap();
        times.sort_unstable();
        times.get(times.len() * 99 / 100).map_or(0.0, |micros| f64::from(*micros) / 1000.0)
    }
}

impl Flood<'_> {
    /// Runs the flood in every other window. `beside` is called once in each window of the flood.
    fn run(
        &self,
        x: &XPub,
        endpoint: &str,
        met: impl Fn() -> u64,
        step: impl Fn(&mut Strangers) + Send + Sync,
        beside: impl Fn(),
    ) {
        let port = endpoint.rsplit_once(':').unwrap().1.to_owned();
        let at = format!("127.0.0.1:{port}").parse().unwrap();
        let s = Sub::new(&engine(), options()).unwrap();
        s.subscribe("A").unwrap();
        // Another address than that of the strangers.
        s.connect(&format!("tcp://127.0.0.2:0;127.0.0.1:{port}")).unwrap();
        let start = Instant::now();
        while !x.wanted("A") {
            assert!(start.elapsed() < SOON, "the normal subscriber is there");
            thread::yield_now();
        }
        let (floods, over, received) = (AtomicBool::new(false), AtomicBool::new(false), Received::default());
        let mut made = 0;
        let (mut rates, mut memory, baseline) = (Vec::new(), 0, resident_bytes());
        thread::scope(|scope| {
            scope.spawn(|| publish(x, start, &over));
            scope.spawn(|| receive(&s, start, (&floods, &over), &received));
            let strangers = scope.spawn(|| {
                let mut strangers = Strangers { at, held: VecDeque::new(), made: 0, sent: 0 };
                while !over.load(Relaxed) {
                    match floods.load(Relaxed) {
                        true => step(&mut strangers),
                        false => thread::sleep(Duration::from_millis(1)),
                    }
                }
                strangers.made
            });
            // The others end too if something here panics.
            let _end = End(&over);
            let rate = |flooded: bool| {
                floods.store(flooded, Relaxed);
                thread::sleep(SETTLED);
                let (before, since) = (received.messages.load(Relaxed), Instant::now());
                thread::sleep(WINDOW);
                let messages = received.messages.load(Relaxed) - before;
                messages as f64 / since.elapsed().as_secs_f64()
            };
            for _ in 0..WINDOWS {
                let (quiet, flooded) = (rate(false), rate(true));
                beside();
                memory = resident_bytes().max(memory);
                rates.push((flooded / quiet, quiet, flooded));
            }
            over.store(true, Relaxed);
            made = strangers.join().unwrap();
        });
        rates.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (met, grown) = (met(), memory.saturating_sub(baseline));
        let (middle, best) = (rates[WINDOWS / 2], rates[WINDOWS - 1]);
        let times = [false, true].map(|flooded| received.percentile_99(flooded));
        let Flood { quota, default, bound, tried, allowed } = self;
        let mb = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let row = format!(
            "| `{quota}` | {default} | {bound} | {tried}; {made} connections, met {met} times | {:.1} | {:.1} | {:.0} | {:.0} | {:.0} % | {:.1} | {:.1} |",
            mb(baseline),
            mb(memory),
            middle.1,
            middle.2,
            100.0 * middle.0,
            times[0],
            times[1],
        );
        eprintln!("{row}");
        assert!(met > 0, "{quota} was not met");
        assert!(grown < BYTES_MORE_MAX + allowed, "{quota}: {grown} bytes more");
        assert!(best.0 >= 0.8, "{quota}: {rates:?}");
        if std::env::var_os("ONCUE_WRITE_DOCS").is_some() {
            write_row(quota, &row);
        }
    }
}

/// Sends at an even rate.
fn publish(x: &XPub, start: Instant, over: &AtomicBool) {
    let (begun, mut sent) = (Instant::now(), 0);
    while !over.load(Relaxed) {
        let due = begun.elapsed().as_millis() as u64 * PER_MILLISECOND;
        for _ in sent..due {
            let mut value = [7; 100];
            value[..8].copy_from_slice(&(start.elapsed().as_micros() as u64).to_be_bytes());
            x.send(("A", value)).unwrap();
        }
        sent = due;
        thread::sleep(Duration::from_micros(500));
    }
}

fn receive(s: &Sub, start: Instant, (floods, over): (&AtomicBool, &AtomicBool), received: &Received) {
    while !over.load(Relaxed) {
        let Some(message) = s.recv().wait_timeout(STUCK) else { continue };
        let sent = u64::from_be_bytes(message.unwrap().frame(1).unwrap()[..8].try_into().unwrap());
        let took = (start.elapsed().as_micros() as u64).saturating_sub(sent);
        received.messages.fetch_add(1, Relaxed);
        received.times[usize::from(floods.load(Relaxed))].lock().unwrap().push(took as u32);
    }
}

const HEAD: &str = "\
# Floods

A flood at each quota, and a normal subscriber beside it: 20,000 messages a second of 100 bytes, from another address. The
strangers, the publisher and the subscriber share one process and its machine of 2 cores; in every other window of 250 ms there
is no flood. Memory is that of the process before the first flood and the most during one. The rates are those of the window in the
middle of six; \"99 %\" is the time within which 99 of 100 messages arrive. Made by
`ONCUE_WRITE_DOCS=1 cargo test --release -p oncue --test floods`, which asserts the memory, and 80 % of the rate.

| quota | default | in this test | flood | MiB before | MiB most | messages/s without | messages/s with | of it | 99 % without, ms | 99 % with, ms |
|---|---|---|---|---|---|---|---|---|---|---|
";

/// Puts the row of a quota into the page.
fn write_row(quota: &str, row: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/benchmarks/floods.md");
    let page = fs::read_to_string(&path).unwrap_or_default();
    let first = format!("| `{quota}` |");
    let others = page.lines().filter(|line| line.starts_with("| `") && !line.starts_with(&first));
    let mut rows: Vec<_> = others.chain([row]).map(str::to_owned).collect();
    rows.sort();
    fs::write(path, format!("{HEAD}{}\n", rows.join("\n"))).unwrap();
}

fn alone() -> impl Drop {
    oncue::raise_descriptor_limit();
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A flood at an XPUB with these options.
fn flood(
    flood: &Flood<'_>,
    options: Options,
    count: fn(QuotaStats) -> u64,
    step: impl Fn(&mut Strangers) + Send + Sync,
) {
    let _alone = alone();
    let x = XPub::new(&engine(), options).unwrap();
    let door = Door::new(&x, Side::Binding);
    flood.run(&x, &door.endpoint(), || count(x.stats().quotas), step, || {});
}

fn hello(rest: impl AsRef<[u8]>) -> Vec<u8> {
    [&Zmtp::V3_1.hello("SUB")[..], rest.as_ref()].concat()
}

/// Subscriptions to different prefixes of this length.
fn subscriptions(count: u32, len: usize) -> Vec<u8> {
    let prefix = |i: u32| [&i.to_be_bytes()[..], &vec![7; len - 4]].concat();
    (0..count).flat_map(|i| subscribe(prefix(i))).collect()
}

#[test]
fn peers_beyond_all_bounds_of_connections() {
    for (quota, default, options, count) in [
        ("peers_max", "65,536", options().peers_max(100), (|q| q.peers_max) as fn(QuotaStats) -> u64),
        ("peers_per_address_max", "no bound", options().peers_per_address_max(100), |q| {
            q.peers_per_address_max
        }),
    ] {
        let tried = "peers connect, subscribe and stay, 300 at a time";
        let hello = hello(subscribe("flood"));
        let of = Flood { quota, default, bound: 100, tried, allowed: 0 };
        flood(&of, options, count, |strangers| strangers.come(&hello, 300));
    }
}

#[test]
fn silent_connections_lock_nobody_out() {
    let _alone = alone();
    let x = XPub::new(&engine(), options().handshakes_max(256)).unwrap();
    let door = Door::new(&x, Side::Binding);
    let of = Flood {
        quota: "handshakes_max",
        default: "8,192",
        bound: 256,
        tried: "connections are opened and say nothing, 2,000 at a time, and in each window a new subscriber comes",
        allowed: 0,
    };
    let to = door.endpoint().replace("//", "//127.0.0.2:0;");
    let comes = || {
        let newcomer = Sub::new(&engine(), options()).unwrap();
        newcomer.subscribe("A").unwrap();
        newcomer.connect(&to).unwrap();
        assert!(newcomer.recv().wait_timeout(SOON).is_some(), "a newcomer is served");
    };
    let silent = |strangers: &mut Strangers| strangers.come(b"", 2000);
    of.run(&x, &door.endpoint(), || x.stats().quotas.handshakes_max, silent, comes);
}

#[test]
fn messages_and_prefixes_that_are_too_long() {
    let announced = [&b"\x02"[..], &(1u64 << 30).to_be_bytes(), &[7; 1 << 16]].concat();
    let bytes = hello(announced);
    let tried = "peers announce a message of 1 GiB and send 64 KiB of it";
    let of = Flood { quota: "message_bytes_max", default: "128 KiB", bound: 128 << 10, tried, allowed: 0 };
    flood(&of, options(), |q| q.message_bytes_max, |strangers| strangers.come_and_hear(&bytes, 10));

    let bytes = hello(subscriptions(1, 60_000));
    let tried = "peers subscribe to a prefix of 60,000 bytes";
    let of = Flood { quota: "prefix_length_max", default: "65,526", bound: 1000, tried, allowed: 0 };
    let options = options().prefix_length_max(1000);
    flood(&of, options, |q| q.prefix_length_max, |strangers| strangers.come_and_hear(&bytes, 10));
}

#[test]
fn prefixes_beyond_the_quota_of_a_peer() {
    let bytes = hello(subscriptions(20_000, 20));
    let tried = "peers subscribe to 20,000 prefixes of 20 bytes";
    let of = Flood { quota: "prefixes_max", default: "4,000,000", bound: 10_000, tried, allowed: 24 << 20 };
    let few = options().prefixes_max(10_000);
    flood(&of, few, |q| q.prefixes_max, |strangers| strangers.come_and_hear(&bytes, 3));

    let bytes = hello(subscriptions(100, 60_000));
    let tried = "peers subscribe to 100 prefixes of 60,000 bytes";
    let of =
        Flood { quota: "prefix_bytes_max", default: "256 MiB", bound: 1 << 20, tried, allowed: 16 << 20 };
    let short = options().prefix_bytes_max(1 << 20);
    flood(&of, short, |q| q.prefix_bytes_max, |strangers| strangers.come_and_hear(&bytes, 3));
}

#[test]
fn prefixes_beyond_the_quota_of_a_user() {
    // Each connection keeps to the quota of a peer.
    let tried = "20 connections of one address subscribe to 5,000 prefixes of 20 bytes each";
    let bytes = hello(subscriptions(5000, 20));
    let of = Flood {
        quota: "prefixes_per_user_max",
        default: "16,000,000",
        bound: 20_000,
        tried,
        allowed: 8 << 20,
    };
    let few = options().prefixes_per_user_max(20_000);
    flood(&of, few, |q| q.prefixes_per_user_max, |strangers| strangers.come(&bytes, 20));

    let tried = "20 connections of one address subscribe to 20 prefixes of 60,000 bytes each";
    let bytes = hello(subscriptions(20, 60_000));
    let of = Flood {
        quota: "prefix_bytes_per_user_max",
        default: "1 GiB",
        bound: 4 << 20,
        tried,
        allowed: 16 << 20,
    };
    let short = options().prefix_bytes_per_user_max(4 << 20);
    flood(&of, short, |q| q.prefix_bytes_per_user_max, |strangers| strangers.come(&bytes, 20));
}

#[test]
fn subscriptions_that_change_without_end() {
    let toggles = [subscribe("flood"), cancel("flood")].concat().repeat(1000);
    let of = Flood {
        quota: "changes_per_second_max",
        default: "100,000",
        bound: 10_000,
        tried: "a peer subscribes and cancels as fast as it is read",
        allowed: 0,
    };
    let options = options().changes_per_second_max(10_000).prefixes_max(1000);
    flood(&of, options, |q| q.changes_per_second_max, |strangers| strangers.go_on(&toggles));
}

#[test]
fn topics_that_are_started_without_end() {
    let _alone = alone();
    let builder = OnDemand::bind("tcp://127.0.0.1:0").unwrap().starts_per_minute_max(6000);
    let od = builder.route("flood/{n}").every(Duration::from_secs(60), |_| "value").start().unwrap();
    let endpoint = od.endpoint().unwrap().to_string();
    let topics: Vec<u8> = (0..50_000)
        .flat_map(|n| {
            let topic = format!("flood/{n:05}");
            [subscribe(&topic), cancel(&topic)].concat()
        })
        .collect();
    let of = Flood {
        quota: "starts_per_minute_max",
        default: "600,000",
        bound: 6000,
        tried: "a peer subscribes to topics and cancels them, as fast as it is read",
        // The subscriptions that are held: their bound of bytes.
        allowed: 16 << 20,
    };
    let met = || od.stats().starts_deferred + od.stats().starts_rejected;
    of.run(od.xpub(), &endpoint, met, |strangers| strangers.go_on(&topics), || {});
    let started = od.stats().done.started;
    // A burst of a minute's worth, and what came in the few seconds since.
    assert!(started < 6000 + 100 * SOON.as_secs(), "{started} were started");
}
