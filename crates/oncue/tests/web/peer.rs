//! A peer of WebSocket whose bytes the test controls. Every wait here has a time limit.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use oncue::{Endpoint, Engine, Options, XPub, XPubEvent};

/// The time limit of each wait.
pub(crate) const SOON: Duration = Duration::from_secs(10);

/// The key of the RFC, and what a server answers to it.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

pub(crate) fn engine() -> Engine {
    Engine::start().unwrap()
}

/// A publisher at a path, and the port that it listens at.
pub(crate) fn publisher(options: Options) -> (XPub, u16) {
    let publisher = XPub::new(&engine(), options).unwrap();
    let port = port(&publisher.bind("ws://127.0.0.1:*/live").unwrap());
    (publisher, port)
}

pub(crate) fn port(endpoint: &Endpoint) -> u16 {
    let Endpoint::Ws { port, .. } = endpoint else { panic!("{endpoint}") };
    *port
}

pub(crate) fn event(publisher: &XPub) -> XPubEvent {
    publisher.event().wait_timeout(SOON).expect("an event within the time").unwrap()
}

/// One side of a WebSocket.
pub(crate) struct Raw {
    pub(crate) stream: TcpStream,
    masks: bool,
    read: Vec<u8>,
}

impl Raw {
    fn new(stream: TcpStream, masks: bool) -> Raw {
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream.set_nodelay(true).unwrap();
        Raw { stream, masks, read: Vec::new() }
    }

    pub(crate) fn connect(port: u16) -> Raw {
        Raw::new(TcpStream::connect(("127.0.0.1", port)).unwrap(), true)
    }

    /// A client whose request is granted, and what the server says it speaks.
    pub(crate) fn client(port: u16, offers: &str) -> (Raw, String) {
        let mut raw = Raw::connect(port);
        raw.send(request(port, offers).as_bytes());
        let head = raw.head();
        assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{head}");
        assert_eq!(field(&head, "Sec-WebSocket-Accept"), ACCEPT);
        assert!(!head.to_lowercase().contains("extensions"), "{head}");
        let spoken = field(&head, "Sec-WebSocket-Protocol").to_owned();
        (raw, spoken)
    }

    /// As [`client`](Self::client), with the routing id of a bare peer sent and that of the server received.
    pub(crate) fn bare(port: u16) -> Raw {
        let (mut raw, spoken) = Raw::client(port, "ZWS2.0");
        assert_eq!(spoken, "ZWS2.0");
        raw.message(b"\0");
        assert_eq!(raw.frame(), (BINARY, b"\0".to_vec()));
        raw
    }

    /// The server of a client that comes to the listener, which selects `select`. Also returns the request.
    pub(crate) fn server(listener: &TcpListener, select: &str) -> (Raw, String) {
        let mut raw = Raw::new(listener.accept().unwrap().0, false);
        let request = raw.head();
        let digest = accept(field(&request, "Sec-WebSocket-Key"));
        raw.send(
            format!(
                "HTTP/1.1 101 Switching Protocols\r\nupgrade: WebSocket\r\nconnection: upgrade\r\n\
                 sec-websocket-accept: {digest}\r\nsec-websocket-protocol: {select}\r\n\r\n"
            )
            .as_bytes(),
        );
        (raw, request)
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// A frame of the given first byte.
    pub(crate) fn put(&mut self, first: u8, payload: &[u8]) {
        let bytes = frame(first, payload, self.masks);
        self.send(&bytes);
    }

    /// A whole binary message.
    pub(crate) fn message(&mut self, payload: &[u8]) {
        self.put(0x80 | BINARY, payload);
    }

    fn fill(&mut self) -> bool {
        let mut part = [0; 64 << 10];
        let n = self.stream.read(&mut part).expect("bytes within the time");
        self.read.extend_from_slice(&part[..n]);
        n > 0
    }

    /// The head of an HTTP message.
    pub(crate) fn head(&mut self) -> String {
        loop {
            if let Some(at) = self.read.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                let head: Vec<u8> = self.read.drain(..at + 4).collect();
                return String::from_utf8(head).unwrap();
            }
            assert!(self.fill(), "a head, and not the end");
        }
    }

    /// The next frame: its opcode and payload.
    pub(crate) fn frame(&mut self) -> (u8, Vec<u8>) {
        loop {
            if let Some((opcode, payload, len)) = parse(&self.read, !self.masks) {
                self.read.drain(..len);
                return (opcode, payload);
            }
            assert!(self.fill(), "a frame, and not the end");
        }
    }

    /// The payload of the next message.
    pub(crate) fn next(&mut self) -> Vec<u8> {
        let (opcode, payload) = self.frame();
        assert_eq!(opcode, BINARY, "{payload:?}");
        payload
    }

    /// All that comes until the end.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        while self.fill() {}
        std::mem::take(&mut self.read)
    }
}

/// A request for a WebSocket at `/live`.
pub(crate) fn request(port: u16, offers: &str) -> String {
    request_with(port, "/live", &format!("Sec-WebSocket-Protocol: {offers}\r\n"))
}

pub(crate) fn request_with(port: u16, target: &str, fields: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n{fields}\r\n"
    )
}

/// The value of a field of a head.
pub(crate) fn field<'a>(head: &'a str, name: &str) -> &'a str {
    let line = head.lines().find_map(|line| {
        let (other, value) = line.split_once(':')?;
        other.eq_ignore_ascii_case(name).then_some(value.trim())
    });
    line.unwrap_or_else(|| panic!("no {name} in {head}"))
}

/// A frame of the given first byte.
pub(crate) fn frame(first: u8, payload: &[u8], masked: bool) -> Vec<u8> {
    let bit = if masked { 0x80 } else { 0 };
    let mut bytes = vec![first];
    match payload.len() {
        len @ ..126 => bytes.push(bit | len as u8),
        len @ ..65_536 => {
            bytes.push(bit | 126);
            bytes.extend((len as u16).to_be_bytes());
        }
        len => {
            bytes.push(bit | 127);
            bytes.extend((len as u64).to_be_bytes());
        }
    }
    let mask = [0x12, 0x34, 0x56, 0x78];
    if masked {
        bytes.extend(mask);
    }
    let mask = if masked { mask } else { [0; 4] };
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// The frame at the start of `bytes`, if it is complete: opcode, payload, and how long it is.
fn parse(bytes: &[u8], masked: bool) -> Option<(u8, Vec<u8>, usize)> {
    let (&first, &second) = (bytes.first()?, bytes.get(1)?);
    assert_eq!(first & 0xf0, 0x80, "whole frames without extensions");
    assert_eq!(second & 0x80 != 0, masked, "clients mask, servers do not");
    let (len, mut at) = match second & 0x7f {
        126 => (usize::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?)), 4),
        127 => (u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?) as usize, 10),
        len => (usize::from(len), 2),
    };
    let mut mask = [0; 4];
    if masked {
        mask = *bytes.get(at..)?.first_chunk()?;
        at += 4;
    }
    let payload = bytes.get(at..at + len)?;
    let payload = payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
    Some((first & 0x0f, payload, at + len))
}

/// SHA-1 and base64 of a key, written out here: what is tested must not test itself.
fn accept(key: &str) -> String {
    base64(&sha1(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11").as_bytes()))
}

fn sha1(bytes: &[u8]) -> [u8; 20] {
    let mut state: [u32; 5] = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0];
    let mut padded = bytes.to_vec();
    padded.push(0x80);
    padded.resize(padded.len().next_multiple_of(64) - if padded.len() % 64 > 56 { 0 } else { 8 }, 0);
    padded.resize((padded.len() + 8).next_multiple_of(64) - 8, 0);
    padded.extend((bytes.len() as u64 * 8).to_be_bytes());
    for block in padded.chunks(64) {
        let mut w: Vec<u32> =
            block.chunks(4).map(|four| u32::from_be_bytes(four.try_into().unwrap())).collect();
        for i in 16..80 {
            w.push((w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16]).rotate_left(1));
        }
        let [mut a, mut b, mut c, mut d, mut e] = state;
        for (i, word) in w.iter().enumerate() {
            let (f, k) = match i / 20 {
                0 => ((b & c) | (!b & d), 0x5a827999),
                1 => (b ^ c ^ d, 0x6ed9eba1),
                2 => ((b & c) | (b & d) | (c & d), 0x8f1bbcdc_u32),
                _ => (b ^ c ^ d, 0xca62c1d6),
            };
            let next = a.rotate_left(5).wrapping_add(f).wrapping_add(e).wrapping_add(k).wrapping_add(*word);
            (a, b, c, d, e) = (next, a, b.rotate_left(30), c, d);
        }
        for (sum, part) in state.iter_mut().zip([a, b, c, d, e]) {
            *sum = sum.wrapping_add(part);
        }
    }
    let mut out = [0; 20];
    out.chunks_mut(4).zip(state).for_each(|(four, word)| four.copy_from_slice(&word.to_be_bytes()));
    out
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in bytes.chunks(3) {
        let word = three.iter().fold(0, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for i in 0..4 {
            let digit = DIGITS[(word >> (18 - 6 * i)) as usize & 63];
            out.push(if i <= three.len() { digit.into() } else { '=' });
        }
    }
    out
}

#[test]
fn the_peer_of_the_tests_answers_the_key_of_the_rfc_as_the_rfc() {
    assert_eq!(accept(KEY), ACCEPT);
}
