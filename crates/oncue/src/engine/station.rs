//! A shard and the threads that turn it: its own I/O thread, senders that find it free (the short way), and receivers
//! that wait for the network themselves (guests). A hop between threads costs more than the work that it hands over,
//! so a receiver with nothing to do sleeps at the poller where the I/O thread sleeps, is woken first, reads, and goes
//! on with its message.

use std::hint::spin_loop;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use std::thread;
use std::time::Duration;

use crate::engine::hub::Hub;
use crate::engine::hub::inbox::flow::Resume;
use crate::engine::hub::kept::Keeping;
use crate::engine::hub::{Note, Port};
use crate::engine::shard::Shard;
use crate::engine::shard::mailbox::Mailbox;
use crate::engine::wire::slices::Direct;
use crate::net::poller::{Poller, Report, be_punctual};
use crate::net::{Net, Ready};
use crate::op::{Place, Sleeper, wake_all};
use crate::sync::Clock;
use crate::sync::lock;

/// How often a guest tries to lock the shard, yielding its processor every other time, before it leaves its reports to
/// the I/O thread. Longer than a sender needs.
const LOOKS_MAX: u32 = 400;

/// How many turns for notes alone the I/O thread makes before it looks at the network again. What came in goes from socket to socket
/// by notes, as through proxies over `inproc`, and each look is a system call.
const TURNS_FOR_NOTES: u32 = 4;

/// A shard and the ways to reach it.
pub(crate) struct Station<N: Net> {
    pub(crate) shard: Mutex<Shard<N>>,
    pub(crate) mailbox: Arc<Mailbox<N::Stream>>,
    clock: Clock,
    /// Where its thread sleeps, and guests; a simulation has none.
    poller: Option<Arc<Poller>>,
    /// The guest's place at the poller: one guest at a time, so that a nudge finds the right one.
    guest: Mutex<Report>,
    guest_sleeps: AtomicBool,
    /// A socket has an admission function, which is called on the I/O thread alone: there are no guests.
    closed_to_guests: AtomicBool,
    /// A guest has panicked in the shard.
    broken: AtomicBool,
}

impl<N: Net> Station<N> {
    pub(crate) fn new(
        shard: Shard<N>,
        mailbox: Arc<Mailbox<N::Stream>>,
        clock: Clock,
        poller: Option<Arc<Poller>>,
    ) -> Station<N> {
        let (guest, guest_sleeps, closed_to_guests, broken) = Default::default();
        let shard = Mutex::new(shard);
        Station { shard, mailbox, clock, poller, guest, guest_sleeps, closed_to_guests, broken }
    }

    /// The life of the I/O thread: until `stopping` and no socket is left, or `dead`.
    pub(crate) fn live(&self, stopping: &AtomicBool, dead: &AtomicBool) {
        let poller = self.poller.as_ref().expect("a thread sleeps at a poller");
        let mut report = Report::default();
        let mut for_notes = 0;
        be_punctual();
        loop {
            let deadline = self.turn((self.clock)(), &report.ready);
            assert!(!self.broken.load(Ordering::SeqCst), "a receiver's thread has panicked in this shard");
            let idle = || lock(&self.shard).hubs.is_empty();
            if dead.load(Ordering::SeqCst) || stopping.load(Ordering::SeqCst) && idle() {
                return;
            }
            let timeout = match self.mailbox.fall_asleep() {
                true => deadline.map(|at| at.saturating_sub((self.clock)())),
                false if for_notes < TURNS_FOR_NOTES => {
                    for_notes += 1;
                    report.ready.clear();
                    continue;
                }
                false => Some(Duration::ZERO),
            };
            for_notes = 0;
            poller.wait(&mut report, timeout);
            self.mailbox.wake_up();
            if report.nudged {
                // The nudge was for the guest, which is woken too, unless it has left meanwhile.
                match self.guest_sleeps.load(Ordering::SeqCst) {
                    true => thread::yield_now(),
                    false => poller.take_nudge(),
                }
            }
        }
    }

    /// The I/O thread has ended: drops everything in the shard, and everything that is sent to it.
    pub(crate) fn finish(&self) {
        let mut shard = lock(&self.shard);
        shard.finish();
        unlock(shard);
    }

    /// Turns the shard as its own thread, and calls the wakers once the shard is unlocked.
    pub(crate) fn turn(&self, now: Duration, ready: &[Ready]) -> Option<Duration> {
        let mut shard = lock(&self.shard);
        let deadline = shard.turn(now, ready);
        shard.planned = deadline;
        unlock(shard);
        deadline
    }

    /// From now on the I/O thread alone turns the shard.
    pub(crate) fn keep_guests_out(&self) {
        self.closed_to_guests.store(true, Ordering::SeqCst);
    }

    /// The shard, for a guest. `None`: guests are kept out, or another thread holds it for so long that it may be for
    /// ever, as when a user's function waits for a lock that the guest holds.
    fn lock_as_guest(&self) -> Option<MutexGuard<'_, Shard<N>>> {
        for round in 0..LOOKS_MAX {
            match self.shard.try_lock() {
                Err(TryLockError::WouldBlock) if round < LOOKS_MAX / 2 => spin_loop(),
                Err(TryLockError::WouldBlock) => thread::yield_now(),
                Err(TryLockError::Poisoned(_)) => return None,
                // Checked under the lock: sockets created later are served after the guest.
                Ok(shard) => return (!self.closed_to_guests.load(Ordering::SeqCst)).then_some(shard),
            }
        }
        None
    }

    /// Leaves the guest's reports to the I/O thread.
    fn hand_over(&self, ready: &[Ready]) {
        ready.iter().for_each(|ready| self.mailbox.mail(Note::Ready(*ready)));
        // Whatever the mailbox has noted: the thread may sleep.
        self.poller.iter().for_each(|poller| poller.ring());
    }

    /// Turns the shard as a guest, until nothing is left that the I/O thread would not be woken for.
    fn turn_as_guest(&self, ready: &[Ready]) {
        let mut ready = ready;
        let mut sooner = false;
        loop {
            let Some(mut shard) = self.lock_as_guest() else { return self.hand_over(ready) };
            let deadline = shard.turn((self.clock)(), ready);
            sooner |= deadline.is_some_and(|at| shard.planned.is_none_or(|planned| at < planned));
            unlock(shard);
            ready = &[];
            // A bell for the I/O thread may have woken the guest instead.
            if self.mailbox.fall_asleep() {
                break;
            }
        }
        if sooner {
            // The I/O thread sleeps longer than it may now.
            self.mailbox.ring();
        }
    }
}

/// Unlocks a shard and calls the wakers that are due.
pub(super) fn unlock<N: Net>(mut shard: MutexGuard<'_, Shard<N>>) {
    let wakes = std::mem::take(&mut shard.wakes);
    drop(shard);
    wake_all(wakes);
}

impl<N: Net> Resume for Station<N> {
    fn resume(&self, slot: usize, uid: u64) {
        self.mailbox.mail(Note::Resume { slot, uid });
    }
}

impl<N: Net> Port for Station<N> {
    fn mail(&self, note: Note) {
        self.mailbox.mail(note);
    }

    fn send_now(&self, hub: &Arc<Hub>, message: &Direct<'_>, last: Option<&Keeping>) -> bool {
        if self.mailbox.is_forked() {
            // Its streams are those of the other process.
            return false;
        }
        let Ok(mut shard) = self.shard.try_lock() else { return false };
        let sent = shard.send_now(hub, message, last, (self.clock)());
        // A peer was lost, or more has to be written to one: the I/O thread does that.
        let more = !shard.wakes.is_empty() || shard.has_more();
        unlock(shard);
        if more {
            self.mailbox.ring();
        }
        sent
    }

    fn place(self: Arc<Self>) -> Option<Arc<dyn Place>> {
        self.poller.is_some().then_some(self as Arc<dyn Place>)
    }
}

impl<N: Net> Place for Station<N> {
    fn sleep(&self, sleeper: &Sleeper, timeout: Option<Duration>) -> bool {
        if self.closed_to_guests.load(Ordering::SeqCst) {
            return false;
        }
        let (Some(poller), Ok(mut report)) = (&self.poller, self.guest.try_lock()) else { return false };
        self.guest_sleeps.store(true, Ordering::SeqCst);
        report.ready.clear();
        if !sleeper.is_woken() {
            poller.wait(&mut report, timeout);
        }
        self.guest_sleeps.store(false, Ordering::SeqCst);
        // What the turn brings need not wake this thread.
        sleeper.rise();
        if std::mem::take(&mut report.nudged) {
            poller.take_nudge();
        }
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.turn_as_guest(&report.ready))) {
            self.broken.store(true, Ordering::SeqCst);
            poller.ring();
            resume_unwind(panic);
        }
        true
    }

    fn wake(&self) {
        if let Some(poller) = &self.poller {
            poller.nudge();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::os::OsNet;
    use crate::{Engine, EngineOptions, ErrorKind, Options, Sub, XPub, XPubEvent};

    #[test]
    fn a_thread_that_dies_fails_all_sockets_and_nothing_stays_behind() {
        let engine = Engine::with(EngineOptions::new().io_threads(3)).unwrap();
        let publisher = XPub::new(&engine, Options::new()).unwrap();
        let subscriber = Sub::new(&engine, Options::new()).unwrap();
        let endpoint = publisher.bind("tcp://127.0.0.1:0").unwrap().to_string();
        let file = std::env::temp_dir().join(format!("oncue-dies-{}", std::process::id()));
        publisher.bind(&format!("ipc://{}", file.display())).unwrap();
        assert!(file.exists());
        subscriber.subscribe("").unwrap();
        subscriber.connect(&endpoint).unwrap();
        assert!(matches!(publisher.event().wait().unwrap(), XPubEvent::Wanted(_)));
        let stations: Vec<_> = engine.0.driver.stations.iter().map(Arc::downgrade).collect();
        let hubs = [Arc::downgrade(&publisher.0.hub), Arc::downgrade(&subscriber.0.hub)];

        thread::scope(|scope| {
            let waiting = scope.spawn(|| subscriber.recv().wait());
            let station = stations[1].upgrade().unwrap();
            let guest = |station: Arc<Station<OsNet>>| {
                let _shard = lock(&station.shard);
                panic!("what a guest does in the shard may panic");
            };
            let in_shard = station.clone();
            assert!(scope.spawn(move || guest(in_shard)).join().is_err());
            station.broken.store(true, Ordering::SeqCst);
            station.poller.as_ref().unwrap().ring();
            assert_eq!(waiting.join().unwrap().unwrap_err().kind(), ErrorKind::Closed);
        });
        assert!(!file.exists(), "its endpoints are free");
        assert_eq!(publisher.bind("tcp://127.0.0.1:0").unwrap_err().kind(), ErrorKind::Closed);
        assert_eq!(subscriber.connect(&endpoint).unwrap_err().kind(), ErrorKind::Closed);
        assert_eq!(XPub::new(&engine, Options::new()).unwrap_err().kind(), ErrorKind::Closed);
        publisher.close().wait();
        drop((subscriber, publisher, engine));
        assert!(hubs.iter().all(|hub| hub.strong_count() == 0), "no socket is held by anything");
        assert!(stations.iter().all(|station| station.strong_count() == 0), "no shard is held by anything");
    }
}
