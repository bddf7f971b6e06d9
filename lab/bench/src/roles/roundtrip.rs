//! Round trips over two pairs of publisher and subscriber, and over one plain connection of two blocking sockets. Each
//! process binds one publisher, reports its port, receives the other's, and connects there.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use super::{Job, at_once};
use crate::Outcome;
use crate::control::{Control, Event, tell};
use crate::drivers::{Publisher, Subscriber};
use crate::frame::{FIN, PROBE, Shape};
use crate::measure::{Report, Stopwatch};

/// Round trips of the warm-up, which are not counted.
const WARM_UP: u64 = 500;

pub(super) async fn run<P, S>(job: &Job, ping: bool, count: u64) -> Outcome
where
    P: Publisher + Send + 'static,
    S: Subscriber,
{
    let control = Control::listen();
    let (publisher, port) = P::bind(job.setup).await?;
    tell(&Event::Bound { port });
    let start = Instant::now();
    let mut subscriber =
        S::connect(job.setup, control.wait_for_port(), &job.shape.topics.prefixes(0)).await?;
    let prober = probe(publisher, job.shape, control);
    next(&mut subscriber, job.shape, |_| true).await?;
    tell(&Event::Ready { seconds: start.elapsed().as_secs_f64() });
    let mut publisher = prober.join().map_err(|_| "the probing thread panicked")?;

    let report = if ping {
        let watch = Stopwatch::start();
        let mut micros = Vec::with_capacity(usize::try_from(count)?);
        for seq in 0..WARM_UP + count {
            let sent = Instant::now();
            publisher.send(&job.shape, 0, seq).await?;
            next(&mut subscriber, job.shape, |echo| echo == seq).await?;
            if seq >= WARM_UP {
                micros.push(sent.elapsed().as_secs_f64() * 1e6);
            }
        }
        publisher.send(&job.shape, 0, FIN).await?;
        report(micros, &watch)
    } else {
        let watch = Stopwatch::start();
        loop {
            match next(&mut subscriber, job.shape, |seq| seq != PROBE).await? {
                FIN => break report(Vec::new(), &watch),
                seq => publisher.send(&job.shape, 0, seq).await?,
            }
        }
    };
    tell(&Event::Done(report));
    // The last message must leave before the socket is dropped.
    std::thread::sleep(Duration::from_millis(100));
    Ok(())
}

/// Sends probes from a separate thread until the runner sends `go`.
fn probe<P: Publisher + Send + 'static>(mut publisher: P, shape: Shape, control: Control) -> JoinHandle<P> {
    let runtime = Handle::try_current().ok();
    std::thread::spawn(move || {
        while !control.may_go() {
            let probe = publisher.send(&shape, 0, PROBE);
            let sent = match &runtime {
                Some(runtime) => runtime.block_on(probe),
                None => at_once(probe),
            };
            sent.expect("a probe can be sent");
            std::thread::sleep(Duration::from_millis(5));
        }
        publisher
    })
}

/// Receives messages until one has an expected sequence number.
async fn next<S: Subscriber>(subscriber: &mut S, shape: Shape, wanted: impl Fn(u64) -> bool) -> Outcome<u64> {
    loop {
        let mut seq = None;
        subscriber.recv(|message| seq = shape.seq(message)).await?;
        match seq {
            Some(seq) if wanted(seq) => return Ok(seq),
            _ => {}
        }
    }
}

fn report(mut micros: Vec<f64>, watch: &Stopwatch) -> Report {
    micros.sort_by(f64::total_cmp);
    let (seconds, cpu) = (watch.elapsed().as_secs_f64(), watch.cpu());
    Report { messages: micros.len() as u64, seconds, cpu, micros, ..Report::default() }
}

/// The same over one connection of two blocking sockets, without any library.
pub(super) fn run_raw(job: &Job, ping: bool, count: u64) -> Outcome {
    let control = Control::listen();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    tell(&Event::Bound { port: listener.local_addr()?.port() });
    let other = control.wait_for_port();
    let mut stream =
        if ping { TcpStream::connect((Ipv4Addr::LOCALHOST, other))? } else { listener.accept()?.0 };
    stream.set_nodelay(true)?;
    tell(&Event::Ready { seconds: 0.0 });
    let mut message = vec![0; job.shape.size];
    let (mut micros, watch) = (Vec::new(), Stopwatch::start());
    if ping {
        for trip in 0..WARM_UP + count {
            let sent = Instant::now();
            message.fill(trip as u8);
            stream.write_all(&message)?;
            stream.read_exact(&mut message)?;
            if trip >= WARM_UP {
                micros.push(sent.elapsed().as_secs_f64() * 1e6);
            }
        }
    } else {
        while stream.read_exact(&mut message).is_ok() {
            stream.write_all(&message)?;
        }
    }
    tell(&Event::Done(report(micros, &watch)));
    Ok(())
}
