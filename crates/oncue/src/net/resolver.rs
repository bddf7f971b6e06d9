//! Looks up names on threads of its own, since a look-up can take seconds.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, Weak};
use std::thread::{self, Thread};
use std::time::Duration;

use super::{Notify, Ready, address};
use crate::sync::lock;

/// How many names are looked up at a time. Further ones wait.
const LOOKUPS_MAX: usize = 16;

/// How often a thread that waits for a look-up checks whether it is still to wait.
const PATIENCE_INTERVAL: Duration = Duration::from_millis(20);

type Found = io::Result<Vec<SocketAddr>>;
type Slot = Mutex<Option<Found>>;

/// Looks up names for all I/O threads of an engine. Its threads end when there is nothing to look up.
#[derive(Clone)]
pub(crate) struct Resolver {
    look_up: fn(&str, u16) -> Found,
    queue: Arc<Mutex<Queue>>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Question>,
    threads: usize,
}

struct Question {
    name: String,
    port: u16,
    answer: Weak<Slot>,
    notify: Arc<dyn Notify>,
    token: usize,
}

/// Wakes the thread that waits for a look-up.
struct Unpark(Thread);

impl Notify for Unpark {
    fn notify(&self, _ready: Ready) {
        self.0.unpark();
    }
}

/// The result of a look-up, now or later. Dropping it cancels a look-up that has not begun.
pub(super) struct Answer(Arc<Slot>);

impl Answer {
    /// Addresses that need no look-up.
    pub(super) fn known(addrs: Vec<SocketAddr>) -> Answer {
        Answer(Arc::new(Mutex::new(Some(Ok(addrs)))))
    }

    /// Takes the addresses, once they are there.
    pub(super) fn take(&self) -> Option<Found> {
        lock(&self.0).take()
    }
}

impl Resolver {
    /// The system's resolver.
    pub(crate) fn system() -> Resolver {
        Resolver::new(address::look_up)
    }

    fn new(look_up: fn(&str, u16) -> Found) -> Resolver {
        Resolver { look_up, queue: Arc::default() }
    }

    /// Looks up a name; readiness to write for `token` is reported when it is done.
    pub(super) fn ask(
        &self,
        name: &str,
        port: u16,
        token: usize,
        notify: Arc<dyn Notify>,
    ) -> io::Result<Answer> {
        let slot = Arc::default();
        let answer = Arc::downgrade(&slot);
        let mut queue = lock(&self.queue);
        queue.waiting.push_back(Question { name: name.to_owned(), port, answer, notify, token });
        if queue.threads < LOOKUPS_MAX {
            let resolver = self.clone();
            let spawned = thread::Builder::new().name("oncue-resolve".into()).spawn(move || resolver.work());
            match spawned {
                Ok(_) => queue.threads += 1,
                // The running threads will come to it.
                Err(_) if queue.threads > 0 => {}
                Err(e) => {
                    queue.waiting.pop_back();
                    return Err(e);
                }
            }
        }
        Ok(Answer(slot))
    }

    /// Looks up a name, and waits for it as long as `patience` does not end it.
    pub(super) fn wait(&self, name: &str, port: u16, patience: &dyn Fn() -> io::Result<()>) -> Found {
        let answer = self.ask(name, port, 0, Arc::new(Unpark(thread::current())))?;
        loop {
            if let Some(found) = answer.take() {
                return found;
            }
            patience()?;
            thread::park_timeout(PATIENCE_INTERVAL);
        }
    }

    fn work(&self) {
        while let Some(question) = self.next() {
            let Question { name, port, answer, notify, token } = question;
            if answer.strong_count() == 0 {
                continue;
            }
            let found = (self.look_up)(&name, port);
            if let Some(slot) = answer.upgrade() {
                *lock(&slot) = Some(found);
                notify.notify(Ready { token, writable: true, ..Ready::default() });
            }
        }
    }

    fn next(&self) -> Option<Question> {
        let mut queue = lock(&self.queue);
        let next = queue.waiting.pop_front();
        if next.is_none() {
            queue.threads -= 1;
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Instant;

    use super::*;

    struct Count(AtomicUsize);

    impl Notify for Count {
        fn notify(&self, _ready: Ready) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn eventually(is_so: impl Fn() -> bool) {
        let until = Instant::now() + Duration::from_secs(20);
        while !is_so() {
            assert!(Instant::now() < until, "it has not come about in 20 s");
            thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn look_ups_are_bounded_and_skipped_for_those_that_were_dropped() {
        static RUNNING: AtomicUsize = AtomicUsize::new(0);
        static MOST: AtomicUsize = AtomicUsize::new(0);
        static ALL: AtomicUsize = AtomicUsize::new(0);
        let resolver = Resolver::new(|_, port| {
            ALL.fetch_add(1, Ordering::SeqCst);
            let running = RUNNING.fetch_add(1, Ordering::SeqCst) + 1;
            MOST.fetch_max(running, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(20));
            RUNNING.fetch_sub(1, Ordering::SeqCst);
            Ok(address::of_localhost(port))
        });
        let count = Arc::new(Count(AtomicUsize::new(0)));
        let ask = |port| resolver.ask("name", port, 0, count.clone()).unwrap();
        let mut answers: Vec<_> = (0..100).map(ask).collect();
        answers.truncate(50);
        eventually(|| count.0.load(Ordering::SeqCst) == 50);
        eventually(|| lock(&resolver.queue).threads == 0);
        assert!(answers.iter().all(|answer| answer.take().is_some_and(|found| found.is_ok())));
        assert!(MOST.load(Ordering::SeqCst) <= LOOKUPS_MAX);
        assert!(ALL.load(Ordering::SeqCst) <= 50 + LOOKUPS_MAX, "those that had begun");
    }

    #[test]
    fn a_thread_waits_for_a_look_up_until_it_is_told_to_give_up() {
        let at_once = Resolver::new(|_, port| Ok(address::of_localhost(port)));
        assert_eq!(at_once.wait("name", 7, &|| Ok(())).unwrap()[0].port(), 7);
        let never = Resolver::new(|_, _| {
            loop {
                thread::park();
            }
        });
        let begun = Instant::now();
        let until = begun + Duration::from_millis(100);
        let patience = || if Instant::now() < until { Ok(()) } else { Err(io::ErrorKind::TimedOut.into()) };
        assert_eq!(never.wait("name", 7, &patience).unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(begun.elapsed() < Duration::from_secs(10));
    }
}
