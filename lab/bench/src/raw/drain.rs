//! The raw drain: any number of subscribers without a library, on one thread. It counts messages by their bytes, and checks
//! the sequence numbers of only the first and the last message of each read, so that it costs almost nothing. Of encrypted
//! messages (`--curve`) it deciphers only the beginning of these, and checks no tag: the publisher alone is measured. With `--ws`
//! it is connected over WebSocket.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use oncue_core::mechanism::curve::MESSAGE_OVERHEAD_BYTES;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event as Ready, EventData, EventFlags};
use socket2::{Domain, Socket, Type};

use super::sealed::{self, Sealed};
use super::{web, wire};
use crate::Outcome;
use crate::args::Args;
use crate::control::{Control, Event, tell};
use crate::frame::{FIN, PROBE, Shape, Topics};
use crate::measure::{Report, Stopwatch, end_after};

const READ_BYTES: usize = 256 << 10;

/// The connections that one address of this host makes: the system has 28,000 ports for them.
const PORTS_OF_AN_ADDRESS: u64 = 20_000;

/// How often the clock is checked while nothing arrives.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// One subscriber.
struct Peer {
    stream: TcpStream,
    /// If it is encrypted.
    sealed: Option<Sealed>,
    /// The beginning of an incomplete message.
    partial: Vec<u8>,
    next: u64,
    probed: bool,
    finished: bool,
}

/// Connects `--peers` subscribers to `--port` and counts messages until each subscriber has seen the end mark. `--idle N` adds
/// N subscribers that never read.
pub fn run(args: &Args) -> Outcome {
    end_after(Duration::from_secs_f64(args.or("limit", 60.0)?));
    let shape = Shape { size: args.or("size", 64)?, topics: args.or("topics", Topics::None)? };
    let (port, peers, idle): (u16, u64, u64) =
        (args.need("port")?, args.or("peers", 1)?, args.or("idle", 0)?);
    let control = Control::listen();
    let idle = (0..idle).map(|_| connect_idle(port, &shape)).collect::<Outcome<Vec<_>>>()?;
    let (curve, is_web) = (args.has("curve"), args.has("ws"));
    let peers = (0..peers)
        .map(|number| match (curve, is_web) {
            (true, _) => connect_sealed(port),
            (_, true) => connect_web(port).map(in_clear),
            _ => connect(port, number).map(in_clear),
        })
        .collect::<Outcome<Vec<_>>>()?;
    tell(&Event::Connected);
    let encoded = (0..).zip(&peers).map(|(number, (_, commands, _))| match is_web {
        true => encode_web(&shape, number),
        false => encode(&shape, number, *commands),
    });
    let encoded: Vec<Vec<u8>> = encoded.collect();
    let start = Instant::now();
    let peers =
        peers.into_iter().zip(encoded).map(|((stream, _, sealed), out)| subscribe(stream, sealed, &out));
    let peers = peers.collect::<Outcome<Vec<_>>>()?;
    let cut = Duration::from_secs_f64(args.or("cut", 30.0)?);
    let report = Drain::new(shape, peers, cut, is_web)?
        .run(|| tell(&Event::Ready { seconds: start.elapsed().as_secs_f64() }))?;
    tell(&Event::Done(report));
    // The connections stay open until the runner has measured their cost.
    while !control.must_end() {
        std::thread::sleep(Duration::from_millis(2));
    }
    drop(idle);
    Ok(())
}

/// Connection number `number`, and whether its publisher understands SUBSCRIBE commands.
pub(super) fn connect(port: u16, number: u64) -> Outcome<(TcpStream, bool)> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    let host = u8::try_from(1 + number / PORTS_OF_AN_ADDRESS)?;
    if host > 1 {
        socket.bind(&SocketAddr::from(([127, 0, 0, host], 0)).into())?;
    }
    socket.connect(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
    let mut stream = TcpStream::from(socket);
    stream.set_nodelay(true)?;
    let commands = wire::shake_hands(&mut stream, "SUB")?;
    Ok((stream, commands))
}

fn in_clear((stream, commands): (TcpStream, bool)) -> (TcpStream, bool, Option<Sealed>) {
    (stream, commands, None)
}

/// An encrypted connection, and whether its publisher understands SUBSCRIBE commands.
fn connect_sealed(port: u16) -> Outcome<(TcpStream, bool, Option<Sealed>)> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_nodelay(true)?;
    let (sealed, commands) = sealed::shake_hands(&mut stream, "SUB")?;
    Ok((stream, commands, Some(sealed)))
}

/// A connection over WebSocket, whose publisher gets subscriptions as messages.
fn connect_web(port: u16) -> Outcome<(TcpStream, bool)> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_nodelay(true)?;
    web::shake_hands(&mut stream, port)?;
    Ok((stream, false))
}

/// The same subscriptions as [`encode`], over WebSocket.
fn encode_web(shape: &Shape, number: u64) -> Vec<u8> {
    let mut out = Vec::new();
    for prefix in shape.topics.prefixes(number) {
        web::put_subscribe(&prefix, &mut out);
    }
    out
}

/// The subscriptions of connection number `number`.
pub(super) fn encode(shape: &Shape, number: u64, commands: bool) -> Vec<u8> {
    let mut out = Vec::new();
    for prefix in shape.topics.prefixes(number) {
        wire::put_subscribe(&prefix, commands, &mut out);
    }
    out
}

fn subscribe(mut stream: TcpStream, mut sealed: Option<Sealed>, subscriptions: &[u8]) -> Outcome<Peer> {
    match &mut sealed {
        None => stream.write_all(subscriptions)?,
        Some(sealed) => stream.write_all(&sealed.seal_short(subscriptions))?,
    }
    stream.set_nonblocking(true)?;
    Ok(Peer { stream, sealed, partial: Vec::new(), next: 0, probed: false, finished: false })
}

/// A subscriber that never reads, with the smallest buffer that the system allows: ten thousand of them are to test the
/// publisher's memory, not the kernel's.
fn connect_idle(port: u16, shape: &Shape) -> Outcome<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_recv_buffer_size(4096)?;
    // The kernel sizes a sender's buffer by the receiver's segment size: large segments give megabytes.
    socket.set_tcp_mss(536)?;
    socket.connect(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
    let mut stream = TcpStream::from(socket);
    let commands = wire::shake_hands(&mut stream, "SUB")?;
    let fill = Shape { topics: Topics::Fill, ..*shape };
    let out = [encode(&fill, 0, commands), encode(shape, 0, commands)].concat();
    Ok(subscribe(stream, None, &out)?.stream)
}

struct Drain {
    shape: Shape,
    peers: Vec<Peer>,
    /// Bytes of one message with its header, and of the header.
    step: usize,
    header: usize,
    buffer: Vec<u8>,
    watch: Option<Stopwatch>,
    unprobed: usize,
    unfinished: usize,
    /// The run ends at this time after the first message, even if messages are missing.
    cut: Duration,
    report: Report,
}

impl Drain {
    fn new(shape: Shape, peers: Vec<Peer>, cut: Duration, is_web: bool) -> Outcome<Drain> {
        let is_sealed = peers.iter().any(|peer| peer.sealed.is_some());
        let body = shape.size + if is_sealed { MESSAGE_OVERHEAD_BYTES } else { 0 };
        let header = if is_web { web::header_bytes(body) } else { wire::header_bytes(body) };
        let step = header + body;
        let (unprobed, unfinished) = (peers.len(), peers.len());
        let buffer = vec![0; READ_BYTES + step];
        let report = Report::default();
        Ok(Drain { shape, peers, step, header, buffer, watch: None, unprobed, unfinished, cut, report })
    }

    fn run(mut self, ready: impl Fn()) -> Outcome<Report> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        for (number, peer) in self.peers.iter().enumerate() {
            epoll::add(&epoll, &peer.stream, EventData::new_u64(number as u64), EventFlags::IN)?;
        }
        let mut events: Vec<Ready> = Vec::with_capacity(256);
        while self.unfinished > 0 {
            events.clear();
            epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut events), Some(&LOOK))?;
            for event in &events {
                let was_unprobed = self.unprobed > 0;
                self.read(event.data.u64() as usize)?;
                if was_unprobed && self.unprobed == 0 {
                    ready();
                }
            }
            if let Some(watch) = self.watch.as_ref().filter(|watch| watch.elapsed() > self.cut) {
                // The rate counts only what arrived until now, not what the publisher still has queued.
                self.report.seconds = watch.elapsed().as_secs_f64();
                break;
            }
        }
        if !self.shape.topics.all_wanted() {
            self.report.missing = 0;
        }
        if let Some(watch) = &self.watch {
            self.report.cpu = watch.cpu();
        }
        Ok(self.report)
    }

    /// Reads once from a readable peer.
    fn read(&mut self, number: usize) -> Outcome {
        let peer = &mut self.peers[number];
        let carried = peer.partial.len();
        self.buffer[..carried].copy_from_slice(&peer.partial);
        let read = wire::read_some(&mut peer.stream, &mut self.buffer[carried..carried + READ_BYTES])?;
        let filled = carried + read;
        let whole = filled - filled % self.step;
        peer.partial.clear();
        peer.partial.extend_from_slice(&self.buffer[whole..filled]);
        if whole > 0 {
            self.count(number, whole)?;
        }
        Ok(())
    }

    /// Counts the whole messages at the front of the buffer.
    fn count(&mut self, number: usize, whole: usize) -> Outcome {
        let (peer, messages) = (&mut self.peers[number], &self.buffer[..whole]);
        let (sealed, shape, header) = (&peer.sealed, &self.shape, self.header);
        let seq_of = |message: &[u8]| {
            let seq = match sealed {
                None => shape.seq(&message[header..]),
                Some(sealed) => sealed.seq(message),
            };
            seq.ok_or_else(|| format!("a message does not belong to this run: {}", message.escape_ascii()))
        };
        let first = seq_of(&messages[..self.step])?;
        let last = seq_of(&messages[whole - self.step..])?;
        if first < PROBE && last < PROBE {
            if self.watch.is_none() {
                self.watch = Some(Stopwatch::start());
            }
            let count = (whole / self.step) as u64;
            self.report.messages += count;
            assert!(first >= peer.next && last - first >= count - 1, "messages came out of order");
            self.report.missing += first - peer.next + (last - first - (count - 1));
            peer.next = last + 1;
            return Ok(());
        }
        // At the beginning and the end of the run, marks and messages are mixed.
        for message in messages.chunks_exact(self.step) {
            match seq_of(message)? {
                PROBE => self.unprobed -= usize::from(!std::mem::replace(&mut peer.probed, true)),
                FIN => {
                    if !std::mem::replace(&mut peer.finished, true) {
                        self.unfinished -= 1;
                        self.report.seconds =
                            self.watch.as_ref().map_or(0.0, |watch| watch.elapsed().as_secs_f64());
                    }
                }
                seq => {
                    if self.watch.is_none() {
                        self.watch = Some(Stopwatch::start());
                    }
                    self.report.messages += 1;
                    self.report.missing += seq - peer.next;
                    peer.next = seq + 1;
                }
            }
        }
        Ok(())
    }
}
