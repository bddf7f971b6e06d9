//! Watching demand: a snapshot, and every change after it.

use std::sync::Arc;

use oncue_core::edges::Prefix;

use super::inner::Inner;
use crate::engine::hub::watches::Watch;
use crate::error::Result;
use crate::op::Op;

/// A change of demand.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum DemandEvent {
    /// The prefix has its first subscriber; its subscription is in force.
    Wanted(Prefix),
    /// The last subscriber of the prefix has gone.
    Unwanted(Prefix),
}

/// The demand at one moment and the changes after it, without a gap and without an overlap.
///
/// Changes that are not taken are kept one by one up to 65,536 changes and up to 4 MiB of prefixes. Beyond that, two
/// changes of one prefix that cancel out are both dropped, so that what is kept is bounded by what was wanted and what is.
pub struct DemandWatch {
    socket: Arc<Inner>,
    snapshot: Vec<Prefix>,
    watch: Arc<Watch>,
}

impl DemandWatch {
    pub(super) fn new(socket: &Arc<Inner>) -> DemandWatch {
        let (snapshot, watch) = socket.hub.demand.watch(Arc::default());
        DemandWatch { socket: socket.clone(), snapshot, watch }
    }

    /// The prefixes that were wanted when the watch began, in no particular order.
    pub fn snapshot(&self) -> &[Prefix] {
        &self.snapshot
    }

    /// The next change.
    ///
    /// # Errors
    /// [`Closed`](crate::ErrorKind::Closed) once the socket is closed and all changes are taken.
    pub fn next(&self) -> Op<impl Future<Output = Result<DemandEvent>> + Send + Unpin + '_> {
        self.socket.wait_for(&self.watch.waiters, || self.pop())
    }

    /// The next change if there is one now.
    ///
    /// # Errors
    /// As [`next`](DemandWatch::next).
    pub fn try_next(&self) -> Result<Option<DemandEvent>> {
        self.socket.try_now(|| self.pop())
    }

    fn pop(&self) -> Option<DemandEvent> {
        self.watch.pop().map(|(prefix, wanted)| match wanted {
            true => DemandEvent::Wanted(prefix),
            false => DemandEvent::Unwanted(prefix),
        })
    }
}

impl Drop for DemandWatch {
    fn drop(&mut self) {
        if !self.socket.hub.is_forked() {
            self.socket.hub.demand.unwatch(&self.watch);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use crate::{Engine, Options, XPub};

    #[test]
    fn a_watch_is_gone_when_it_is_dropped() {
        let x = XPub::new(&Engine::start().unwrap(), Options::new()).unwrap();
        for _ in 0..1000 {
            drop(x.demand());
        }
        assert_eq!(x.0.hub.demand.watches(), 0);
        let watch = x.demand();
        assert_eq!(x.0.hub.demand.watches(), 1);
        drop(watch);
        assert_eq!(x.0.hub.demand.watches(), 0);
    }

    #[test]
    fn to_watch_and_to_stop_it_keeps_no_reader_of_the_ledger_waiting() {
        let x = XPub::new(&Engine::start().unwrap(), Options::new()).unwrap();
        let reading = x.0.hub.demand.read();
        let (sender, done) = channel();
        let other = x.clone();
        std::thread::spawn(move || {
            drop(other.demand());
            sender.send(()).unwrap();
        });
        done.recv_timeout(Duration::from_secs(20)).expect("it reads beside us");
        drop(reading);
    }
}
