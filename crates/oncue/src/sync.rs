//! Locks that outlive a panic: the engine notices by other means that a thread has died (see `engine`), and what its
//! locks guard is whole between any two calls.

use std::hint::spin_loop;
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

/// A lock around what takes nanoseconds and is done for each message. A `Mutex` has to ask, when it is let go of, whether
/// somebody sleeps; that is as dear as taking it. Here nobody sleeps for long, so that letting go is a plain store.
#[derive(Default)]
pub(crate) struct QuickLock<T>(SpinMutex<T>);

pub(crate) type QuickGuard<'a, T> = SpinMutexGuard<'a, T>;

/// How often a waiting thread looks again before it yields its processor, and then before it sleeps: whoever holds the
/// lock was interrupted, and may have less of a right to this processor.
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
            // To look leaves the holder's cache alone; to try does not.
            if !self.0.is_locked()
                && let Some(guard) = self.0.try_lock()
            {
                return guard;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_beside_another_and_nobody_waits_for_ever() {
        let lock = QuickLock::new((0u64, 0u64));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for round in 0..20_000 {
                        let mut guard = lock.lock();
                        guard.0 += 1;
                        if round % 5_000 == 0 {
                            // The others come to their naps.
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
