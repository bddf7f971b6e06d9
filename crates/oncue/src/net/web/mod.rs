//! ZeroMQ over WebSocket (ZWS 2.0, RFC 45): a stream that carries ZMTP over one that carries HTTP and WebSocket frames.
//!
//! Upward it shows a peer of ZMTP 3.0: a greeting, a handshake, frames. Downward it swallows our greeting and sends one binary
//! message for each frame. So the engine and its coats know nothing of WebSocket. It sits on any other stream.
//!
//! `site` and `call` are the two sides of the upgrade, `head` and `key` what they are made of; `plain` answers requests that ask
//! for no upgrade; `incoming` and `outgoing` translate frames (`input`, `masks`); `protocol` has the names of ZWS.

mod call;
mod feed;
mod head;
mod incoming;
mod input;
mod json;
mod key;
mod masks;
mod outgoing;
mod plain;
mod protocol;
mod site;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::Duration;

use oncue_core::frame::{ProtocolError, Seen};
use oncue_core::websocket::{Fault, parse_close};

pub(crate) use self::call::Call;
use self::feed::Feed;
use self::head::{HEAD_BYTES_MAX, Malformed, Reply, Request};
use self::incoming::Incoming;
use self::outgoing::Outgoing;
use self::protocol::Protocol;
use self::site::Decision;
pub(crate) use self::site::Site;
use super::raw::Raw;
use super::{Layer, Notify, Ready, Stream};
use crate::buffer::READ_BYTES;
use crate::connection::{Cause, PeerFault, Served};
use crate::options::{Page, Party, Slot};
use crate::peer_address::PeerAddress;

/// A message may be longer than a frame in clear by this: it may be sealed.
const SEAL_BYTES: u64 = 64;
/// The codes of a close frame that say nothing but that the peer leaves.
const LEAVES: [u16; 3] = [1000, 1001, 1005];
/// The code for a message that is too long.
const TOO_LONG: u16 = 1009;

thread_local! {
    /// What was read of a stream, before it is translated. One thread needs it once.
    static RAW: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A stream that carries ZMTP, over one that carries WebSocket.
pub(crate) struct Web<S> {
    lower: S,
    state: State,
    incoming: Incoming,
    outgoing: Outgoing,
    /// How the stream ends behind what was shown.
    ending: Option<Ending>,
    /// The last read may not have emptied the stream.
    more: bool,
    /// A client of plain HTTP, which gets topics.
    feed: Option<Box<Feed>>,
    /// The peer is let in without the mechanism of the socket.
    trusted: bool,
    /// How the owner of the stream is told that there is something to do.
    bell: Option<Bell>,
}

/// How the owner of a stream is told that it is to read it.
#[derive(Clone)]
struct Bell(Arc<dyn Notify>, usize);

impl Bell {
    fn ring(&self) {
        self.0.notify(Ready { token: self.1, readable: true, ..Ready::default() });
    }
}

/// How far a connection has come.
enum State {
    Upgrading(Side, Vec<u8>),
    Open,
    /// Plain HTTP: the client has nothing more to say.
    Feeding,
    /// A page is asked for; of a HEAD only the head is sent. The origin may read it.
    Asked {
        slot: Arc<Slot>,
        with_body: bool,
        origin: Option<String>,
    },
    /// The page is on its way; whether all of it is.
    Answered(bool),
    /// It is ending: what still comes is not looked at.
    Over,
}

enum Side {
    Server(Arc<Site>),
    Client(Box<Call>, /* whether the request is on its way */ bool),
}

enum Ending {
    Closed,
    Fault(io::Error),
}

impl<S: Stream> Web<S> {
    /// The server's side of an accepted stream.
    pub(crate) fn accepted(lower: S, site: Arc<Site>) -> Web<S> {
        let trusted = site.is_trusted();
        Web { trusted, ..Web::new(lower, Side::Server(site), false) }
    }

    /// The client's side of a stream that is being connected.
    pub(crate) fn calling(lower: S, call: Call) -> Web<S> {
        Web::new(lower, Side::Client(Box::new(call), false), true)
    }

    fn new(lower: S, side: Side, masks: bool) -> Web<S> {
        Web {
            lower,
            state: State::Upgrading(side, Vec::new()),
            incoming: Incoming::default(),
            outgoing: Outgoing::new(masks),
            ending: None,
            more: false,
            feed: None,
            trusted: false,
            bell: None,
        }
    }

    /// Takes what was read, and shows what it means.
    fn take(&mut self, bytes: &[u8], buffer: &mut Vec<u8>) -> io::Result<()> {
        match &mut self.state {
            State::Upgrading(_, head) => {
                // What does not fit is too long in any case, or comes behind the head.
                let fits = bytes.len().min(HEAD_BYTES_MAX - head.len().min(HEAD_BYTES_MAX));
                head.extend_from_slice(&bytes[..fits]);
                let head = std::mem::take(head);
                match self.upgrade(&head, buffer)? {
                    None => {
                        if let State::Upgrading(_, kept) = &mut self.state {
                            *kept = head;
                        }
                        Ok(())
                    }
                    // A request of plain HTTP has nothing behind it.
                    Some(_) if !matches!(self.state, State::Open) => Ok(()),
                    Some(len) => {
                        self.take_frames(&head[len..], buffer)?;
                        self.take_frames(&bytes[fits..], buffer)
                    }
                }
            }
            State::Open => self.take_frames(bytes, buffer),
            State::Feeding | State::Asked { .. } | State::Answered(_) | State::Over => Ok(()),
        }
    }

    fn take_frames(&mut self, bytes: &[u8], buffer: &mut Vec<u8>) -> io::Result<()> {
        self.incoming.take(bytes, buffer).map_err(|fault| {
            self.outgoing.ends(close_code(&fault), "");
            io::Error::new(io::ErrorKind::InvalidData, fault)
        })?;
        if self.incoming.heard.routing_id {
            self.outgoing.speak(true);
        }
        if let Some(ping) = self.incoming.heard.ping.take() {
            self.outgoing.answer(ping);
        }
        match self.incoming.heard.close.take() {
            Some(payload) => Err(self.closed(&payload)),
            None => Ok(()),
        }
    }

    /// The peer has sent a close frame.
    fn closed(&mut self, payload: &[u8]) -> io::Error {
        if parse_close(payload).is_ok() {
            // With its own code, and without its reason.
            self.outgoing.answer_close(&payload[..payload.len().min(2)]);
        }
        match parse_close(payload) {
            Ok(Some((code, reason))) if !LEAVES.contains(&code) => {
                let said = if reason.is_empty() { format!("close code {code}") } else { reason.to_owned() };
                let text = format!("the peer ended the WebSocket with the code {code}: {said}");
                PeerFault { cause: Cause::RefusedByPeer(said), text }.into()
            }
            Ok(_) => io::ErrorKind::UnexpectedEof.into(),
            Err(fault) => {
                self.outgoing.ends(fault.close_code(), "");
                io::Error::new(io::ErrorKind::InvalidData, ProtocolError::from(fault))
            }
        }
    }

    /// Goes on with the upgrade. Returns how long the head is, once it is complete.
    fn upgrade(&mut self, head: &[u8], buffer: &mut Vec<u8>) -> io::Result<Option<usize>> {
        let State::Upgrading(side, _) = &self.state else { return Ok(None) };
        let (len, protocol, party) = match side {
            Side::Server(site) => {
                let site = site.clone();
                let decided = match head::request(head) {
                    Ok(None) => return Ok(None),
                    Ok(Some((request, len))) => {
                        site.decide(&request).map(|decision| (request, len, decision))
                    }
                    Err(malformed) => Err(refusal(malformed)),
                };
                let (request, len, decision) = decided.map_err(|reply| self.refuse(&reply, head))?;
                match decision {
                    Decision::Upgrade(upgrade) => {
                        self.outgoing.put_head(|out| upgrade.put(out));
                        (len, upgrade.protocol, site.party.clone())
                    }
                    Decision::Feed(feed) => {
                        self.begin_feed(feed, &site.party, buffer);
                        return Ok(Some(len));
                    }
                    Decision::Page(page) => {
                        self.ask(&site, &request, page);
                        return Ok(Some(len));
                    }
                }
            }
            Side::Client(call, _) => match head::answer(head) {
                Ok(None) => return Ok(None),
                Ok(Some((answer, len))) => (len, call.check(&answer, &head[len..])?, call.party.clone()),
                Err(_) => return Err(not_http(head)),
            },
        };
        self.open(protocol, &party, buffer);
        Ok(Some(len))
    }

    /// Both sides have agreed: from now on there are frames.
    fn open(&mut self, protocol: &Protocol, party: &Party, buffer: &mut Vec<u8>) {
        let is_client = matches!(self.state, State::Upgrading(Side::Client(..), _));
        let opening = protocol::opening(protocol, party, is_client);
        self.incoming = Incoming::new(!is_client, party.frame_bytes_max.saturating_add(SEAL_BYTES), opening);
        self.incoming.put(&protocol::greeting(party), buffer);
        self.outgoing.speak(protocol.is_bare);
        self.state = State::Open;
    }

    /// The peer is a client of plain HTTP that wants topics.
    fn begin_feed(&mut self, mut feed: Box<Feed>, party: &Party, buffer: &mut Vec<u8>) {
        let mut shown = protocol::greeting(party);
        feed.put_handshake(&mut shown);
        feed.skip_greeting(self.outgoing.greeting_left());
        self.incoming.put(&shown, buffer);
        (self.feed, self.state) = (Some(feed), State::Feeding);
    }

    /// The peer wants a page.
    fn ask(&mut self, site: &Site, request: &Request<'_>, page: Option<Page>) {
        let (with_body, origin) = (request.method != "HEAD", feed::origin(&request.fields));
        if let Some(page) = page {
            return self.answer(&page, origin.as_deref(), with_body);
        }
        let bell = self.bell.clone();
        let slot = site.ask(request, move || bell.iter().for_each(Bell::ring));
        self.state = State::Asked { slot, with_body, origin };
        self.answer_if_there();
    }

    fn answer_if_there(&mut self) {
        let State::Asked { slot, with_body, origin } = &self.state else { return };
        if let Some(page) = slot.take() {
            let (origin, with_body) = (origin.clone(), *with_body);
            self.answer(&page, origin.as_deref(), with_body);
        }
    }

    fn answer(&mut self, page: &Page, origin: Option<&str>, with_body: bool) {
        self.outgoing.put_head(|out| head::put_page(out, page, origin, with_body));
        self.state = State::Answered(false);
    }

    /// When all of a page is on its way, the stream is closed for writing.
    fn finish_page(&mut self) {
        if matches!(self.state, State::Answered(false)) && !self.outgoing.has_pending() {
            self.state = State::Answered(true);
            self.lower.shutdown_write();
        }
    }

    /// A client of plain HTTP got all that it gets.
    fn finish_feed(&mut self) {
        if let (Some(feed), Some(bell)) = (&self.feed, &self.bell)
            && feed.is_finished()
        {
            bell.ring();
        }
    }

    /// Reads what a client of plain HTTP sends behind its request, which is not looked at.
    fn read_on(&mut self) -> io::Result<usize> {
        if self.feed.as_ref().is_some_and(|feed| feed.is_finished()) {
            return Ok(0);
        }
        self.answer_if_there();
        self.flush();
        match Raw::read(&RAW, &mut self.lower, READ_BYTES).map(|raw| raw.len()) {
            Ok(0) if self.feed.is_some() => Ok(0),
            Ok(0) => Err(Served.into()),
            Ok(_) => Err(io::ErrorKind::Interrupted.into()),
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Err(e),
            Err(_) if matches!(self.state, State::Answered(_)) => Err(Served.into()),
            Err(e) => Err(e),
        }
    }

    /// Answers a request otherwise than with an upgrade.
    fn refuse(&mut self, reply: &Reply, head: &[u8]) -> io::Error {
        self.outgoing.put_head(|out| reply.put(out));
        self.outgoing.drop_the_rest();
        let Reply { status, reason, text, .. } = reply;
        let cause = match Seen::guess(head) {
            Seen::Http => Cause::Http(*status),
            seen => Cause::NotZeroMq(seen),
        };
        PeerFault { cause, text: format!("its request was answered with {status} {reason}: {text}") }.into()
    }

    /// Sends the request of a client, once.
    fn call(&mut self) {
        if let State::Upgrading(Side::Client(call, sent), _) = &mut self.state
            && !std::mem::replace(sent, true)
        {
            self.outgoing.put_head(|out| call.put(out));
            // What is left goes out when there is room; what has failed fails again when the stream is read.
            let _ = self.outgoing.flush(&mut self.lower);
        }
    }

    /// Whether nothing has come, where there are pages: a browser makes connections ahead of its requests, and leaves some unused.
    fn is_spare(&self) -> bool {
        matches!(&self.state, State::Upgrading(Side::Server(site), kept) if kept.is_empty() && site.has_pages())
    }

    /// Ends as was noted.
    fn end(&mut self, ending: Ending) -> io::Result<usize> {
        self.state = State::Over;
        match ending {
            Ending::Closed => Ok(0),
            Ending::Fault(error) => Err(error),
        }
    }
}

/// Why a head is refused.
fn refusal(malformed: Malformed) -> Reply {
    match malformed {
        Malformed::TooLong => Reply::new(
            431,
            "Request Header Fields Too Large",
            format!(
                "the head of a request has at most {HEAD_BYTES_MAX} bytes and 64 fields; send fewer cookies"
            ),
        ),
        Malformed::NotHttp => {
            Reply::new(400, "Bad Request", "this is not HTTP/1.1; connect with ws:// and not with tcp://")
        }
    }
}

fn not_http(answer: &[u8]) -> io::Error {
    let seen = Seen::guess(answer);
    let text = format!("the answer to the request for a WebSocket is not HTTP/1.1: {seen}");
    PeerFault { cause: Cause::NotZeroMq(seen), text }.into()
}

fn close_code(fault: &ProtocolError) -> u16 {
    match fault {
        ProtocolError::WebSocket(fault) => fault.close_code(),
        ProtocolError::MessageTooLong { .. } => TOO_LONG,
        _ => Fault::Length.close_code(),
    }
}

/// How much may be read so that what it means has room: a ZMTP header may be longer than that of a WebSocket frame, by 4 bytes
/// in 260.
fn room_for_raw(spare: usize) -> usize {
    (spare - spare / 64).saturating_sub(128).clamp(1, READ_BYTES)
}

impl<S: Stream> Stream for Web<S> {
    fn connected(&mut self) -> io::Result<bool> {
        let connected = self.lower.connected()?;
        if connected {
            self.call();
        }
        Ok(connected)
    }

    fn has_alternatives(&self) -> bool {
        self.lower.has_alternatives()
    }

    fn awaits(&self) -> Cause {
        self.lower.awaits()
    }

    fn try_next(&mut self) {
        self.lower.try_next();
    }

    /// One read of the stream. [`Interrupted`](io::ErrorKind::Interrupted) if there is nothing to show of it.
    fn read(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        if matches!(self.state, State::Over) {
            return self.lower.read(buffer);
        }
        if self.incoming.has_more() {
            return Ok(self.incoming.show(buffer));
        }
        if matches!(self.state, State::Feeding | State::Asked { .. } | State::Answered(_)) {
            return self.read_on();
        }
        if let Some(ending) = self.ending.take() {
            return self.end(ending);
        }
        let (before, room) = (buffer.len(), room_for_raw(buffer.capacity() - buffer.len()));
        let result = Raw::read(&RAW, &mut self.lower, room).and_then(|raw| {
            self.more = raw.len() == room;
            match raw.is_empty() {
                true => Err(io::ErrorKind::UnexpectedEof.into()),
                false => self.take(&raw, buffer),
            }
        });
        self.flush();
        let shown = buffer.len() - before;
        match result {
            Ok(()) if shown > 0 => Ok(shown),
            Ok(()) => Err(io::ErrorKind::Interrupted.into()),
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Err(e),
            Err(e) => {
                let ending = match e.kind() {
                    io::ErrorKind::UnexpectedEof => Ending::Closed,
                    _ => Ending::Fault(e),
                };
                if shown == 0 && !self.incoming.has_more() {
                    return self.end(ending);
                }
                self.ending = Some(ending);
                if shown > 0 { Ok(shown) } else { Err(io::ErrorKind::Interrupted.into()) }
            }
        }
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let Some(feed) = &mut self.feed else { return self.outgoing.write(&mut self.lower, slices) };
        let written = feed.write(&mut self.lower, slices);
        self.finish_feed();
        written
    }

    fn flush(&mut self) {
        // What is left goes out when there is room; what has failed fails again when the stream is read.
        let _ = match &mut self.feed {
            Some(feed) => feed.flush(&mut self.lower),
            None => self.outgoing.flush(&mut self.lower),
        };
        self.finish_page();
        self.finish_feed();
        self.lower.flush();
    }

    fn holds_more(&self) -> bool {
        self.more || self.ending.is_some() || self.incoming.has_more() || self.lower.holds_more()
    }

    fn held_bytes(&self) -> usize {
        self.incoming.held_bytes()
    }

    fn shutdown_write(&mut self) {
        self.state = State::Over;
        match &mut self.feed {
            Some(feed) => {
                // A client that takes nothing more learns it by the end of the stream.
                let _ = feed.flush(&mut self.lower);
                self.lower.shutdown_write();
            }
            None => self.outgoing.close(&mut self.lower),
        }
    }

    fn trust(&mut self) {
        self.lower.trust();
    }

    fn may_fall_silent(&self) -> bool {
        self.lower.may_fall_silent()
    }

    fn probe(&mut self, idle: Duration, timeout: Duration) {
        self.lower.probe(idle, timeout);
    }

    fn has_pings(&self) -> bool {
        true
    }

    /// libzmq answers no ping under the bare protocol.
    fn ping(&mut self) -> bool {
        if let Some(feed) = &mut self.feed {
            feed.ping();
            self.flush();
            return false;
        }
        self.outgoing.ping();
        self.flush();
        !self.outgoing.is_bare() || self.incoming.heard.pong
    }

    fn is_let_in(&self) -> bool {
        self.trusted
    }

    fn is_served(&self) -> bool {
        matches!(self.state, State::Asked { .. } | State::Answered(_)) || self.is_spare()
    }

    fn address(&self) -> PeerAddress {
        match self.lower.address() {
            PeerAddress::Tcp(address) => PeerAddress::Ws(address),
            other => other,
        }
    }
}

impl<S: Stream> Layer<S> for Web<S> {
    fn below(&self) -> &S {
        &self.lower
    }

    fn below_mut(&mut self) -> &mut S {
        &mut self.lower
    }

    fn known_as(&mut self, notify: Arc<dyn Notify>, token: usize) {
        self.bell = Some(Bell(notify, token));
    }
}
