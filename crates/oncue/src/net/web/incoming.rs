//! The way in: WebSocket frames become the bytes of ZMTP frames.
//!
//! The body of a whole message passes through as it arrives. Only fragments and control frames are held until they are
//! complete, and what the reader had no room for.

use oncue_core::frame::{COMMAND, HeaderBytes, ProtocolError};
use oncue_core::websocket::{
    CONTROL_BYTES_MAX, Fault, HEADER_BYTES_MAX, Header, Mask, Opcode, flags_from_zws, parse_header,
    put_masked,
};

/// The longest routing id, in bytes.
const ROUTING_ID_BYTES_MAX: usize = 255;
/// The first byte of a whole binary message, and the bit of the second that says that it is masked.
const WHOLE_BINARY: u8 = 0x82;
const MASKED: u8 = 0x80;
/// A header and the flags byte behind it.
const START_BYTES_MAX: usize = HEADER_BYTES_MAX + 1;

/// What control frames have said.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// The payload of the last ping that is not answered.
    pub(super) ping: Option<Vec<u8>>,
    /// A pong has come: the peer answers pings.
    pub(super) pong: bool,
    /// The payload of a close frame. Nothing is read after it.
    pub(super) close: Option<Vec<u8>>,
    /// A routing id has come: the peer speaks the bare protocol.
    pub(super) routing_id: bool,
}

/// The first message, where that may be a routing id.
#[derive(Debug)]
pub(super) struct Opening {
    /// What is shown for the routing id.
    pub(super) ready: Vec<u8>,
    /// A command may come instead, which is shown.
    pub(super) or_command: bool,
}

/// The way in of one peer.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    /// The peer is a client, which masks.
    masked: bool,
    frame_max: u64,
    /// Until the first message has come.
    opening: Option<Opening>,
    /// The beginning of a frame, up to its flags byte.
    start: [u8; START_BYTES_MAX],
    start_len: usize,
    body: Body,
    /// The fragments of a message that is not complete; `None` between messages.
    fragments: Option<Vec<u8>>,
    control: Vec<u8>,
    /// What there was no room for, shown up to `shown`.
    overflow: Vec<u8>,
    shown: usize,
    pub(super) heard: Heard,
}

/// What the next bytes are.
#[derive(Debug, Default)]
enum Body {
    /// The beginning of a frame.
    #[default]
    None,
    /// The rest of a message, which passes through.
    Pass { left: u64, mask: Mask, phase: u64 },
    /// The payload of a frame that is held.
    Hold { header: Header, left: u64 },
}

impl Incoming {
    /// `masked`: whether the peer is a client. Frames with a body of more than `frame_max` bytes break the protocol. With an
    /// `opening` the first message is, or may be, a routing id.
    pub(super) fn new(masked: bool, frame_max: u64, opening: Option<Opening>) -> Incoming {
        Incoming { masked, frame_max, opening, ..Incoming::default() }
    }

    /// How many bytes of a message that is not complete are held.
    pub(super) fn held_bytes(&self) -> usize {
        self.fragments.as_ref().map_or(0, Vec::len)
    }

    /// Whether something is left to be shown.
    pub(super) fn has_more(&self) -> bool {
        self.shown < self.overflow.len()
    }

    /// Shows what was left, as far as there is room. Returns how many bytes.
    pub(super) fn show(&mut self, buffer: &mut Vec<u8>) -> usize {
        let rest = &self.overflow[self.shown..];
        let n = rest.len().min(buffer.capacity() - buffer.len());
        buffer.extend_from_slice(&rest[..n]);
        self.shown += n;
        if !self.has_more() {
            (self.overflow, self.shown) = (Vec::new(), 0);
        }
        n
    }

    /// Appends bytes as they are, behind all that came before.
    pub(super) fn put(&mut self, bytes: &[u8], buffer: &mut Vec<u8>) {
        put(&mut self.overflow, buffer, bytes, Mask::default(), 0);
    }

    /// Takes bytes of the stream.
    pub(super) fn take(&mut self, mut bytes: &[u8], buffer: &mut Vec<u8>) -> Result<(), ProtocolError> {
        while !bytes.is_empty() && self.heard.close.is_none() {
            match &mut self.body {
                Body::None => {
                    bytes = self.take_short(bytes, buffer);
                    bytes = self.begin(bytes, buffer)?;
                }
                Body::Pass { left, mask, phase } => {
                    let n = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                    put(&mut self.overflow, buffer, &bytes[..n], *mask, *phase);
                    (*left, *phase, bytes) = (*left - n as u64, *phase + n as u64, &bytes[n..]);
                    if *left == 0 {
                        self.body = Body::None;
                    }
                }
                Body::Hold { .. } => bytes = self.hold(bytes, buffer)?,
            }
        }
        Ok(())
    }

    /// Takes whole short messages, as most are: their headers have two bytes on both sides. Returns what follows, or is otherwise.
    #[inline]
    fn take_short<'a>(&mut self, mut bytes: &'a [u8], buffer: &mut Vec<u8>) -> &'a [u8] {
        let passes = self.start_len == 0 && self.fragments.is_none() && self.opening.is_none();
        if !passes || self.has_more() {
            return bytes;
        }
        let (masked, mask_len) = if self.masked { (MASKED, size_of::<Mask>()) } else { (0, 0) };
        while let [WHOLE_BINARY, second, rest @ ..] = bytes {
            let len = usize::from(second ^ masked);
            let fits = (1..=CONTROL_BYTES_MAX).contains(&len) && rest.len() >= mask_len + len;
            if !fits || buffer.capacity() - buffer.len() <= len {
                break;
            }
            let (mask, rest) = rest.split_at(mask_len);
            let mask: Mask = mask.first_chunk().copied().unwrap_or_default();
            let (payload, after) = rest.split_at(len);
            // What is wrong is named where frames of all kinds are read.
            let Ok(flags) = flags_from_zws(payload[0] ^ mask[0]) else { break };
            buffer.extend_from_slice(&[flags, (len - 1) as u8]);
            put_masked(buffer, &payload[1..], mask, 1);
            bytes = after;
        }
        bytes
    }

    /// Begins a frame, if its header and flags are there. Returns what follows.
    fn begin<'a>(&mut self, bytes: &'a [u8], buffer: &mut Vec<u8>) -> Result<&'a [u8], ProtocolError> {
        if self.start_len == 0 {
            if let Some(used) = self.open(bytes, buffer)? {
                return Ok(&bytes[used..]);
            }
            self.start[..bytes.len()].copy_from_slice(bytes);
            self.start_len = bytes.len();
            return Ok(&[]);
        }
        let known = self.start_len;
        let room = START_BYTES_MAX.min(known + bytes.len());
        let mut start = self.start;
        start[known..room].copy_from_slice(&bytes[..room - known]);
        match self.open(&start[..room], buffer)? {
            Some(used) => {
                self.start_len = 0;
                Ok(&bytes[used - known..])
            }
            None => {
                (self.start, self.start_len) = (start, room);
                Ok(&[])
            }
        }
    }

    /// Opens the frame that begins here. Returns how many bytes that used; `None`: there are too few.
    #[inline]
    fn open(&mut self, bytes: &[u8], buffer: &mut Vec<u8>) -> Result<Option<usize>, ProtocolError> {
        let Some(header) = parse_header(bytes, self.masked)? else { return Ok(None) };
        let Header { fin, opcode, mask, header_len, payload_len } = header;
        let is_whole = opcode == Opcode::Binary && fin && self.fragments.is_none();
        if is_whole && payload_len > 0 && self.opening.as_ref().is_some_and(|opening| opening.or_command) {
            let Some(flags) = bytes.get(header_len) else { return Ok(None) };
            if flags_from_zws(flags ^ mask[0])? == COMMAND {
                self.opening = None;
            }
        }
        if !is_whole || self.opening.is_some() {
            self.check_held(&header)?;
            self.body = Body::Hold { header, left: payload_len };
            if payload_len == 0 {
                self.held(&header, buffer)?;
            }
            return Ok(Some(header_len));
        }
        let Some(body_len) = payload_len.checked_sub(1) else { return Err(Fault::NoFlags.into()) };
        self.check_length(body_len)?;
        let Some(flags) = bytes.get(header_len) else { return Ok(None) };
        let zmtp = HeaderBytes::new(flags_from_zws(flags ^ mask[0])?, body_len);
        put(&mut self.overflow, buffer, &zmtp, Mask::default(), 0);
        if body_len > 0 {
            self.body = Body::Pass { left: body_len, mask, phase: 1 };
        }
        Ok(Some(header_len + 1))
    }

    fn check_length(&self, bytes: u64) -> Result<(), ProtocolError> {
        match bytes > self.frame_max {
            true => Err(ProtocolError::MessageTooLong { bytes, max: self.frame_max }),
            false => Ok(()),
        }
    }

    /// Checks a frame that is held, before its payload comes.
    fn check_held(&mut self, header: &Header) -> Result<(), ProtocolError> {
        match (header.opcode, &self.fragments) {
            (Opcode::Binary, Some(_)) | (Opcode::Continuation, None) => return Err(Fault::Fragments.into()),
            (Opcode::Binary, None) => self.fragments = Some(Vec::new()),
            _ => {}
        }
        if !header.opcode.is_control() {
            let is_id = self.opening.as_ref().is_some_and(|opening| header.fin || !opening.or_command);
            if is_id && header.payload_len > ROUTING_ID_BYTES_MAX as u64 + 1 {
                return Err(Fault::RoutingId.into());
            }
            self.check_length(
                (self.held_bytes() as u64).saturating_add(header.payload_len).saturating_sub(1),
            )?;
        }
        Ok(())
    }

    /// Takes a part of a payload that is held. Returns what follows.
    fn hold<'a>(&mut self, bytes: &'a [u8], buffer: &mut Vec<u8>) -> Result<&'a [u8], ProtocolError> {
        let Body::Hold { header, left } = &mut self.body else { return Ok(bytes) };
        let n = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
        let to = match &mut self.fragments {
            Some(fragments) if !header.opcode.is_control() => fragments,
            _ => &mut self.control,
        };
        put_masked(to, &bytes[..n], header.mask, header.payload_len - *left);
        *left -= n as u64;
        if *left == 0 {
            let header = *header;
            self.held(&header, buffer)?;
        }
        Ok(&bytes[n..])
    }

    /// The payload of a frame that is held is complete.
    fn held(&mut self, header: &Header, buffer: &mut Vec<u8>) -> Result<(), ProtocolError> {
        self.body = Body::None;
        let control = std::mem::take(&mut self.control);
        match header.opcode {
            Opcode::Ping => self.heard.ping = Some(control),
            Opcode::Pong => self.heard.pong = true,
            Opcode::Close => self.heard.close = Some(control),
            Opcode::Binary | Opcode::Continuation if header.fin => {
                let message = self.fragments.take().unwrap_or_default();
                self.message(&message, buffer)?;
            }
            Opcode::Binary | Opcode::Continuation => {}
        }
        Ok(())
    }

    /// A message that was held is complete.
    fn message(&mut self, message: &[u8], buffer: &mut Vec<u8>) -> Result<(), ProtocolError> {
        let (flags, body) = message.split_first().ok_or(Fault::NoFlags)?;
        let flags = flags_from_zws(*flags)?;
        if let Some(opening) = self.opening.take().filter(|opening| flags != COMMAND || !opening.or_command) {
            if flags != 0 || body.len() > ROUTING_ID_BYTES_MAX {
                return Err(Fault::RoutingId.into());
            }
            self.heard.routing_id = true;
            self.put(&opening.ready, buffer);
            return Ok(());
        }
        self.put(&HeaderBytes::new(flags, body.len() as u64), buffer);
        self.put(body, buffer);
        Ok(())
    }
}

/// Appends bytes, unmasked, to the buffer if there is room, and behind the overflow if there is one.
#[inline]
fn put(overflow: &mut Vec<u8>, buffer: &mut Vec<u8>, bytes: &[u8], mask: Mask, phase: u64) {
    let fits = overflow.is_empty() && buffer.capacity() - buffer.len() >= bytes.len();
    put_masked(if fits { buffer } else { overflow }, bytes, mask, phase);
}
