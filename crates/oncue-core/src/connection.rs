//! The handshake of one connection: greeting, mechanism, and the check of the socket types. The traffic after it is split by
//! the [`Scanner`](crate::frame::Scanner). No bytes are buffered here.

use alloc::string::String;
use alloc::vec::Vec;

use crate::command::{Metadata, is_property_name, put_error};
use crate::frame::{
    COMMAND_BYTES_MAX, Header, ProtocolError, Version, check_command, parse_header, put_frame,
};
use crate::greeting::{self, FIRST_PART_LEN, REST_LEN, Revision};
use crate::mechanism::curve::Session;
use crate::mechanism::{Credentials, Mechanism, Security, Step as Event};

mod error;
mod socket_type;
#[cfg(test)]
mod tests;

pub use error::{HandshakeError, PeerType};
pub use socket_type::SocketType;

/// The longest identity, in bytes.
pub const IDENTITY_BYTES_MAX: usize = 255;
/// The most bytes that [`Handshake::receive`] leaves to its caller while it needs more: one incomplete command.
pub const HANDSHAKE_UNCONSUMED_BYTES_MAX: usize = COMMAND_BYTES_MAX as usize + 9;

const SOCKET_TYPE: &[u8] = b"Socket-Type";
const IDENTITY: &[u8] = b"Identity";

/// What this side announces in a handshake.
#[derive(Debug, Clone)]
pub struct HandshakeConfig {
    /// The type of this side's socket.
    pub socket_type: SocketType,
    /// The security mechanism, and this side's role in it.
    pub security: Security,
    /// Under NULL: send READY only after the peer's, or when [`Handshake::send_ready`] is called. libzmq closes without a word
    /// when it reads an incompatible socket type, which it mostly does before it has sent its own: so it tells that first.
    /// Costs a round trip.
    pub ready_last: bool,
    /// Sent to the peer unless empty; at most [`IDENTITY_BYTES_MAX`] bytes.
    pub identity: Vec<u8>,
    /// More properties for READY; the names of custom properties begin with `X-`. They are not sent to a 2.0 peer.
    pub properties: Vec<(String, Vec<u8>)>,
}

impl HandshakeConfig {
    /// A configuration with only a socket type.
    pub fn new(socket_type: SocketType) -> HandshakeConfig {
        let (security, identity, properties) = Default::default();
        HandshakeConfig { socket_type, security, ready_last: false, identity, properties }
    }

    /// Checks the conditions of [`Handshake::new`].
    ///
    /// # Errors
    /// A message that names the field and what is wrong with it.
    pub fn check(&self) -> Result<(), &'static str> {
        if self.identity.len() > IDENTITY_BYTES_MAX {
            return Err("the identity is longer than 255 bytes");
        }
        if self.properties.len() > READY_PROPERTIES_MAX {
            return Err("there are more than 64 properties");
        }
        for (i, (name, _)) in self.properties.iter().enumerate() {
            if self.properties[..i].iter().any(|(earlier, _)| earlier.eq_ignore_ascii_case(name)) {
                return Err("two properties have the same name");
            }
            let name = name.as_bytes();
            if !is_property_name(name) {
                return Err("a property's name is not 1 to 255 letters, digits, '-', '_', '.' or '+'");
            }
            if name.eq_ignore_ascii_case(SOCKET_TYPE) || name.eq_ignore_ascii_case(IDENTITY) {
                return Err("the properties Socket-Type and Identity are set by fields of their own");
            }
        }
        // Checked before anything is copied, so that absurd lengths fail here.
        let lens = self.properties.iter().map(|(name, value)| name.len().saturating_add(value.len()));
        if lens.fold(0, usize::saturating_add) > READY_PROPERTIES_BYTES_MAX {
            return Err("the properties together are longer than 32 KiB");
        }
        Ok(())
    }

    /// The properties of READY.
    fn metadata(&self) -> Metadata {
        let mut metadata = Metadata::new();
        metadata.add(SOCKET_TYPE, self.socket_type.name().as_bytes());
        if !self.identity.is_empty() {
            metadata.add(IDENTITY, &self.identity);
        }
        for (name, value) in &self.properties {
            metadata.add(name.as_bytes(), value);
        }
        metadata
    }
}

/// The most bytes, and the most entries, of [`HandshakeConfig::properties`]: half of what this library accepts as a peer,
/// which leaves room for the lengths and for future properties.
const READY_PROPERTIES_BYTES_MAX: usize = COMMAND_BYTES_MAX as usize / 2;
const READY_PROPERTIES_MAX: usize = crate::command::PROPERTIES_MAX / 2;

/// A peer after its handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerInfo {
    /// The protocol version to use.
    pub version: Version,
    /// Its socket type, which is compatible with ours. The default of a 3.x peer that sent none is SUB or PUB.
    pub socket_type: SocketType,
    /// Its identity, often empty; at most [`IDENTITY_BYTES_MAX`] bytes.
    pub identity: Vec<u8>,
    /// The other properties of its READY.
    pub properties: Metadata,
}

/// The result of [`Handshake::receive`].
#[derive(Debug)]
pub struct Progress {
    /// Bytes of the input that were consumed; the caller drops them.
    pub consumed: usize,
    /// What has come about.
    pub news: News,
}

/// How far a handshake has come.
#[derive(Debug)]
pub enum News {
    /// It needs more of the peer's bytes.
    NeedsMore,
    /// Somebody must decide about the peer by these: [`Handshake::accept`] or [`Handshake::refuse`] comes next, and nothing
    /// is consumed until then.
    Asks(Credentials),
    /// It is over: the bytes after those that are consumed are traffic.
    Done(Established),
}

impl News {
    /// The peer, if the handshake is over.
    pub fn peer(self) -> Option<PeerInfo> {
        match self {
            News::Done(established) => Some(established.peer),
            News::NeedsMore | News::Asks(_) => None,
        }
    }
}

/// The result of a handshake.
#[derive(Debug)]
pub struct Established {
    /// The peer.
    pub peer: PeerInfo,
    /// What encrypts the traffic, under CURVE. What this side had to send until now goes out as it is.
    pub session: Option<Session>,
}

/// The state machine of one handshake.
///
/// Call [`start`](Self::start), pass the bytes that the peer sends to [`receive`](Self::receive), and send the bytes that
/// these append to `out`.
#[derive(Debug)]
pub struct Handshake {
    config: HandshakeConfig,
    mechanism: Mechanism,
    state: State,
    /// The greeting looks like that of libzmq 4.3.3 or later. 4.3.0 to 4.3.2 cannot be told from 4.0 to 4.2.
    is_libzmq: bool,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Awaiting signature and major version.
    FirstPart,
    /// Awaiting the rest of a 3.x greeting.
    Rest { major: u8 },
    /// Awaiting commands. `begun`: the mechanism's first bytes are sent.
    Mechanism { version: Version, begun: bool },
    /// Somebody decides about the peer.
    Decision { version: Version },
    /// Awaiting the socket type of a 2.0 greeting.
    SocketType2,
    /// Awaiting the identity frame of a 2.0 peer.
    Identity2 { socket_type: SocketType },
    /// Done or failed.
    Over,
}

/// The result of one step.
enum Step {
    NeedMore,
    /// This many bytes were consumed, and the state has changed.
    Took(usize),
    Asks(usize, Credentials),
    Done(usize, Established),
}

impl Handshake {
    /// A handshake with the mechanism of the configuration.
    ///
    /// # Panics
    /// When [`HandshakeConfig::check`] finds a fault.
    pub fn new(config: HandshakeConfig) -> Handshake {
        if let Err(fault) = config.check() {
            panic!("a handshake's configuration is wrong: {fault}");
        }
        let mechanism = Mechanism::new(&config.security, config.metadata());
        Handshake { config, mechanism, state: State::FirstPart, is_libzmq: false }
    }

    /// Appends the bytes to send without waiting for the peer. Must be called once, first.
    pub fn start(&mut self, out: &mut Vec<u8>) {
        greeting::put_first_part(out);
    }

    /// Processes the bytes that the peer has sent and that were not consumed before, and appends the answer to `out`.
    ///
    /// Only whole parts are consumed. The caller keeps the rest, at most [`HANDSHAKE_UNCONSUMED_BYTES_MAX`] bytes, and
    /// passes it again with more bytes after it. Once the handshake is over, nothing is consumed.
    ///
    /// # Errors
    /// The peer's fault. The connection must be closed, after sending the bytes appended to `out`: they may end with an
    /// ERROR command for the peer.
    pub fn receive(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<Progress, HandshakeError> {
        let mut consumed = 0;
        loop {
            match self.step(&input[consumed..], out) {
                Ok(Step::NeedMore) => return Ok(Progress { consumed, news: News::NeedsMore }),
                Ok(Step::Took(len)) => consumed += len,
                Ok(Step::Asks(len, credentials)) => {
                    return Ok(Progress { consumed: consumed + len, news: News::Asks(credentials) });
                }
                Ok(Step::Done(len, established)) => {
                    self.state = State::Over;
                    return Ok(Progress { consumed: consumed + len, news: News::Done(established) });
                }
                Err(fault) => {
                    self.state = State::Over;
                    return Err(fault);
                }
            }
        }
    }

    /// The error to report when the peer closes the connection before the handshake is over.
    pub fn closed_by_peer(&self) -> HandshakeError {
        match self.state {
            State::FirstPart | State::Rest { .. } => HandshakeError::ClosedInGreeting,
            State::Mechanism { .. } if !self.config.security.name().is_null() => {
                HandshakeError::ClosedBySecurity {
                    ours: self.config.security.name(),
                    server: self.config.security.is_server(),
                }
            }
            _ => HandshakeError::ClosedInHandshake { ours: self.config.socket_type },
        }
    }

    /// Sends READY without waiting for the peer's any longer ([`HandshakeConfig::ready_last`]).
    ///
    /// # Errors
    /// The keys are useless.
    pub fn send_ready(&mut self, out: &mut Vec<u8>) -> Result<(), HandshakeError> {
        self.config.ready_last = false;
        if let State::Mechanism { begun, .. } = &mut self.state
            && !core::mem::replace(begun, true)
        {
            self.mechanism.start(out)?;
        }
        Ok(())
    }

    /// The peer of [`News::Asks`] is accepted: appends the answer. Call [`receive`](Self::receive) next, unless the handshake is
    /// over with this. Nothing happens if nobody was asked.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub fn accept(&mut self, out: &mut Vec<u8>) -> Result<Option<Established>, HandshakeError> {
        let State::Decision { version } = self.state else { return Ok(None) };
        let event = self.mechanism.accept(out);
        let established = self.established(version, event, out);
        self.state = match &established {
            Ok(None) => State::Mechanism { version, begun: true },
            _ => State::Over,
        };
        established
    }

    /// The peer of [`News::Asks`] is refused: appends the answer, with a status code of ZAP (RFC 27): `300`, `400` or `500`.
    /// The connection must be closed after it is sent.
    pub fn refuse(&mut self, status: &str, out: &mut Vec<u8>) {
        if let State::Decision { .. } = self.state {
            self.state = State::Over;
            self.mechanism.refuse(status, self.is_libzmq, out);
        }
    }

    fn step(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<Step, HandshakeError> {
        match self.state {
            State::FirstPart => self.first_part(input, out),
            State::Rest { major } => self.rest(major, input, out),
            State::Mechanism { version, begun } => self.command(version, begun, input, out),
            State::SocketType2 => self.socket_type_2(input),
            State::Identity2 { socket_type } => identity_2(socket_type, input),
            State::Decision { .. } | State::Over => Ok(Step::NeedMore),
        }
    }

    fn first_part(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<Step, HandshakeError> {
        match greeting::parse_first_part(input)? {
            None => return Ok(Step::NeedMore),
            Some(Revision::Three { major }) => {
                greeting::put_rest(out, self.config.security.name(), self.config.security.is_server());
                self.is_libzmq = greeting::is_padded_as_by_libzmq(input);
                self.state = State::Rest { major };
            }
            Some(Revision::Two) => {
                if !self.config.security.name().is_null() {
                    return Err(HandshakeError::TooOldForSecurity { ours: self.config.security.name() });
                }
                out.push(self.config.socket_type.byte_2_0());
                put_frame(out, &self.config.identity, false);
                self.state = State::SocketType2;
            }
        }
        Ok(Step::Took(FIRST_PART_LEN))
    }

    fn rest(&mut self, major: u8, input: &[u8], out: &mut Vec<u8>) -> Result<Step, HandshakeError> {
        let Some(rest) = greeting::parse_rest(major, input) else { return Ok(Step::NeedMore) };
        if rest.mechanism != self.config.security.name() {
            return Err(HandshakeError::Mechanism {
                peer: rest.mechanism,
                ours: self.config.security.name(),
            });
        }
        // libzmq never sets the bit, so only its presence means something. A NULL peer may not have it (RFC 23), which
        // harms nobody.
        if rest.as_server && self.config.security.is_server() {
            return Err(ProtocolError::SameRole { servers: true }.into());
        }
        self.is_libzmq &= rest.version == Version::V3_1;
        let begun = !self.config.ready_last || !self.config.security.name().is_null();
        if begun {
            self.mechanism.start(out)?;
        }
        self.state = State::Mechanism { version: rest.version, begun };
        Ok(Step::Took(REST_LEN))
    }

    fn command(
        &mut self,
        version: Version,
        begun: bool,
        input: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Step, HandshakeError> {
        let Some(header) = parse_header(input)? else { return Ok(Step::NeedMore) };
        if !header.command() {
            return Err(ProtocolError::UnexpectedInHandshake.into());
        }
        check_command(&header, COMMAND_BYTES_MAX)?;
        let Some((body, len)) = whole_body(&header, input) else { return Ok(Step::NeedMore) };
        match self.mechanism.receive(body, out)? {
            Event::Refused(reason) => Err(HandshakeError::Refused(reason)),
            Event::Authenticate(credentials) => {
                self.state = State::Decision { version };
                Ok(Step::Asks(len, credentials))
            }
            event => match self.established(version, event, out)? {
                None => Ok(Step::Took(len)),
                Some(established) => {
                    if !begun {
                        self.mechanism.start(out)?;
                    }
                    Ok(Step::Done(len, established))
                }
            },
        }
    }

    /// The peer, if this ends the handshake.
    fn established(
        &self,
        version: Version,
        event: Event,
        out: &mut Vec<u8>,
    ) -> Result<Option<Established>, HandshakeError> {
        let (metadata, session) = match event {
            Event::Done(metadata) => (metadata, None),
            Event::Sealed(metadata, session) => (metadata, Some(session)),
            Event::Continue | Event::Authenticate(_) | Event::Refused(_) => return Ok(None),
        };
        let sealed = session.is_some();
        let peer = self.peer_info(version, metadata, sealed, out)?;
        Ok(Some(Established { peer, session }))
    }

    /// Checks the properties of a 3.x peer, and appends an ERROR for it when the socket types are incompatible. Where the
    /// traffic is `sealed`, a word in clear would come too late.
    fn peer_info(
        &self,
        version: Version,
        mut properties: Metadata,
        sealed: bool,
        out: &mut Vec<u8>,
    ) -> Result<PeerInfo, HandshakeError> {
        let ours = self.config.socket_type;
        let socket_type = match properties.remove(SOCKET_TYPE) {
            None => ours.plain_counterpart(),
            Some(name) => match SocketType::from_name(&name).filter(|theirs| ours.talks_to(*theirs)) {
                Some(theirs) => theirs,
                None => {
                    let fault = HandshakeError::SocketType { peer: PeerType::named(&name), ours };
                    if !sealed {
                        put_error(out, &fault.reason_for_peer());
                    }
                    return Err(fault);
                }
            },
        };
        let identity = properties.remove(IDENTITY).unwrap_or_default();
        if identity.len() > IDENTITY_BYTES_MAX {
            return Err(ProtocolError::IdentityTooLong.into());
        }
        Ok(PeerInfo { version, socket_type, identity, properties })
    }

    fn socket_type_2(&mut self, input: &[u8]) -> Result<Step, HandshakeError> {
        let Some(&byte) = input.first() else { return Ok(Step::NeedMore) };
        let ours = self.config.socket_type;
        match SocketType::from_byte_2_0(byte).filter(|theirs| ours.talks_to(*theirs)) {
            Some(socket_type) => self.state = State::Identity2 { socket_type },
            // ZMTP 2.0 has no ERROR command; RFC 15 says to disconnect silently.
            None => return Err(HandshakeError::SocketType { peer: PeerType::numbered(byte), ours }),
        }
        Ok(Step::Took(1))
    }
}

/// Parses the first frame of a 2.0 peer, its identity, which ends the handshake.
fn identity_2(socket_type: SocketType, input: &[u8]) -> Result<Step, HandshakeError> {
    let Some(header) = parse_header(input)? else { return Ok(Step::NeedMore) };
    if header.command() || header.more() {
        return Err(ProtocolError::UnexpectedInHandshake.into());
    }
    if header.body_len > IDENTITY_BYTES_MAX as u64 {
        return Err(ProtocolError::IdentityTooLong.into());
    }
    let Some((identity, len)) = whole_body(&header, input) else { return Ok(Step::NeedMore) };
    let version = Version::V2_0;
    let peer = PeerInfo { version, socket_type, identity: identity.to_vec(), properties: Metadata::new() };
    Ok(Step::Done(len, Established { peer, session: None }))
}

/// The body of the frame that `input` begins with, and the frame's length; `None` while it is incomplete.
fn whole_body<'a>(header: &Header, input: &'a [u8]) -> Option<(&'a [u8], usize)> {
    let len = usize::try_from(header.frame_len()).ok()?;
    Some((input.get(header.header_len..len)?, len))
}
