//! A fair semaphore that bounds how many programs run at the same time. The number of its permits can change.

use std::collections::BTreeMap;
use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

/// A semaphore. All clones share its permits.
#[derive(Clone, Default)]
pub(crate) struct Permits(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// How many permits there are, and how many of them are taken: after a change, more may be taken than there are.
    all: usize,
    taken: usize,
    /// Waiters by their numbers, the oldest first.
    waiting: BTreeMap<u64, Waker>,
    last: u64,
}

/// The right to run one program, until it is dropped.
pub(crate) struct Permit(Permits);

impl Permits {
    pub(crate) fn new(permits: usize) -> Permits {
        Permits(Arc::new(Mutex::new(State { all: permits, ..State::default() })))
    }

    /// Changes how many permits there are. Permits that are taken stay valid.
    pub(crate) fn set(&self, permits: usize) {
        self.change(|state| state.all = permits);
    }

    /// Waits for a permit, in the order in which the waiters came; None if `stopped` is done first.
    pub(crate) fn take(
        &self,
        mut stopped: impl Future<Output = ()> + Unpin,
    ) -> impl Future<Output = Option<Permit>> + Unpin {
        let mut waiter = Waiter { permits: self.clone(), number: None };
        poll_fn(move |context| match Pin::new(&mut stopped).poll(context) {
            Poll::Ready(()) => Poll::Ready(None),
            Poll::Pending => waiter.poll(context).map(Some),
        })
    }

    /// Waits until there is a permit, without keeping it.
    pub(crate) fn available(&self) -> impl Future<Output = ()> + Unpin {
        let mut permit = self.take(pending());
        poll_fn(move |context| Pin::new(&mut permit).poll(context).map(drop))
    }

    /// Changes the state, and wakes the first waiter if there is a permit for it.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = change(&mut state);
        let next = state.waiting.first_key_value().filter(|_| state.taken < state.all);
        let next = next.map(|(_, waker)| waker.clone());
        drop(state);
        next.into_iter().for_each(Waker::wake);
        changed
    }
}

struct Waiter {
    permits: Permits,
    number: Option<u64>,
}

impl Waiter {
    fn poll(&mut self, context: &Context<'_>) -> Poll<Permit> {
        let takes_one = self.permits.change(|state| {
            let number = *self.number.get_or_insert_with(|| {
                state.last += 1;
                state.last
            });
            let is_first = state.waiting.first_key_value().is_none_or(|(first, _)| *first >= number);
            let takes = is_first && state.taken < state.all;
            if takes {
                state.waiting.remove(&number);
                state.taken += 1;
            } else {
                state.waiting.insert(number, context.waker().clone());
            }
            takes
        });
        if takes_one { Poll::Ready(Permit(self.permits.clone())) } else { Poll::Pending }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.permits.change(|state| state.waiting.remove(&number));
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.change(|state| state.taken -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::ready;
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
    fn permits_go_to_the_first_waiter_and_come_back() {
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
        assert!(d.as_mut().poll(&mut one).is_pending(), "there is one, and it is taken");
        drop(other);
        assert!(d.as_mut().poll(&mut one).is_ready());
    }

    #[test]
    fn a_waiter_that_gives_up_leaves_its_turn_to_the_next() {
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

    #[test]
    fn a_wait_for_the_end_that_is_given_up_leaves_nothing_behind() {
        let (end, waker) = (Permits::new(0), Waker::noop());
        let mut context = Context::from_waker(waker);
        let mut stays = end.available();
        for _ in 0..100 {
            assert!(Pin::new(&mut stays).poll(&mut context).is_pending());
            assert!(Pin::new(&mut end.available()).poll(&mut context).is_pending());
        }
        assert_eq!(end.0.lock().expect("no panic").waiting.len(), 1);
        end.set(1);
        assert!(Pin::new(&mut stays).poll(&mut context).is_ready());
        assert!(Pin::new(&mut end.available()).poll(&mut context).is_ready(), "for everybody");
    }
}
