//! A simulated network in virtual time: bytes arrive late and in pieces, buffers are small, connections break, shards get
//! no turn for a while, descriptors run out, all decided by a seed. It does not know what the bytes mean.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::io::{self, IoSlice};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::endpoint::Endpoint;
use crate::net::{Net, Ready, Stream};
use crate::options::NetOptions;
use crate::peer_address::PeerAddress;
use crate::sync::lock;

/// One shard of one node.
pub(crate) type Place = (usize, usize);

/// The world that all nodes share.
pub(crate) struct World {
    pub(crate) now: Duration,
    random: u64,
    /// The longest delay of a piece of data, in microseconds.
    pub(crate) delay_us_max: u64,
    /// A connection takes whatever is written to it.
    pub(crate) generous: bool,
    /// Peers have addresses of other machines. Otherwise they are those of one process, which is asked nothing.
    pub(crate) is_foreign: bool,
    /// As soon as a side is told that it may write, a random connection breaks.
    #[cfg(test)]
    pub(crate) fuse: bool,
    lines: BTreeMap<usize, Line>,
    next_line: usize,
    listeners: BTreeMap<String, Listener>,
    events: BinaryHeap<Reverse<(Duration, u64, Event)>>,
    next_event: u64,
    /// What is to be reported to each shard, and which shards were woken.
    pub(crate) reports: BTreeMap<Place, Vec<Ready>>,
    pub(crate) rung: BTreeSet<Place>,
    /// The nodes without power: nothing happens there.
    pub(crate) dark: BTreeSet<usize>,
    /// The shards that get no turn before a time: the system gives their threads no processor.
    pub(crate) stalled: BTreeMap<Place, Duration>,
    /// Until then no node has a descriptor left for a connection that it would accept.
    pub(crate) scarce_until: Duration,
    /// What has happened so far: connection attempts, arrivals and room on the network, and what else the stage counts.
    pub(crate) events_seen: u64,
}

struct Listener {
    at: Place,
    token: usize,
    backlog: VecDeque<usize>,
}

/// A connection: two lanes, from side 0 to side 1 and back.
struct Line {
    ends: [End; 2],
    lanes: [Lane; 2],
    state: State,
    /// Side 1 waits in a backlog, or is a stream: it will be closed there.
    met: bool,
    /// Nothing passes any more, and neither side learns of it.
    cut: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    /// On its way to a listener.
    Calling,
    Open,
    /// Refused or reset.
    Broken,
}

#[derive(Default)]
struct End {
    place: Option<Place>,
    token: usize,
    gone: bool,
}

/// Bytes from one side to the other.
#[derive(Default)]
struct Lane {
    /// On their way, with the time of arrival.
    flying: VecDeque<(Duration, Vec<u8>)>,
    arrived: VecDeque<u8>,
    capacity: usize,
    writer_waits: bool,
    closed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A connection attempt reaches its listener, if there is one.
    Call(usize),
    /// Something may have arrived at a side.
    Arrive(usize, usize),
    /// A side may write again.
    Room(usize, usize),
}

impl World {
    pub(crate) fn new(seed: u64) -> Arc<Mutex<World>> {
        Arc::new(Mutex::new(World {
            now: Duration::ZERO,
            random: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
            delay_us_max: 3000,
            generous: false,
            is_foreign: false,
            #[cfg(test)]
            fuse: false,
            lines: BTreeMap::new(),
            next_line: 0,
            listeners: BTreeMap::new(),
            events: BinaryHeap::new(),
            next_event: 0,
            reports: BTreeMap::new(),
            rung: BTreeSet::new(),
            dark: BTreeSet::new(),
            stalled: BTreeMap::new(),
            scarce_until: Duration::ZERO,
            events_seen: 0,
        }))
    }

    /// A number below `n`.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 8) % n.max(1)
    }

    pub(crate) fn next_event(&self) -> Option<Duration> {
        self.events.peek().map(|Reverse((at, ..))| *at)
    }

    /// How many connections are not closed on both sides.
    #[cfg(test)]
    pub(crate) fn open_lines(&self) -> usize {
        self.lines.len()
    }

    /// Handles all events that are due by `now`.
    pub(crate) fn advance(&mut self, now: Duration) {
        self.now = now;
        while let Some(Reverse((at, _, event))) = self.events.peek().copied() {
            if at > now {
                return;
            }
            self.events.pop();
            self.events_seen += 1;
            match event {
                Event::Call(line) => self.call(line),
                Event::Arrive(line, side) => self.arrive(line, side),
                Event::Room(line, side) => self.report(line, side, false, true),
            }
            #[cfg(test)]
            if matches!(event, Event::Room(..)) && std::mem::take(&mut self.fuse) {
                self.break_one();
            }
        }
    }

    /// Breaks a random connection; bytes on their way are lost.
    #[cfg(test)]
    pub(crate) fn break_one(&mut self) {
        if let Some(line) = self.open_line() {
            self.break_line(line);
        }
    }

    /// Cuts a random connection.
    #[cfg(test)]
    pub(crate) fn cut_one(&mut self) {
        if let Some(line) = self.open_line() {
            self.lines.get_mut(&line).expect("chosen above").cut = true;
        }
    }

    #[cfg(test)]
    fn open_line(&mut self) -> Option<usize> {
        let open = self.lines.iter().filter(|(_, line)| line.state == State::Open && !line.cut);
        let open: Vec<_> = open.map(|(id, _)| *id).collect();
        let chosen = self.below(open.len() as u64) as usize;
        open.get(chosen).copied()
    }

    /// Cuts all connections of a node. It no longer listens, and does nothing.
    #[cfg(test)]
    pub(crate) fn power_off(&mut self, node: usize) {
        let there = |end: &End| end.place.is_some_and(|place| place.0 == node);
        let lines = self.lines.values_mut().filter(|line| line.ends.iter().any(there));
        lines.for_each(|line| line.cut = true);
        self.go_dark(node);
    }

    /// Breaks all connections of a node. It no longer listens, and does nothing.
    #[cfg(test)]
    pub(crate) fn kill(&mut self, node: usize) {
        let there = |end: &End| end.place.is_some_and(|place| place.0 == node);
        let lines = self.lines.iter().filter(|(_, line)| line.ends.iter().any(there) && !line.cut);
        let mut lines: Vec<_> = lines.map(|(id, _)| *id).collect();
        let listeners = self.listeners.values().filter(|listener| listener.at.0 == node);
        lines.extend(listeners.flat_map(|listener| listener.backlog.iter().copied()));
        self.go_dark(node);
        lines.into_iter().for_each(|line| self.break_line(line));
    }

    #[cfg(test)]
    fn go_dark(&mut self, node: usize) {
        self.listeners.retain(|_, listener| listener.at.0 != node);
        self.reports.retain(|place, _| place.0 != node);
        self.rung.retain(|place| place.0 != node);
        self.dark.insert(node);
    }

    /// The shards that have something to do and are given a turn.
    pub(crate) fn due(&self) -> BTreeSet<Place> {
        let stalls = |place: &Place| self.stalled.get(place).is_some_and(|until| *until > self.now);
        self.reports.keys().chain(&self.rung).filter(|place| !stalls(place)).copied().collect()
    }

    /// A shard is to be turned.
    pub(crate) fn ring(&mut self, place: Place) {
        if !self.dark.contains(&place.0) {
            self.rung.insert(place);
        }
    }

    fn break_line(&mut self, line: usize) {
        let Some(l) = self.lines.get_mut(&line) else { return };
        l.state = State::Broken;
        l.lanes.iter_mut().for_each(|lane| {
            lane.flying.clear();
            lane.arrived.clear();
        });
        self.report(line, 0, true, true);
        self.report(line, 1, true, true);
    }

    fn soon(&mut self, event: Event) -> Duration {
        let delay = Duration::from_micros(1 + self.below(self.delay_us_max));
        let at = self.now + delay;
        self.at(at, event);
        at
    }

    fn at(&mut self, at: Duration, event: Event) {
        self.next_event += 1;
        self.events.push(Reverse((at, self.next_event, event)));
    }

    /// A connection attempt to a listener, by its name.
    fn add_line(&mut self, near: End, name: &str) -> usize {
        let mut lanes = [Lane::default(), Lane::default()];
        for lane in &mut lanes {
            lane.capacity = if self.generous { usize::MAX } else { 16 << self.below(13) };
        }
        lanes[0].flying.push_back((Duration::ZERO, name.as_bytes().to_vec()));
        let line = self.next_line;
        self.next_line += 1;
        let (ends, state) = ([near, End::default()], State::Calling);
        self.lines.insert(line, Line { ends, lanes, state, met: false, cut: false });
        self.soon(Event::Call(line));
        line
    }

    fn call(&mut self, line: usize) {
        // The caller may have been killed meanwhile.
        let calls = |l: &&Line| l.state == State::Calling && !l.cut;
        let Some(l) = self.lines.get(&line).filter(calls) else { return };
        let name = l.lanes[0].flying.front().map(|(_, name)| String::from_utf8_lossy(name).into_owned());
        let name = name.expect("a call carries the name it calls");
        let Some(listener) = self.listeners.get_mut(&name) else { return self.break_line(line) };
        listener.backlog.push_back(line);
        let (at, token) = (listener.at, listener.token);
        self.reports.entry(at).or_default().push(Ready { token, readable: true, ..Ready::default() });
        let l = self.lines.get_mut(&line).expect("looked up above");
        l.lanes[0].flying.clear();
        (l.state, l.met) = (State::Open, true);
        self.report(line, 0, false, true);
    }

    fn arrive(&mut self, line: usize, side: usize) {
        let now = self.now;
        let Some(l) = self.lines.get_mut(&line) else { return };
        let lane = &mut l.lanes[1 - side];
        while !l.cut && lane.flying.front().is_some_and(|(at, _)| *at <= now) {
            let (_, bytes) = lane.flying.pop_front().expect("looked at above");
            lane.arrived.extend(bytes);
        }
        self.report(line, side, true, false);
    }

    fn report(&mut self, line: usize, side: usize, readable: bool, writable: bool) {
        let Some(l) = self.lines.get(&line) else { return };
        let (end, lane) = (&l.ends[side], &l.lanes[1 - side]);
        let (Some(place), false) = (end.place, end.gone) else { return };
        // What had arrived before can be read.
        if self.dark.contains(&place.0) || l.cut && (!readable || lane.arrived.is_empty()) {
            return;
        }
        let writable = writable && !l.cut;
        let ended = readable && (l.state == State::Broken || lane.closed && lane.flying.is_empty());
        // As with the system, one report covers everything that has happened since the last one.
        let reports = self.reports.entry(place).or_default();
        match reports.iter_mut().find(|report| report.token == end.token) {
            Some(report) => {
                report.readable |= readable;
                report.writable |= writable;
                report.ended |= ended;
            }
            None => reports.push(Ready { token: end.token, readable, writable, ended }),
        }
    }
}

/// The network of one shard.
pub(crate) struct SimNet {
    pub(crate) world: Arc<Mutex<World>>,
    pub(crate) place: Place,
}

impl SimStream {
    /// Connects to a listener, for a caller that is not a shard: nothing is reported to this side.
    pub(crate) fn call(world: &Arc<Mutex<World>>, name: &str) -> SimStream {
        let line = lock(world).add_line(End::default(), name);
        SimStream { world: world.clone(), line, side: 0 }
    }

    /// Breaks the connection; bytes on their way are lost.
    pub(crate) fn reset(self) {
        lock(&self.world).break_line(self.line);
    }
}

/// A listener, by its name.
pub(crate) struct SimListener {
    world: Arc<Mutex<World>>,
    at: Place,
    name: String,
}

/// One side of a connection.
pub(crate) struct SimStream {
    world: Arc<Mutex<World>>,
    line: usize,
    side: usize,
}

impl Net for SimNet {
    type Stream = SimStream;
    type Listener = SimListener;
    type Names = ();

    fn names(&self) {}

    fn listen(
        &mut self,
        at: &Endpoint,
        token: usize,
        _options: &NetOptions,
    ) -> io::Result<(SimListener, Endpoint)> {
        let mut world = lock(&self.world);
        let name = at.to_string();
        if world.listeners.contains_key(&name) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        world.listeners.insert(name.clone(), Listener { at: self.place, token, backlog: VecDeque::new() });
        Ok((SimListener { world: self.world.clone(), at: self.place, name }, at.clone()))
    }

    fn accept(&mut self, listener: &mut SimListener, _options: &NetOptions) -> io::Result<SimStream> {
        let mut world = lock(&self.world);
        if world.now < world.scarce_until {
            // The system's own code for that; the kind of it has no name in std.
            return Err(io::Error::other("too many open files"));
        }
        let listener =
            world.listeners.get_mut(&listener.name).expect("a listener listens until it is let go of");
        let line = listener.backlog.pop_front().ok_or(io::ErrorKind::WouldBlock)?;
        Ok(SimStream { world: self.world.clone(), line, side: 1 })
    }

    fn connect(
        &mut self,
        to: &Endpoint,
        token: usize,
        _turn: u32,
        _options: &Arc<NetOptions>,
    ) -> io::Result<SimStream> {
        let mut world = lock(&self.world);
        if world.below(10) == 0 {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let line = world.add_line(End { place: Some(self.place), token, gone: false }, &to.to_string());
        Ok(SimStream { world: self.world.clone(), line, side: 0 })
    }

    fn adopt(&mut self, stream: &mut SimStream, token: usize) -> io::Result<()> {
        let mut world = lock(&self.world);
        let line = world.lines.get_mut(&stream.line).expect("a line lives as long as its streams");
        line.ends[stream.side] = End { place: Some(self.place), token, gone: false };
        // As the system does, report the present readiness at once.
        world.report(stream.line, stream.side, true, true);
        Ok(())
    }

    fn release(&mut self, stream: SimStream) {
        drop(stream);
    }
}

impl Drop for SimListener {
    fn drop(&mut self) {
        let mut world = lock(&self.world);
        if world.dark.contains(&self.at.0) {
            // Another node may have the name by now.
            return;
        }
        let listener = world.listeners.remove(&self.name).expect("as in accept");
        for line in listener.backlog {
            world.break_line(line);
            let l = world.lines.get_mut(&line).expect("a line in a backlog stays");
            l.met = false;
            if l.ends[0].gone {
                world.lines.remove(&line);
            }
        }
    }
}

impl Stream for SimStream {
    fn address(&self) -> PeerAddress {
        match lock(&self.world).is_foreign {
            true => PeerAddress::Tcp((Ipv4Addr::new(192, 0, 2, 1), 1).into()),
            false => PeerAddress::Inproc,
        }
    }

    fn connected(&mut self) -> io::Result<bool> {
        match lock(&self.world).lines[&self.line].state {
            State::Calling => Ok(false),
            State::Open => Ok(true),
            State::Broken => Err(io::ErrorKind::ConnectionRefused.into()),
        }
    }

    fn read(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        let mut world = lock(&self.world);
        let cut = 1 + world.below(5000) as usize;
        let line = world.lines.get_mut(&self.line).expect("a line lives as long as its streams");
        if line.state == State::Broken {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let lane = &mut line.lanes[1 - self.side];
        let spare = buffer.capacity() - buffer.len();
        let n = lane.arrived.len().min(spare).min(cut);
        if n == 0 {
            return match lane.closed && lane.flying.is_empty() {
                true => Ok(0),
                false => Err(io::ErrorKind::WouldBlock.into()),
            };
        }
        buffer.extend(lane.arrived.drain(..n));
        // A read that leaves something counts as a read of what had arrived by then: the rest is reported again.
        let (more, waits) = (n < spare && !lane.arrived.is_empty(), std::mem::take(&mut lane.writer_waits));
        if more {
            world.soon(Event::Arrive(self.line, self.side));
        }
        if waits {
            world.soon(Event::Room(self.line, 1 - self.side));
        }
        Ok(n)
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut world = lock(&self.world);
        let cut = if world.generous { usize::MAX } else { 1 + world.below(20_000) as usize };
        let line = world.lines.get_mut(&self.line).expect("a line lives as long as its streams");
        if line.state == State::Broken || line.ends[1 - self.side].gone && !line.cut {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let lane = &mut line.lanes[self.side];
        let used = lane.arrived.len() + lane.flying.iter().map(|(_, b)| b.len()).sum::<usize>();
        let room = lane.capacity.saturating_sub(used).min(cut);
        let bytes: Vec<u8> = slices.iter().flat_map(|s| s.iter().copied()).take(room).collect();
        if bytes.is_empty() && slices.iter().any(|s| !s.is_empty()) {
            lane.writer_waits = true;
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let n = bytes.len();
        let earliest = lane.flying.back().map_or(Duration::ZERO, |(at, _)| *at);
        let at = world.soon(Event::Arrive(self.line, 1 - self.side)).max(earliest);
        world.at(at, Event::Arrive(self.line, 1 - self.side));
        let line = world.lines.get_mut(&self.line).expect("as above");
        line.lanes[self.side].flying.push_back((at, bytes));
        Ok(n)
    }

    fn shutdown_write(&mut self) {
        let mut world = lock(&self.world);
        let line = world.lines.get_mut(&self.line).expect("a line lives as long as its streams");
        if line.cut {
            return;
        }
        let lane = &mut line.lanes[self.side];
        lane.closed = true;
        let at = lane.flying.back().map_or(Duration::ZERO, |(at, _)| *at).max(world.now);
        world.at(at, Event::Arrive(self.line, 1 - self.side));
    }
}

impl Drop for SimStream {
    fn drop(&mut self) {
        self.shutdown_write();
        let mut world = lock(&self.world);
        let line = world.lines.get_mut(&self.line).expect("a line lives as long as its streams");
        line.ends[self.side].gone = true;
        if line.ends[1 - self.side].gone || self.side == 0 && !line.met {
            world.lines.remove(&self.line);
        } else {
            // The other side's writes fail from now on.
            world.report(self.line, 1 - self.side, false, true);
        }
    }
}
