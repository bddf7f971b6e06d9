//! The way out: the bytes of ZMTP frames become WebSocket frames, one for each.
//!
//! Frames are put together in the memory of the thread, and written as far as the stream takes them. What it does not take is
//! not kept, but for the rest of a header: the queue above has it still, and gives it again. So a peer that does not read
//! holds no memory here.

use std::cell::Cell;
use std::io::{self, IoSlice};

use oncue_core::command::Command;
use oncue_core::frame::{self, ProtocolError};
use oncue_core::websocket::{
    Mask, Opcode, close_payload, flags_to_zws, parse_header, put_control, put_header, put_masked,
};

use super::input::{Begun, Input};
use super::masks;
use crate::net::Stream;

/// About how many bytes are put together for one write; and at first, after a write that the stream took in part: what is put
/// together in vain is put together again.
const BATCH_BYTES: usize = 64 << 10;
const BATCH_BYTES_MIN: usize = 4 << 10;
/// The first byte of a whole binary message, and the longest body of a ZMTP frame whose message has a header of two bytes.
const WHOLE_BINARY: u8 = 0x82;
const SHORT_BODY_MAX: u8 = 124;
/// A body of this size is written from where it is, unless it is masked.
const LARGE_BYTES_MIN: usize = 8 << 10;
/// Bytes of our greeting, which the peer does not get.
const GREETING_BYTES: usize = greeting_bytes();
/// The normal end, and an end by a rule of this side's (RFC 6455, section 7.4.1).
const NORMAL: u16 = 1000;
const POLICY: u16 = 1008;

const fn greeting_bytes() -> usize {
    oncue_core::greeting::FIRST_PART_LEN + oncue_core::greeting::REST_LEN
}

thread_local! {
    static BATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The way out of one peer.
#[derive(Debug)]
pub(super) struct Outgoing {
    /// This side is the client, which masks.
    masks: bool,
    /// Commands are of no use to the peer: it takes them for messages.
    is_bare: bool,
    /// How much of our greeting has not come yet.
    greeting_left: usize,
    /// What goes out before anything else: heads, control frames, the rest of a header.
    pending: Vec<u8>,
    written: usize,
    /// How many bytes are put together for the next write.
    batch_bytes: usize,
    /// The beginning of a header, and the body that is under way.
    begun: Begun,
    body: Body,
    /// A command for a bare peer, which is looked at when it is complete.
    command: Option<(usize, Vec<u8>)>,
    /// What is owed between two frames.
    pong: Option<Vec<u8>>,
    ping: bool,
    /// How the connection will end: code and reason.
    end: (u16, String),
    is_closed: bool,
}

/// The rest of a frame's body.
#[derive(Clone, Copy, Debug, Default)]
struct Body {
    left: u64,
    mask: Mask,
    /// How many bytes of the payload come before it.
    phase: u64,
}

impl Outgoing {
    pub(super) fn new(masks: bool) -> Outgoing {
        Outgoing {
            masks,
            is_bare: false,
            greeting_left: GREETING_BYTES,
            pending: Vec::new(),
            written: 0,
            batch_bytes: BATCH_BYTES,
            begun: Begun::default(),
            body: Body::default(),
            command: None,
            pong: None,
            ping: false,
            end: (NORMAL, String::new()),
            is_closed: false,
        }
    }

    /// What the peer speaks.
    pub(super) fn speak(&mut self, is_bare: bool) {
        self.is_bare = is_bare;
    }

    /// Puts a head in front of everything.
    pub(super) fn put_head(&mut self, put: impl FnOnce(&mut Vec<u8>)) {
        put(&mut self.pending);
    }

    /// How much of our greeting is still to come.
    pub(super) fn greeting_left(&self) -> usize {
        self.greeting_left
    }

    /// Whether something waits that goes out before anything else.
    pub(super) fn has_pending(&self) -> bool {
        self.written < self.pending.len()
    }

    /// Answers a ping, between two frames. One that waits is replaced (RFC 6455, section 5.5.3).
    pub(super) fn answer(&mut self, ping: Vec<u8>) {
        self.pong = Some(ping);
    }

    /// Asks for a sign of life, between two frames.
    pub(super) fn ping(&mut self) {
        self.ping = true;
    }

    pub(super) fn is_bare(&self) -> bool {
        self.is_bare
    }

    /// The connection will end for this reason, unless one is known already.
    pub(super) fn ends(&mut self, code: u16, reason: &str) {
        if self.end.0 == NORMAL {
            self.end = (code, reason.to_owned());
        } else if self.end.1.is_empty() {
            self.end.1 = reason.to_owned();
        }
    }

    /// Answers the peer's close frame, if nothing is under way (RFC 6455, section 5.5.1). Nothing goes out after it.
    pub(super) fn answer_close(&mut self, payload: &[u8]) {
        if self.is_between_frames() && self.greeting_left == 0 && !self.is_closed {
            put_control(&mut self.pending, Opcode::Close, payload, mask(self.masks));
        }
        self.is_closed = true;
    }

    /// Nothing but what is pending goes out any more.
    pub(super) fn drop_the_rest(&mut self) {
        self.is_closed = true;
    }

    /// How many bytes wait here.
    #[cfg(test)]
    pub(super) fn held_bytes(&self) -> usize {
        self.pending.len() - self.written + self.begun.len
    }

    fn is_between_frames(&self) -> bool {
        self.body.left == 0 && self.begun.len == 0 && self.command.is_none()
    }

    /// Writes what goes before the next frame.
    pub(super) fn flush(&mut self, stream: &mut impl Stream) -> io::Result<()> {
        self.write_pending(stream)?;
        if !self.is_between_frames() || self.greeting_left > 0 || self.is_closed {
            return Ok(());
        }
        if let Some(payload) = self.pong.take() {
            put_control(&mut self.pending, Opcode::Pong, &payload, mask(self.masks));
        }
        if std::mem::take(&mut self.ping) {
            put_control(&mut self.pending, Opcode::Ping, &[], mask(self.masks));
        }
        self.write_pending(stream)
    }

    fn write_pending(&mut self, stream: &mut impl Stream) -> io::Result<()> {
        while self.written < self.pending.len() {
            self.written += stream.write(&[IoSlice::new(&self.pending[self.written..])])?;
        }
        if self.written > 0 {
            (self.pending, self.written) = (Vec::new(), 0);
        }
        Ok(())
    }

    /// Says goodbye, if nothing is under way, and closes the stream for writing.
    pub(super) fn close(&mut self, stream: &mut impl Stream) {
        if self.is_between_frames() && self.greeting_left == 0 && !self.is_closed {
            let payload = close_payload(self.end.0, &self.end.1);
            put_control(&mut self.pending, Opcode::Close, &payload, mask(self.masks));
        }
        self.is_closed = true;
        // A peer that takes nothing more learns it by the end of the stream.
        let _ = self.write_pending(stream);
        stream.shutdown_write();
    }

    /// As [`Stream::write`], for ZMTP.
    pub(super) fn write(&mut self, stream: &mut impl Stream, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut input = Input::new(slices);
        let mut batch = BATCH.take();
        let result = self.write_all(stream, &mut input, &mut batch);
        batch.clear();
        if batch.capacity() <= 2 * BATCH_BYTES {
            BATCH.set(batch);
        }
        match result {
            Err(_) if input.at > 0 => Ok(input.at),
            result => result.map(|()| input.at),
        }
    }

    fn write_all(
        &mut self,
        stream: &mut impl Stream,
        input: &mut Input<'_, '_>,
        batch: &mut Vec<u8>,
    ) -> io::Result<()> {
        while !input.rest().is_empty() {
            if self.is_closed {
                input.skip(input.rest().len());
                continue;
            }
            if self.greeting_left > 0 {
                let n = self.greeting_left.min(input.rest().len());
                self.greeting_left -= n;
                input.skip(n);
                continue;
            }
            self.flush(stream)?;
            if !self.take_command(input).map_err(io::Error::other)? {
                self.write_batch(stream, input, batch)?;
            }
        }
        // What was owed for the last command.
        self.write_pending(stream).or_else(|e| if input.at > 0 { Ok(()) } else { Err(e) })
    }

    /// Puts frames together and writes them.
    fn write_batch(
        &mut self,
        stream: &mut impl Stream,
        input: &mut Input<'_, '_>,
        batch: &mut Vec<u8>,
    ) -> io::Result<()> {
        let before = (*input, self.body, self.begun);
        batch.clear();
        let large = self.fill(input, batch).map_err(io::Error::other)?;
        if batch.is_empty() && large.is_empty() {
            input.take_begun(&mut self.begun);
            return Ok(());
        }
        let written = match large {
            [] => stream.write(&[IoSlice::new(batch)]),
            large => stream.write(&[IoSlice::new(batch), IoSlice::new(large)]),
        };
        if matches!(written, Ok(n) if n == batch.len() + large.len()) {
            self.batch_bytes = (4 * self.batch_bytes).min(BATCH_BYTES);
            self.body.pass(large.len());
            input.skip(large.len());
            return Ok(());
        }
        self.batch_bytes = BATCH_BYTES_MIN;
        (*input, self.body, self.begun) = before;
        let taken = self.retrace(batch, written?);
        input.skip_over(taken);
        Ok(())
    }

    /// Puts frames together until the batch is full, or a large body comes, which is returned as far as it is in one slice.
    fn fill<'a>(
        &mut self,
        input: &mut Input<'a, '_>,
        batch: &mut Vec<u8>,
    ) -> Result<&'a [u8], ProtocolError> {
        while batch.len() < self.batch_bytes {
            if self.body.left > 0 {
                let rest = input.rest();
                let mut n = usize::try_from(self.body.left).unwrap_or(usize::MAX).min(rest.len());
                if n >= LARGE_BYTES_MIN && !self.masks {
                    return Ok(&rest[..n]);
                }
                if n == 0 {
                    break;
                }
                n = n.min(self.batch_bytes);
                put_masked(batch, &rest[..n], self.body.mask, self.body.phase);
                self.body.pass(n);
                input.skip(n);
                continue;
            }
            if self.fill_short(input, batch) {
                continue;
            }
            let Some((header, here)) = input.header(&self.begun)? else { break };
            if self.is_bare && header.command() {
                break;
            }
            let mask = mask(self.masks);
            put_header(batch, Opcode::Binary, header.body_len + 1, mask);
            self.body = Body { left: header.body_len, mask: mask.unwrap_or_default(), phase: 1 };
            batch.push(flags_to_zws(header.flags) ^ self.body.mask[0]);
            self.begun = Begun::default();
            input.skip_over(here);
        }
        Ok(&[])
    }

    /// Puts whole short frames of messages together, as most are, while they are not masked. Returns whether there were any.
    #[inline]
    fn fill_short(&self, input: &mut Input<'_, '_>, batch: &mut Vec<u8>) -> bool {
        if self.masks || self.begun.len > 0 {
            return false;
        }
        let (rest, mut at) = (input.rest(), 0);
        while batch.len() < self.batch_bytes
            && let [flags @ (0 | frame::MORE), len @ ..=SHORT_BODY_MAX, body @ ..] = &rest[at..]
            && let Some(body) = body.get(..usize::from(*len))
        {
            batch.extend_from_slice(&[WHOLE_BINARY, len + 1, flags_to_zws(*flags)]);
            batch.extend_from_slice(body);
            at += 2 + body.len();
        }
        input.skip(at);
        at > 0
    }

    /// The stream took the first `n` bytes of a batch and of the large body behind it: notes what is under way, and keeps the
    /// rest of a header. Returns how many bytes of the input that is.
    fn retrace(&mut self, batch: &[u8], n: usize) -> usize {
        let begun = std::mem::take(&mut self.begun).len;
        let (mut at, mut taken) = (0, 0);
        loop {
            let step = usize::try_from(self.body.left).unwrap_or(usize::MAX).min(n - at);
            self.body.pass(step);
            (at, taken) = (at + step, taken + step);
            if at == n {
                return taken - begun;
            }
            let header = parse_header(&batch[at..], self.masks).ok().flatten().expect("it was written here");
            let body_len = header.payload_len - 1;
            taken += frame::header_len(body_len);
            self.body = Body { left: body_len, mask: header.mask, phase: 1 };
            let body = at + header.header_len + 1;
            if n < body {
                self.pending = batch[n..body].to_vec();
                return taken - begun;
            }
            at = body;
        }
    }

    /// Takes a command for a bare peer, if one comes next or is under way.
    fn take_command(&mut self, input: &mut Input<'_, '_>) -> Result<bool, ProtocolError> {
        if self.command.is_none() {
            if !self.is_bare || self.body.left > 0 {
                return Ok(false);
            }
            let Some((header, here)) = input.header(&self.begun)? else { return Ok(false) };
            if !header.command() {
                return Ok(false);
            }
            self.begun = Begun::default();
            input.skip_over(here);
            self.command = Some((header.body_len as usize, Vec::new()));
        }
        while let Some((left, body)) = &mut self.command {
            let n = input.rest().len().min(*left);
            body.extend_from_slice(&input.rest()[..n]);
            *left -= n;
            let is_whole = *left == 0;
            input.skip(n);
            if is_whole && let Some((_, body)) = self.command.take() {
                self.say(&body);
            } else if n == 0 {
                break;
            }
        }
        Ok(true)
    }

    /// Says a command to a bare peer, as far as it has a meaning there.
    fn say(&mut self, command: &[u8]) {
        let mask = mask(self.masks);
        let mut message = |flags: u8, body: &[u8]| {
            put_header(&mut self.pending, Opcode::Binary, 1 + body.len() as u64, mask);
            put_masked(&mut self.pending, &[flags], mask.unwrap_or_default(), 0);
            put_masked(&mut self.pending, body, mask.unwrap_or_default(), 1);
        };
        match Command::parse(command) {
            // An empty routing id.
            Ok(Command::Ready { .. }) => message(0, b""),
            // Only a peer that has sent a PING gets one.
            Ok(Command::Pong { .. }) => message(flags_to_zws(frame::COMMAND), command),
            Ok(Command::Error { reason }) => self.ends(POLICY, &String::from_utf8_lossy(reason)),
            _ => {}
        }
    }
}

/// A key for the next frame, if this side masks.
#[inline]
fn mask(masks: bool) -> Option<Mask> {
    masks.then(masks::fresh)
}

impl Body {
    #[inline]
    fn pass(&mut self, bytes: usize) {
        self.left -= bytes as u64;
        self.phase += bytes as u64;
    }
}
