//! A publisher and peers that connect to it, send any bytes in whatever pieces the network makes of them, and leave. Demand
//! must be what a plain interpretation of their bytes says, and nothing that they do may grow beyond its bound.

use std::collections::{BTreeMap, BTreeSet};
use std::io::IoSlice;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use oncue_core::command::{self, Command, Subscription};
use oncue_core::connection::{Handshake, HandshakeConfig, News, SocketType};
use oncue_core::frame::{self, Scan, Version, parse_header};
use oncue_core::mechanism::curve::{ClientKeys, PublicKey};
use oncue_core::mechanism::{Credentials, Security};

use super::Sim;
use super::network::SimStream;
use super::script::Script;
use crate::authentication::Case;
use crate::curve::{self, random};
use crate::engine::Link;
use crate::engine::hub::Hub;
use crate::net::Stream;
use crate::options::{OnFull, Options};
use crate::socket::{DemandEvent, DemandWatch, XPub, XPubEvent};
use crate::stage::pairs::PairWatch;
use crate::sync::lock;
use crate::user::User;
use crate::{Msg, Prefix};

const NAME: &str = "inproc://p";
const STEPS_MAX: usize = 300;
const STRANGERS_MAX: usize = 12;
/// The options that bound what a peer may have.
const PREFIXES_MAX: u32 = 3000;
const PREFIX_BYTES_MAX: u64 = 150_000;
const MESSAGE_BYTES_MAX: u64 = 40_000;
const HWM: u32 = 20;
/// The most input of one peer that may wait here: a message in a growing buffer of up to twice its size, one that is being
/// processed in parts, and a read.
const RECEIVED_BYTES_MAX: usize = 3 * (64 << 10) + (1 << 20);
/// The most output to one peer that may wait: answers up to their bound, those to one read, and a handshake.
const CONTROL_BYTES_MAX: u64 = (64 << 10) + (512 << 10);

/// A prefix: mostly one of few, so that several peers want the same; sometimes a long one.
fn prefix(script: &mut Script<'_>) -> Vec<u8> {
    const SHORT: [&[u8]; 8] = [b"", b"a", b"ab", b"abc", b"b", b"\0", b"\x01a", b"\xff\xff"];
    const LONG: [usize; 6] = [254, 255, 256, 1000, 20_000, 65_000];
    match script.byte() {
        long @ 200.. => vec![long; LONG[usize::from(long) % LONG.len()]],
        short => SHORT[usize::from(short) % SHORT.len()].to_vec(),
    }
}

/// The mechanism of the publisher. Strangers mostly speak the same.
#[derive(Clone)]
enum Guard {
    Null,
    Plain,
    /// With the publisher's key.
    Curve(PublicKey),
}

/// The PLAIN user that is not let in.
const REFUSED: &[u8] = b"no";

fn is_refused(credentials: &Credentials) -> bool {
    matches!(credentials, Credentials::Plain { user, .. } if user == REFUSED)
}

fn answer(case: Case) {
    match is_refused(&case.credentials) {
        true => case.refuse("not this one"),
        false => case.accept(User::new("somebody")),
    }
}

/// The handshake of a CURVE client, whose traffic begins after it.
struct Beginning {
    handshake: Handshake,
    out: Vec<u8>,
    sent: usize,
    heard: Vec<u8>,
}

/// One connection to the publisher.
struct Stranger {
    /// `None` once either side has closed it.
    stream: Option<Link<SimStream>>,
    version: Version,
    /// The handshake under CURVE, until it is done. Otherwise a handshake is the beginning of what is said.
    beginning: Option<Box<Beginning>>,
    is_sealed: bool,
    /// How much of what is said may be written: under CURVE whole frames alone, as a socket has no others in its queue.
    ready: usize,
    /// Everything that it sends, in clear, and how much of it the network has taken.
    said: Vec<u8>,
    sent: usize,
    /// It reads nothing.
    deaf: bool,
}

impl Stranger {
    /// Passes what was said to the network, and reads.
    fn move_on(&mut self) {
        if self.beginning.is_some() {
            return self.begin();
        }
        self.ready = match self.is_sealed {
            true => self.ready + whole_frames(&self.said[self.ready..]),
            false => self.said.len(),
        };
        let Some(stream) = &mut self.stream else { return };
        match stream.connected() {
            Ok(true) => {}
            Ok(false) => return,
            Err(_) => return self.stream = None,
        }
        while self.sent < self.ready {
            match stream.write(&[IoSlice::new(&self.said[self.sent..self.ready])]) {
                Ok(n) => self.sent += n,
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(_) => return self.stream = None,
            }
        }
        let mut heard = Vec::with_capacity(64 << 10);
        while !self.deaf && heard.len() < heard.capacity() && stream.read(&mut heard).is_ok_and(|n| n > 0) {}
    }

    /// Goes on with the handshake of CURVE.
    fn begin(&mut self) {
        let (Some(stream), Some(beginning)) = (&mut self.stream, &mut self.beginning) else { return };
        match stream.connected() {
            Ok(true) => {}
            Ok(false) => return,
            Err(_) => return self.stream = None,
        }
        let Beginning { handshake, out, sent, heard } = &mut **beginning;
        let mut room = Vec::with_capacity(1 << 10);
        while !self.deaf && stream.read(&mut room).is_ok_and(|n| n > 0) {
            heard.append(&mut room);
        }
        let news = match handshake.receive(heard, out) {
            Ok(progress) => {
                heard.drain(..progress.consumed);
                progress.news
            }
            Err(_) => return self.stream = None,
        };
        while *sent < out.len() {
            match stream.write(&[IoSlice::new(&out[*sent..])]) {
                Ok(n) => *sent += n,
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(_) => return self.stream = None,
            }
        }
        if let News::Done(established) = news {
            let session = established.session.expect("the keys of CURVE");
            stream.put_on(session, 0, MESSAGE_BYTES_MAX);
            if stream.opened(heard).is_err() {
                self.stream = None;
            }
            self.beginning = None;
        }
    }

    /// What its bytes mean by now.
    fn meaning(&self, hub: &Hub, guard: &Guard) -> Meaning {
        let said = &self.said[..self.sent];
        match (&self.beginning, self.is_sealed) {
            (Some(_), _) => Meaning::default(),
            // Only whole frames are sealed.
            (None, true) => Meaning::of_traffic(self.version, &said[..whole_frames(said)], hub),
            (None, false) => Meaning::of(said, hub, guard),
        }
    }

    fn say(&mut self, subscription: Subscription<'_>, as_message: bool) {
        let version = if as_message { Version::V3_0 } else { self.version };
        match subscription {
            Subscription::Subscribe(prefix) => command::put_subscribe(&mut self.said, version, prefix),
            Subscription::Cancel(prefix) => command::put_cancel(&mut self.said, version, prefix),
        }
    }
}

/// What a stranger's bytes mean, interpreted at once and without any bound on work.
#[derive(Default)]
struct Meaning {
    /// What it wants; `None` if it is not a peer, or no longer one.
    wants: Option<BTreeSet<Vec<u8>>>,
    /// It has sent a TTL: whether it is still a peer depends on the time.
    mortal: bool,
    /// The sum of the lengths of its prefixes.
    bytes: u64,
    /// The longest prefix that it may have.
    prefix_max: usize,
}

impl Meaning {
    fn of(said: &[u8], hub: &Hub, guard: &Guard) -> Meaning {
        let security = match guard {
            Guard::Null => Security::Null,
            Guard::Plain => Security::PlainServer,
            // Nobody that sends literal bytes has a key.
            Guard::Curve(_) => return Meaning::default(),
        };
        let config = HandshakeConfig { security, ..HandshakeConfig::new(SocketType::XPub) };
        let (mut handshake, mut out, mut consumed) = (Handshake::new(config), Vec::new(), 0);
        handshake.start(&mut out);
        loop {
            let Ok(progress) = handshake.receive(&said[consumed..], &mut out) else {
                return Meaning::default();
            };
            consumed += progress.consumed;
            match progress.news {
                News::Asks(credentials) if !is_refused(&credentials) => {
                    handshake.accept(&mut out).expect("PLAIN goes on");
                }
                News::Done(established) => {
                    return Meaning::of_traffic(established.peer.version, &said[consumed..], hub);
                }
                News::Asks(_) | News::NeedsMore => return Meaning::default(),
            }
        }
    }

    fn of_traffic(version: Version, traffic: &[u8], hub: &Hub) -> Meaning {
        let prefix_max = hub.options.prefix_length_max;
        let mut meaning = Meaning { wants: Some(BTreeSet::new()), prefix_max, ..Meaning::default() };
        let (mut scanner, mut rest) = (hub.scanner(version), traffic.to_vec());
        let mut at = 0;
        let broken = loop {
            match scanner.next(&mut rest[at..]) {
                Err(_) => break true,
                Ok(Scan::Incomplete { .. }) => break false,
                Ok(Scan::Message { len, wire_len }) => {
                    let wire = &rest[at..at + len];
                    let all = frame::frames(wire).filter_map(Subscription::from_message_frame);
                    if all.into_iter().any(|s| !meaning.take(s)) {
                        break true;
                    }
                    at += wire_len;
                }
                Ok(Scan::Command { len, body }) => {
                    if !meaning.command(&rest[at..][body]) {
                        break true;
                    }
                    at += len;
                }
                Ok(Scan::CommandInside { body }) => {
                    if !meaning.command(&rest[at..][body]) {
                        break true;
                    }
                }
            }
        };
        if broken {
            meaning.wants = None;
        }
        meaning
    }

    /// Returns whether the peer stays.
    fn command(&mut self, body: &[u8]) -> bool {
        match Command::parse(body) {
            Ok(Command::Subscribe(prefix)) => self.take(Subscription::Subscribe(prefix)),
            Ok(Command::Cancel(prefix)) => self.take(Subscription::Cancel(prefix)),
            Ok(Command::Error { .. }) | Err(_) => false,
            Ok(Command::Ping { ttl_ds, .. }) => {
                self.mortal |= ttl_ds > 0;
                true
            }
            Ok(_) => true,
        }
    }

    fn take(&mut self, subscription: Subscription<'_>) -> bool {
        let wants = self.wants.as_mut().expect("a peer that is still there");
        match subscription {
            Subscription::Cancel(prefix) => {
                if wants.remove(prefix) {
                    self.bytes -= prefix.len() as u64;
                }
            }
            Subscription::Subscribe(prefix) => {
                if prefix.len() > self.prefix_max {
                    return false;
                }
                if wants.insert(prefix.to_vec()) {
                    self.bytes += prefix.len() as u64;
                }
            }
        }
        wants.len() <= PREFIXES_MAX as usize && self.bytes <= PREFIX_BYTES_MAX
    }
}

/// How many of these bytes are whole frames.
fn whole_frames(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Ok(Some(header)) = parse_header(&bytes[at..])
        && header.frame_len() <= (bytes.len() - at) as u64
    {
        at += header.frame_len() as usize;
    }
    at
}

struct Scene {
    sim: Sim,
    guard: Guard,
    /// Who waits for an answer, if answers are not given at once.
    cases: Arc<Mutex<Vec<Case>>>,
    socket: XPub,
    watch: DemandWatch,
    /// Demand according to the socket's events, and according to its watch.
    told: BTreeSet<Prefix>,
    watched: BTreeSet<Prefix>,
    /// What is told of each peer.
    pairs: PairWatch,
    strangers: Vec<Stranger>,
}

impl Scene {
    fn new(script: &mut Script<'_>) -> Scene {
        let mut sim = Sim::new(u64::from(script.byte()));
        let control = sim.node(1 + script.below(2));
        let options = Options::new()
            .prefixes_max(PREFIXES_MAX)
            .prefix_bytes_max(PREFIX_BYTES_MAX)
            .message_bytes_max(MESSAGE_BYTES_MAX)
            .send_hwm(HWM)
            .recv_hwm(HWM)
            .on_full(OnFull::DropNewest);
        let cases: Arc<Mutex<Vec<Case>>> = Arc::default();
        let (later, waiting) = (script.flag(), cases.clone());
        let ask = move |case: Case| match later {
            true => lock(&waiting).push(case),
            false => answer(case),
        };
        let (guard, options) = match script.below(3) {
            0 => (Guard::Null, options),
            1 => (Guard::Plain, options.plain_server(ask)),
            _ => {
                let keys = curve::generate();
                (Guard::Curve(*keys.public()), options.curve_server(keys, ask))
            }
        };
        lock(&sim.world).is_foreign = !matches!(guard, Guard::Null);
        let socket = XPub::on(control, None, options).expect("a simulated engine");
        socket.bind(NAME).expect("nobody else is bound");
        let (watch, pairs) = (socket.demand(), PairWatch::new(&socket));
        let (told, watched) = Default::default();
        Scene { sim, guard, cases, socket, watch, told, watched, pairs, strangers: Vec::new() }
    }

    /// One step of the script.
    fn step(&mut self, script: &mut Script<'_>) {
        let action = script.byte();
        if self.strangers.is_empty() || action.is_multiple_of(16) {
            return self.enter(script);
        }
        let which = script.below(self.strangers.len());
        let stranger = &mut self.strangers[which];
        match action % 16 {
            1..4 => stranger.say(Subscription::Subscribe(&prefix(script)), action & 16 != 0),
            4 | 5 => stranger.say(Subscription::Cancel(&prefix(script)), action & 16 != 0),
            6 => mixed_message(script, &mut stranger.said),
            7 | 8 => many(script, stranger),
            9 => command::put_ping(&mut stranger.said, u16::from(script.byte() == 7), script.bytes(3)),
            10 => {
                let count = script.below(40);
                stranger.said.extend_from_slice(script.bytes(count));
            }
            11 => stranger.deaf = !stranger.deaf,
            12 if script.below(2) == 0 => stranger.stream = None,
            12 => {
                if let Some(stream) = stranger.stream.take() {
                    stream.into_stream().reset();
                }
            }
            13 => {
                for _ in 0..1 + script.below(40) {
                    self.socket.send((prefix(script), "payload")).expect("an open socket");
                }
            }
            14 => self.watch_anew(),
            _ => self.listen(),
        }
        self.run(Duration::from_micros(50 * u64::from(script.byte())));
    }

    /// A new stranger, which is mostly a valid peer.
    fn enter(&mut self, script: &mut Script<'_>) {
        if self.strangers.len() >= STRANGERS_MAX {
            let at = script.below(self.strangers.len());
            self.strangers.remove(at);
        }
        let choice = script.below(8);
        let mut said = Vec::new();
        let versions = [(Version::V3_1, 1), (Version::V3_0, 0)];
        let (mut version, minor) = versions[choice % 2];
        let mut greet = |mechanism: &[u8]| {
            said.extend_from_slice(&[0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, minor]);
            said.extend_from_slice(mechanism);
            said.resize(64, 0);
        };
        let mut beginning = None;
        match &self.guard {
            _ if choice == 7 => {}
            Guard::Null => {
                greet(b"NULL");
                said.extend_from_slice(b"\x04\x19\x05READY\x0bSocket-Type\0\0\0\x03SUB");
            }
            Guard::Plain => {
                greet(b"PLAIN");
                let user: &[u8] = if choice == 6 { REFUSED } else { b"me" };
                // With an empty password.
                said.extend_from_slice(&[4, 8 + user.len() as u8]);
                said.extend_from_slice(b"\x05HELLO\x02");
                said.extend_from_slice(user);
                said.push(0);
                said.extend_from_slice(b"\x04\x1c\x08INITIATE\x0bSocket-Type\0\0\0\x03SUB");
            }
            Guard::Curve(server) => {
                let keys = Arc::new(ClientKeys { own: curve::generate(), server: *server });
                let security = Security::CurveClient(keys, random);
                let config = HandshakeConfig { security, ..HandshakeConfig::new(SocketType::Sub) };
                let (mut handshake, mut out) = (Handshake::new(config), Vec::new());
                handshake.start(&mut out);
                beginning = Some(Box::new(Beginning { handshake, out, sent: 0, heard: Vec::new() }));
                version = Version::V3_1;
            }
        }
        let stream = Some(Link::new(SimStream::call(&self.sim.world, NAME)));
        let is_sealed = beginning.is_some();
        self.strangers.push(Stranger {
            stream,
            version,
            beginning,
            is_sealed,
            ready: 0,
            said,
            sent: 0,
            deaf: false,
        });
    }

    fn run(&mut self, time: Duration) {
        self.strangers.iter_mut().for_each(Stranger::move_on);
        let cases = std::mem::take(&mut *lock(&self.cases));
        cases.into_iter().for_each(answer);
        self.sim.run(time);
        let held = &self.sim.most;
        assert!(held.received_bytes <= RECEIVED_BYTES_MAX, "{held:?}");
        assert!(held.control_bytes <= CONTROL_BYTES_MAX, "{held:?}");
        assert!(held.queued_messages <= u64::from(HWM), "{held:?}");
    }

    /// Takes what was reported to the publisher. An event must not contradict the earlier ones.
    fn listen(&mut self) {
        let mut messages = 0;
        while let Ok(Some(event)) = self.socket.try_event() {
            match event {
                XPubEvent::Wanted(p) => assert!(self.told.insert(p.clone()), "{p} was wanted already"),
                XPubEvent::Unwanted(p) => assert!(self.told.remove(&p), "{p} was not wanted"),
                XPubEvent::Message(m) => {
                    let is_users = |body| Subscription::from_message_frame(body).is_none();
                    assert!(m.frames().all(is_users), "{m:?}");
                    messages += 1;
                }
                XPubEvent::Subscription(event) => panic!("it is not verbose: {event:?}"),
            }
        }
        self.pairs.listen();
        assert!(messages <= HWM as usize * 300, "{messages} messages waited");
        while let Ok(Some(event)) = self.watch.try_next() {
            match event {
                DemandEvent::Wanted(p) => assert!(self.watched.insert(p.clone()), "{p} was wanted already"),
                DemandEvent::Unwanted(p) => assert!(self.watched.remove(&p), "{p} was not wanted"),
            }
        }
    }

    /// Begins a new watch: its snapshot must be the state of the old one.
    fn watch_anew(&mut self) {
        self.listen();
        self.pairs.anew(&self.socket);
        self.watch = self.socket.demand();
        let snapshot: BTreeSet<_> = self.watch.snapshot().iter().cloned().collect();
        assert_eq!(snapshot, self.watched, "a new watch starts where an old one has got to");
    }

    /// Everything that was sent arrives; demand must be exactly what it means.
    fn calm(&mut self) {
        for _ in 0..200 {
            self.run(Duration::from_millis(5));
            let moving =
                |s: &Stranger| s.stream.is_some() && (s.sent < s.ready || s.beginning.is_some() && !s.deaf);
            if !self.strangers.iter().any(moving) && lock(&self.cases).is_empty() {
                break;
            }
        }
        // What the network has taken by now arrives, and whoever waits for an answer gets it.
        for _ in 0..4 {
            self.run(Duration::ZERO);
            self.sim.run(Duration::from_millis(300));
        }
        self.listen();
        let hub = &self.socket.0.hub;
        let there = self.strangers.iter().filter(|s| s.stream.is_some());
        let meanings = there.map(|s| s.meaning(hub, &self.guard));
        let mut wanted: BTreeMap<Prefix, u32> = BTreeMap::new();
        let mut mortal = false;
        for meaning in meanings {
            mortal |= meaning.mortal;
            for prefix in meaning.wants.iter().flatten() {
                *wanted.entry(Prefix::from(&prefix[..])).or_default() += 1;
            }
        }
        let ledger = hub.demand.read();
        let in_force: BTreeMap<_, _> = ledger.prefixes().map(|(p, peers)| (Prefix::from(p), peers)).collect();
        assert!(self.told.iter().eq(in_force.keys()), "the events and the ledger agree");
        assert!(self.told == self.watched, "the watch tells the same");
        assert!(self.pairs.pairs.peers() == in_force, "so does what is told of each peer");
        let differs = |a: &BTreeMap<Prefix, u32>, b: &BTreeMap<Prefix, u32>| {
            let found = a.iter().filter(|(prefix, peers)| b.get(*prefix) != Some(peers));
            found.map(|(prefix, peers)| (prefix.clone(), *peers)).take(5).collect::<Vec<_>>()
        };
        let (more, less) = (differs(&in_force, &wanted), differs(&wanted, &in_force));
        assert!(mortal || more.is_empty() && less.is_empty(), "in force {more:?}, but wanted {less:?}");
    }

    /// All strangers leave.
    fn part(mut self) {
        self.strangers.clear();
        self.run(Duration::from_secs(1));
        self.listen();
        assert_eq!((self.told.len(), self.watched.len()), (0, 0), "nobody is there who wants anything");
        let held = self.socket.0.hub.demand.read();
        assert!(held.is_empty() && held.pairs() == 0);
        drop(held);
        // A shard drops a closed socket; nothing of one scene may be left in the next.
        let Scene { mut sim, socket, watch, pairs, .. } = self;
        assert!(pairs.pairs.held.is_empty());
        drop((socket, watch, pairs));
        sim.run(Duration::from_secs(1));
    }
}

/// A message of several frames, some of which are subscriptions.
fn mixed_message(script: &mut Script<'_>, said: &mut Vec<u8>) {
    let count = 1 + script.below(6);
    let frames = (0..count).map(|_| match script.byte() % 4 {
        0 => [&[1], &prefix(script)[..]].concat(),
        1 => [&[0], &prefix(script)[..]].concat(),
        _ => script.bytes(2).to_vec(),
    });
    let frames: Vec<_> = frames.collect();
    frame::put_message(said, frames.iter().map(|frame| &frame[..]));
}

/// Many subscriptions or cancels at once, as commands, as messages, or in one message.
fn many(script: &mut Script<'_>, stranger: &mut Stranger) {
    let (first, count) = (100 * script.below(40), 20 * script.below(128));
    let form = script.byte();
    let mut frames = Vec::new();
    for n in first..first + count {
        let prefix = (n as u32).to_be_bytes();
        let prefix = &prefix[..];
        let subscribes = form & 4 == 0;
        match form % 3 {
            0 | 1 if subscribes => stranger.say(Subscription::Subscribe(prefix), form % 3 == 1),
            0 | 1 => stranger.say(Subscription::Cancel(prefix), form % 3 == 1),
            _ => frames.push([&[u8::from(subscribes)], prefix].concat()),
        }
    }
    if !frames.is_empty() {
        frame::put_message(&mut stranger.said, frames.iter().map(|frame| &frame[..]));
    }
}

/// Runs a script: any bytes are one.
pub fn scene(script: &[u8]) {
    let mut script = Script(script);
    let mut scene = Scene::new(&mut script);
    for step in 0..STEPS_MAX {
        if script.0.is_empty() {
            break;
        }
        scene.step(&mut script);
        if step % 100 == 99 {
            scene.calm();
        }
    }
    scene.calm();
    scene.part();
}

/// Sends bytes to a socket over one connection, after its handshake or, if `raw`, instead of it. `mechanism`: 0 for NULL, 1 for
/// PLAIN, 2 for CURVE.
pub fn bytes_of_one_peer(bytes: &[u8], raw: bool, mechanism: u8) {
    let mut scene = Scene::new(&mut Script(&[0, 0, 0, mechanism]));
    scene.enter(&mut Script(&[if raw { 7 } else { 0 }]));
    scene.strangers[0].said.extend_from_slice(bytes);
    scene.calm();
    // All other peers are served.
    scene.enter(&mut Script(&[0]));
    scene.strangers[1].say(Subscription::Subscribe(b"other"), false);
    scene.socket.send(Msg::single("other")).expect("an open socket");
    scene.calm();
    assert!(scene.socket.wanted("other"));
    scene.part();
}
