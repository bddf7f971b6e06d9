//! The frames of a message that are chosen.

use oncue::Msg;

/// The value of a message: what follows its topic.
pub(super) const VALUE: usize = 1;

/// One frame; empty if the message has fewer.
pub(super) fn frame(message: &Msg, number: usize) -> &[u8] {
    message.frame(number).unwrap_or_default()
}
