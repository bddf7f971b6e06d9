//! Tells a supervisor how the server is, as sd_notify(3) does: one datagram for each news, to the socket that the environment
//! names. Without a supervisor nothing is sent; one that has gone disturbs nothing.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::output::escaped;

/// The variables by which a supervisor such as systemd tells a process where it listens, how often it wants a sign of life in
/// microseconds, and from which process.
pub(crate) const SUPERVISOR: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"];

/// How long a supervisor that does not read its socket holds up the server.
const SEND_MAX: Duration = Duration::from_secs(1);

/// The way to the supervisor, if there is one.
pub(crate) struct Supervisor {
    socket: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl Supervisor {
    /// That of the environment.
    ///
    /// # Errors
    /// Why the environment's supervisor cannot be told anything.
    pub(crate) fn of_environment() -> Result<Supervisor, String> {
        let [socket, watchdog, watchdog_process] = SUPERVISOR;
        let Some(name) = env::var_os(socket) else { return Ok(Supervisor::none()) };
        let socket = open(&name).map_err(|error| format!("{socket}={}: {error}", name.display()))?;
        let number = |name| env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        let ours = number(watchdog_process).is_none_or(|process| process == u64::from(std::process::id()));
        let watchdog = number(watchdog).filter(|micros| ours && *micros > 0).map(Duration::from_micros);
        Ok(Supervisor { socket: Some(socket), watchdog })
    }

    pub(crate) fn none() -> Supervisor {
        Supervisor { socket: None, watchdog: None }
    }

    /// How often the supervisor must hear that the server is alive; it is told twice as often.
    pub(crate) fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// The server serves: at its start, and after a reload.
    pub(crate) fn ready(&self, status: &str) {
        // A line break would begin other news.
        self.send(&format!("READY=1\nSTATUS={}", escaped(status.as_bytes())));
    }

    /// The config is read again. [`ready`](Self::ready) must follow, whatever comes of it.
    pub(crate) fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let micros = now.tv_sec.unsigned_abs() * 1_000_000 + now.tv_nsec.unsigned_abs() / 1000;
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={micros}\nSTATUS=reading the config again"));
    }

    /// The process ends: what it still does, in a few words.
    pub(crate) fn stopping(&self, status: &str) {
        self.send(&format!("STOPPING=1\nSTATUS={status}"));
    }

    /// A sign of life, for the watchdog.
    pub(crate) fn alive(&self) {
        self.send("WATCHDOG=1");
    }

    fn send(&self, news: &str) {
        if let Some((socket, address)) = &self.socket {
            // An error means that the supervisor has gone, or does not read.
            let _ = socket.send_to_addr(news.as_bytes(), address);
        }
    }
}

/// A socket to send from, and the address of the supervisor's: a path, or `@` and a name that is not in the file system.
fn open(name: &OsStr) -> io::Result<(UnixDatagram, SocketAddr)> {
    let address = match name.as_bytes() {
        [b'/', ..] => SocketAddr::from_pathname(name)?,
        [b'@', abstract_name @ ..] => SocketAddr::from_abstract_name(abstract_name)?,
        _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, "neither a path nor `@` and a name")),
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(SEND_MAX))?;
    Ok((socket, address))
}
