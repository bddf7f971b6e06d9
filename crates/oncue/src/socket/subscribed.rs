//! Waiting until publishers have a subscription in force.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use oncue_core::edges::Prefix;

use super::inner::Inner;
use crate::engine::{Confirmation, Confirmed};
use crate::error::Result;
use crate::op::{Op, sleep_at};

/// A subscription that was made ([`Sub::subscribe`](crate::Sub::subscribe)), and can be waited for: until all publishers that
/// are connected at that time have it in force, have refused it, or cannot say. A publisher that leaves meanwhile counts no more;
/// one that connects later is told of all subscriptions before it sends anything.
///
/// Nothing is sent to publishers for it unless it is waited for. To wait for the last of several subscriptions is to wait for
/// all of them, since a publisher takes them in order. A publisher that has not answered, or not decided
/// ([`Admission::Defer`](crate::Admission::Defer)), keeps it waiting: bound the time by
/// [`wait_timeout`](Subscribed::wait_timeout). Answers come behind the messages that were sent before them: receive
/// messages meanwhile if many are on their way ([`Options::recv_hwm`](crate::Options::recv_hwm)).
///
/// How a publisher confirms depends on what it is: one of this library says so, and a [`Proxy`](crate::Proxy) when its own
/// publishers have; another of ZMTP 3.1 answers a PING behind the
/// subscription, so that it has read it; one below 3.1 cannot say anything.
pub struct Subscribed<'a> {
    socket: &'a Arc<Inner>,
    prefix: Prefix,
    publishers_min: usize,
}

impl<'a> Subscribed<'a> {
    pub(super) fn new(socket: &'a Arc<Inner>, prefix: &[u8]) -> Subscribed<'a> {
        Subscribed { socket, prefix: Prefix::from(prefix), publishers_min: 0 }
    }

    /// Waits for at least this number of publishers, also for those that connect meanwhile. Default 0: while none is
    /// connected, there is nothing to wait for.
    pub fn at_least(mut self, publishers: usize) -> Subscribed<'a> {
        self.publishers_min = publishers;
        self
    }

    /// Waits on this thread.
    ///
    /// # Errors
    /// [`Closed`](crate::ErrorKind::Closed).
    pub fn wait(self) -> Result<Confirmed> {
        self.into_future().wait()
    }

    /// Waits on this thread until `timeout` has passed. Then the result is what was said until then, see
    /// [`Confirmed::is_complete`].
    ///
    /// # Errors
    /// [`Closed`](crate::ErrorKind::Closed).
    pub fn wait_timeout(self, timeout: Duration) -> Result<Confirmed> {
        let mut confirming = self.confirming();
        confirming.wait_for(timeout).unwrap_or_else(|| Ok(confirming.so_far()))
    }

    /// The operation that waits, to be waited for in parts.
    pub fn confirming(self) -> Confirming<'a> {
        let Subscribed { socket, prefix, publishers_min } = self;
        Confirming { socket, prefix, publishers_min, open: None }
    }
}

impl<'a> IntoFuture for Subscribed<'a> {
    type Output = Result<Confirmed>;
    type IntoFuture = Op<Confirming<'a>>;

    fn into_future(self) -> Op<Confirming<'a>> {
        Op(self.confirming())
    }
}

impl fmt::Debug for Subscribed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscribed").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// The operation that waits for a [`Subscribed`]. The publishers are asked when it is polled first.
pub struct Confirming<'a> {
    socket: &'a Arc<Inner>,
    prefix: Prefix,
    publishers_min: usize,
    open: Option<(usize, Arc<Confirmation>)>,
}

impl Confirming<'_> {
    /// Waits on this thread for at most this time. None: not all publishers have answered, and waiting may go on.
    ///
    /// # Errors
    /// [`Closed`](crate::ErrorKind::Closed).
    pub fn wait_for(&mut self, time: Duration) -> Option<Result<Confirmed>> {
        Op(self).wait_timeout(time)
    }

    /// What was said so far.
    pub fn so_far(&self) -> Confirmed {
        self.open.as_ref().map_or_else(Confirmed::default, |(_, confirmation)| confirmation.so_far())
    }
}

impl Future for Confirming<'_> {
    type Output = Result<Confirmed>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<Confirmed>> {
        let Confirming { socket, prefix, publishers_min, open } = &mut *self;
        let hub = &socket.hub;
        hub.check_home()?;
        let (_, confirmation) = open.get_or_insert_with(|| hub.confirm(prefix.clone(), *publishers_min));
        let confirmed = confirmation.poll(context.waker());
        // After the waker was left, so that the end of the socket is not missed. It ends the connections too.
        if let Err(closed) = hub.check_open() {
            return Poll::Ready(Err(closed));
        }
        if let Some(confirmed) = confirmed {
            return Poll::Ready(Ok(confirmed));
        }
        sleep_at(|| hub.place());
        Poll::Pending
    }
}

impl Drop for Confirming<'_> {
    fn drop(&mut self) {
        if let Some((key, _)) = self.open.take() {
            self.socket.hub.confirmations.close(key);
        }
    }
}

impl fmt::Debug for Confirming<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Confirming").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}
