//! What PUB and XPUB do: they send, report demand, and decide about subscriptions.

use oncue_core::command::State;
use oncue_core::edges::Prefix;
use oncue_core::topic::Hidden;

use super::handle::{Socket, XPub};
use super::kind::Publisher;
use super::watch::{DemandWatch, SubscriptionEvent, SubscriptionWatch};
use crate::batch::Batch;
use crate::engine::hub::reports::Report;
use crate::engine::{NoRoom, Room, Verdict};
use crate::error::Result;
use crate::msg::{Frames, Msg};
use crate::op::Op;
use crate::options::OnFull;
use crate::peers::WantedPrefix;
use crate::permission::{PeerKey, Reason};

/// What an [`XPub`] reports.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum XPubEvent {
    /// What one peer has done about one prefix: only with [`Options::verbose`](crate::Options::verbose) or
    /// [`Options::manual`](crate::Options::manual).
    Subscription(SubscriptionEvent),
    /// A prefix has its first subscriber. Its subscription is in force: what is sent from now on reaches it.
    Wanted(Prefix),
    /// The last subscriber of a prefix has cancelled it or is gone.
    Unwanted(Prefix),
    /// A subscriber has sent a message that is not a subscription.
    Message(Msg),
}

/// Sending.
impl<F> Socket<Publisher, F> {
    /// As [`Options::hidden_topics`](crate::Options::hidden_topics) has it.
    pub(crate) fn hidden_topics(&self) -> Hidden {
        self.0.hub.options.hidden_topics.clone()
    }

    /// Refuses what needs to know the topics that are wanted by their prefixes.
    pub(crate) fn check_matching(&self, what: &str) -> Result<()> {
        self.0.hub.options.check_matching(what)
    }

    /// Sends a message to all peers that want its topic. Never waits. A subscriber whose queue is full misses it
    /// (see [`Options::on_full`](crate::Options::on_full)); while no peer is connected, the message is dropped.
    /// Messages that follow one another within two microseconds may gather for fifty before they are written.
    ///
    /// # Errors
    /// [`Full`](crate::ErrorKind::Full) only with [`OnFull::Refuse`](crate::OnFull::Refuse): nothing was
    /// sent; [`Closed`](crate::ErrorKind::Closed).
    pub fn send(&self, message: impl Frames) -> Result<()> {
        self.0.hub.send(&message)
    }

    /// Changes [`Options::send_hwm`](crate::Options::send_hwm) while the socket runs, for all peers and from the next turn of the I/O threads on (libzmq's
    /// `ZMQ_SNDHWM` acts on later connections only). 0 means no bound. Messages that are queued beyond a lower mark stay. How
    /// many messages may wait between `send` and the I/O threads is still as the options said.
    ///
    /// ```
    /// # use oncue::{Engine, Options, Pub};
    /// let publisher = Pub::new(&Engine::start()?, Options::new().send_hwm(10))?;
    /// publisher.set_send_hwm(10_000);
    /// # Ok::<(), oncue::Error>(())
    /// ```
    pub fn set_send_hwm(&self, messages: u32) {
        self.0.hub.set_marks(Some(messages), None);
    }

    /// Sends a message, and waits for room where [`send`](Self::send) would drop or refuse it because this socket has no
    /// room: whatever the policy, this socket never drops it. If a subscriber's own queue is full,
    /// [`Options::on_full`](crate::Options::on_full) decides as ever.
    ///
    /// # Errors
    /// [`Closed`](crate::ErrorKind::Closed).
    pub fn send_wait<'a, M: Frames + Send + Unpin + 'a>(
        &'a self,
        message: M,
    ) -> Op<impl Future<Output = Result<()>> + Send + Unpin + 'a> {
        self.0.send_when_room(move |hub| hub.push(&message, NoRoom::Refuse, None))
    }

    /// Sends the messages of a batch as [`send`](Self::send) would one after the other, and leaves the batch
    /// empty, to be filled again. The fastest way to send.
    ///
    /// # Errors
    /// As [`send`](Self::send). The batch is then unchanged; wait for room with
    /// [`send_many_wait`](Self::send_many_wait).
    pub fn send_many(&self, batch: &mut Batch) -> Result<()> {
        self.0.hub.send_many(batch, self.0.hub.no_room(), None)
    }

    /// Whether [`send_on_full`](Self::send_on_full) takes this policy.
    pub(crate) fn policy(&self) -> OnFull {
        self.0.hub.options.on_full
    }

    pub(crate) fn check_policy(&self, on_full: OnFull) -> Result<()> {
        self.0.hub.check_policy(on_full)
    }

    /// As [`send`](Self::send), with a policy of its own for this message, instead of
    /// [`Options::on_full`](crate::Options::on_full); [`OnFull`] says what becomes of messages of several policies
    /// in one queue.
    ///
    /// # Errors
    /// [`Misuse`](crate::ErrorKind::Misuse) for [`OnFull::Refuse`] unless it is the policy of the socket, and for every other
    /// policy if it is; [`Full`](crate::ErrorKind::Full) only in that case; [`Closed`](crate::ErrorKind::Closed).
    pub fn send_on_full(&self, message: impl Frames, on_full: OnFull) -> Result<()> {
        let hub = &self.0.hub;
        hub.push(&message, hub.no_room(), hub.own_policy(on_full)?)
    }

    /// As [`send_many`](Self::send_many), with a policy of their own for these messages, as [`send_on_full`](Self::send_on_full).
    ///
    /// # Errors
    /// As [`send_on_full`](Self::send_on_full). The batch is then unchanged.
    pub fn send_many_on_full(&self, batch: &mut Batch, on_full: OnFull) -> Result<()> {
        let hub = &self.0.hub;
        hub.send_many(batch, hub.no_room(), hub.own_policy(on_full)?)
    }

    /// Sends the messages of a batch, and waits for room where [`send_many`](Self::send_many) would drop or
    /// refuse them because this socket has no room, as [`send_wait`](Self::send_wait) does.
    ///
    /// # Errors
    /// [`Closed`](crate::ErrorKind::Closed).
    pub fn send_many_wait<'a>(
        &'a self,
        batch: &'a mut Batch,
    ) -> Op<impl Future<Output = Result<()>> + Send + Unpin + 'a> {
        self.0.send_when_room(|hub| hub.send_many(batch, NoRoom::Refuse, None))
    }

    /// Tells the subscribers, among the messages that follow, that up to this many messages were missed before they came here
    /// ([`Missed::unseen`](crate::Missed::unseen)): for a program that passes on what it has received, and knows of a loss. It is
    /// counted here as well.
    pub fn note_missed(&self, messages: u64) {
        if messages > 0 {
            self.0.hub.miss_upstream(messages);
        }
    }

    /// Runs `produce` and sends its result as the second frame after `topic`, but only if the topic is wanted now.
    /// Returns whether it was.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_with<P: AsRef<[u8]>>(
        &self,
        topic: impl AsRef<[u8]>,
        produce: impl FnOnce() -> P,
    ) -> Result<bool> {
        let topic = topic.as_ref();
        self.0.hub.check_open()?;
        if !self.wanted(topic) {
            return Ok(false);
        }
        self.0.hub.send(&(topic, produce())).map(|()| true)
    }
}

/// What peers want, and whether they have room for it.
impl<F> Socket<Publisher, F> {
    /// Whether a message of this topic would reach a peer now.
    pub fn wanted(&self, topic: impl AsRef<[u8]>) -> bool {
        self.0.hub.demand.read().wanted(topic.as_ref())
    }

    /// The prefixes that peers want, in no particular order: at most `most` of them, each with at most `peers_most` of its peers.
    /// Subscriptions change while they are read, so it is no snapshot: a prefix that is in force all the time is among them once, one
    /// that comes or goes may be. [`demand`](Self::demand) and [`subscriptions`](Self::subscriptions) tell every change.
    ///
    /// ```
    /// # use oncue::{Engine, Options, Sub, XPub};
    /// # let engine = Engine::start()?;
    /// let publisher = XPub::new(&engine, Options::new())?;
    /// let subscriber = Sub::new(&engine, Options::new())?;
    /// subscriber.subscribe("prices/")?;
    /// subscriber.connect(&publisher.bind("tcp://127.0.0.1:*")?.to_string())?;
    /// publisher.wait_for_subscribers("prices/", 1).wait()?;
    /// let wanted = publisher.wanted_prefixes(100, 10);
    /// assert_eq!((&wanted[0].prefix[..], wanted[0].subscribers), (&b"prices/"[..], 1));
    /// assert_eq!(wanted[0].peers, [publisher.peers()?[0].profile.key]);
    /// # Ok::<(), oncue::Error>(())
    /// ```
    pub fn wanted_prefixes(&self, most: usize, peers_most: usize) -> Vec<WantedPrefix> {
        self.0.hub.demand.prefixes(most, peers_most)
    }

    /// How many peers want this topic now.
    pub fn subscribers(&self, topic: impl AsRef<[u8]>) -> usize {
        self.0.hub.subscribers(topic.as_ref())
    }

    /// How many distinct prefixes are wanted now (libzmq: `ZMQ_TOPICS_COUNT`): those whose first subscriber was told, and
    /// whose last one was not told gone yet.
    pub fn prefix_count(&self) -> usize {
        self.0.hub.demand.read().len()
    }

    /// Done when at least `peers` peers would get a message of this topic, as [`subscribers`](Self::subscribers) counts them:
    /// each has a subscription in force whose prefix the topic starts with, and counts once however many of those it has.
    /// Now, or as soon as it is so. Returns how many there are. A peer whose queue is full counts; one that is only connected
    /// does not, nor one whose subscription is deferred.
    ///
    /// ```
    /// # use oncue::{Engine, Options, Pub, Sub};
    /// # let engine = Engine::start()?;
    /// let publisher = Pub::new(&engine, Options::new())?;
    /// let subscriber = Sub::new(&engine, Options::new())?;
    /// subscriber.subscribe("prices/")?;
    /// subscriber.connect(&publisher.bind("tcp://127.0.0.1:*")?.to_string())?;
    /// // Instead of a sleep: what is sent from now on arrives.
    /// assert_eq!(publisher.wait_for_subscribers("prices/AAPL", 1).wait()?, 1);
    /// # Ok::<(), oncue::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Closed`](crate::ErrorKind::Closed).
    pub fn wait_for_subscribers(
        &self,
        topic: impl AsRef<[u8]>,
        peers: usize,
    ) -> Op<impl Future<Output = Result<usize>> + Send + Unpin + '_> {
        let (hub, topic) = (&self.0.hub, topic.as_ref().to_vec());
        self.0.wait_for(&hub.demand.growth, move || {
            let now = hub.subscribers(&topic);
            (now >= peers).then_some(now)
        })
    }

    /// Whether a message of this topic would find room now. Costs as much as [`wanted`](Self::wanted) while no peer is
    /// full.
    pub fn room(&self, topic: impl AsRef<[u8]>) -> Room {
        self.0.hub.room_for(topic.as_ref())
    }

    /// Whether [`room`](Self::room) says [`Room::Congested`](crate::Room::Congested).
    pub(crate) fn is_congested(&self, topic: &[u8]) -> bool {
        self.0.hub.is_congested(topic)
    }

    /// A number that changes whenever [`subscribers`](Self::subscribers) of some topic may have changed.
    pub(crate) fn demand_version(&self) -> u64 {
        self.0.hub.demand.version()
    }

    /// Done when the room for some topic may have changed since this call: a peer has become full or is full no longer,
    /// or a peer has come, gone or changed its subscriptions while any was full. Call it before
    /// [`room`](Self::room), so that no change falls in between.
    ///
    /// # Errors
    /// [`Closed`](crate::ErrorKind::Closed).
    pub fn room_changed(&self) -> Op<impl Future<Output = Result<()>> + Send + Unpin + '_> {
        let gauge = &self.0.hub.gauge;
        let seen = gauge.version();
        self.0.wait_for(&gauge.waiters, move || (gauge.version() != seen).then_some(()))
    }
}

/// Decisions after those of [`Options::admission`](crate::Options::admission). Each reaches the peer's I/O thread
/// in the order of these calls; if the peer has gone or has cancelled meanwhile, it does nothing.
impl<F> Socket<Publisher, F> {
    /// Puts a deferred subscription in force.
    pub fn admit(&self, peer: PeerKey, prefix: impl AsRef<[u8]>) {
        self.0.hub.decide(peer, prefix.as_ref(), Verdict::Admit);
    }

    /// Refuses a deferred subscription.
    pub fn reject(&self, peer: PeerKey, prefix: impl AsRef<[u8]>, status: impl Into<Reason>) {
        self.0.hub.decide(peer, prefix.as_ref(), Verdict::Reject(status.into()));
    }

    /// Ends a subscription of one peer, whether it is in force or deferred. Other subscriptions of the peer to the same
    /// topics stay. When the peer subscribes again, the decision is asked for again.
    pub fn revoke(&self, peer: PeerKey, prefix: impl AsRef<[u8]>, status: impl Into<Reason>) {
        self.0.hub.decide(peer, prefix.as_ref(), Verdict::Revoke(status.into()));
    }

    /// Asks once more about everything that is in force, since what is allowed has changed: ends the subscriptions that
    /// [`Options::admission`](crate::Options::admission), or the rule of a route, rejects now (with
    /// [`in_force`](crate::SubscribeRequest::in_force)), as [`revoke`](Self::revoke) does, and the connections of users that the
    /// [`Authenticator`](crate::Authenticator) does not know any more. The demand, and what is produced for it, ends with
    /// them, within milliseconds. The functions are called on this thread; requests that are not decided yet are not asked
    /// about. Costs memory for a list of all subscriptions.
    ///
    /// ```
    /// use std::sync::{Arc, RwLock};
    /// use oncue::{Admission, Engine, Options, XPub};
    /// # fn main() -> oncue::Result<()> {
    /// let open = Arc::new(RwLock::new("public/"));
    /// let now = open.clone();
    /// let options = Options::new().admission(move |request| {
    ///     match request.prefix.starts_with(now.read().unwrap().as_bytes()) {
    ///         true => Admission::Accept,
    ///         false => Admission::Reject("not open".into()),
    ///     }
    /// });
    /// let publisher = XPub::new(&Engine::start()?, options)?;
    /// *open.write().unwrap() = "public/weather/";
    /// publisher.reconsider();
    /// # Ok(())
    /// # }
    /// ```
    pub fn reconsider(&self) {
        self.0.hub.reconsider();
    }

    /// Ends the subscriptions of all peers to exactly this prefix, as [`revoke`](Self::revoke) does.
    pub fn revoke_all(&self, prefix: impl AsRef<[u8]>, status: impl Into<Reason>) {
        self.0.hub.revoke_all(prefix.as_ref(), &status.into());
    }
}

/// One peer alone.
impl<F> Socket<Publisher, F> {
    /// Sends a message to one peer, behind the messages that were sent before, as to answer a new subscriber alone with the
    /// last value (libzmq: `ZMQ_XPUB_MANUAL_LAST_VALUE`, for the peer whose notification was read last). It reaches the peer
    /// only if the peer is subscribed to its topic by then; otherwise, and if the peer is gone, it is dropped and nothing is
    /// counted. In all else it is a message like others, and messages that are sent later come later.
    ///
    /// ```
    /// use oncue::{Engine, Options, Sub, SubscriptionEvent, XPub};
    ///
    /// let engine = Engine::start()?;
    /// let publisher = XPub::new(&engine, Options::new())?;
    /// let subscriptions = publisher.subscriptions();
    /// let subscriber = Sub::new(&engine, Options::new())?;
    /// subscriber.subscribe("weather")?;
    /// subscriber.connect(&publisher.bind("tcp://127.0.0.1:*")?.to_string())?;
    ///
    /// let SubscriptionEvent::Subscribed { peer, .. } = subscriptions.next().wait()? else { panic!() };
    /// publisher.send_to(peer.key, ("weather", "rain since 9 o'clock"))?;
    /// assert_eq!(subscriber.recv().wait()?.frame(1), Some(&b"rain since 9 o'clock"[..]));
    /// # Ok::<(), oncue::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_to(&self, peer: PeerKey, message: impl Frames) -> Result<()> {
        self.0.hub.send_to(peer, &message)
    }
}

/// Subscriptions that the owner of the socket makes for its peers: what libzmq's `ZMQ_XPUB_MANUAL` does with
/// `setsockopt(ZMQ_SUBSCRIBE)` for the peer whose notification was read last. They reach the peer's I/O thread in the order of
/// these calls and of `admit` and its like; if the peer has gone meanwhile, nothing happens.
impl<F> Socket<Publisher, F> {
    /// Puts a prefix in force for one peer, whether it has asked for it or not. If it has, this is
    /// [`admit`](Self::admit); if it asked for another one, that request stays open ([`reject`](Self::reject) closes it).
    /// The peer can cancel the prefix like one of its own. A SUB drops what it has not subscribed to itself.
    ///
    /// What would exceed the peer's quota ([`Options::prefixes_max`](crate::Options::prefixes_max) and its like) is not put
    /// in force, and counts as [`subscriptions_rejected`](crate::SocketStats::subscriptions_rejected).
    ///
    /// # Errors
    /// [`Misuse`](crate::ErrorKind::Misuse) when the prefix is longer than
    /// [`prefix_length_max`](crate::Options::prefix_length_max).
    pub fn subscribe_for(&self, peer: PeerKey, prefix: impl AsRef<[u8]>) -> Result<()> {
        let (prefix, hub) = (prefix.as_ref(), &self.0.hub);
        hub.options.check_prefix(prefix)?;
        hub.decide(peer, prefix, Verdict::Grant);
        Ok(())
    }

    /// Ends a subscription of one peer that is in force, as if the peer had cancelled it: unlike
    /// [`revoke`](Self::revoke) it says nothing to the peer, and leaves its open requests alone.
    pub fn unsubscribe_for(&self, peer: PeerKey, prefix: impl AsRef<[u8]>) {
        self.0.hub.decide(peer, prefix.as_ref(), Verdict::Withdraw);
    }
}

/// States of topics. They reach the subscribers that understand them: those of this library, and any other that sends
/// `X-Oncue` in its handshake. No other peer gets them.
impl<F> Socket<Publisher, F> {
    /// Tells all peers that want the topic its state, and what is about a [prefix](State::is_of_prefix) the peers that have
    /// subscribed to exactly this one, after the messages that were sent before, and keeps it for
    /// later subscribers, which may get it twice. At most 16 MiB are kept; the topics whose state is oldest make room. A
    /// peer that leaves more than 64 KiB of commands unread misses what is sent meanwhile, which is counted.
    ///
    /// # Errors
    /// [`Misuse`](crate::ErrorKind::Misuse) when the topic is longer than 60,000 bytes;
    /// [`Closed`](crate::ErrorKind::Closed).
    pub fn set_state(&self, topic: impl AsRef<[u8]>, state: State, text: impl Into<Reason>) -> Result<()> {
        self.0.hub.set_state(topic.as_ref(), state, &text.into())
    }

    /// Stops keeping the state of a topic for later subscribers. Returns whether there was one.
    pub fn clear_state(&self, topic: impl AsRef<[u8]>) -> bool {
        self.0.hub.states.published.forget(topic.as_ref())
    }
}

/// What only an XPUB shows.
impl XPub {
    /// The next event. The first call begins with what is wanted at that moment, prefix by prefix; all changes follow.
    /// Changes that are not taken are bounded as for [`DemandWatch`]. Of messages, each subscriber may have
    /// [`recv_hwm`](crate::Options::recv_hwm) waiting and all together
    /// [`received_bytes_max`](crate::Options::received_bytes_max); more are dropped and counted. Changes of
    /// demand come before messages that wait at the same time.
    ///
    /// # Errors
    /// [`Closed`](crate::ErrorKind::Closed) once the socket is closed and all events are taken.
    pub fn event(&self) -> Op<impl Future<Output = Result<XPubEvent>> + Send + Unpin + '_> {
        self.0.wait_for(&self.0.hub.inbound.waiters, || self.pop())
    }

    /// The next event if there is one now.
    ///
    /// # Errors
    /// As [`event`](XPub::event).
    pub fn try_event(&self) -> Result<Option<XPubEvent>> {
        self.0.try_now(|| self.pop())
    }

    /// A snapshot of what is wanted now, and a stream of the changes after it.
    pub fn demand(&self) -> DemandWatch {
        DemandWatch::new(&self.0)
    }

    /// A snapshot of what each peer has now, and a stream of the changes after it: who has subscribed to what.
    ///
    /// ```
    /// use oncue::{Engine, Options, Sub, SubscriptionEvent, XPub};
    ///
    /// let engine = Engine::start()?;
    /// let publisher = XPub::new(&engine, Options::new())?;
    /// let subscriptions = publisher.subscriptions();
    /// let subscriber = Sub::new(&engine, Options::new().metadata("X-Host", "desk-3"))?;
    /// subscriber.subscribe("prices/")?;
    /// subscriber.connect(&publisher.bind("tcp://127.0.0.1:*")?.to_string())?;
    ///
    /// let SubscriptionEvent::Subscribed { peer, prefix } = subscriptions.next().wait()? else { panic!() };
    /// assert_eq!(&prefix[..], b"prices/");
    /// assert_eq!(peer.metadata.get("X-Host"), Some(&b"desk-3"[..]));
    /// # Ok::<(), oncue::Error>(())
    /// ```
    pub fn subscriptions(&self) -> SubscriptionWatch {
        SubscriptionWatch::new(&self.0)
    }

    fn pop(&self) -> Option<XPubEvent> {
        let hub = &self.0.hub;
        match hub.pop_report() {
            Some(Report::Wanted(prefix)) => Some(XPubEvent::Wanted(prefix)),
            Some(Report::Unwanted(prefix)) => Some(XPubEvent::Unwanted(prefix)),
            Some(Report::Peer(edge)) => Some(XPubEvent::Subscription(SubscriptionEvent::of(edge))),
            None => hub.inbound.pop().map(XPubEvent::Message),
        }
    }
}
