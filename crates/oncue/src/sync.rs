//! Locks that ignore poisoning: the engine notices by other means that a thread has panicked (see `engine`), and what its
//! locks guard is consistent between any two calls.

use std::hint::spin_loop;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread;
use std::time::Duration;

use spin::mutex::{SpinMutex, SpinMutexGuard};

/// The time since an origin that never changes.
pub(crate) type Clock = Arc<dyn Fn() -> Duration + Send + Sync>;

pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn read_lock<T: ?Sized>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn write_lock<T: ?Sized>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

/// Adds to a count what a stranger says: it stays at the end of the range.
pub(crate) fn add_saturating(count: &AtomicU64, more: u64) {
    let add = |count: u64| Some(count.saturating_add(more));
    // It always has a next value.
    let _ = count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
}

/// A spin lock, for critical sections of nanoseconds that are entered for each message. Unlocking a `Mutex` has to check for
/// sleeping threads, which costs as much as locking it. Here no thread sleeps for long, so that unlocking is a plain store.
#[derive(Default)]
pub(crate) struct QuickLock<T>(SpinMutex<T>);

pub(crate) type QuickGuard<'a, T> = SpinMutexGuard<'a, T>;

/// How often a waiting thread looks again before it yields its processor, and then before it sleeps: the thread that holds
/// the lock was preempted, and may have a lower priority.
const LOOKS_MAX: u32 = 200;
const LOOKS_AND_YIELDS_MAX: u32 = LOOKS_MAX + 100;
const NAP: Duration = Duration::from_micros(50);

impl<T> QuickLock<T> {
    pub(crate) fn new(value: T) -> QuickLock<T> {
        QuickLock(SpinMutex::new(value))
    }

    #[inline(always)]
    pub(crate) fn lock(&self) -> QuickGuard<'_, T> {
        match self.0.try_lock() {
            Some(guard) => guard,
            None => self.wait(),
        }
    }

    #[cold]
    fn wait(&self) -> QuickGuard<'_, T> {
        let mut round = 0u32;
        loop {
            round = round.saturating_add(1);
            match round {
                ..LOOKS_MAX => (0..4).for_each(|_| spin_loop()),
                LOOKS_MAX..LOOKS_AND_YIELDS_MAX => thread::yield_now(),
                _ => thread::sleep(NAP),
            }
            // A load leaves the holder's cache line shared; an attempt does not.
            if !self.0.is_locked()
                && let Some(guard) = self.0.try_lock()
            {
                return guard;
            }
        }
    }
}

/// A time or a span, or none: an `Option<Duration>` in half of the memory, exact to the nanosecond. What is longer than 584
/// years counts as that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moment(Option<NonZeroU64>);

impl Moment {
    pub(crate) const NONE: Moment = Moment(None);

    pub(crate) fn get(self) -> Option<Duration> {
        self.0.map(|nanos| Duration::from_nanos(nanos.get() - 1))
    }

    pub(crate) fn is_some(self) -> bool {
        self.0.is_some()
    }
}

impl From<Duration> for Moment {
    fn from(time: Duration) -> Moment {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        Moment(NonZeroU64::new(nanos.saturating_add(1)))
    }
}

impl From<Option<Duration>> for Moment {
    fn from(time: Option<Duration>) -> Moment {
        time.map_or(Moment::NONE, Moment::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_exclude_each_other_and_none_waits_for_ever() {
        let lock = QuickLock::new((0u64, 0u64));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for round in 0..20_000 {
                        let mut guard = lock.lock();
                        guard.0 += 1;
                        if round % 5_000 == 0 {
                            // Long enough for the others to sleep.
                            thread::sleep(2 * NAP);
                        }
                        guard.1 += 1;
                        assert_eq!(guard.0, guard.1);
                    }
                });
            }
        });
        assert_eq!(*lock.lock(), (80_000, 80_000));
    }
}
