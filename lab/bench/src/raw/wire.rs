//! The part of ZMTP 3.1 (RFC 37) that two programs need that trust each other: greeting, READY, SUBSCRIBE, frame headers.
//! All but `read_some` blocks, and panics on unexpected input; nothing here talks to an untrusted peer.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use crate::Outcome;

/// Bytes of a greeting.
const GREETING_BYTES: usize = 64;
const COMMAND: u8 = 4;
const LONG: u8 = 2;
/// The flag of a frame that is not the last of its message; a short message frame has no other flag.
pub const MORE: u8 = 1;

/// Does the handshake as a peer of this socket type. Returns whether the other side understands SUBSCRIBE commands.
pub fn shake_hands(stream: &mut TcpStream, socket_type: &str) -> io::Result<bool> {
    let commands = greet(stream, b"NULL")?;
    let mut ready = b"\x05READY\x0bSocket-Type\0\0\0".to_vec();
    ready.push(u8::try_from(socket_type.len()).expect("a type's name is short"));
    ready.extend_from_slice(socket_type.as_bytes());
    let mut out = vec![COMMAND, u8::try_from(ready.len()).expect("READY is short")];
    out.append(&mut ready);
    stream.write_all(&out)?;
    let (_, body) = read_frame(stream)?;
    assert!(body.starts_with(b"\x05READY"), "the peer answered {}", body.escape_ascii());
    Ok(commands)
}

/// Exchanges greetings. Returns whether the other side understands SUBSCRIBE commands.
pub fn greet(stream: &mut TcpStream, mechanism: &[u8]) -> io::Result<bool> {
    let mut greeting = [0; GREETING_BYTES];
    greeting[0] = 0xff;
    greeting[8] = 1;
    greeting[9] = 0x7f;
    greeting[10] = 3;
    greeting[11] = 1;
    greeting[12..12 + mechanism.len()].copy_from_slice(mechanism);
    stream.write_all(&greeting)?;
    let mut theirs = [0; GREETING_BYTES];
    stream.read_exact(&mut theirs)?;
    Ok(theirs[10] > 3 || (theirs[10] == 3 && theirs[11] >= 1))
}

/// Reads once what a publisher's connection has: 0 bytes if that is nothing now.
pub fn read_some(stream: &mut TcpStream, buffer: &mut [u8]) -> Outcome<usize> {
    match stream.read(buffer) {
        Ok(0) => Err("the publisher has closed a connection".into()),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        read => Ok(read?),
    }
}

/// Reads one frame: whether it is a command, and its body.
pub fn read_frame(stream: &mut TcpStream) -> io::Result<(bool, Vec<u8>)> {
    let mut head = [0; 2];
    stream.read_exact(&mut head)?;
    let mut length = u64::from(head[1]);
    if head[0] & LONG != 0 {
        let mut rest = [0; 7];
        stream.read_exact(&mut rest)?;
        length = rest.iter().fold(length, |length, &byte| length << 8 | u64::from(byte));
    }
    let mut body = vec![0; usize::try_from(length).expect("a frame fits the memory")];
    stream.read_exact(&mut body)?;
    Ok((head[0] & COMMAND != 0, body))
}

/// Appends a subscription: a command if `commands`, otherwise a message.
pub fn put_subscribe(prefix: &[u8], commands: bool, out: &mut Vec<u8>) {
    put_demand(if commands { b"\x09SUBSCRIBE" } else { b"\x01" }, prefix, commands, out);
}

/// Appends a cancel, in the same form.
pub fn put_cancel(prefix: &[u8], commands: bool, out: &mut Vec<u8>) {
    put_demand(if commands { b"\x06CANCEL" } else { b"\0" }, prefix, commands, out);
}

fn put_demand(name: &[u8], prefix: &[u8], commands: bool, out: &mut Vec<u8>) {
    put_header(name.len() + prefix.len(), out);
    let at = out.len() - header_bytes(name.len() + prefix.len());
    out[at] |= if commands { COMMAND } else { 0 };
    out.extend_from_slice(name);
    out.extend_from_slice(prefix);
}

/// The flags and the body of the frame at the front of `bytes`, which is shorter than 256 bytes, and the bytes that follow;
/// `None` if the frame is incomplete.
pub fn split_short(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[flags, length], rest) = bytes.split_first_chunk()?;
    assert_eq!(flags & LONG, 0, "a frame is long");
    let (body, rest) = rest.split_at_checked(usize::from(length))?;
    Some((flags, body, rest))
}

/// Appends the header of a message of one frame.
pub fn put_header(length: usize, out: &mut Vec<u8>) {
    match u8::try_from(length) {
        Ok(short) => out.extend_from_slice(&[0, short]),
        Err(_) => {
            out.push(LONG);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
}

/// Bytes of the header of a frame of this length.
pub fn header_bytes(length: usize) -> usize {
    if length > 255 { 9 } else { 2 }
}
