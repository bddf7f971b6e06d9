//! W10's subscriber: one connection that wants many topics of a catalogue, and repeatedly cancels one and subscribes
//! to another. It checks each received value.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::wire;
use crate::Outcome;
use crate::args::Args;
use crate::control::{Control, Event, tell};
use crate::demand::{CATALOGUE, WANTED, index, is_value, period, topic};
use crate::frame::mix;
use crate::measure::{Report, Stopwatch, end_after};

const READ_BYTES: usize = 64 << 10;

/// The distance between two consecutive topics in the order of subscription. It is coprime to the number of topics, so no
/// topic repeats before all others were used.
const STRIDE: u64 = 7919;

/// A topic that has been wanted for longer than this number of periods without a value counts as forgotten.
const PATIENCE: u32 = 2;

/// Subscribes to `--wanted` topics at `--port`, and for `--seconds` from the runner's `go` on changes subscriptions one by
/// one, `--changes` of them a second.
pub fn run(args: &Args) -> Outcome {
    end_after(Duration::from_secs_f64(args.or("limit", 60.0)?));
    let (port, run) = (args.need("port")?, Duration::from_secs_f64(args.need("seconds")?));
    let control = Control::listen();
    let mut churn = Churn::connect(port, period(args)? * PATIENCE)?;
    tell(&Event::Connected);
    let start = Instant::now();
    for _ in 0..args.or("wanted", WANTED)? {
        churn.subscribe();
    }
    // Many subscriptions do not fit into the kernel's buffers.
    churn.stream.set_nonblocking(false)?;
    churn.flush()?;
    churn.stream.set_nonblocking(true)?;
    while churn.without_value() > 0 {
        churn.read(Duration::from_millis(10))?;
    }
    tell(&Event::Ready { seconds: start.elapsed().as_secs_f64() });
    while !control.may_go() {
        churn.read(Duration::from_millis(1))?;
    }
    let report = churn.measure(run, args.or("changes", 0)?)?;
    tell(&Event::Done(report));
    while !control.must_end() {
        churn.read(Duration::from_millis(2))?;
    }
    Ok(())
}

/// The state of a wanted topic.
struct Want {
    since: Instant,
    has_value: bool,
}

struct Churn {
    stream: TcpStream,
    commands: bool,
    /// Bytes that are not written yet.
    out: Vec<u8>,
    buffer: Vec<u8>,
    filled: usize,
    wanted: HashMap<u64, Want>,
    /// The keys of `wanted` in no order, for random selection.
    order: Vec<u64>,
    /// How many subscriptions were made so far.
    come: u64,
    values: u64,
    /// Topics that were wanted for longer than `patience` without a value.
    forgotten: u64,
    micros: Vec<f64>,
    patience: Duration,
}

impl Churn {
    fn connect(port: u16, patience: Duration) -> Outcome<Churn> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_nodelay(true)?;
        let commands = wire::shake_hands(&mut stream, "SUB")?;
        stream.set_nonblocking(true)?;
        Ok(Churn {
            stream,
            commands,
            out: Vec::new(),
            buffer: vec![0; READ_BYTES],
            filled: 0,
            wanted: HashMap::new(),
            order: Vec::new(),
            come: 0,
            values: 0,
            forgotten: 0,
            micros: Vec::new(),
            patience,
        })
    }

    fn measure(&mut self, run: Duration, per_second: u64) -> Outcome<Report> {
        (self.values, self.forgotten) = (0, 0);
        self.micros.clear();
        let (watch, mut changes) = (Stopwatch::start(), 0);
        while watch.elapsed() < run {
            let due = (watch.elapsed().as_secs_f64() * per_second as f64) as u64;
            while changes < due {
                changes += 1;
                if changes % 2 == 1 { self.cancel() } else { self.subscribe() }
            }
            self.flush()?;
            // Without changes, wait until the end of the run.
            let next = (changes + 1) as f64 / per_second.max(1) as f64;
            let next = Duration::from_secs_f64(next).min(run);
            self.read(next.saturating_sub(watch.elapsed()))?;
        }
        let (seconds, cpu) = (watch.elapsed().as_secs_f64(), watch.cpu());
        let late = self.wanted.values().filter(|want| want.is_forgotten(self.patience)).count() as u64;
        let mut micros = std::mem::take(&mut self.micros);
        micros.sort_by(f64::total_cmp);
        let missing = self.forgotten + late;
        Ok(Report { messages: self.values, seconds, cpu, missing, micros, ..Report::default() })
    }

    fn subscribe(&mut self) {
        let number = self.come * STRIDE % CATALOGUE;
        self.come += 1;
        wire::put_subscribe(&topic(number), self.commands, &mut self.out);
        self.order.push(number);
        self.wanted.insert(number, Want { since: Instant::now(), has_value: false });
    }

    fn cancel(&mut self) {
        let at = mix(self.come) % self.order.len() as u64;
        let number = self.order.swap_remove(at as usize);
        wire::put_cancel(&topic(number), self.commands, &mut self.out);
        let want = self.wanted.remove(&number).expect("what is in order is wanted");
        self.forgotten += u64::from(want.is_forgotten(self.patience));
    }

    /// Writes the pending bytes. Those of changes are few, so there is always room.
    fn flush(&mut self) -> Outcome {
        self.stream.write_all(&self.out)?;
        self.out.clear();
        Ok(())
    }

    fn without_value(&self) -> usize {
        self.wanted.values().filter(|want| !want.has_value).count()
    }

    /// Waits at most `wait` for bytes, and reads them.
    fn read(&mut self, wait: Duration) -> Outcome {
        let mut ready = [PollFd::new(&self.stream, PollFlags::IN)];
        let wait = Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: i64::from(wait.subsec_nanos()) };
        if poll(&mut ready, Some(&wait))? == 0 {
            return Ok(());
        }
        let read = match self.stream.read(&mut self.buffer[self.filled..]) {
            Ok(0) => return Err("the publisher has closed the connection".into()),
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        self.filled += read;
        let mut taken = 0;
        while let Some((message, rest)) = two_frames(&self.buffer[taken..self.filled]) {
            taken = self.filled - rest;
            if let Some((topic, value)) = message {
                let number = index(topic).ok_or("a topic is not in the catalogue")?;
                if !is_value(topic, value) {
                    return Err(format!("`{}` has a wrong value", topic.escape_ascii()).into());
                }
                self.values += 1;
                // A topic that is no longer in `wanted` was cancelled while its value was in flight.
                if let Some(want) = self.wanted.get_mut(&number)
                    && !std::mem::replace(&mut want.has_value, true)
                {
                    self.micros.push(want.since.elapsed().as_secs_f64() * 1e6);
                }
            }
        }
        self.buffer.copy_within(taken..self.filled, 0);
        self.filled -= taken;
        Ok(())
    }
}

impl Want {
    fn is_forgotten(&self, patience: Duration) -> bool {
        !self.has_value && self.since.elapsed() > patience
    }
}

/// The topic and the value at the front of `bytes`, or nothing for a command, and how many bytes follow. `None` if the
/// message is incomplete.
#[expect(clippy::type_complexity, reason = "a type name would add nothing")]
fn two_frames(bytes: &[u8]) -> Option<(Option<(&[u8], &[u8])>, usize)> {
    let (flags, first, rest) = wire::split_short(bytes)?;
    if flags != wire::MORE {
        return Some((None, rest.len()));
    }
    let (_, second, rest) = wire::split_short(rest)?;
    Some((Some((first, second)), rest.len()))
}
