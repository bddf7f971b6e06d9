//! Last values: what PUB and XPUB keep for later subscribers.

use std::time::Duration;

use super::handle::Socket;
use super::kind::Publisher;
use crate::batch::Batch;
use crate::error::{Error, Result};
use crate::msg::{Frames, Msg};
use crate::options::OnFull;

/// Last values. A peer that subscribes gets the kept message of each topic that it did not want before: this peer alone, at
/// once, and before what is sent of that topic afterwards, so that nothing is lost or duplicated in between. Values that its
/// connection does not take wait until it does, whatever [`OnFull`](crate::OnFull) says, and messages sent meanwhile
/// overtake them; a value is skipped if its topic has had a newer message by then. If meanwhile the peer cancels a prefix
/// that shares topics with another one of these, or has asked for thousands, the values for which its queue has no room are
/// missed, and counted.
impl<F> Socket<Publisher, F> {
    /// Sends a message as [`send`](Self::send) does, and keeps a copy of it as the last value of its topic, also
    /// while no peer is connected. If `send` would drop or refuse it because this socket has no room, it is not kept
    /// either: new subscribers see what the others saw.
    ///
    /// [`Options::last_values_bytes_max`](crate::Options::last_values_bytes_max) bounds what is kept.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_last(&self, message: impl Frames) -> Result<()> {
        self.0.hub.send_last(None, &message, None, None)
    }

    /// As [`send_last`](Self::send_last); the value is kept for `age` at most.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_last_for(&self, message: impl Frames, age: Duration) -> Result<()> {
        self.0.hub.send_last(None, &message, Some(age), None)
    }

    /// Sends the messages of a batch as [`send_many`](Self::send_many), keeps the newest of each topic that is wanted now as its last
    /// value, and leaves the batch empty: for a program that passes on what it has received. What is not wanted is not kept,
    /// since nobody would bring a newer value. Under a [`Proxy`](crate::Proxy) that serves the same socket, values are forgotten
    /// when they are not wanted any more.
    ///
    /// ```
    /// # use oncue::{Batch, Engine, Options, Pub, Sub};
    /// # let engine = Engine::start()?;
    /// let publisher = Pub::new(&engine, Options::new())?;
    /// let endpoint = publisher.bind("inproc://values")?.to_string();
    /// let [first, late] = [(); 2].map(|()| Sub::new(&engine, Options::new()).unwrap());
    /// first.connect(&endpoint)?;
    /// first.subscribe("a")?.at_least(1).wait()?;
    /// let mut batch = Batch::new();
    /// batch.push(("a", "1"))?;
    /// batch.push(("a", "2"))?;
    /// batch.push(("b", "3"))?;
    /// publisher.send_many_last(&mut batch)?;
    /// assert!(publisher.last("b").is_none());
    /// late.subscribe("a")?;
    /// late.connect(&endpoint)?;
    /// assert_eq!(late.recv().wait()?.frame(1), Some(&b"2"[..]));
    /// # Ok::<(), oncue::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Misuse`](crate::ErrorKind::Misuse) with [`OnFull::Refuse`]: here, what the socket has no room for is dropped and counted;
    /// [`Closed`](crate::ErrorKind::Closed).
    pub fn send_many_last(&self, batch: &mut Batch) -> Result<()> {
        self.send_many_last_of(0, batch)
    }

    /// As [`send_many_last`](Self::send_many_last), and notes `origin`, a number that the caller chooses, with the values that are
    /// kept, for [`forget_last_of`](Self::forget_last_of).
    ///
    /// # Errors
    /// As [`send_many_last`](Self::send_many_last).
    pub fn send_many_last_of(&self, origin: u64, batch: &mut Batch) -> Result<()> {
        if self.policy() == OnFull::Refuse {
            return Err(Error::misuse(
                "send_many_last drops what there is no room for; use a socket of another policy",
            ));
        }
        self.0.hub.send_many_last(batch, origin)
    }

    /// Keeps a message as the last value of its topic for later subscribers, without sending it. It waits for nothing:
    /// earlier messages of the topic that are still on their way reach a new subscriber after it.
    ///
    /// # Errors
    /// [`Closed`](crate::ErrorKind::Closed).
    pub fn keep_last(&self, message: impl Frames) -> Result<()> {
        self.0.hub.keep_last(None, &message, None)
    }

    /// As [`keep_last`](Self::keep_last), for `age` at most.
    ///
    /// # Errors
    /// [`Closed`](crate::ErrorKind::Closed).
    pub fn keep_last_for(&self, message: impl Frames, age: Duration) -> Result<()> {
        self.0.hub.keep_last(None, &message, Some(age))
    }

    /// Sends a message whose first frame only begins with its topic, such as `weather 21`, and keeps a copy of it as the last
    /// value of that topic, for `age` at most: as [`send_last_for`](Self::send_last_for), which takes the whole first
    /// frame for the topic.
    ///
    /// ```
    /// # use oncue::{Engine, Options, Pub};
    /// let publisher = Pub::new(&Engine::start()?, Options::new())?;
    /// publisher.send_last_as("weather", "weather 21", None)?;
    /// publisher.send_last_as("weather", "weather 22", None)?;
    /// assert_eq!(publisher.last("weather").unwrap().topic(), b"weather 22");
    /// # Ok::<(), oncue::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`send`](Self::send), and [`Misuse`](crate::ErrorKind::Misuse) if the message does not begin with the topic.
    pub fn send_last_as(
        &self,
        topic: impl AsRef<[u8]>,
        message: impl Frames,
        age: Option<Duration>,
    ) -> Result<()> {
        self.0.hub.send_last(Some(topic.as_ref()), &message, age, None)
    }

    /// As [`send_last_as`](Self::send_last_as), with a policy of its own for this message, as
    /// [`send_on_full`](Self::send_on_full). A later subscriber gets the kept value under the policy of the socket.
    ///
    /// # Errors
    /// As [`send_last_as`](Self::send_last_as) and [`send_on_full`](Self::send_on_full).
    pub fn send_last_on_full(
        &self,
        topic: impl AsRef<[u8]>,
        message: impl Frames,
        age: Option<Duration>,
        on_full: OnFull,
    ) -> Result<()> {
        let hub = &self.0.hub;
        hub.send_last(Some(topic.as_ref()), &message, age, hub.own_policy(on_full)?)
    }

    /// Keeps a message as [`send_last_as`](Self::send_last_as) does, without sending it.
    ///
    /// # Errors
    /// [`Closed`](crate::ErrorKind::Closed), and [`Misuse`](crate::ErrorKind::Misuse) if the message does not begin with the
    /// topic.
    pub fn keep_last_as(
        &self,
        topic: impl AsRef<[u8]>,
        message: impl Frames,
        age: Option<Duration>,
    ) -> Result<()> {
        self.0.hub.keep_last(Some(topic.as_ref()), &message, age)
    }

    /// Stops keeping the last value of a topic. Returns whether there was one.
    pub fn forget_last(&self, topic: impl AsRef<[u8]>) -> bool {
        self.0.hub.last.forget(topic.as_ref())
    }

    /// Stops keeping the last values that came from this origin by [`send_many_last_of`](Self::send_many_last_of): nobody vouches for
    /// them any more. Values of their topics that came from elsewhere afterwards stay.
    pub fn forget_last_of(&self, origin: u64) {
        self.0.hub.last.retain_under(b"", |_, of| of.origin != origin);
    }

    /// The last value of a topic, if one is kept and not too old.
    pub fn last(&self, topic: impl AsRef<[u8]>) -> Option<Msg> {
        self.0.hub.last.get(topic.as_ref(), self.0.hub.now())
    }
}
