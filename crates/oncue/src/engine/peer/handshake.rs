//! The first part of a connection: the handshake, who the peer is, and how it becomes a peer of its socket.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use oncue_core::command::{self, ONCUE_LEVEL_2, ONCUE_PROPERTY, oncue_level};
use oncue_core::connection::{Established, Handshake, HandshakeConfig, HandshakeError, News};
use oncue_core::mechanism::{Credentials, Security};

use super::asking::Asking;
use super::beginning::Beginning;
use super::end::End;
use super::partial::Left;
use super::publisher::Publisher;
use super::{Context, Peer, Phase, Traffic};
use crate::authentication::{Case, NOT_LET_IN_ANY_MORE, Refusal};
use crate::connection::Cause;
use crate::engine::hub::Note;
use crate::engine::hub::inbox::flow::{Flow, Source};
use crate::engine::hub::publishers::Owner;
use crate::error::Error;
use crate::events;
use crate::net::Stream;
use crate::peer_address::PeerAddress;
use crate::peers::{PeerMetadata, PeerProfile};
use crate::permission::{PeerKey, Reason};
use crate::sync::read_lock;
use crate::user::User;

/// The status code of ZAP (RFC 27) for a client that is not let in.
const ACCESS_DENIED: &str = "400";

impl<S: Stream> Peer<S> {
    /// The stream is there: sends the greeting.
    pub(crate) fn start(&mut self) -> Result<(), End> {
        let options = &self.hub.options;
        let mut config = HandshakeConfig::new(self.hub.socket_type);
        config.ready_last = self.ready_last;
        config.security = match self.out.stream.address() {
            // Both sides are in this process.
            PeerAddress::Inproc => Security::Null,
            _ if self.out.stream.is_let_in() => Security::Null,
            _ => options.security.mechanism.clone(),
        };
        let (name, value) = ONCUE_PROPERTY;
        config.properties.push((name.to_owned(), value.to_owned()));
        config.properties.extend(options.metadata.iter().cloned());
        let mut handshake = Handshake::new(config);
        self.out.control(|out| handshake.start(out));
        self.phase = Phase::Handshake(Box::new(Beginning::new(handshake)));
        self.out.flush()
    }

    /// The peer has kept this side's READY waiting for long enough.
    pub(crate) fn send_ready(&mut self) -> Result<(), End> {
        let Phase::Handshake(beginning) = &mut self.phase else { return Ok(()) };
        self.out.control(|out| beginning.handshake.send_ready(out))?;
        self.out.flush()
    }

    /// Whether the peer left when it had read our socket type, and before it told its own.
    pub(crate) fn left_unnamed(&self, end: &End) -> bool {
        let Phase::Handshake(beginning) = &self.phase else { return false };
        end.is_by_peer()
            && !self.ready_last
            && matches!(beginning.handshake.closed_by_peer(), HandshakeError::ClosedInHandshake { .. })
    }

    /// The handshake was not done in time.
    pub(crate) fn too_late(&self) -> End {
        if self.out.stream.is_served() {
            return End::Served;
        }
        if let Some(reason) = &self.turned_away {
            return End::turned_away(reason.clone());
        }
        let options = &self.hub.options;
        let (time, option) = match (&self.phase, options.connect_timeout) {
            (Phase::Connecting, Some(time)) => (time, "connect_timeout"),
            _ => (options.handshake_timeout, "handshake_timeout"),
        };
        let (cause, what) = self.waits_for();
        End::Refused(cause, Error::peer(format!("{what} in {time:?} ({option})")))
    }

    /// What this side waits for until the handshake is done: the cause if it does not come, and a clause that says so.
    pub(crate) fn waits_for(&self) -> (Cause, &'static str) {
        match &self.phase {
            _ if self.is_asked_about() => {
                (Cause::NotLetIn, "the authenticator did not decide about the client")
            }
            _ if self.has_spoken => (Cause::HandshakeTimeout, "the peer did not finish the handshake"),
            Phase::Connecting => match self.out.stream.awaits() {
                Cause::ResolverUnavailable => {
                    (Cause::ResolverUnavailable, "the name of the host was not looked up")
                }
                cause @ Cause::Proxy(_) => (cause, "the proxy made no connection"),
                cause => (cause, "there was no answer"),
            },
            // A pipe is there before the name is bound.
            _ if self.out.stream.address() == PeerAddress::Inproc => {
                (Cause::NoAnswer, "no socket of this engine was bound to the name")
            }
            _ => (Cause::SaysNothing, "the peer accepted the connection and said nothing"),
        }
    }

    /// Whether nothing is read until somebody has decided about the peer.
    pub(super) fn is_asked_about(&self) -> bool {
        matches!(&self.phase, Phase::Handshake(beginning) if beginning.asked)
    }

    /// Goes on with the handshake. Returns what follows it in the buffer, and how much of that is consumed.
    pub(super) fn shake(&mut self, buffer: Vec<u8>, cx: &mut Context<'_>) -> Result<(Vec<u8>, usize), End> {
        let Phase::Handshake(beginning) = &mut self.phase else { return Ok((buffer, 0)) };
        self.has_spoken = true;
        let progress = self.out.control(|out| beginning.handshake.receive(&buffer, out));
        let flushed = self.out.flush();
        // A peer that is refused may have closed already; why it is refused says more than that.
        let progress = progress?;
        flushed?;
        let consumed = progress.consumed;
        match progress.news {
            News::NeedsMore => Ok((buffer, consumed)),
            News::Asks(credentials) => {
                self.ask_about(credentials, cx)?;
                Ok((buffer, consumed))
            }
            News::Done(established) => {
                let sealed = established.session.is_some();
                self.begin(established, cx)?;
                match sealed {
                    false => Ok((buffer, consumed)),
                    true => Ok((self.out.stream.opened(&buffer[consumed..])?, 0)),
                }
            }
        }
    }

    /// Asks the socket's authenticator about the peer.
    fn ask_about(&mut self, credentials: Credentials, cx: &Context<'_>) -> Result<(), End> {
        let Phase::Handshake(beginning) = &mut self.phase else { return Ok(()) };
        let Some(doorkeeper) = &self.hub.options.security.doorkeeper else {
            return Err(End::not_let_in(&Reason::from("the socket has no authenticator")));
        };
        beginning.asked = true;
        let (port, slot, uid) = (self.hub.port(cx.shard), cx.slot, self.uid);
        let answer = move |answer| port.mail(Note::Authenticated { slot, uid, answer });
        doorkeeper.ask(Case::new(self.out.stream.address(), credentials, answer));
        Ok(())
    }

    /// The authenticator has decided. The next [`read`](Self::read) carries it out.
    pub(crate) fn authenticated(&mut self, answer: Result<User, Refusal>) {
        if let Phase::Handshake(beginning) = &mut self.phase
            && beginning.asked
        {
            beginning.answer = Some(answer);
        }
    }

    /// Carries out what the authenticator has decided, if it has. What the peer has sent meanwhile is processed next.
    pub(super) fn carry_out(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        let Phase::Handshake(beginning) = &mut self.phase else { return Ok(()) };
        let Some(answer) = beginning.answer.take() else { return Ok(()) };
        beginning.asked = false;
        let established = match answer {
            Ok(user) => {
                beginning.user = Some(Arc::new(user));
                self.out.control(|out| beginning.handshake.accept(out))?
            }
            Err(Refusal { reason, for_good }) => {
                if for_good {
                    self.out.control(|out| beginning.handshake.refuse(ACCESS_DENIED, out));
                }
                return Err(End::not_let_in(&reason));
            }
        };
        self.out.flush()?;
        let mut buffer = self.partial.take(cx.pool);
        if let Some(established) = established {
            let sealed = established.session.is_some();
            self.begin(established, cx)?;
            if sealed {
                let opened = self.out.stream.opened(&buffer)?;
                buffer.clear();
                buffer.extend_from_slice(&opened);
            }
        }
        self.left = if buffer.is_empty() { Left::Nothing } else { Left::Items };
        self.partial.keep(buffer, 0, cx.now, cx.pool);
        Ok(())
    }

    /// The handshake is done: the peer becomes a peer of its socket.
    fn begin(&mut self, established: Established, cx: &mut Context<'_>) -> Result<(), End> {
        let Established { peer: info, session } = established;
        let version = info.version;
        let property = info.properties.get(ONCUE_PROPERTY.0.as_bytes()).filter(|_| version.has_commands());
        let level = property.map(oncue_level);
        if let Some(mut session) = session {
            if level.is_some() {
                session.opener.refuse_gaps();
            }
            self.out.put_on(session);
        }
        let user = match &mut self.phase {
            Phase::Handshake(beginning) => beginning.user.take(),
            _ => None,
        };
        if let Some(reason) = self.turned_away.take() {
            if info.version.has_commands() {
                self.out.control(|out| command::put_error(out, &reason));
            }
            return Err(End::turned_away(reason));
        }
        let hub = self.hub.clone();
        if let Some(welcome) = hub.options.welcome.as_ref().filter(|_| hub.socket_type.publishes()) {
            self.out.control(|out| out.extend_from_slice(welcome.wire()));
        }
        let profile = Arc::new(PeerProfile {
            key: PeerKey { shard: cx.shard, slot: cx.slot, uid: self.uid },
            address: self.out.stream.address(),
            socket_type: info.socket_type,
            zmtp: info.version.numbers(),
            endpoint: self.endpoint.clone(),
            user,
            metadata: PeerMetadata::of(&info.properties),
        });
        let ledger = hub.sends().then(|| {
            self.joined = hub.outbox.join(cx.shard);
            let mut edit = hub.demand.edit();
            let peer = edit.attach(&profile);
            if !hub.socket_type.publishes() {
                // The messages of an XSUB go to all its peers.
                edit.subscribe(peer, b"").expect("a quota has room for the empty prefix");
                edit.settle(peer);
            }
            edit.finish(cx.wakes);
            peer
        });
        let flow = hub.takes_messages().then(|| {
            let max = (hub.recv_messages_max.clone(), hub.options.queue_bytes_max);
            let source = Source { shard: cx.shard, link: self.link };
            Arc::new(Flow::new(max, source, hub.port(cx.shard), cx.slot, self.uid))
        });
        let subscriptions = (!hub.socket_type.publishes()).then(|| {
            let subscriptions = read_lock(&hub.subscriptions);
            let put = |out: &mut _| {
                subscriptions.snapshot(|prefix| command::put_subscribe(out, info.version, prefix))
            };
            self.out.control(put)
        });
        let scanner = hub.scanner(info.version);
        let understands = level.is_some();
        let asking = subscriptions.map(|_| {
            let ttl_ds = hub.options.pace().map_or(0, |pace| pace.ttl_ds);
            Box::new(Asking::new(profile.key, version, level, ttl_ds))
        });
        if understands {
            self.pulse.understands();
        }
        let mut lost = false;
        let publisher = subscriptions.map(|_| {
            // A dialer has one account for all its connections.
            let owner = Owner { shard: cx.shard, uid: self.dialer.map_or(self.uid, |_| self.link) };
            let account;
            (account, lost) = hub.publishers.enter(owner, &self.endpoint, profile.address);
            Box::new(Publisher::new(account, self.endpoint.clone(), profile.connected()))
        });
        if ledger.is_some() && level >= Some(ONCUE_LEVEL_2) && hub.socket_type.publishes() {
            self.out.tell_gaps();
        }
        events::peer_joined(hub.id, self.uid, &profile.address, profile.user.as_deref());
        self.phase = Phase::Traffic(Traffic {
            version,
            profile,
            scanner,
            ledger,
            flow,
            subscriptions,
            asking,
            publisher,
            paused: false,
            expected: 0,
            understands,
            _listener: understands.then(|| hub.states.listener()),
            begun: None,
        });
        hub.counters.peers.fetch_add(1, Ordering::Relaxed);
        if lost {
            self.tell_reconnected(cx.wakes);
        }
        // One that was removed since it was let in is not among those that a reconsideration finds.
        let Phase::Traffic(Traffic { profile, .. }) = &self.phase else { return Ok(()) };
        if let (Some(user), Some(doorkeeper)) = (&profile.user, &hub.options.security.doorkeeper)
            && !doorkeeper.knows(user)
        {
            return Err(End::not_let_in(&Reason::from(NOT_LET_IN_ANY_MORE)));
        }
        self.out.flush()
    }
}
