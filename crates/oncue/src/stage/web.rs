//! A WebSocket below a socket, and a peer that sends any bytes: HTTP heads, frames, and what is none of these. Whatever comes, what
//! the engine is shown is a greeting and whole headers of ZMTP, what the peer gets is whole headers of WebSocket, and what is
//! held in between stays below its bounds.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::Ipv4Addr;
use std::sync::Arc;

use oncue_core::connection::SocketType;
use oncue_core::frame::{self, COMMAND, MORE, put_header};
use oncue_core::mechanism::null;
use oncue_core::websocket::{self, Opcode, put_masked};

use super::script::Script;
use crate::endpoint::Host;
use crate::net::web::{Call, Site, Web};
use crate::net::{Layer, Stream};
use crate::options::Party;
use crate::peer_address::PeerAddress;

const STEPS_MAX: usize = 300;
const FRAME_MAX: u64 = 100_000;
const GREETING_BYTES: usize = 64;
const PROTOCOLS: [&str; 2] = ["ZWS2.0", "ZWS2.0/NULL"];
/// What a server answers to a key of zeros.
const ACCEPT: &str = "ICX+Yqv66kxgM0FcWaLWlFLwTAI=";

/// A stream that takes so many bytes, and gives so many of what its other side has sent.
#[derive(Default)]
pub(crate) struct Wire {
    pub(crate) sent: VecDeque<u8>,
    pub(crate) gives: usize,
    pub(crate) taken: Vec<u8>,
    pub(crate) takes: usize,
}

impl Stream for Wire {
    fn connected(&mut self) -> io::Result<bool> {
        Ok(true)
    }

    fn read(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        let n = self.gives.min(self.sent.len()).min(buffer.capacity() - buffer.len());
        if n == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        buffer.extend(self.sent.drain(..n));
        Ok(n)
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let before = self.takes;
        for slice in slices {
            let n = slice.len().min(self.takes);
            self.taken.extend_from_slice(&slice[..n]);
            self.takes -= n;
        }
        match before {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            _ => Ok(before - self.takes),
        }
    }

    fn shutdown_write(&mut self) {}

    fn address(&self) -> PeerAddress {
        PeerAddress::Inproc
    }
}

/// One connection, and what was said so far.
struct Scene {
    web: Web<Wire>,
    is_client: bool,
    /// Shown to the engine.
    shown: Vec<u8>,
    /// What the engine has still to write.
    queued: Vec<u8>,
    is_over: bool,
}

impl Scene {
    fn new(is_client: bool) -> Scene {
        let party = Party {
            socket_type: if is_client { SocketType::Sub } else { SocketType::XPub },
            mechanism: null::NAME,
            as_server: false,
            frame_bytes_max: FRAME_MAX,
        };
        let web = match is_client {
            true => {
                let host = Host::Ip(Ipv4Addr::LOCALHOST.into());
                let call = Call::new(party, (&host, 80), ("/", false), Arc::default(), [0; 16]);
                Web::calling(Wire::default(), call)
            }
            false => {
                let site = Site::new(party, "/", false, true, Arc::default());
                Web::accepted(Wire::default(), Arc::new(site))
            }
        };
        let queued = vec![0xff; GREETING_BYTES];
        let mut scene = Scene { web, is_client, shown: Vec::new(), queued, is_over: false };
        scene.room(4000);
        scene.web.connected().expect("a wire is connected");
        scene
    }

    /// The stream takes this many bytes.
    fn room(&mut self, bytes: usize) {
        self.web.below_mut().takes = bytes;
    }

    /// A head that is granted.
    fn open(&mut self, protocol: &str) {
        let head = match self.is_client {
            true => format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n                 Sec-WebSocket-Accept: {ACCEPT}\r\nSec-WebSocket-Protocol: {protocol}\r\n\r\n"
            ),
            false => format!(
                "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n                 Sec-WebSocket-Protocol: {protocol}\r\n\r\n"
            ),
        };
        self.give(head.as_bytes(), head.len(), 1 << 16);
    }

    /// The peer sends bytes, of which the stream gives some, to a reader with this much room.
    fn give(&mut self, bytes: &[u8], gives: usize, room: usize) {
        let wire = self.web.below_mut();
        wire.sent.extend(bytes);
        wire.gives = gives;
        let mut buffer = Vec::with_capacity(room);
        match self.web.read(&mut buffer) {
            Ok(0) => self.is_over = true,
            Ok(n) => assert!(n == buffer.len()),
            Err(e) => {
                assert!(buffer.is_empty());
                let goes_on = [io::ErrorKind::WouldBlock, io::ErrorKind::Interrupted].contains(&e.kind());
                self.is_over |= !goes_on;
            }
        }
        assert!(self.web.held_bytes() as u64 <= FRAME_MAX + 64, "the fragments of a message are too long");
        self.shown.extend(buffer);
    }

    /// The engine writes of what is queued, in two slices.
    fn write(&mut self, room: usize, cut: usize) {
        // It has nothing to say before the peer's greeting.
        let may = if self.shown.is_empty() { 11.min(self.queued.len()) } else { self.queued.len() };
        self.room(room);
        let (first, second) = self.queued[..may].split_at(cut.min(may));
        match self.web.write(&[IoSlice::new(first), IoSlice::new(second)]) {
            Ok(n) => _ = self.queued.drain(..n),
            Err(e) => assert_eq!(e.kind(), io::ErrorKind::WouldBlock),
        }
    }

    /// What the engine was shown begins with a greeting, and then has whole frames.
    fn check_shown(&self) {
        let greeting = self.shown.len().min(GREETING_BYTES);
        assert!(
            self.shown.is_empty()
                || self.shown[..greeting].starts_with(b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\0NULL")
        );
        let mut rest = &self.shown[greeting..];
        while let Some(header) = frame::parse_header(rest).expect("headers of ZMTP") {
            assert!(header.body_len <= FRAME_MAX + 64, "a frame that is too long was shown");
            rest = &rest[rest.len().min(header.frame_len() as usize)..];
        }
    }

    /// What the peer gets begins with a head, and then has whole frames, masked by a client.
    fn check_taken(&self) {
        let taken = &self.web.below().taken;
        let head = taken.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4);
        let Some(head) = head.filter(|_| self.is_client || taken.starts_with(b"HTTP/1.1 101 ")) else {
            return;
        };
        let mut rest = &taken[head..];
        while let Some(header) = websocket::parse_header(rest, self.is_client).expect("headers of WebSocket")
        {
            assert!(header.fin && header.opcode != Opcode::Continuation, "nothing is sent in fragments");
            rest = &rest[rest.len().min(header.header_len + header.payload_len as usize)..];
        }
    }
}

/// A frame of ZMTP, with a body of the script's.
fn zmtp(script: &mut Script<'_>) -> Vec<u8> {
    let flags = [0, MORE, COMMAND, 0][script.below(4)];
    let len = script.below_wide(700);
    let mut wire = Vec::new();
    put_header(&mut wire, flags, len as u64);
    wire.extend(script.bytes(len / 8).iter().cycle().take(len));
    wire.resize(wire.len().max(frame::header_len(len as u64) + len), b'x');
    wire
}

/// A frame of WebSocket whose length and mask are right, and whose first byte and payload may be anything.
fn frame(script: &mut Script<'_>, masked: bool) -> Vec<u8> {
    let first = [0x82, 0x82, 0x02, 0x00, 0x80, 0x89, 0x8a, 0x88][script.below(8)];
    let first = if script.below(16) == 0 { script.byte() } else { first };
    let payload = [&[script.byte() & 3], script.bytes(script.0.len().min(40))].concat();
    let mask = masked.then(|| script.array());
    let mut bytes = Vec::new();
    websocket::put_header(&mut bytes, Opcode::Binary, payload.len() as u64, mask);
    bytes[0] = first;
    put_masked(&mut bytes, &payload, mask.unwrap_or_default(), 0);
    bytes
}

/// Plays a script.
pub fn scene(script: &[u8]) {
    let mut script = Script(script);
    let is_client = script.flag();
    let mut scene = Scene::new(is_client);
    if script.flag() {
        scene.open(PROTOCOLS[script.below(2)]);
    }
    for _ in 0..STEPS_MAX {
        if script.is_over() || scene.is_over {
            break;
        }
        let (gives, room) = (1 + script.below_wide(2000), 1 + script.below_wide(3000));
        match script.below(6) {
            0 => {
                let count = script.below(64);
                scene.give(script.bytes(count), gives, room);
            }
            1 | 2 => {
                let bytes = frame(&mut script, !is_client);
                scene.give(&bytes, gives, room);
            }
            3 => scene.give(&[], gives, room),
            4 => {
                let wire = zmtp(&mut script);
                scene.queued.extend(wire);
                scene.write(room, gives);
            }
            _ => {
                scene.room(room);
                scene.web.ping();
            }
        }
    }
    scene.room(1 << 20);
    scene.web.shutdown_write();
    scene.check_shown();
    scene.check_taken();
}
