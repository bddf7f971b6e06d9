//! Splits the byte stream of an established connection into messages and commands. It owns no buffer and does not interpret
//! what it splits.
//!
//! Each byte is examined a bounded number of times, however the stream is fragmented: a message of a million small frames
//! that trickles in costs no more than one that arrives whole, and commands between the frames of a message are removed by
//! moving each later frame once.

use core::ops::Range;

use super::{COMMAND_BYTES_MAX, Header, LONG, LONG_HEADER_LEN, MORE, SHORT_HEADER_LEN, parse_header};
use super::{ProtocolError, Version};

#[cfg(test)]
mod tests;

/// The most bytes of commands, headers included, between the frames of one message. They stay in the caller's buffer until
/// the message is complete, hence a bound. A lower bound of messages holds for these commands too, but two of the longest
/// commands always fit.
pub const COMMANDS_INSIDE_BYTES_MAX: u64 = 1024 * 1024;

/// The state of one connection's stream, and its limits.
///
/// The caller's buffer starts at an item boundary. After an answer with the length of an item, the caller drops that many
/// bytes from the front; after any other answer it keeps the bytes and appends more. The buffer never needs to hold more
/// than [`buffer_bytes_max`](Self::buffer_bytes_max) bytes before the scanner returns an item or an error.
#[derive(Debug, Clone)]
pub struct Scanner {
    commands: bool,
    command_bytes_max: u64,
    message_bytes_max: u64,
    /// Of an incomplete multipart message: the bytes examined so far, from the start of the buffer.
    read: usize,
    /// Of the same message: the bytes of its frames, without the commands between them. The difference to `read` is the
    /// size of these commands.
    write: usize,
}

/// The result of [`Scanner::next`]. Positions count from the start of the buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scan {
    /// No whole item yet.
    Incomplete {
        /// The least size of the buffer with which the item can be complete, in bytes. The peer chose the number: wait for
        /// it, but do not allocate it in advance.
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
        /// The range of its body.
        body: Range<usize>,
    },
    /// A command between the frames of a message. The buffer keeps its bytes: the scanner removes them before the message
    /// is complete.
    CommandInside {
        /// The range of the command's body; valid until the next call.
        body: Range<usize>,
    },
}

/// The result of [`Scanner::scan_messages`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Bytes to drop from the front of the buffer: those of the messages.
    pub consumed: usize,
    /// How many messages were found.
    pub messages: usize,
    /// Why the scan stopped.
    pub stop: Stop,
}

/// Why [`Scanner::scan_messages`] stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// The bytes after `consumed` are not a whole item yet; see [`Scan::Incomplete`].
    Incomplete {
        /// Counted from `consumed`.
        need_min: usize,
    },
    /// There is a command before or in the next message: after dropping `consumed` bytes, call [`Scanner::next`].
    Command,
    /// The requested number of messages was found.
    Enough,
    /// The peer violated the protocol after these messages.
    Error(ProtocolError),
}

/// What a position of the stream contains.
enum Ahead {
    /// Not enough bytes: at least this many from the position on are needed.
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
        // No buffer reaches half of the address space, and below it sums of lengths cannot overflow.
        let message_bytes_max = message_bytes_max.min(isize::MAX as u64 / 2);
        let (commands, command_bytes_max) = (version.has_commands(), COMMAND_BYTES_MAX);
        Scanner { commands, command_bytes_max, message_bytes_max, read: 0, write: 0 }
    }

    /// Raises the limit of a command's body from [`COMMAND_BYTES_MAX`] to `bytes`.
    pub fn with_command_bytes_max(mut self, bytes: u64) -> Scanner {
        // As for messages, sums must not overflow.
        self.command_bytes_max = bytes.clamp(COMMAND_BYTES_MAX, isize::MAX as u64 / 4);
        self
    }

    /// The most bytes that the buffer must hold for an item to be complete, or to be found in error.
    pub fn buffer_bytes_max(&self) -> usize {
        let one_command = self.command_bytes_max as usize;
        let one_message = (self.message_bytes_max + self.commands_inside_bytes_max()) as usize;
        one_message.max(one_command) + LONG_HEADER_LEN
    }

    fn commands_inside_bytes_max(&self) -> u64 {
        COMMANDS_INSIDE_BYTES_MAX.min(self.message_bytes_max).max(2 * self.command_bytes_max)
    }

    /// Finds the next item in `buf`, which begins with the bytes that the last call left there.
    ///
    /// # Errors
    /// The peer violated the protocol or exceeded a limit; limits are checked on the header, before the body arrives. The
    /// connection must be closed, and the scanner must not be used any more.
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

    /// Finds at most `messages_max` whole messages in `buf`, and calls `message(start, end)` for each: the fast path for
    /// plain traffic. Commands are left to [`next`](Self::next); calls of the two may be mixed.
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
            // Fast path: a frame with a short header.
            if let Some(&[flags @ 0..=MORE, body_len]) = buf.get(at..at + SHORT_HEADER_LEN) {
                let end = at + SHORT_HEADER_LEN + usize::from(body_len);
                if end <= buf.len() && end - start <= message_len_max {
                    at = end;
                    if flags == 0 {
                        message(start, end);
                        messages += 1;
                        start = end;
                    }
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

    /// Examines the frame that `buf` begins with, `message_len` bytes into its message.
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

    /// Returns the command at `self.read`.
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

/// Checks the limits that hold for every command, in a handshake and after it.
pub(crate) fn check_command(header: &Header, bytes_max: u64) -> Result<(), ProtocolError> {
    if header.more() {
        return Err(ProtocolError::CommandWithMore);
    }
    if header.body_len > bytes_max {
        return Err(ProtocolError::CommandTooLong { bytes: header.body_len, max: bytes_max });
    }
    Ok(())
}
