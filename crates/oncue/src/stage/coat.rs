//! A coat of CURVE over a stream to itself, which takes and gives a few bytes at a time, and on which a third one may change
//! bytes. What comes out is what went in, in order; a change is an error, unless whole frames are taken away.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::Arc;

use oncue_core::command::Metadata;
use oncue_core::frame::{self, COMMAND, LONG, MORE, put_header};
use oncue_core::mechanism::curve::{ClientKeys, MESSAGE_OVERHEAD_BYTES, Sealer, Session};
use oncue_core::mechanism::{Mechanism, Security, Step};

use super::script::Script;
use crate::curve::{self, random};
use crate::engine::Link;
use crate::net::Stream;
use crate::peer_address::PeerAddress;

const STEPS_MAX: usize = 300;
const FRAME_MAX: u64 = 200_000;

/// A stream to itself: what is written can be read. It takes and gives only so much.
#[derive(Default)]
pub(crate) struct Loop {
    pub(crate) bytes: VecDeque<u8>,
    pub(crate) takes: usize,
    pub(crate) gives: usize,
}

impl Stream for Loop {
    fn connected(&mut self) -> io::Result<bool> {
        Ok(true)
    }

    fn read(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        let spare = buffer.capacity() - buffer.len();
        assert!(spare > 0, "there must be room to read");
        let n = self.bytes.len().min(self.gives).min(spare);
        if n == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.gives -= n;
        buffer.extend(self.bytes.drain(..n));
        Ok(n)
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let all = slices.iter().flat_map(|slice| slice.iter().copied());
        let before = self.bytes.len();
        self.bytes.extend(all.take(self.takes));
        let n = self.bytes.len() - before;
        self.takes -= n;
        match n {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            n => Ok(n),
        }
    }

    fn shutdown_write(&mut self) {}

    fn address(&self) -> PeerAddress {
        PeerAddress::Inproc
    }
}

/// The sessions of a client and a server.
pub(crate) fn sessions() -> (Session, Session) {
    let (own, server) = (curve::generate(), curve::generate());
    let keys = Arc::new(ClientKeys { own, server: *server.public() });
    let mut client = Mechanism::new(&Security::CurveClient(keys, random), Metadata::new());
    let mut server = Mechanism::new(&Security::CurveServer(Arc::new(server), random), Metadata::new());
    let body = |wire: &[u8]| {
        let header = frame::parse_header(wire).unwrap().unwrap();
        wire[header.header_len..].to_vec()
    };
    let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
    client.start(&mut to_server).unwrap();
    server.receive(&body(&to_server), &mut to_client).unwrap();
    to_server.clear();
    client.receive(&body(&to_client), &mut to_server).unwrap();
    to_client.clear();
    assert!(matches!(server.receive(&body(&to_server), &mut to_client).unwrap(), Step::Authenticate(_)));
    let Step::Sealed(_, of_server) = server.accept(&mut to_client) else { panic!("accepted") };
    let Step::Sealed(_, of_client) = client.receive(&body(&to_client), &mut Vec::new()).unwrap() else {
        panic!("ready")
    };
    (of_client, of_server)
}

/// What comes out of a link, beside what went in.
struct Scene {
    link: Link<Loop>,
    got: Vec<u8>,
    /// The frames that have left, and those that have not, with how much of each counts as written.
    left: Vec<Vec<u8>>,
    queue: VecDeque<(Vec<u8>, usize)>,
    /// Bytes on the stream were changed; some were taken away.
    touched: bool,
    shortened: bool,
    broken: bool,
}

impl Scene {
    /// A frame of a length that the script chooses.
    fn frame(script: &mut Script<'_>) -> Vec<u8> {
        let flags = [0, MORE, COMMAND][script.below(3)];
        let len = match script.byte() {
            255 => FRAME_MAX as usize,
            long @ 240.. => 13_000 * usize::from(long - 239),
            middle @ 200.. => 100 * usize::from(middle - 199),
            short => usize::from(short),
        };
        let (first, start) = (script.byte(), script.bytes(4));
        let mut wire = Vec::new();
        put_header(&mut wire, flags, len as u64);
        wire.extend((0..len).map(|at| start.get(at).copied().unwrap_or(first.wrapping_add(at as u8))));
        wire
    }

    fn write(&mut self, script: &mut Script<'_>) {
        let (takes, cut) = (script.below_wide(usize::MAX), 1 + script.below_wide(5000));
        let takes = takes * (1 + script.below(3) * 9);
        let bytes: Vec<&[u8]> = self.queue.iter().flat_map(|(frame, at)| frame[*at..].chunks(cut)).collect();
        let slices: Vec<_> = bytes.iter().take(200).map(|bytes| IoSlice::new(bytes)).collect();
        self.link.stream_for_tests().takes = takes;
        let mut n = match self.link.write(&slices) {
            Ok(n) => n,
            Err(e) => return assert_eq!(e.kind(), io::ErrorKind::WouldBlock),
        };
        assert!(n <= bytes.iter().map(|bytes| bytes.len()).sum());
        while let Some((frame, at)) = self.queue.front_mut() {
            let step = n.min(frame.len() - *at);
            (*at, n) = (*at + step, n - step);
            if *at < frame.len() {
                break;
            }
            self.left.extend(self.queue.pop_front().map(|(frame, _)| frame));
        }
    }

    fn read(&mut self, gives: usize, room: usize) {
        self.link.stream_for_tests().gives = gives;
        while !self.broken {
            let mut buffer = Vec::with_capacity(room);
            match self.link.read(&mut buffer) {
                Ok(n) => {
                    assert!(n == buffer.len() && n > 0);
                    self.got.extend_from_slice(&buffer);
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) => {
                    assert!(self.touched, "{e}, and nobody has changed anything");
                    self.broken = true;
                }
            }
        }
        assert!(self.link.held_bytes() <= FRAME_MAX as usize + MESSAGE_OVERHEAD_BYTES + 9);
    }

    /// Changes what is on the stream.
    fn tamper(&mut self, script: &mut Script<'_>) {
        let bytes = &mut self.link.stream_for_tests().bytes;
        let before = bytes.clone();
        let (at, count) = (script.below_wide(bytes.len()), 1 + script.below(80));
        let end = bytes.len().min(at + count);
        match script.byte() % 4 {
            0 if at < bytes.len() => bytes[at] ^= 1 << script.below(8),
            1 => {
                bytes.drain(at..end);
                self.shortened |= end > at;
            }
            // Bytes of the script, or of the stream once more.
            2 => script.bytes(count).iter().rev().for_each(|&byte| bytes.insert(at, byte)),
            _ => {
                let again: Vec<u8> = bytes.range(at..end).copied().collect();
                again.iter().rev().for_each(|&byte| bytes.insert(at, byte));
            }
        }
        self.touched |= *bytes != before;
    }

    /// What has come out went in, in the same order; and all of it, unless somebody took frames away.
    fn check(&self) {
        let begun = self.queue.front().filter(|(_, at)| *at > 0).map(|(frame, _)| &frame[..]);
        let mut sent = self.left.iter().map(|frame| &frame[..]).chain(begun);
        let mut got = &self.got[..];
        while !got.is_empty() {
            let frame = sent.next().expect("more has come out than went in");
            let len = frame.len().min(got.len());
            match got[..len] == frame[..len] {
                true => got = &got[len..],
                false => assert!(self.shortened, "something else came out"),
            }
        }
    }

    fn end(mut self) {
        if self.touched {
            return;
        }
        while !self.queue.is_empty() {
            self.write(&mut Script(&[0xff; 9]));
        }
        self.read(usize::MAX, 1 << 18);
        self.check();
        assert_eq!(self.got.len(), self.left.iter().map(Vec::len).sum::<usize>());
        assert_eq!(self.link.held_bytes(), 0);
    }
}

/// Writes, reads and changes what the script says.
fn two_coats(script: &mut Script<'_>) {
    let (of_client, of_server) = sessions();
    let mut link = Link::new(Loop::default());
    link.put_on(Session { sealer: of_client.sealer, opener: of_server.opener }, 0, FRAME_MAX);
    let (left, queue) = Default::default();
    let (touched, shortened, broken) = Default::default();
    let mut scene = Scene { link, got: Vec::new(), left, queue, touched, shortened, broken };
    for _ in 0..STEPS_MAX {
        if script.is_over() || scene.broken {
            break;
        }
        match script.byte() % 16 {
            0..6 => scene.queue.push_back((Scene::frame(script), 0)),
            6..10 => scene.write(script),
            10..13 => {
                let gives = script.below_wide(usize::MAX) * (1 + script.below(3) * 9);
                let room = 1 + script.below_wide(usize::MAX) * 4;
                scene.read(gives, room);
            }
            13 => scene.tamper(script),
            // A frame of which nothing counts as written gives way.
            _ => {
                let begun = usize::from(scene.queue.front().is_some_and(|(_, at)| *at > 0));
                scene.queue.remove(begun + script.below(3));
            }
        }
        scene.check();
    }
    scene.end();
}

/// A sealed frame with a header that the script chooses.
fn foreign_frame(
    script: &mut Script<'_>,
    sealer: &mut Sealer,
    wire: &mut Vec<u8>,
    clear: &mut Vec<u8>,
) -> bool {
    let len = [script.below(40), script.below_wide(usize::MAX), FRAME_MAX as usize + script.below(2)]
        [script.below(3)];
    let (more, command) = [(false, false), (true, false), (false, true)][script.below(3)];
    let mut body = vec![0; MESSAGE_OVERHEAD_BYTES];
    body.extend((0..len).map(|at| at as u8));
    sealer.seal(&mut body, more, command);
    // The flags outside mean nothing, and a long header may announce a short frame.
    let flags = [0, 0, MORE, COMMAND][script.below(4)];
    let is_long = script.flag() || body.len() > 255;
    match is_long {
        true => {
            wire.push(flags | LONG);
            wire.extend_from_slice(&(body.len() as u64).to_be_bytes());
        }
        false => wire.extend_from_slice(&[flags, body.len() as u8]),
    }
    wire.extend_from_slice(&body);
    put_header(clear, (u8::from(more) * MORE) | (u8::from(command) * COMMAND), len as u64);
    clear.extend_from_slice(&body_of(len));
    len as u64 <= FRAME_MAX
}

fn body_of(len: usize) -> Vec<u8> {
    (0..len).map(|at| at as u8).collect()
}

/// A peer that has the keys, but another way to write frames.
fn foreign_peer(script: &mut Script<'_>) {
    let (of_client, of_server) = sessions();
    let mut link = Link::new(Loop::default());
    link.put_on(of_server, 0, FRAME_MAX);
    let mut sealer = of_client.sealer;
    let (mut wire, mut clear, mut fits) = (Vec::new(), Vec::new(), true);
    while fits && wire.len() < 1_000_000 && !script.is_over() {
        let before = clear.len();
        fits = foreign_frame(script, &mut sealer, &mut wire, &mut clear);
        if !fits {
            clear.truncate(before);
        }
        if script.byte().is_multiple_of(8) {
            break;
        }
    }
    let mut got = Vec::new();
    let mut bytes = &wire[..];
    let mut broken = false;
    while !bytes.is_empty() && !broken {
        let (now, rest) = bytes.split_at(bytes.len().min(1 + script.below_wide(usize::MAX) * 4));
        bytes = rest;
        let room = 1 + script.below_wide(usize::MAX);
        let stream = link.stream_for_tests();
        stream.bytes.extend(now);
        stream.gives = usize::MAX;
        loop {
            let mut buffer = Vec::with_capacity(room);
            match link.read(&mut buffer) {
                Ok(_) => got.append(&mut buffer),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) => {
                    assert!(!fits, "{e}");
                    broken = true;
                    break;
                }
            }
        }
    }
    assert!(clear.starts_with(&got));
    // What was complete in the same read as the frame that is too long may be lost with its connection.
    assert!(broken != fits && (broken || got == clear));
}

/// Runs a script: any bytes are one.
pub fn scene(script: &[u8]) {
    let mut script = Script(script);
    match script.byte() % 4 {
        0 => foreign_peer(&mut script),
        _ => two_coats(&mut script),
    }
}
