//! The way in: reads sealed frames, and shows them in clear.
//!
//! Frames are opened where they were read, in the reader's buffer: a frame in clear is shorter than a sealed one. The beginning of
//! an incomplete frame waits here. A large one is read where it waits, and shown from there.

use std::io;

use oncue_core::frame::{COMMAND, HeaderBytes, MORE, ProtocolError, parse_header};
use oncue_core::mechanism::curve::{CurveError, MESSAGE_OVERHEAD_BYTES, Opener};

use crate::buffer::READ_BYTES;
use crate::net::Stream;

/// A frame of this size is read where it waits: elsewhere its bytes would be moved once for each read.
const LARGE_FRAME_BYTES_MIN: usize = READ_BYTES / 4;

/// The way in of one peer.
pub(super) struct Opening {
    opener: Opener,
    frame_max: u64,
    /// The beginning of a sealed frame; or a large frame in clear, shown up to `shown`.
    waiting: Vec<u8>,
    /// What was read behind a frame that waits in clear.
    behind: Vec<u8>,
    state: State,
    /// The last read of the stream has not emptied it.
    more: bool,
    /// Bytes came that are not shown yet.
    alive: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// What waits is the beginning of a sealed frame, or nothing.
    Sealed,
    /// What waits is a frame in clear; this much of it has been shown.
    Clear { shown: usize },
}

impl Opening {
    pub(super) fn new(opener: Opener, frame_max: u64) -> Opening {
        Opening {
            opener,
            frame_max,
            waiting: Vec::new(),
            behind: Vec::new(),
            state: State::Sealed,
            more: false,
            alive: false,
        }
    }

    pub(super) fn holds_more(&self) -> bool {
        self.more
    }

    pub(super) fn held_bytes(&self) -> usize {
        match self.state {
            State::Sealed => self.waiting.len(),
            State::Clear { .. } => 0,
        }
    }

    pub(super) fn take_sign_of_life(&mut self) -> bool {
        std::mem::take(&mut self.alive)
    }

    /// As [`Stream::read`], in clear.
    pub(super) fn read(&mut self, stream: &mut impl Stream, buffer: &mut Vec<u8>) -> io::Result<usize> {
        self.more = true;
        loop {
            if let State::Clear { shown } = self.state {
                return Ok(self.show(shown, buffer));
            }
            let start = buffer.len();
            let spare = buffer.capacity() - start;
            let is_large = self.lacks_of_large()?.is_some();
            // A reader with little room is shown a frame from where it waits, too.
            if is_large || spare <= self.waiting.len() {
                let read = if is_large { self.read_large(stream) } else { self.read_little(stream) };
                match read {
                    Ok(()) => continue,
                    Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                    Err(e) => return Err(e),
                }
            }
            let room = spare - self.waiting.len();
            buffer.append(&mut self.waiting);
            let n = match stream.read(buffer) {
                Ok(n) => n,
                Err(e) => {
                    self.waiting = buffer.split_off(start);
                    return Err(e);
                }
            };
            if n == 0 {
                buffer.truncate(start);
                return Ok(0);
            }
            self.alive = true;
            self.open_in(buffer, start)?;
            if buffer.len() > start {
                self.more = n == room;
                return Ok(buffer.len() - start);
            }
        }
    }

    /// Opens bytes that were read before there was a coat.
    pub(super) fn opened(&mut self, sealed: &[u8]) -> io::Result<Vec<u8>> {
        let mut buffer = sealed.to_vec();
        self.open_in(&mut buffer, 0)?;
        Ok(buffer)
    }

    /// Opens the sealed frames from `start` on in place, and takes the beginning of the next one away.
    fn open_in(&mut self, buffer: &mut Vec<u8>, start: usize) -> io::Result<()> {
        let (mut from, mut to) = (start, start);
        while let Some(frame) = frame_at(&buffer[from..], self.frame_max)? {
            let Frame { header_len, len } = frame;
            let end = from + header_len + len;
            if end > buffer.len() {
                break;
            }
            let body = from + header_len;
            let clear = open_body(&mut self.opener, &mut buffer[body..end])?;
            buffer[to..to + clear.len()].copy_from_slice(&clear);
            to += clear.len();
            buffer.copy_within(body + MESSAGE_OVERHEAD_BYTES..end, to);
            to += len - MESSAGE_OVERHEAD_BYTES;
            from = end;
        }
        self.waiting.extend_from_slice(&buffer[from..]);
        buffer.truncate(to);
        Ok(())
    }

    /// How many bytes the frame that waits lacks, if it is large.
    fn lacks_of_large(&self) -> io::Result<Option<usize>> {
        let Some(Frame { header_len, len }) = frame_at(&self.waiting, self.frame_max)? else {
            return Ok(None);
        };
        let all = header_len + len;
        Ok((all >= LARGE_FRAME_BYTES_MIN).then(|| all.saturating_sub(self.waiting.len())))
    }

    /// Reads more of the large frame that waits. Its memory grows by as much as has arrived.
    fn read_large(&mut self, stream: &mut impl Stream) -> io::Result<()> {
        let Some(lacks) = self.lacks_of_large()? else { return Ok(()) };
        if lacks > 0 {
            if self.waiting.capacity() == self.waiting.len() {
                self.waiting.reserve_exact(lacks.min(self.waiting.len().max(READ_BYTES)));
            }
            let n = stream.read(&mut self.waiting)?;
            if n == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.alive = true;
            if n < lacks {
                return Ok(());
            }
        }
        self.open_waiting()
    }

    /// Reads a frame where it waits, although it is not large.
    fn read_little(&mut self, stream: &mut impl Stream) -> io::Result<()> {
        let lacks = match frame_at(&self.waiting, self.frame_max)? {
            Some(Frame { header_len, len }) => (header_len + len).saturating_sub(self.waiting.len()),
            // No more than what completes the shortest header and body.
            None => 1,
        };
        if lacks > 0 {
            let mut part = Vec::with_capacity(lacks);
            let n = stream.read(&mut part)?;
            if n == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.alive = true;
            self.waiting.extend_from_slice(&part);
            return Ok(());
        }
        self.open_waiting()
    }

    /// Opens the complete frame that waits.
    fn open_waiting(&mut self) -> io::Result<()> {
        let Some(Frame { header_len, len }) = frame_at(&self.waiting, self.frame_max)? else { return Ok(()) };
        self.behind = self.waiting.split_off(header_len + len);
        let clear = open_body(&mut self.opener, &mut self.waiting[header_len..])?;
        // The header in clear is put in front of the content, in what was the sealed frame's head.
        let content = header_len + MESSAGE_OVERHEAD_BYTES;
        let shown = content - clear.len();
        self.waiting[shown..content].copy_from_slice(&clear);
        self.state = State::Clear { shown };
        Ok(())
    }

    /// Shows as much of the frame in clear as there is room for.
    fn show(&mut self, shown: usize, buffer: &mut Vec<u8>) -> usize {
        let rest = &self.waiting[shown..];
        let n = rest.len().min(buffer.capacity() - buffer.len());
        buffer.extend_from_slice(&rest[..n]);
        match n == rest.len() {
            true => (self.waiting, self.state) = (std::mem::take(&mut self.behind), State::Sealed),
            false => self.state = State::Clear { shown: shown + n },
        }
        n
    }
}

/// A sealed frame: the lengths of its header and its body.
struct Frame {
    header_len: usize,
    len: usize,
}

/// The frame that begins here; `None` while its header is incomplete.
#[inline]
fn frame_at(bytes: &[u8], frame_max: u64) -> io::Result<Option<Frame>> {
    let Some(header) = parse_header(bytes).map_err(fault)? else { return Ok(None) };
    let Some(clear) = header.body_len.checked_sub(MESSAGE_OVERHEAD_BYTES as u64) else {
        return Err(fault(CurveError::Clear));
    };
    if clear > frame_max {
        return Err(fault(ProtocolError::MessageTooLong { bytes: clear, max: frame_max }));
    }
    let len = usize::try_from(header.body_len).map_err(io::Error::other)?;
    Ok(Some(Frame { header_len: header.header_len, len }))
}

/// Opens the body of a sealed frame in place. Returns the header in clear of what it holds.
#[inline]
fn open_body(opener: &mut Opener, body: &mut [u8]) -> io::Result<HeaderBytes> {
    let (more, command) = opener.open(body).map_err(fault)?;
    let flags = (u8::from(more) * MORE) | (u8::from(command) * COMMAND);
    Ok(HeaderBytes::new(flags, (body.len() - MESSAGE_OVERHEAD_BYTES) as u64))
}

/// The peer's fault, as an error of the stream.
fn fault(error: impl Into<ProtocolError>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error.into())
}
