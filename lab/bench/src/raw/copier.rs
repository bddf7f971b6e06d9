//! The raw copy loop: what a proxy costs at least. It reads from one connection and writes what it has read to all others,
//! on one thread that blocks, and looks at no byte.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use super::wire;
use crate::Outcome;

const READ_BYTES: usize = 256 << 10;

/// Copies from the publisher at `upstream` to `peers` subscribers, until the publisher closes.
pub fn run(upstream: u16, peers: u64, tell: impl Fn(u16)) -> Outcome {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    tell(listener.local_addr()?.port());
    let mut from = connect(upstream, "XSUB")?;
    let mut to = Vec::new();
    for _ in 0..peers {
        let (mut stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        wire::shake_hands(&mut stream, "XPUB")?;
        to.push(stream);
    }
    // All subscribe to everything.
    for stream in &mut to {
        wire::read_frame(stream)?;
    }
    let mut subscribe = Vec::new();
    wire::put_subscribe(b"", true, &mut subscribe);
    from.write_all(&subscribe)?;
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        };
        to.iter_mut().try_for_each(|stream| stream.write_all(&buffer[..read]))?;
    }
}

/// A connection after its handshake.
pub fn connect(port: u16, socket_type: &str) -> Outcome<TcpStream> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_nodelay(true)?;
    wire::shake_hands(&mut stream, socket_type)?;
    Ok(stream)
}
