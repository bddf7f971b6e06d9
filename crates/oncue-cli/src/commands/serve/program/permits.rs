//! A fair semaphore that bounds how many programs run at the same time. The number of its permits can change.
//!
//! Each route waits for permits in a line of its own. A free permit goes to the waiting line that holds the
//! fewest (max-min fairness), of several to the one that got a permit, or began to wait, the longest time ago; within a line to
//! the oldest waiter. So a line that holds none waits for at most one permit of each other line, however many waiters those have.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

/// A semaphore. All clones share its permits.
#[derive(Clone, Default)]
pub(crate) struct Permits(Arc<Mutex<State>>);

/// A line of waiters. Permits are shared fairly among the lines, not among the waiters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Line(u64);

#[derive(Default)]
struct State {
    /// How many permits there are, and how many of them are taken: after a change, more may be taken than there are.
    all: usize,
    taken: usize,
    /// The lines that wait or hold permits.
    lines: HashMap<Line, InLine>,
    /// The lines that wait, by the order in which they get permits.
    order: BTreeSet<(usize, u64, Line)>,
    /// The last number of a line, a waiter, or a turn.
    last: u64,
}

/// A line that waits or holds permits.
#[derive(Default)]
struct InLine {
    held: usize,
    /// Grows with each permit that it gets.
    turn: u64,
    /// Waiters by their numbers, the oldest first.
    waiting: BTreeMap<u64, Waker>,
}

/// The right to run one program, until it is dropped.
pub(crate) struct Permit(Permits, Line);

impl Permits {
    pub(crate) fn new(permits: usize) -> Permits {
        Permits(Arc::new(Mutex::new(State { all: permits, ..State::default() })))
    }

    /// A new line.
    pub(crate) fn line(&self) -> Line {
        self.change(|state| Line(state.number()))
    }

    /// Changes how many permits there are. Permits that are taken stay valid.
    pub(crate) fn set(&self, permits: usize) {
        self.change(|state| state.all = permits);
    }

    /// Waits in a line for a permit; None if `stopped` is done first.
    pub(crate) fn take<S: Future<Output = ()> + Unpin>(
        &self,
        line: Line,
        mut stopped: S,
    ) -> impl Future<Output = Option<Permit>> + Unpin + use<S> {
        let mut waiter = Waiter { permits: self.clone(), line, number: None };
        poll_fn(move |context| match Pin::new(&mut stopped).poll(context) {
            Poll::Ready(()) => Poll::Ready(None),
            Poll::Pending => waiter.poll(context).map(Some),
        })
    }

    /// Waits until there is a permit, without keeping it.
    pub(crate) fn available(&self) -> impl Future<Output = ()> + Unpin {
        let mut permit = self.take(Line::default(), pending());
        poll_fn(move |context| Pin::new(&mut permit).poll(context).map(drop))
    }

    /// Changes the state, and wakes the next waiter if there is a permit for it.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = change(&mut state);
        let next = state.next().map(|(_, _, waker)| waker.clone());
        drop(state);
        next.into_iter().for_each(Waker::wake);
        changed
    }
}

impl State {
    fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// The waiter that gets a permit now, if there is one for it.
    fn next(&self) -> Option<(Line, u64, &Waker)> {
        let (.., line) = self.order.first().filter(|_| self.taken < self.all)?;
        let (number, waker) = self.lines.get(line)?.waiting.first_key_value()?;
        Some((*line, *number, waker))
    }

    /// Changes a line, and gives it its place in the order. A line that begins to wait takes its turn.
    fn change(&mut self, line: Line, change: impl FnOnce(&mut InLine)) {
        let turn = self.number();
        let known = self.lines.entry(line).or_default();
        let waited = !known.waiting.is_empty();
        self.order.remove(&(known.held, known.turn, line));
        change(known);
        match (waited, known.waiting.is_empty()) {
            (_, true) if known.held == 0 => drop(self.lines.remove(&line)),
            (_, true) => {}
            (waited, false) => {
                if !waited {
                    known.turn = turn;
                }
                self.order.insert((known.held, known.turn, line));
            }
        }
    }
}

struct Waiter {
    permits: Permits,
    line: Line,
    number: Option<u64>,
}

impl Waiter {
    fn poll(&mut self, context: &Context<'_>) -> Poll<Permit> {
        let line = self.line;
        let takes_one = self.permits.change(|state| {
            let number = *self.number.get_or_insert_with(|| state.number());
            state.change(line, |line| drop(line.waiting.insert(number, context.waker().clone())));
            let takes = state.next().is_some_and(|(first, oldest, _)| (first, oldest) == (line, number));
            if takes {
                state.taken += 1;
                let turn = state.number();
                state.change(line, |line| {
                    line.waiting.remove(&number);
                    line.held += 1;
                    line.turn = turn;
                });
            }
            takes
        });
        if takes_one { Poll::Ready(Permit(self.permits.clone(), line)) } else { Poll::Pending }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.permits.change(|state| state.change(self.line, |line| drop(line.waiting.remove(&number))));
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.change(|state| {
            state.taken -= 1;
            state.change(self.1, |line| line.held -= 1);
        });
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
        let mut held = pin!(permits.take(Line::default(), pending()));
        let Poll::Ready(Some(permit)) = held.as_mut().poll(&mut one) else { panic!("it is free") };
        let mut a = pin!(permits.take(Line::default(), pending()));
        let mut b = pin!(permits.take(Line::default(), pending()));
        assert!(a.as_mut().poll(&mut one).is_pending() && b.as_mut().poll(&mut two).is_pending());
        drop(permit);
        assert_eq!((first.0.load(Ordering::SeqCst), second.0.load(Ordering::SeqCst)), (1, 0));
        assert!(b.as_mut().poll(&mut two).is_pending(), "it is not its turn");
        let Poll::Ready(Some(permit)) = a.as_mut().poll(&mut one) else { panic!("its turn") };
        drop(permit);
        assert_eq!(second.0.load(Ordering::SeqCst), 1);
        let Poll::Ready(Some(permit)) = b.as_mut().poll(&mut two) else { panic!("its turn") };
        let mut c = pin!(permits.take(Line::default(), pending()));
        assert!(c.as_mut().poll(&mut one).is_pending());
        permits.set(2);
        let Poll::Ready(Some(other)) = c.as_mut().poll(&mut one) else { panic!("there are two now") };
        permits.set(1);
        drop(permit);
        let mut d = pin!(permits.take(Line::default(), pending()));
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
        let mut held = pin!(permits.take(Line::default(), pending()));
        let Poll::Ready(Some(permit)) = held.as_mut().poll(&mut context) else { panic!("it is free") };
        let mut gone = Box::pin(permits.take(Line::default(), pending()));
        let mut next = pin!(permits.take(Line::default(), pending()));
        assert!(
            gone.as_mut().poll(&mut context).is_pending() && next.as_mut().poll(&mut context).is_pending()
        );
        drop(permit);
        drop(gone);
        assert_eq!(count.0.load(Ordering::SeqCst), 2, "the first in turn, and then the next");
        assert!(next.as_mut().poll(&mut context).is_ready());
        let mut stopped = pin!(permits.take(Line::default(), ready(())));
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
        assert_eq!(end.0.lock().expect("no panic").lines[&Line::default()].waiting.len(), 1);
        end.set(1);
        assert!(Pin::new(&mut stays).poll(&mut context).is_ready());
        assert!(Pin::new(&mut end.available()).poll(&mut context).is_ready(), "for everybody");
    }

    /// Numbers from a seed.
    struct Random(u64);

    impl Random {
        fn below(&mut self, bound: usize) -> usize {
            // An xorshift generator.
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 % bound as u64) as usize
        }
    }

    struct Route {
        line: Line,
        waiting: Vec<Pin<Box<dyn Future<Output = Option<Permit>>>>>,
        held: Vec<Permit>,
        /// How many permits others have got since it began to wait without holding one.
        passed_over: usize,
    }

    #[test]
    fn no_line_waits_for_more_than_one_permit_of_each_other_line() {
        for seed in 1..=40_u64 {
            let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let all = 1 + random.below(4);
            let permits = Permits::new(all);
            let lines = 2 + random.below(5);
            let route = |_| Route { line: permits.line(), waiting: vec![], held: vec![], passed_over: 0 };
            let mut routes: Vec<_> = (0..lines).map(route).collect();
            let mut context = Context::from_waker(Waker::noop());
            for _ in 0..400 {
                let chosen = random.below(lines);
                match random.below(4) {
                    // The first line has far more waiters than the others.
                    0 | 1 if chosen == 0 || routes[chosen].waiting.is_empty() => {
                        let waiter = Box::pin(permits.take(routes[chosen].line, pending()));
                        routes[chosen].waiting.push(waiter);
                    }
                    2 if !routes[chosen].held.is_empty() => {
                        let ended = random.below(routes[chosen].held.len());
                        drop(routes[chosen].held.swap_remove(ended));
                    }
                    3 if !routes[chosen].waiting.is_empty() && random.below(20) == 0 => {
                        let gone = random.below(routes[chosen].waiting.len());
                        drop(routes[chosen].waiting.remove(gone));
                        routes[chosen].passed_over = 0;
                    }
                    _ => {}
                }
                // All that wait look, beginning with any of them: the first to look must not win for that reason.
                let start = random.below(lines);
                let mut served = true;
                while std::mem::take(&mut served) {
                    for index in (start..start + lines).map(|index| index % lines) {
                        let polled =
                            |waiter: &mut Pin<Box<_>>| Future::poll(Pin::as_mut(waiter), &mut context);
                        let got = routes[index].waiting.iter_mut().map(polled).enumerate();
                        let got = got.filter_map(|(at, polled)| match polled {
                            Poll::Ready(permit) => Some((at, permit.expect("it is not stopped"))),
                            Poll::Pending => None,
                        });
                        let mut got: Vec<_> = got.collect();
                        served |= !got.is_empty();
                        for (other, route) in routes.iter_mut().enumerate() {
                            let starves =
                                other != index && !route.waiting.is_empty() && route.held.is_empty();
                            route.passed_over = if starves { route.passed_over + got.len() } else { 0 };
                            assert!(
                                route.passed_over < lines,
                                "seed {seed}: passed over {} times",
                                route.passed_over
                            );
                        }
                        while let Some((at, permit)) = got.pop() {
                            drop(routes[index].waiting.remove(at));
                            routes[index].held.push(permit);
                        }
                    }
                }
                let held: usize = routes.iter().map(|route| route.held.len()).sum();
                let waiting = routes.iter().any(|route| !route.waiting.is_empty());
                assert!(held <= all, "seed {seed}: {held} of {all}");
                assert!(held == all || !waiting, "seed {seed}: a permit is free while a line waits");
            }
            routes.clear();
            let state = permits.0.lock().expect("no panic");
            assert!(state.lines.is_empty() && state.order.is_empty() && state.taken == 0, "seed {seed}");
        }
    }

    #[test]
    fn a_line_that_holds_fewer_permits_comes_first() {
        let permits = Permits::new(3);
        let (many, few) = (permits.line(), permits.line());
        let mut context = Context::from_waker(Waker::noop());
        let mut take = |line| {
            let mut waiter = Box::pin(permits.take(line, pending()));
            match waiter.as_mut().poll(&mut context) {
                Poll::Ready(permit) => (permit, None),
                Poll::Pending => (None, Some(waiter)),
            }
        };
        let mut held: Vec<_> = (0..3).map(|_| take(many).0.expect("it is free")).collect();
        let (_, oldest) = take(many);
        let (_, newest) = take(few);
        let (mut oldest, mut newest) = (oldest.expect("it waits"), newest.expect("it waits"));
        drop(held.pop());
        let mut context = Context::from_waker(Waker::noop());
        assert!(oldest.as_mut().poll(&mut context).is_pending());
        let Poll::Ready(Some(_permit)) = newest.as_mut().poll(&mut context) else { panic!("its turn") };
        drop(held.pop());
        assert!(oldest.as_mut().poll(&mut context).is_ready());
    }
}
