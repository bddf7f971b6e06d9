//! The handshake of one connection: greeting, mechanism, and the check of the socket types. The traffic after it is split by
//! the [`Scanner`](crate::frame::Scanner). No bytes are buffered here.

use alloc::string::String;
use alloc::vec::Vec;

use crate::command::{Metadata, is_property_name, put_error};
use crate::frame::{
    COMMAND_BYTES_MAX, Header, ProtocolError, Version, check_command, parse_header, put_frame,
};
use crate::greeting::{self, FIRST_PART_LEN, REST_LEN, Revision};
use crate::mechanism::{self, Mechanism};

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
    /// Whether this side is the server of the security handshake. Without effect under NULL, which has no roles.
    pub as_server: bool,
    /// Send READY only after the peer's, or when [`Handshake::send_ready`] is called. libzmq closes without a word when it
    /// reads an incompatible socket type, which it mostly does before it has sent its own: so it tells that first. Costs a
    /// round trip.
    pub ready_last: bool,
    /// Sent to the peer unless empty; at most [`IDENTITY_BYTES_MAX`] bytes.
    pub identity: Vec<u8>,
    /// More properties for READY; the names of custom properties begin with `X-`. They are not sent to a 2.0 peer.
    pub properties: Vec<(String, Vec<u8>)>,
}

impl HandshakeConfig {
    /// A configuration with only a socket type.
    pub fn new(socket_type: SocketType) -> HandshakeConfig {
        let (identity, properties) = Default::default();
        HandshakeConfig { socket_type, as_server: false, ready_last: false, identity, properties }
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the input that were consumed; the caller drops them.
    pub consumed: usize,
    /// The peer, once the handshake is over: the bytes after `consumed` are traffic.
    pub done: Option<PeerInfo>,
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
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Awaiting signature and major version.
    FirstPart,
    /// Awaiting the rest of a 3.x greeting.
    Rest { major: u8 },
    /// Awaiting commands. `begun`: the mechanism's first bytes are sent.
    Mechanism { version: Version, begun: bool },
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
    Done(usize, PeerInfo),
}

impl Handshake {
    /// A handshake with the NULL mechanism.
    ///
    /// # Panics
    /// When [`HandshakeConfig::check`] finds a fault.
    pub fn new(config: HandshakeConfig) -> Handshake {
        if let Err(fault) = config.check() {
            panic!("a handshake's configuration is wrong: {fault}");
        }
        let mechanism = Mechanism::null(config.metadata());
        Handshake { config, mechanism, state: State::FirstPart }
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
                Ok(Step::NeedMore) => return Ok(Progress { consumed, done: None }),
                Ok(Step::Took(len)) => consumed += len,
                Ok(Step::Done(len, peer)) => {
                    self.state = State::Over;
                    return Ok(Progress { consumed: consumed + len, done: Some(peer) });
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
            _ => HandshakeError::ClosedInHandshake { ours: self.config.socket_type },
        }
    }

    /// Sends READY without waiting for the peer's any longer ([`HandshakeConfig::ready_last`]).
    pub fn send_ready(&mut self, out: &mut Vec<u8>) {
        self.config.ready_last = false;
        if let State::Mechanism { begun, .. } = &mut self.state
            && !core::mem::replace(begun, true)
        {
            self.mechanism.start(out);
        }
    }

    fn step(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<Step, HandshakeError> {
        match self.state {
            State::FirstPart => self.first_part(input, out),
            State::Rest { major } => self.rest(major, input, out),
            State::Mechanism { version, begun } => self.command(version, begun, input, out),
            State::SocketType2 => self.socket_type_2(input),
            State::Identity2 { socket_type } => identity_2(socket_type, input),
            State::Over => Ok(Step::NeedMore),
        }
    }

    fn first_part(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<Step, HandshakeError> {
        match greeting::parse_first_part(input)? {
            None => return Ok(Step::NeedMore),
            Some(Revision::Three { major }) => {
                let as_server = self.config.as_server && self.mechanism.has_roles();
                greeting::put_rest(out, self.mechanism.name(), as_server);
                self.state = State::Rest { major };
            }
            Some(Revision::Two) => {
                out.push(self.config.socket_type.byte_2_0());
                put_frame(out, &self.config.identity, false);
                self.state = State::SocketType2;
            }
        }
        Ok(Step::Took(FIRST_PART_LEN))
    }

    fn rest(&mut self, major: u8, input: &[u8], out: &mut Vec<u8>) -> Result<Step, HandshakeError> {
        let Some(rest) = greeting::parse_rest(major, input) else { return Ok(Step::NeedMore) };
        if rest.mechanism != self.mechanism.name() {
            return Err(HandshakeError::Mechanism { peer: rest.mechanism, ours: self.mechanism.name() });
        }
        let begun = !self.config.ready_last;
        if begun {
            self.mechanism.start(out);
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
            mechanism::Step::Continue => Ok(Step::Took(len)),
            mechanism::Step::Refused(reason) => Err(HandshakeError::Refused(reason)),
            mechanism::Step::Done(metadata) => {
                let peer = self.peer_info(version, metadata, out)?;
                if !begun {
                    self.mechanism.start(out);
                }
                Ok(Step::Done(len, peer))
            }
        }
    }

    /// Checks the properties of a 3.x peer, and appends an ERROR for it when the socket types are incompatible.
    fn peer_info(
        &self,
        version: Version,
        mut properties: Metadata,
        out: &mut Vec<u8>,
    ) -> Result<PeerInfo, HandshakeError> {
        let ours = self.config.socket_type;
        let socket_type = match properties.remove(SOCKET_TYPE) {
            None => ours.plain_counterpart(),
            Some(name) => match SocketType::from_name(&name).filter(|theirs| ours.talks_to(*theirs)) {
                Some(theirs) => theirs,
                None => {
                    let fault = HandshakeError::SocketType { peer: PeerType::named(&name), ours };
                    put_error(out, &fault.reason_for_peer());
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
    Ok(Step::Done(len, peer))
}

/// The body of the frame that `input` begins with, and the frame's length; `None` while it is incomplete.
fn whole_body<'a>(header: &Header, input: &'a [u8]) -> Option<(&'a [u8], usize)> {
    let len = usize::try_from(header.frame_len()).ok()?;
    Some((input.get(header.header_len..len)?, len))
}
