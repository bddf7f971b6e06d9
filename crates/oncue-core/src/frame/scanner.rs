//! Cuts the byte stream of an established connection into messages and commands. It owns no buffer and gives
//! no meaning to what it cuts.
//!
//! Each byte is looked at a bounded number of times, however the stream is chopped: a message of a million
//! small frames that trickles in costs no more than one that arrives whole, and commands between the frames
//! of a message are taken out by moving each later frame once.

use core::ops::Range;

use super::{COMMAND_BYTES_MAX, Header, LONG, LONG_HEADER_LEN, SHORT_HEADER_LEN, parse_header};
use super::{ProtocolError, Version};

#[cfg(test)]
mod tests;

/// How many bytes of commands, headers included, may lie between the frames of one message; where messages have a
/// lower bound it holds for these commands too, but two of the longest always fit. They stay in the caller's buffer
/// until the message is complete, hence a bound.
pub const COMMANDS_INSIDE_BYTES_MAX: u64 = 1024 * 1024;

/// Where a connection's stream is cut next, and the limits it must keep.
///
/// The caller's buffer starts at a boundary between items: after an answer that says how long an item is, the
/// caller drops that many bytes from the front; after any other answer it keeps what it has and appends. The
/// buffer never needs to hold more than [`buffer_bytes_max`](Self::buffer_bytes_max) bytes before the scanner
/// answers with an item or an error.
#[derive(Debug, Clone)]
pub struct Scanner {
    commands: bool,
    command_bytes_max: u64,
    message_bytes_max: u64,
    /// Of an incomplete multipart message: from the buffer's start, the bytes looked at so far…
    read: usize,
    /// … and the bytes of its frames, after the commands between them were squeezed out. The difference is
    /// how many bytes of commands this message has had inside.
    write: usize,
}

/// One step of [`Scanner::next`]. Positions count from the start of the buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scan {
    /// No whole item yet.
    Incomplete {
        /// The item cannot be complete before the buffer holds so many bytes. A stranger chose the number: wait
        /// for it, but do not allocate it in advance.
        need_min: usize,
    },
    /// A message in wire encoding: the first `len` bytes.
    Message {
        /// Bytes of the message.
        len: usize,
        /// Bytes to drop from the buffer: more than `len` when there were commands inside the message.
        wire_len: usize,
    },
    /// A command between messages: drop the first `len` bytes after using `body`.
    Command {
        /// Bytes of the frame.
        len: usize,
        /// Where its body lies.
        body: Range<usize>,
    },
    /// A command between the frames of a message. The buffer keeps its bytes: the scanner squeezes them out by
    /// the time the message is complete.
    CommandInside {
        /// Where the command's body lies; valid until the next call.
        body: Range<usize>,
    },
}

/// What [`Scanner::scan_messages`] has cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Bytes to drop from the front of the buffer: the messages cut.
    pub consumed: usize,
    /// Messages cut.
    pub messages: usize,
    /// Why no more.
    pub stop: Stop,
}

/// Why [`Scanner::scan_messages`] stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// The bytes after `consumed` are no whole item yet; see [`Scan::Incomplete`].
    Incomplete {
        /// Counted from `consumed`.
        need_min: usize,
    },
    /// After dropping `consumed` bytes, [`Scanner::next`] goes on: there is a command before or in the next message.
    Command,
    /// As many messages as asked for.
    Enough,
    /// The peer broke the protocol after the messages cut.
    Error(ProtocolError),
}

/// What lies at some position of the stream.
enum Ahead {
    /// Not enough bytes: so many from the position are needed at least.
    Short(usize),
    Command(Header),
    /// A whole frame of a message.
    Frame {
        len: usize,
        more: bool,
    },
}

impl Scanner {
    /// A scanner at the start of the traffic, after the handshake, with a peer at `version`.
    /// `message_bytes_max` bounds a whole message on the wire, headers included.
    pub fn new(version: Version, message_bytes_max: u64) -> Scanner {
        // Half of the address space is beyond any buffer; below it, sums of lengths cannot overflow.
        let message_bytes_max = message_bytes_max.min(isize::MAX as u64 / 2);
        let (commands, command_bytes_max) = (version.has_commands(), COMMAND_BYTES_MAX);
        Scanner { commands, command_bytes_max, message_bytes_max, read: 0, write: 0 }
    }

    /// Takes commands with a body of up to `bytes`, where that is more than [`COMMAND_BYTES_MAX`].
    pub fn with_command_bytes_max(mut self, bytes: u64) -> Scanner {
        // As for messages, sums must not overflow.
        self.command_bytes_max = bytes.clamp(COMMAND_BYTES_MAX, isize::MAX as u64 / 4);
        self
    }

    /// The most bytes that the buffer can need to hold for one item to be complete, or found to be at fault.
    pub fn buffer_bytes_max(&self) -> usize {
        let one_command = self.command_bytes_max as usize;
        let one_message = (self.message_bytes_max + self.commands_inside_bytes_max()) as usize;
        one_message.max(one_command) + LONG_HEADER_LEN
    }

    fn commands_inside_bytes_max(&self) -> u64 {
        COMMANDS_INSIDE_BYTES_MAX.min(self.message_bytes_max).max(2 * self.command_bytes_max)
    }

    /// Cuts the next item off `buf`, which begins with what the last call left there.
    ///
    /// # Errors
    /// The peer broke the protocol or a limit; limits are checked on the header, before the body arrives.
    /// The connection must be closed, and the scanner is of no further use.
    ///
    /// # Panics
    /// When `buf` has become shorter in the middle of a message.
    pub fn next(&mut self, buf: &mut [u8]) -> Result<Scan, ProtocolError> {
        loop {
            let at = self.read;
            match self.look(&buf[at..], self.write)? {
                Ahead::Short(need) => return Ok(Scan::Incomplete { need_min: at + need }),
                Ahead::Command(header) => return self.cut_command(header, buf.len()),
                Ahead::Frame { len, more } => {
                    if self.write < at {
                        buf.copy_within(at..at + len, self.write);
                    }
                    self.read += len;
                    self.write += len;
                    if !more {
                        let message = Scan::Message { len: self.write, wire_len: self.read };
                        (self.read, self.write) = (0, 0);
                        return Ok(message);
                    }
                }
            }
        }
    }

    /// Cuts whole messages off `buf`, at most `messages_max`, and calls `message(start, end)` for each: the
    /// fast way through plain traffic. Commands are left to [`next`](Self::next); the two may be mixed freely.
    ///
    /// # Panics
    /// When `buf` has become shorter in the middle of a message.
    #[inline]
    pub fn scan_messages(
        &mut self,
        buf: &[u8],
        messages_max: usize,
        mut message: impl FnMut(usize, usize),
    ) -> Batch {
        if self.read != self.write {
            return Batch { consumed: 0, messages: 0, stop: Stop::Command };
        }
        assert!(self.read <= buf.len(), "the buffer became shorter in the middle of a message");
        let message_len_max = self.message_bytes_max as usize;
        let (mut start, mut at, mut messages) = (0, self.read, 0);
        let stop = loop {
            if messages == messages_max {
                break Stop::Enough;
            }
            // The common case on its own: the last frame of a message, with a short header.
            if let Some(&[0, body_len]) = buf.get(at..at + SHORT_HEADER_LEN) {
                let end = at + SHORT_HEADER_LEN + usize::from(body_len);
                if end <= buf.len() && end - start <= message_len_max {
                    message(start, end);
                    messages += 1;
                    (start, at) = (end, end);
                    continue;
                }
            }
            match self.look(&buf[at..], at - start) {
                Ok(Ahead::Short(need)) => break Stop::Incomplete { need_min: at - start + need },
                Ok(Ahead::Command(_)) => break Stop::Command,
                Ok(Ahead::Frame { len, more }) => {
                    at += len;
                    if !more {
                        message(start, at);
                        messages += 1;
                        start = at;
                    }
                }
                Err(fault) => break Stop::Error(fault),
            }
        };
        (self.read, self.write) = (at - start, at - start);
        Batch { consumed: start, messages, stop }
    }

    /// Looks at the frame that `buf` begins with, `message_len` bytes into its message.
    fn look(&self, buf: &[u8], message_len: usize) -> Result<Ahead, ProtocolError> {
        let Some(header) = parse_header(buf)? else {
            let long = buf.first().is_some_and(|flags| flags & LONG != 0);
            return Ok(Ahead::Short(if long { LONG_HEADER_LEN } else { SHORT_HEADER_LEN }));
        };
        if header.command() {
            return Ok(Ahead::Command(header));
        }
        let bytes = (message_len as u64).saturating_add(header.frame_len());
        if bytes > self.message_bytes_max {
            return Err(ProtocolError::MessageTooLong { bytes, max: self.message_bytes_max });
        }
        let len = header.frame_len() as usize;
        Ok(if len <= buf.len() { Ahead::Frame { len, more: header.more() } } else { Ahead::Short(len) })
    }

    /// Cuts the command at `self.read`.
    fn cut_command(&mut self, header: Header, buf_len: usize) -> Result<Scan, ProtocolError> {
        if !self.commands {
            return Err(ProtocolError::CommandFromVersion2);
        }
        check_command(&header, self.command_bytes_max)?;
        let at = self.read;
        let len = header.frame_len() as usize;
        let body = at + header.header_len..at + len;
        let inside = at > 0;
        if inside && (at - self.write + len) as u64 > self.commands_inside_bytes_max() {
            return Err(ProtocolError::CommandsInsideTooLong { max: self.commands_inside_bytes_max() });
        }
        if buf_len < body.end {
            return Ok(Scan::Incomplete { need_min: body.end });
        }
        if !inside {
            return Ok(Scan::Command { len, body });
        }
        self.read += len;
        Ok(Scan::CommandInside { body })
    }
}

/// What every command must keep, in a handshake and after it.
pub(crate) fn check_command(header: &Header, bytes_max: u64) -> Result<(), ProtocolError> {
    if header.more() {
        return Err(ProtocolError::CommandWithMore);
    }
    if header.body_len > bytes_max {
        return Err(ProtocolError::CommandTooLong { bytes: header.body_len, max: bytes_max });
    }
    Ok(())
}
