//! What SUB and XSUB do: they subscribe and receive.

use oncue_core::connection::SocketType;
use oncue_core::subscriptions::Unsubscribed;
use oncue_core::topic::index::IndexFull;

use super::handle::{Socket, XSub};
use super::inner::Inner;
use super::kind::Subscriber;
use super::subscribed::Subscribed;
use crate::batch::Received;
use crate::engine::{Note, TopicState};
use crate::error::{Error, Result};
use crate::missed::{Missed, PublisherStats};
use crate::msg::{Frames, Msg};
use crate::op::{Op, wake_all};
use crate::sync::{read_lock, write_lock};

/// Of how many changes together the memory is prefetched.
const CHANGES_AHEAD: usize = 32;

/// Subscribing and receiving.
impl<F> Socket<Subscriber, F> {
    /// Subscribes to all topics that start with `prefix`; `""` means all topics. Every publisher is told: now, when one
    /// is connected later, and again after each reconnect. Subscriptions are counted: as many
    /// [`unsubscribe`](Self::unsubscribe) calls end it.
    ///
    /// The call does all of this, and waits for nothing. What it returns can be dropped, or waited for: until the publishers
    /// have the subscription in force, so that nobody has to sleep before the first message.
    ///
    /// ```
    /// use oncue::{Engine, Options, Pub, Sub};
    ///
    /// let engine = Engine::start()?;
    /// let publisher = Pub::new(&engine, Options::new())?;
    /// let endpoint = publisher.bind("tcp://127.0.0.1:*")?;
    /// let subscriber = Sub::new(&engine, Options::new())?;
    /// subscriber.connect(&endpoint.to_string())?;
    /// let confirmed = subscriber.subscribe("prices")?.at_least(1).wait()?;
    /// assert_eq!(confirmed.in_force, 1);
    /// publisher.send("prices")?;
    /// assert_eq!(subscriber.recv().wait()?.topic(), b"prices");
    /// # Ok::<(), oncue::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Misuse`](crate::ErrorKind::Misuse) when the prefix is longer than
    /// [`prefix_length_max`](crate::Options::prefix_length_max);
    /// [`Closed`](crate::ErrorKind::Closed).
    pub fn subscribe(&self, prefix: impl AsRef<[u8]>) -> Result<Subscribed<'_>> {
        let (prefix, hub) = (prefix.as_ref(), &self.0.hub);
        hub.check_open()?;
        let mut refusal = None;
        self.0.change_subscriptions([(prefix, true)], |_, why| refusal = Some(why));
        if let Some(why) = refusal {
            return Err(why);
        }
        Ok(Subscribed::new(&self.0, prefix))
    }

    /// Takes one [`subscribe`](Self::subscribe) back. Returns whether there was one. After the last one of a prefix, a
    /// SUB receives only what its other subscriptions ask for, also of the messages that wait already. An XSUB does not
    /// look at topics: it still receives what its publishers send until they have processed the cancellation.
    ///
    /// # Errors
    /// [`Closed`](crate::ErrorKind::Closed).
    pub fn unsubscribe(&self, prefix: impl AsRef<[u8]>) -> Result<bool> {
        self.0.hub.check_open()?;
        let ended = self.0.change_subscriptions([(prefix.as_ref(), false)], |_, _| {});
        Ok(ended > 0)
    }

    /// Many [`subscribe`](Self::subscribe) (`true`) and [`unsubscribe`](Self::unsubscribe) (`false`) calls in one, in this order:
    /// the publishers are told once.
    ///
    /// # Errors
    /// As [`subscribe`](Self::subscribe), of the first prefix that cannot be subscribed to; all others are in force.
    pub fn change_subscriptions<'a>(
        &self,
        changes: impl IntoIterator<Item = (&'a [u8], bool)>,
    ) -> Result<()> {
        self.0.hub.check_open()?;
        let mut refusal = None;
        self.0.change_subscriptions(changes, |_, why| _ = refusal.get_or_insert(why));
        refusal.map_or(Ok(()), Err)
    }

    /// How many distinct prefixes this socket has subscribed to (libzmq: `ZMQ_TOPICS_COUNT`).
    pub fn prefix_count(&self) -> usize {
        read_lock(&self.0.hub.subscriptions).len()
    }

    /// The next message.
    ///
    /// # Errors
    /// [`Closed`](crate::ErrorKind::Closed) once the socket is closed and all messages are taken.
    pub fn recv(&self) -> Op<impl Future<Output = Result<Msg>> + Send + Unpin + '_> {
        self.0.wait_for(&self.0.hub.inbound.waiters, || self.0.hub.inbound.pop())
    }

    /// The next message if there is one now.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn try_recv(&self) -> Result<Option<Msg>> {
        self.0.try_now(|| self.0.hub.inbound.pop())
    }

    /// Waits for a message and returns it with those that came in the same read: the fastest way to receive.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn recv_many(&self) -> Op<impl Future<Output = Result<Received>> + Send + Unpin + '_> {
        self.0.wait_for(&self.0.hub.inbound.waiters, || self.0.hub.inbound.pop_many())
    }

    /// What was missed before the messages that were received so far and after those before, as soon as there is something:
    /// publishers of this library tell what they dropped for this socket. After [`recv`](Self::recv) has returned a message,
    /// what was missed before it is there, and nothing that was missed later of the same publisher. At most 1,000 of these
    /// wait to be taken; [`publishers`](Self::publishers) has the sums. [`Received::missed`] tells the same for messages that
    /// are received together. With [`Keep::Latest`](crate::Keep::Latest) it has no order with messages.
    ///
    /// A publisher of another kind tells nothing. That a connection was lost and made again is told for each publisher that
    /// this socket connects to ([`Missed::reconnected`]).
    ///
    /// # Errors
    /// [`Closed`](crate::ErrorKind::Closed) once the socket is closed and all of it is taken.
    pub fn missed(&self) -> Op<impl Future<Output = Result<Missed>> + Send + Unpin + '_> {
        self.0.wait_for(&self.0.hub.inbound.waiters, || self.0.hub.inbound.pop_missed())
    }

    /// As [`missed`](Self::missed), if there is something now.
    ///
    /// # Errors
    /// As [`missed`](Self::missed).
    pub fn try_missed(&self) -> Result<Option<Missed>> {
        self.0.try_now(|| self.0.hub.inbound.pop_missed())
    }

    /// What came from each publisher, and what it says was missed: one entry for each endpoint that this socket is or was
    /// connected to, over all its connections, and for each connection that came by an endpoint that it is bound to. Beyond
    /// 1,024 entries those of publishers that are gone are summed up by endpoint.
    pub fn publishers(&self) -> Vec<PublisherStats> {
        self.0.hub.publishers.stats()
    }

    /// The next state of a topic that a publisher has sent, or its rejection of a subscription. Only publishers of this
    /// library send any. At most 10,000 states or 4 MiB wait to be taken; beyond that the oldest are dropped. Messages
    /// do not wait for states, nor states for messages.
    ///
    /// # Errors
    /// [`Closed`](crate::ErrorKind::Closed) once the socket is closed and all states are taken.
    pub fn state(&self) -> Op<impl Future<Output = Result<TopicState>> + Send + Unpin + '_> {
        self.0.wait_for(&self.0.hub.states.waiters, || self.0.hub.states.pop())
    }

    /// The next state if there is one now.
    ///
    /// # Errors
    /// As [`state`](Self::state).
    pub fn try_state(&self) -> Result<Option<TopicState>> {
        self.0.try_now(|| self.0.hub.states.pop())
    }
}

fn full(full: IndexFull) -> Error {
    Error::misuse(format!("cannot subscribe: {full}")).because(full)
}

/// What only an XSUB can do.
impl XSub {
    /// Sends a message to all publishers it is connected with. Never waits. An XPUB hands it to its user, a PUB drops it.
    /// A message with a frame that starts with the byte 0 or 1 would be taken for a subscription (RFC 29) and is refused:
    /// use [`subscribe`](XSub::subscribe).
    ///
    /// # Errors
    /// [`Misuse`](crate::ErrorKind::Misuse) for such a frame; else as [`Pub::send`](crate::Pub::send).
    pub fn send(&self, message: impl Frames) -> Result<()> {
        let mut wire = Vec::new();
        message.put(&mut wire);
        let message = Msg::from_wire(wire);
        if message.frames().any(|frame| matches!(frame, [0 | 1, ..])) {
            let why = "a frame of the message starts with the byte 0 or 1, which publishers take for a subscription; \
                       use subscribe and unsubscribe, or another first byte";
            return Err(Error::misuse(why));
        }
        self.0.hub.send(&message)
    }
}

impl Inner {
    /// Subscribes to prefixes and unsubscribes from others, and tells the publishers once. `refused` gets the prefixes that
    /// cannot be subscribed to, each with the reason. Returns how many subscriptions were taken back: some may not have been
    /// made.
    pub(crate) fn change_subscriptions<'a>(
        &self,
        changes: impl IntoIterator<Item = (&'a [u8], bool)>,
        mut refused: impl FnMut(&[u8], Error),
    ) -> usize {
        let (hub, mut wakes) = (&self.hub, Vec::new());
        let (mut come, mut gone, mut taken_back) = (false, false, 0);
        let mut subscriptions = write_lock(&hub.subscriptions);
        let (mut changes, mut some) = (changes.into_iter(), Vec::new());
        loop {
            some.extend(changes.by_ref().take(CHANGES_AHEAD));
            if some.is_empty() {
                break;
            }
            subscriptions.warm(some.iter().map(|(prefix, _)| *prefix));
            for (prefix, subscribe) in some.drain(..) {
                if subscribe {
                    let checked = hub.options.check_prefix(prefix);
                    match checked.and_then(|()| subscriptions.subscribe(prefix).map_err(full)) {
                        Ok(new) => come |= new,
                        Err(why) => refused(prefix, why),
                    }
                    continue;
                }
                let done = subscriptions.unsubscribe(prefix);
                taken_back += usize::from(done != Unsubscribed::Unknown);
                if done == Unsubscribed::Gone {
                    gone = true;
                    hub.confirmations.cancelled(prefix, &mut wakes);
                }
            }
        }
        drop(subscriptions);
        // What waits may not be wanted any more.
        let narrowed = if hub.options.invert_matching { come } else { gone };
        if narrowed && hub.socket_type == SocketType::Sub {
            hub.inbound.unsubscribed();
        }
        self.tell(come || gone);
        wake_all(wakes);
        taken_back
    }

    /// Has every shard tell its publishers what has changed.
    fn tell(&self, changed: bool) {
        if changed {
            self.hub.mail_all(|| Note::Subscriptions(self.hub.clone()));
        }
    }
}
