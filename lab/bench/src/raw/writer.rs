//! The raw writer: a publisher without a library. It writes the same block of encoded messages repeatedly, changing only the
//! sequence numbers, to each of its connections in turn.

use std::io::Write;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use super::wire;
use crate::Outcome;
use crate::args::Args;
use crate::control::{Control, Event, tell};
use crate::frame::{FIN, PROBE, Shape, Topics};
use crate::measure::{Report, Stopwatch, end_after};

/// The approximate number of bytes per write.
const BLOCK_BYTES: usize = 256 << 10;

/// Publishes to `--peers` connections for `--seconds` from the runner's `go` on.
pub fn run(args: &Args) -> Outcome {
    end_after(Duration::from_secs_f64(args.or("limit", 60.0)?));
    let shape = Shape { size: args.or("size", 64)?, topics: args.or("topics", Topics::None)? };
    let run = Duration::from_secs_f64(args.or("seconds", 1.0)?);
    let control = Control::listen();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    tell(&Event::Bound { port: listener.local_addr()?.port() });
    let peers: usize = args.or("peers", 1)?;
    let mut peers = (0..peers).map(|_| accept(&listener)).collect::<Outcome<Vec<_>>>()?;
    // No peer subscribes before all are connected. Their prefixes are known in advance, and everything else is ignored.
    for peer in &mut peers {
        wire::read_frame(peer)?;
    }
    let probe = encode(&shape, PROBE);
    // Behind a proxy the first of several subscriptions arrives here, the others may still be on their way to it.
    let again = args.has("proxied");
    let mut probes = 0;
    while !control.may_go() {
        if probes == 0 || again && control.may_probe() {
            peers.iter_mut().try_for_each(|peer| peer.write_all(&probe))?;
            probes += 1;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let watch = Stopwatch::start();
    let step = wire::header_bytes(shape.size) + shape.size;
    let per_block = (BLOCK_BYTES / step).max(1) as u64;
    let mut block: Vec<u8> = (0..per_block).flat_map(|_| encode(&shape, 0)).collect();
    let mut seq = 0u64;
    while watch.elapsed() < run {
        let at = wire::header_bytes(shape.size) + shape.topics.len();
        for message in block.chunks_exact_mut(step) {
            message[at..at + 8].copy_from_slice(&seq.to_le_bytes());
            seq += 1;
        }
        peers.iter_mut().try_for_each(|peer| peer.write_all(&block))?;
    }
    let seconds = watch.elapsed().as_secs_f64();
    let fin = encode(&shape, FIN);
    peers.iter_mut().try_for_each(|peer| peer.write_all(&fin))?;
    while !control.must_end() {
        std::thread::sleep(Duration::from_millis(2));
    }
    tell(&Event::Done(Report { messages: seq, seconds, cpu: watch.cpu(), ..Report::default() }));
    Ok(())
}

/// Accepts one connection and completes its handshake.
fn accept(listener: &TcpListener) -> Outcome<TcpStream> {
    let (mut stream, _) = listener.accept()?;
    stream.set_nodelay(true)?;
    wire::shake_hands(&mut stream, "PUB")?;
    Ok(stream)
}

fn encode(shape: &Shape, seq: u64) -> Vec<u8> {
    let mut out = Vec::new();
    wire::put_header(shape.size, &mut out);
    out.extend_from_slice(&shape.owned(shape.topics.of_message(seq), seq));
    out
}
