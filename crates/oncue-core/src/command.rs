//! Commands (RFC 37): how their bodies are written and parsed, and the two wire forms of a subscription. What to do about a
//! command is decided elsewhere.

use alloc::vec::Vec;

use crate::frame::{COMMAND_BYTES_MAX, ProtocolError, Version, put_header};

mod extension;
mod metadata;
mod missed;
mod standing;
mod state;
#[cfg(test)]
mod tests;
mod wire;

pub use extension::{ONCUE_COMMAND, ONCUE_LEVEL_2, ONCUE_PROPERTY, oncue_level};
pub use metadata::{Metadata, PROPERTIES_MAX, PROPERTY_NAME_BYTES_MAX, is_property_name};
pub use missed::{MISSED_TOPICS_BYTES_MAX, MissedNews, MissedTopics, put_missed};
pub use standing::{Answer, QUESTION_PREFIX_BYTES_MAX, Question, Standing, put_answer, put_question};
pub use state::{STATE_TEXT_BYTES_MAX, STATE_TOPIC_BYTES_MAX, State, StateNews, put_state};
pub(crate) use wire::{put_command, split_short};

/// The longest context that a PING may carry and a PONG returns, in bytes.
pub const PING_CONTEXT_BYTES_MAX: usize = 16;
/// The longest reason in an ERROR, in bytes.
pub const ERROR_REASON_BYTES_MAX: usize = 255;
/// The bytes of a SUBSCRIBE's body beside the prefix; a CANCEL has fewer.
pub const SUBSCRIBE_OVERHEAD_BYTES: usize = "\u{9}SUBSCRIBE".len();
/// The longest prefix that a SUBSCRIBE may carry without exceeding [`COMMAND_BYTES_MAX`], in bytes.
pub const PREFIX_BYTES_MAX: usize = COMMAND_BYTES_MAX as usize - SUBSCRIBE_OVERHEAD_BYTES;

/// A command as received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command<'a> {
    /// The end of a NULL handshake.
    Ready {
        /// For [`Metadata::parse`].
        metadata: &'a [u8],
    },
    /// The peer refuses the connection.
    Error {
        /// At most [`ERROR_REASON_BYTES_MAX`] bytes of any value, meant as text.
        reason: &'a [u8],
    },
    /// The peer wants topics with this prefix.
    Subscribe(&'a [u8]),
    /// The peer no longer wants topics with this prefix.
    Cancel(&'a [u8]),
    /// A heartbeat, to be answered with PONG.
    Ping {
        /// After this time of silence the peer wants to be considered dead, in tenths of a second; 0 is no request.
        ttl_ds: u16,
        /// To be returned in the PONG; cut to [`PING_CONTEXT_BYTES_MAX`].
        context: &'a [u8],
    },
    /// The answer to a PING.
    Pong {
        /// The PING's context; cut to [`PING_CONTEXT_BYTES_MAX`].
        context: &'a [u8],
    },
    /// The state of a topic: an extension of Oncue, see docs/WIRE.md.
    State(StateNews<'a>),
    /// A question about a subscription: an extension of Oncue.
    Question(Question<'a>),
    /// Its answer.
    Answer(Answer),
    /// The peer did not get messages that were sent here: an extension of Oncue.
    Missed(MissedNews<'a>),
    /// Any other command; to be ignored once the handshake is over.
    Unknown {
        /// 1 to 255 bytes.
        name: &'a [u8],
    },
}

impl<'a> Command<'a> {
    /// Splits a command frame's body into name and data; `None` if the name is malformed.
    pub(crate) fn split(body: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        split_short(body).filter(|(name, _)| !name.is_empty())
    }

    /// Parses a command frame's body.
    ///
    /// # Errors
    /// [`ProtocolError::CommandMalformed`], with the command's name.
    pub fn parse(body: &'a [u8]) -> Result<Command<'a>, ProtocolError> {
        let (name, data) = Command::split(body).ok_or(ProtocolError::CommandMalformed(""))?;
        Ok(match name {
            b"READY" => Command::Ready { metadata: data },
            b"ERROR" => {
                let (reason, _) = split_short(data).ok_or(ProtocolError::CommandMalformed("ERROR"))?;
                Command::Error { reason }
            }
            b"SUBSCRIBE" => Command::Subscribe(data),
            b"CANCEL" => Command::Cancel(data),
            b"PING" => {
                let (ttl_ds, context) =
                    data.split_first_chunk().ok_or(ProtocolError::CommandMalformed("PING"))?;
                Command::Ping { ttl_ds: u16::from_be_bytes(*ttl_ds), context: cut_context(context) }
            }
            b"PONG" => Command::Pong { context: cut_context(data) },
            b"ONCUE" => parse_oncue(data).unwrap_or(Command::Unknown { name }),
            name => Command::Unknown { name },
        })
    }
}

/// Parses the data of an [`ONCUE_COMMAND`]; `None` for the kinds of later versions and for malformed data.
fn parse_oncue(data: &[u8]) -> Option<Command<'_>> {
    let (&kind, data) = data.split_first()?;
    match kind {
        extension::KIND_STATE => state::parse(data).map(Command::State),
        extension::KIND_QUESTION => standing::parse_question(data).map(Command::Question),
        extension::KIND_ANSWER => standing::parse_answer(data).map(Command::Answer),
        extension::KIND_MISSED => missed::parse(data).map(Command::Missed),
        _ => None,
    }
}

/// A subscription or its end in the form of a message: sent by peers below 3.1, and accepted from all peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subscription<'a> {
    /// The peer wants topics with this prefix.
    Subscribe(&'a [u8]),
    /// The peer no longer wants topics with this prefix.
    Cancel(&'a [u8]),
}

impl<'a> Subscription<'a> {
    /// Parses the body of a message's frame: 0x01 or 0x00, then the prefix. `None` for plain data.
    pub fn from_message_frame(body: &'a [u8]) -> Option<Subscription<'a>> {
        match body {
            [1, prefix @ ..] => Some(Subscription::Subscribe(prefix)),
            [0, prefix @ ..] => Some(Subscription::Cancel(prefix)),
            _ => None,
        }
    }
}

/// Appends a READY command, the end of a NULL handshake.
pub fn put_ready(out: &mut Vec<u8>, metadata: &Metadata) {
    let mut body = Vec::new();
    metadata.put(&mut body);
    put_command(out, "READY", &[&body]);
}

/// Appends an ERROR command; `reason` is cut to [`ERROR_REASON_BYTES_MAX`]. The RFC allows only visible ASCII without
/// spaces: all other bytes are replaced by `-`.
pub fn put_error(out: &mut Vec<u8>, reason: &str) {
    let visible = |byte: u8| if byte.is_ascii_graphic() { byte } else { b'-' };
    let reason: Vec<u8> = reason.bytes().take(ERROR_REASON_BYTES_MAX).map(visible).collect();
    put_command(out, "ERROR", &[&[reason.len() as u8], &reason]);
}

/// Appends a subscription in the form that a peer at `version` understands: a command at 3.1, a message below.
pub fn put_subscribe(out: &mut Vec<u8>, version: Version, prefix: &[u8]) {
    put_subscription(out, version, "SUBSCRIBE", 1, prefix);
}

/// Appends the end of a subscription in the form that a peer at `version` understands, as [`put_subscribe`] does.
pub fn put_cancel(out: &mut Vec<u8>, version: Version, prefix: &[u8]) {
    put_subscription(out, version, "CANCEL", 0, prefix);
}

/// Appends a PING. `ttl_ds`, in tenths of a second, asks the peer to close the connection after this time of silence.
///
/// # Panics
/// When `context` is longer than [`PING_CONTEXT_BYTES_MAX`].
pub fn put_ping(out: &mut Vec<u8>, ttl_ds: u16, context: &[u8]) {
    assert!(context.len() <= PING_CONTEXT_BYTES_MAX, "a PING's context is too long");
    put_command(out, "PING", &[&ttl_ds.to_be_bytes(), context]);
}

/// Appends the PONG that answers a PING with this context.
///
/// # Panics
/// When `context` is longer than [`PING_CONTEXT_BYTES_MAX`], which [`Command::parse`] never returns.
pub fn put_pong(out: &mut Vec<u8>, context: &[u8]) {
    assert!(context.len() <= PING_CONTEXT_BYTES_MAX, "a PONG's context is too long");
    put_command(out, "PONG", &[context]);
}

fn put_subscription(out: &mut Vec<u8>, version: Version, name: &str, first: u8, prefix: &[u8]) {
    if version >= Version::V3_1 {
        return put_command(out, name, &[prefix]);
    }
    put_header(out, 0, 1 + prefix.len() as u64);
    out.push(first);
    out.extend_from_slice(prefix);
}

fn cut_context(context: &[u8]) -> &[u8] {
    context.get(..PING_CONTEXT_BYTES_MAX).unwrap_or(context)
}
