//! The ways in which a peer can violate WebSocket and ZWS.

use core::fmt;

/// How the peer violated RFC 6455 or RFC 45; the connection must be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Reserved bits are set; no extension was agreed on. The value is the first byte.
    ReservedBits(u8),
    /// An unknown opcode.
    Opcode(u8),
    /// A frame of text.
    Text,
    /// A client's frame is not masked, or a server's is.
    Masking {
        /// Whether the frame is masked.
        masked: bool,
    },
    /// A length is not in its shortest form, or is 2^63 and more.
    Length,
    /// A control frame is longer than 125 bytes, or is a fragment.
    Control,
    /// A part of a message follows none, or a new message begins amid the parts of another.
    Fragments,
    /// A message without a flags byte.
    NoFlags,
    /// A flags byte other than 0, 1 and 2.
    Flags(u8),
    /// A peer of the bare protocol did not send its routing id first: 1 to 255 bytes, in one message.
    RoutingId,
    /// The payload of a close frame is malformed.
    Close,
}

impl Fault {
    /// The code of the close frame that answers it (RFC 6455, section 7.4.1).
    pub fn close_code(self) -> u16 {
        match self {
            Fault::Text => 1003,
            _ => 1002,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::ReservedBits(byte) => {
                return write!(f, "reserved bits are set in the first byte of a frame: {byte:#04x}");
            }
            Fault::Opcode(opcode) => return write!(f, "a frame has the unknown opcode {opcode}"),
            Fault::Text => "a text frame; ZWS 2.0 has binary ones only",
            Fault::Masking { masked: false } => "a frame of a client is not masked",
            Fault::Masking { masked: true } => "a frame of a server is masked",
            Fault::Length => "the length of a frame is not in its shortest form, or is 2^63 and more",
            Fault::Control => "a control frame is longer than 125 bytes, or is a fragment",
            Fault::Fragments => "the fragments of two messages are mixed, or one follows no message",
            Fault::NoFlags => "a message is empty; ZWS 2.0 puts a flags byte first",
            Fault::Flags(flags) => return write!(f, "a message has the unknown flags {flags:#04x}"),
            Fault::RoutingId => "the first message is not a routing id of at most 255 bytes",
            Fault::Close => "the payload of a close frame is malformed",
        })
    }
}
