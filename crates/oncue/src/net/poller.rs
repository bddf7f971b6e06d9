//! Waits for readiness of streams and listeners (epoll). Several threads may wait at one poller; each report goes to one of
//! them. On Linux that is the one that began to wait last, so that a receiver's own thread is woken before the I/O thread.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

use super::Ready;

/// Tokens of the poller itself, which no stream has.
const BELL: u64 = u64::MAX;
const NUDGE: u64 = u64::MAX - 1;

/// The longest timeout of epoll_wait(2).
const TIMEOUT_MAX: Duration = Duration::from_millis(i32::MAX as u64);

/// How many reports one wait returns at most.
const REPORTS_MAX: usize = 256;

/// Where threads wait for readiness.
pub(crate) struct Poller {
    epoll: OwnedFd,
    /// Wakes one waiting thread each time it is rung (edge-triggered).
    bell: OwnedFd,
    /// Wakes all waiting threads until it is taken back (level-triggered), because it is meant for one in particular.
    nudge: OwnedFd,
}

/// What one wait returned.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) ready: Vec<Ready>,
    /// The nudge was given, and is not taken back.
    pub(crate) nudged: bool,
}

impl Poller {
    pub(crate) fn new() -> io::Result<Poller> {
        let poller = Poller {
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            bell: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            nudge: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
        };
        let once = EventFlags::IN | EventFlags::ET;
        epoll::add(&poller.epoll, &poller.bell, EventData::new_u64(BELL), once)?;
        epoll::add(&poller.epoll, &poller.nudge, EventData::new_u64(NUDGE), EventFlags::IN)?;
        Ok(poller)
    }

    /// Starts reporting when there is something to read.
    pub(crate) fn register_readable(&self, source: impl AsFd, token: usize) -> io::Result<()> {
        self.register(source, token, EventFlags::IN | EventFlags::RDHUP)
    }

    /// Starts reporting when there is something to read, or room to write.
    pub(crate) fn register_both(&self, source: impl AsFd, token: usize) -> io::Result<()> {
        self.register(source, token, EventFlags::IN | EventFlags::RDHUP | EventFlags::OUT)
    }

    fn register(&self, source: impl AsFd, token: usize, flags: EventFlags) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, source, EventData::new_u64(token as u64), flags | EventFlags::ET)?)
    }

    /// Stops reporting. It is not an error if the source was never registered.
    pub(crate) fn deregister(&self, source: impl AsFd) {
        let _ = epoll::delete(&self.epoll, source);
    }

    /// Wakes one waiting thread, or else the next one that would wait.
    pub(crate) fn ring(&self) {
        // It can fail only after 2^64 - 2 rings that no thread has seen.
        let _ = rustix::io::write(&self.bell, &1u64.to_ne_bytes());
    }

    /// Wakes the waiting threads until the nudge is taken back.
    pub(crate) fn nudge(&self) {
        let _ = rustix::io::write(&self.nudge, &1u64.to_ne_bytes());
    }

    /// Takes a nudge back, if there is one.
    pub(crate) fn take_nudge(&self) {
        let _ = rustix::io::read(&self.nudge, &mut [0; 8]);
    }

    /// Waits until there is something to report, for at most `time`, which may be less than a millisecond: epoll_wait(2)
    /// itself counts in milliseconds before Linux 5.11.
    fn wait_precisely(&self, time: Duration) {
        let time = Timespec { tv_sec: 0, tv_nsec: time.subsec_nanos().into() };
        let mut epoll = [PollFd::new(&self.epoll, PollFlags::IN)];
        // A signal only ends it early.
        let _ = poll(&mut epoll, Some(&time));
    }

    /// Waits for reports, for at most `timeout`. A timeout of a millisecond or more is rounded up to milliseconds.
    pub(crate) fn wait(&self, report: &mut Report, timeout: Option<Duration>) {
        let timeout = match timeout {
            Some(time) if !time.is_zero() && time < Duration::from_millis(1) => {
                self.wait_precisely(time);
                Some(Duration::ZERO)
            }
            other => other,
        };
        let timeout = timeout.map(|time| {
            let time = time.min(TIMEOUT_MAX);
            Timespec { tv_sec: time.as_secs() as i64, tv_nsec: time.subsec_nanos().into() }
        });
        report.ready.clear();
        report.nudged = false;
        let mut space = [const { MaybeUninit::uninit() }; REPORTS_MAX];
        // Only a signal can make this fail; a wait without reports does no harm.
        let Ok((events, _)) = epoll::wait(&self.epoll, &mut space, timeout.as_ref()) else { return };
        for event in events {
            let (flags, token) = (event.flags, event.data.u64());
            match token {
                BELL => {}
                NUDGE => report.nudged = true,
                _ => report.ready.push(look(token as usize, flags)),
            }
        }
    }
}

/// Makes this thread's timeouts precise: by default the system may delay them by 50 microseconds (timer slack). If it
/// refuses, they stay imprecise.
pub(crate) fn be_punctual() {
    let _ = nix::sys::prctl::set_timerslack(1);
}

fn look(token: usize, flags: EventFlags) -> Ready {
    let error = flags.contains(EventFlags::ERR);
    let ended = flags.intersects(EventFlags::HUP | EventFlags::RDHUP) || error;
    Ready {
        token,
        readable: flags.intersects(EventFlags::IN | EventFlags::PRI) || ended,
        writable: flags.intersects(EventFlags::OUT | EventFlags::HUP) || error,
        ended,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};
    use std::thread;

    use super::*;

    #[test]
    fn a_report_comes_once_and_a_nudge_until_it_is_taken_back() {
        let poller = Poller::new().unwrap();
        let mut report = Report::default();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let theirs = listener.accept().unwrap().0;
        poller.register_readable(&theirs, 7).unwrap();
        ours.write_all(b"x").unwrap();
        poller.wait(&mut report, None);
        assert!(matches!(report.ready[..], [Ready { token: 7, readable: true, ended: false, .. }]));
        poller.wait(&mut report, Some(Duration::ZERO));
        assert!(report.ready.is_empty() && !report.nudged);
        poller.nudge();
        for _ in 0..2 {
            poller.wait(&mut report, None);
            assert!(report.ready.is_empty() && report.nudged);
        }
        poller.take_nudge();
        poller.wait(&mut report, Some(Duration::ZERO));
        assert!(!report.nudged);
        drop(ours);
        poller.wait(&mut report, None);
        assert!(matches!(report.ready[..], [Ready { token: 7, readable: true, ended: true, .. }]));
    }

    #[test]
    fn a_bell_wakes_one_who_waits() {
        let poller = Poller::new().unwrap();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| poller.wait(&mut Report::default(), None));
            poller.ring();
            waiting.join().unwrap();
        });
    }
}
