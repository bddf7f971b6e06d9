//! The part of ZeroMQ over WebSocket (RFC 45) that the drain needs with a publisher that it trusts: the upgrade, READY,
//! subscriptions, and how long headers are. All blocks, and panics on unexpected input.

use std::io::{self, Read, Write};
use std::net::TcpStream;

/// The flags byte of a command.
const COMMAND: u8 = 2;
/// The first byte of a frame that is a whole binary message.
const BINARY: u8 = 0x82;
const MASKED: u8 = 0x80;
/// The longest payload whose length stands in the second byte, and the longest with two bytes of length behind it.
const SHORT_BYTES_MAX: usize = 125;
const MEDIUM_BYTES_MAX: usize = 0xffff;

/// The path of the drivers' sockets.
pub const PATH: &str = "zmq";

/// Upgrades the connection, and does the handshake as a SUB.
pub fn shake_hands(stream: &mut TcpStream, port: u16) -> io::Result<()> {
    write!(
        stream,
        "GET /{PATH} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\
         Sec-WebSocket-Protocol: ZWS2.0/NULL\r\n\r\n"
    )?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "the publisher answered {}", head.escape_ascii());
    let mut out = Vec::new();
    put(COMMAND, b"\x05READY\x0bSocket-Type\0\0\0\x03SUB", &mut out);
    stream.write_all(&out)?;
    let mut header = [0; 2];
    stream.read_exact(&mut header)?;
    assert!(header[0] == BINARY && usize::from(header[1]) <= SHORT_BYTES_MAX, "READY is not short");
    let mut ready = vec![0; usize::from(header[1])];
    stream.read_exact(&mut ready)?;
    assert!(ready.starts_with(b"\x02\x05READY"), "the publisher answered {}", ready.escape_ascii());
    Ok(())
}

/// Appends a subscription: a message, which all publishers understand.
pub fn put_subscribe(prefix: &[u8], out: &mut Vec<u8>) {
    put(0, &[b"\x01", prefix].concat(), out);
}

/// Appends a frame with a mask of zeros.
fn put(flags: u8, body: &[u8], out: &mut Vec<u8>) {
    let length = u8::try_from(1 + body.len()).ok().filter(|&length| usize::from(length) <= SHORT_BYTES_MAX);
    out.extend_from_slice(&[BINARY, MASKED | length.expect("the frame is short"), 0, 0, 0, 0, flags]);
    out.extend_from_slice(body);
}

/// Bytes before a body of this length in a frame of a server: the header and the flags.
pub fn header_bytes(length: usize) -> usize {
    match 1 + length {
        ..=SHORT_BYTES_MAX => 3,
        ..=MEDIUM_BYTES_MAX => 5,
        _ => 11,
    }
}
