//! W11's subscribers: many connections without a library, on one thread. Each message carries the time when it was to be sent;
//! the time of a delivery is when the read that brought it has returned. Some of the subscribers change their topics.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event as Ready, EventData, EventFlags};

use super::drain::{connect, encode};
use super::wire;
use crate::Outcome;
use crate::args::Args;
use crate::control::{Control, Event, tell};
use crate::frame::{FIN, PROBE, Shape, Topics, mix};
use crate::histogram::Histogram;
use crate::market::{self, CHANGING, Draws, PEERS, PERIOD};
use crate::measure::{Latency, Report, Stopwatch, end_after, now_nanos};

const READ_BYTES: usize = 256 << 10;

/// Connects the subscribers of the market to `--port` and measures until each of them has seen the end mark, at most `--cut`
/// seconds after the first message.
pub fn run(args: &Args) -> Outcome {
    end_after(Duration::from_secs_f64(args.or("limit", 60.0)?));
    let shape = Shape { size: args.or("size", 64)?, topics: Topics::Market };
    let port = args.need("port")?;
    let control = Control::listen();
    let streams = (0..PEERS).map(|number| connect(port, number)).collect::<Outcome<Vec<_>>>()?;
    tell(&Event::Connected);
    let start = Instant::now();
    let peers =
        (0..).zip(streams).map(|(number, (stream, commands))| Peer::begin(shape, number, stream, commands));
    let peers = peers.collect::<Outcome<Vec<_>>>()?;
    let cut = Duration::from_secs_f64(args.or("cut", 30.0)?);
    let report = Market::new(shape, peers)
        .run(cut, || tell(&Event::Ready { seconds: start.elapsed().as_secs_f64() }))?;
    tell(&Event::Done(report));
    while !control.must_end() {
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// One subscriber.
struct Peer {
    stream: TcpStream,
    commands: bool,
    /// The topics that it holds, but for the mark; none if it wants everything.
    held: Vec<u64>,
    draws: Draws,
    /// The beginning of an incomplete message.
    partial: Vec<u8>,
    /// The time in the message before.
    last: u64,
    received: u64,
    probed: bool,
    finished: bool,
}

impl Peer {
    fn begin(shape: Shape, number: u64, mut stream: TcpStream, commands: bool) -> Outcome<Peer> {
        stream.write_all(&encode(&shape, number, commands))?;
        stream.set_nonblocking(true)?;
        let (held, draws) = market::held(number);
        Ok(Peer {
            stream,
            commands,
            held,
            draws,
            partial: Vec::new(),
            last: 0,
            received: 0,
            probed: false,
            finished: false,
        })
    }

    /// Cancels one topic and subscribes to another. These are few bytes, so there is always room.
    fn change(&mut self) -> Outcome {
        let new = self.draws.next_beside(&self.held);
        let at = (mix(new ^ self.received) % self.held.len() as u64) as usize;
        let old = std::mem::replace(&mut self.held[at], new);
        let (mut topic, mut out) = ([0; 12], Vec::new());
        Topics::Market.write(old, &mut topic);
        wire::put_cancel(&topic, self.commands, &mut out);
        Topics::Market.write(new, &mut topic);
        wire::put_subscribe(&topic, self.commands, &mut out);
        Ok(self.stream.write_all(&out)?)
    }
}

struct Market {
    shape: Shape,
    peers: Vec<Peer>,
    header: Vec<u8>,
    buffer: Vec<u8>,
    watch: Option<Stopwatch>,
    /// Peers that have not seen a probe, or not the end mark.
    unprobed: usize,
    unfinished: usize,
    latency: Histogram,
    seconds: f64,
}

impl Market {
    fn new(shape: Shape, peers: Vec<Peer>) -> Market {
        let mut header = Vec::new();
        wire::put_header(shape.size, &mut header);
        let buffer = vec![0; READ_BYTES + header.len() + shape.size];
        let (unprobed, unfinished) = (peers.len(), peers.len());
        let (watch, latency) = (None, Histogram::new());
        Market { shape, peers, header, buffer, watch, unprobed, unfinished, latency, seconds: 0.0 }
    }

    fn run(mut self, cut: Duration, ready: impl Fn()) -> Outcome<Report> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        for (number, peer) in self.peers.iter().enumerate() {
            epoll::add(&epoll, &peer.stream, EventData::new_u64(number as u64), EventFlags::IN)?;
        }
        let mut events: Vec<Ready> = Vec::with_capacity(256);
        let mut changes = Changes::new();
        while self.unfinished > 0 {
            events.clear();
            let wait = changes.next.saturating_duration_since(Instant::now());
            let wait = Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: i64::from(wait.subsec_nanos()) };
            epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut events), Some(&wait))?;
            for event in &events {
                let was_unprobed = self.unprobed > 0;
                self.read(event.data.u64() as usize)?;
                if was_unprobed && self.unprobed == 0 {
                    ready();
                }
            }
            if self.unprobed == 0 {
                changes.make(&mut self.peers)?;
            } else {
                changes = Changes::new();
            }
            if let Some(watch) = self.watch.as_ref().filter(|watch| watch.elapsed() > cut) {
                self.seconds = watch.elapsed().as_secs_f64();
                break;
            }
        }
        let of = |fixed: bool| {
            let peers = (0..).zip(&self.peers).filter(|&(number, _)| market::changes(number) != fixed);
            peers.map(|(_, peer)| peer.received).sum::<u64>()
        };
        let at = |share| self.latency.quantile(share) / 1e3;
        Ok(Report {
            messages: of(true) + of(false),
            fixed: of(true),
            seconds: self.seconds,
            cpu: self.watch.as_ref().map_or(0.0, Stopwatch::cpu),
            latency: Some(Latency { p50: at(0.5), p99: at(0.99), p999: at(0.999) }),
            ..Report::default()
        })
    }

    /// Reads once from a readable peer.
    fn read(&mut self, number: usize) -> Outcome {
        let peer = &mut self.peers[number];
        let carried = peer.partial.len();
        self.buffer[..carried].copy_from_slice(&peer.partial);
        let read = wire::read_some(&mut peer.stream, &mut self.buffer[carried..carried + READ_BYTES])?;
        let (now, at) = (now_nanos(), self.header.len());
        let mut messages = self.buffer[..carried + read].chunks_exact(at + self.shape.size);
        for message in &mut messages {
            let stamp = self.shape.seq(&message[at..]).filter(|_| message.starts_with(&self.header));
            match stamp.ok_or_else(|| format!("not a message of this run: {}", message.escape_ascii()))? {
                PROBE => self.unprobed -= usize::from(!std::mem::replace(&mut peer.probed, true)),
                FIN => {
                    if !std::mem::replace(&mut peer.finished, true) {
                        self.unfinished -= 1;
                        self.seconds = self.watch.as_ref().map_or(0.0, |watch| watch.elapsed().as_secs_f64());
                    }
                }
                due => {
                    self.watch.get_or_insert_with(Stopwatch::start);
                    assert!(due >= peer.last, "messages came out of order");
                    peer.last = due;
                    peer.received += 1;
                    self.latency.add(now.saturating_sub(due));
                }
            }
        }
        peer.partial.clear();
        peer.partial.extend_from_slice(messages.remainder());
        Ok(())
    }
}

/// The changes of subscriptions: the subscribers take turns, evenly over a period.
struct Changes {
    next: Instant,
    made: u64,
}

impl Changes {
    fn new() -> Changes {
        Changes { next: Instant::now() + PERIOD, made: 0 }
    }

    /// Makes those that are due.
    fn make(&mut self, peers: &mut [Peer]) -> Outcome {
        while self.next <= Instant::now() {
            let first = peers.len() as u64 - CHANGING;
            peers[(first + self.made % CHANGING) as usize].change()?;
            self.made += 1;
            self.next += PERIOD / CHANGING as u32;
        }
        Ok(())
    }
}
