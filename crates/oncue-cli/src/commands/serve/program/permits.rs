//! How many programs run at once: whoever wants to start one takes a permit first, in the order they came.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Permits to run a program. Clones are handles to one and the same.
#[derive(Clone)]
pub(crate) struct Permits(Arc<Mutex<State>>);

struct State {
    /// How many permits there are, and how many of them are out: fewer may be allowed for than are out.
    all: usize,
    out: usize,
    /// Who waits, oldest first.
    waiting: VecDeque<(u64, Waker)>,
    last: u64,
}

/// The right to run one program, until it is dropped.
pub(crate) struct Permit(Permits);

impl Permits {
    pub(crate) fn new(permits: usize) -> Permits {
        Permits(Arc::new(Mutex::new(State { all: permits, out: 0, waiting: VecDeque::new(), last: 0 })))
    }

    /// Allows for so many from now on. Those that are out stay out.
    pub(crate) fn set(&self, permits: usize) {
        let mut state = self.state();
        state.all = permits;
        let next = state.next();
        drop(state);
        next.into_iter().for_each(Waker::wake);
    }

    /// Waits for a permit, but no longer than until `stopped` is done: None then.
    pub(crate) fn take(
        &self,
        stopped: impl Future<Output = ()> + Unpin,
    ) -> impl Future<Output = Option<Permit>> {
        let mut stopped = stopped;
        let mut place = Place { permits: self.clone(), number: None };
        poll_fn(move |context| {
            if Pin::new(&mut stopped).poll(context).is_ready() {
                return Poll::Ready(None);
            }
            place.poll(context).map(Some)
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn has_free(&self) -> bool {
        self.out < self.all
    }

    /// Wakes the one whose turn it is.
    fn next(&self) -> Option<Waker> {
        self.waiting.front().filter(|_| self.has_free()).map(|(_, waker)| waker.clone())
    }
}

/// A place among those who wait.
struct Place {
    permits: Permits,
    number: Option<u64>,
}

impl Place {
    fn poll(&mut self, context: &Context<'_>) -> Poll<Permit> {
        let mut state = self.permits.state();
        let first = state.waiting.front().is_none_or(|(number, _)| Some(*number) == self.number);
        if state.has_free() && first {
            state.out += 1;
            if self.number.take().is_some() {
                state.waiting.pop_front();
            }
            let next = state.next();
            drop(state);
            next.into_iter().for_each(Waker::wake);
            return Poll::Ready(Permit(self.permits.clone()));
        }
        let waker = context.waker();
        match self.number {
            Some(mine) => {
                for (_, known) in state.waiting.iter_mut().filter(|(number, _)| *number == mine) {
                    known.clone_from(waker);
                }
            }
            None => {
                state.last += 1;
                self.number = Some(state.last);
                let entry = (state.last, waker.clone());
                state.waiting.push_back(entry);
            }
        }
        Poll::Pending
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(mine) = self.number else { return };
        let mut state = self.permits.state();
        state.waiting.retain(|(number, _)| *number != mine);
        let next = state.next();
        drop(state);
        next.into_iter().for_each(Waker::wake);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.out -= 1;
        let next = state.next();
        drop(state);
        next.into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, ready};
    use std::pin::pin;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn permits_go_to_who_waits_longest_and_come_back() {
        let permits = Permits::new(1);
        let (first, second) = (Arc::<Count>::default(), Arc::<Count>::default());
        let (wake_first, wake_second) = (Waker::from(first.clone()), Waker::from(second.clone()));
        let (mut one, mut two) = (Context::from_waker(&wake_first), Context::from_waker(&wake_second));
        let mut held = pin!(permits.take(pending()));
        let Poll::Ready(Some(permit)) = held.as_mut().poll(&mut one) else { panic!("it is free") };
        let mut a = pin!(permits.take(pending()));
        let mut b = pin!(permits.take(pending()));
        assert!(a.as_mut().poll(&mut one).is_pending() && b.as_mut().poll(&mut two).is_pending());
        drop(permit);
        assert_eq!((first.0.load(Ordering::SeqCst), second.0.load(Ordering::SeqCst)), (1, 0));
        assert!(b.as_mut().poll(&mut two).is_pending(), "it is not its turn");
        let Poll::Ready(Some(permit)) = a.as_mut().poll(&mut one) else { panic!("its turn") };
        drop(permit);
        assert_eq!(second.0.load(Ordering::SeqCst), 1);
        let Poll::Ready(Some(permit)) = b.as_mut().poll(&mut two) else { panic!("its turn") };
        let mut c = pin!(permits.take(pending()));
        assert!(c.as_mut().poll(&mut one).is_pending());
        permits.set(2);
        let Poll::Ready(Some(other)) = c.as_mut().poll(&mut one) else { panic!("there are two now") };
        permits.set(1);
        drop(permit);
        let mut d = pin!(permits.take(pending()));
        assert!(d.as_mut().poll(&mut one).is_pending(), "there is one, and it is out");
        drop(other);
        assert!(d.as_mut().poll(&mut one).is_ready());
    }

    #[test]
    fn who_stops_waiting_leaves_the_place_to_the_next() {
        let permits = Permits::new(1);
        let count = Arc::<Count>::default();
        let waker = Waker::from(count.clone());
        let mut context = Context::from_waker(&waker);
        let mut held = pin!(permits.take(pending()));
        let Poll::Ready(Some(permit)) = held.as_mut().poll(&mut context) else { panic!("it is free") };
        let mut gone = Box::pin(permits.take(pending()));
        let mut next = pin!(permits.take(pending()));
        assert!(
            gone.as_mut().poll(&mut context).is_pending() && next.as_mut().poll(&mut context).is_pending()
        );
        drop(permit);
        drop(gone);
        assert_eq!(count.0.load(Ordering::SeqCst), 2, "the first in turn, and then the next");
        assert!(next.as_mut().poll(&mut context).is_ready());
        let mut stopped = pin!(permits.take(ready(())));
        assert!(matches!(stopped.as_mut().poll(&mut context), Poll::Ready(None)));
    }
}
