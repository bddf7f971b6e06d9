//! The way through a proxy and back: a publisher and a subscriber without a library in one thread. The time that the same
//! thread needs for one write and one read of a connection of its own is subtracted, so that what is left is the proxy's.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use super::copier::connect;
use super::wire;
use crate::Outcome;
use crate::args::Args;
use crate::control::{Control, Event, tell};
use crate::frame::{PROBE, Shape, Topics};
use crate::measure::{Report, Stopwatch, end_after};

/// Trips of the warm-up, which are not counted.
const WARM_UP: u64 = 500;

/// Sends `--count` messages through the proxy at the port that the runner sends, each after the one before has arrived.
pub fn run(args: &Args) -> Outcome {
    end_after(Duration::from_secs_f64(args.or("limit", 60.0)?));
    let shape = Shape { size: args.or("size", 64)?, topics: Topics::None };
    let count: u64 = args.need("count")?;
    let control = Control::listen();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    tell(&Event::Bound { port: listener.local_addr()?.port() });
    let proxy = control.wait_for_port();
    let (mut to, _) = listener.accept()?;
    to.set_nodelay(true)?;
    wire::shake_hands(&mut to, "PUB")?;
    let mut from = connect(proxy, "SUB")?;
    let mut subscribe = Vec::new();
    wire::put_subscribe(b"", true, &mut subscribe);
    from.write_all(&subscribe)?;
    wire::read_frame(&mut to)?;
    // The subscription is in force in the proxy: it was passed on.
    let mut message = Vec::new();
    wire::put_header(shape.size, &mut message);
    message.extend_from_slice(&shape.owned(0, PROBE));
    let mut alone = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| {
        let one = TcpStream::connect(listener.local_addr()?)?;
        one.set_nodelay(true)?;
        Ok((one, listener.accept()?.0))
    })?;
    let trips = |to: &mut TcpStream, from: &mut TcpStream| -> Outcome<Vec<f64>> {
        let mut back = vec![0; message.len()];
        let mut micros = Vec::with_capacity(usize::try_from(count)?);
        for trip in 0..WARM_UP + count {
            let sent = Instant::now();
            to.write_all(&message)?;
            from.read_exact(&mut back)?;
            if trip >= WARM_UP {
                micros.push(sent.elapsed().as_secs_f64() * 1e6);
            }
            if back != message {
                return Err("a proxy has changed a message".into());
            }
        }
        micros.sort_by(f64::total_cmp);
        Ok(micros)
    };
    let own = trips(&mut alone.0, &mut alone.1)?;
    tell(&Event::Ready { seconds: own[own.len() / 2] / 1e6 });
    while !control.may_go() {
        std::thread::sleep(Duration::from_millis(1));
    }
    let watch = Stopwatch::start();
    let micros = trips(&mut to, &mut from)?;
    let (seconds, cpu) = (watch.elapsed().as_secs_f64(), watch.cpu());
    tell(&Event::Done(Report { messages: count, seconds, cpu, micros, ..Report::default() }));
    Ok(())
}
