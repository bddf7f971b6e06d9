//! What the handles of one socket share, and how they wait.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::engine::hub::Hub;
use crate::engine::{Control, Engine};
use crate::error::{ErrorKind, Result};
use crate::op::{Op, Wait, Waiters, sleep_at};

/// What all handles of one socket share. Dropping it closes the socket.
pub(crate) struct Inner {
    pub(crate) hub: Arc<Hub>,
    pub(super) control: Arc<dyn Control>,
    /// Keeps the I/O threads running.
    pub(super) _engine: Option<Engine>,
}

impl Inner {
    /// Waits for what `attempt` yields, or for the end of the socket.
    pub(super) fn wait_for<'a, T, A: Fn() -> Option<T> + Send + Unpin + 'a>(
        &'a self,
        waiters: &'a Waiters,
        attempt: A,
    ) -> Op<WaitFor<'a, A>> {
        Op(WaitFor { hub: &self.hub, wait: waiters.wait(), attempt })
    }

    /// What there is now; an error once the socket is closed and empty.
    pub(super) fn try_now<T>(&self, attempt: impl Fn() -> Option<T>) -> Result<Option<T>> {
        self.hub.check_home()?;
        match attempt() {
            Some(value) => Ok(Some(value)),
            None => self.hub.check_open().map(|()| None),
        }
    }

    /// Sends as soon as there is room.
    pub(super) fn send_when_room<'a>(
        &'a self,
        mut send: impl FnMut(&Arc<Hub>) -> Result<()> + Send + Unpin + 'a,
    ) -> Op<impl Future<Output = Result<()>> + Send + Unpin + 'a> {
        self.hub.room.until(move || match self.hub.check_open() {
            Err(closed) => Some(Err(closed)),
            Ok(()) => match send(&self.hub) {
                Err(full) if full.kind() == ErrorKind::Full => None,
                sent => Some(sent),
            },
        })
    }
}

/// What [`Inner::wait_for`] returns. Mostly there is something already, and then it makes only the attempt: to hand a message
/// from function to function costs more than to fetch it.
pub(super) struct WaitFor<'a, A> {
    hub: &'a Hub,
    wait: Wait<'a>,
    attempt: A,
}

impl<T, A: Fn() -> Option<T> + Unpin> Future for WaitFor<'_, A> {
    type Output = Result<T>;

    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T>> {
        self.hub.check_home()?;
        match (self.attempt)() {
            Some(value) => Poll::Ready(Ok(value)),
            None => self.poll_waiting(context),
        }
    }
}

impl<T, A: Fn() -> Option<T>> WaitFor<'_, A> {
    #[cold]
    fn poll_waiting(&mut self, context: &Context<'_>) -> Poll<Result<T>> {
        let WaitFor { hub, wait, attempt } = self;
        let polled = wait.poll(context, || match attempt() {
            Some(value) => Some(Ok(value)),
            None => hub.check_open().err().map(Err),
        });
        if polled.is_pending() {
            sleep_at(|| hub.place());
        }
        polled
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.hub.close();
    }
}
