//! A link between two processes that can fail: a TCP forwarder on 127.0.0.1 that cuts connections, swallows what they carry as a
//! torn cable does, or delays it.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// What the link does with what it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It passes everything on.
    Pass,
    /// Each connection is closed, and each new one at once.
    Cut,
    /// Nothing passes, and neither side is told: a torn cable, a firewall that drops.
    Dead,
}

impl Mode {
    fn of(bits: u8) -> Mode {
        [Mode::Pass, Mode::Cut, Mode::Dead][usize::from(bits)]
    }
}

/// The forwarder. Its drop closes all connections, and ends its threads.
pub(crate) struct Forwarder {
    port: u16,
    state: Arc<State>,
}

struct State {
    mode: AtomicU8,
    delay_ms: AtomicU64,
    ended: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
}

impl Forwarder {
    /// Forwards what arrives at a free port to `target`.
    pub(crate) fn to(target: SocketAddr) -> std::io::Result<Forwarder> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let state = Arc::new(State {
            mode: AtomicU8::new(Mode::Pass as u8),
            delay_ms: AtomicU64::new(0),
            ended: AtomicBool::new(false),
            open: Mutex::default(),
        });
        let shared = state.clone();
        thread::spawn(move || accept(&listener, target, &shared));
        Ok(Forwarder { port, state })
    }

    /// The port of 127.0.0.1 that it listens at.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Changes what it does, also for connections that exist.
    pub(crate) fn set(&self, mode: Mode) {
        self.state.mode.store(mode as u8, Ordering::SeqCst);
        if mode == Mode::Cut {
            self.state.close_all();
        }
    }

    /// How much later everything arrives, in each direction; a read of up to 64 KiB at a time.
    pub(crate) fn delay(&self, time: Duration) {
        self.state.delay_ms.store(time.as_millis() as u64, Ordering::SeqCst);
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.state.ended.store(true, Ordering::SeqCst);
        self.state.close_all();
        // It wakes the thread that accepts.
        drop(TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)));
    }
}

impl State {
    fn mode(&self) -> Mode {
        Mode::of(self.mode.load(Ordering::SeqCst))
    }

    fn has_ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }

    fn close_all(&self) {
        for stream in self.open.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn keep(&self, streams: [&TcpStream; 2]) {
        let copies = streams.into_iter().filter_map(|stream| stream.try_clone().ok());
        self.open.lock().unwrap_or_else(PoisonError::into_inner).extend(copies);
    }

    /// Waits while nothing may pass. False: this connection is to end.
    fn may_pass(&self) -> bool {
        loop {
            match (self.mode(), self.has_ended()) {
                (_, true) | (Mode::Cut, _) => return false,
                (Mode::Pass, _) => return true,
                (Mode::Dead, _) => thread::sleep(Duration::from_millis(5)),
            }
        }
    }
}

fn accept(listener: &TcpListener, target: SocketAddr, state: &Arc<State>) {
    for stream in listener.incoming() {
        if state.has_ended() {
            return;
        }
        let Ok(near) = stream else { continue };
        if state.mode() == Mode::Cut {
            continue;
        }
        let state = state.clone();
        thread::spawn(move || connection(near, target, &state));
    }
}

fn connection(near: TcpStream, target: SocketAddr, state: &Arc<State>) {
    if !state.may_pass() {
        return;
    }
    let Ok(far) = TcpStream::connect(target) else { return };
    let (_, _) = (near.set_nodelay(true), far.set_nodelay(true));
    let (Ok(near_too), Ok(far_too)) = (near.try_clone(), far.try_clone()) else { return };
    state.keep([&near, &far]);
    let back = state.clone();
    let other = thread::spawn(move || pump(far_too, near_too, &back));
    pump(near, far, state);
    let _ = other.join();
}

/// Passes on what one side writes, and then its end.
fn pump(mut from: TcpStream, mut to: TcpStream, state: &State) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        let delay = state.delay_ms.load(Ordering::SeqCst);
        if delay > 0 {
            thread::sleep(Duration::from_millis(delay));
        }
        if !state.may_pass() || to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    // A torn cable does not carry the end of a connection either.
    state.may_pass();
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A link to a listener that sends back what it gets.
    fn echo() -> Forwarder {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let target = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                thread::spawn(move || std::io::copy(&mut &stream, &mut &stream));
            }
        });
        Forwarder::to(target).unwrap()
    }

    fn dial(link: &Forwarder) -> TcpStream {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, link.port())).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    fn pass(mut stream: &TcpStream) -> std::io::Result<[u8; 4]> {
        let mut back = [0; 4];
        stream.write_all(b"ping")?;
        stream.read_exact(&mut back)?;
        Ok(back)
    }

    #[test]
    fn a_cut_ends_connections_and_new_ones_too() {
        let link = echo();
        let stream = dial(&link);
        assert_eq!(&pass(&stream).unwrap(), b"ping");
        link.set(Mode::Cut);
        assert!(pass(&stream).is_err());
        assert!(pass(&dial(&link)).is_err());
        link.set(Mode::Pass);
        assert_eq!(&pass(&dial(&link)).unwrap(), b"ping");
    }

    #[test]
    fn a_dead_link_tells_nothing_and_comes_back() {
        let link = echo();
        let stream = dial(&link);
        assert_eq!(&pass(&stream).unwrap(), b"ping");
        link.set(Mode::Dead);
        stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        let silence = pass(&stream).unwrap_err().kind();
        assert!(matches!(silence, std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut));
        link.set(Mode::Pass);
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut back = [0; 4];
        (&stream).read_exact(&mut back).unwrap();
        assert_eq!(&back, b"ping");
    }
}
