//! The sealing of frames once the handshake is over (RFC 26, "MESSAGE"). One frame of ZMTP becomes one frame whose body is
//! `\x07MESSAGE`, a counter of 8 bytes, and a box that holds a flags byte and the frame's body.

use super::CurveError;
use super::cipher::{PADDING, SharedKey};
use super::len::TAG;

/// How many bytes the body of a MESSAGE has beyond the body of the frame that it holds.
pub const MESSAGE_OVERHEAD_BYTES: usize = COUNTER_AT + 8 + TAG + 1;

const NAME: &[u8; 8] = b"\x07MESSAGE";
const COUNTER_AT: usize = NAME.len();
const TAG_AT: usize = COUNTER_AT + 8;
const FLAGS_AT: usize = TAG_AT + TAG;
const _: () = assert!(FLAGS_AT == PADDING);

/// The flags inside the box. A command is 2 here, and 4 outside.
const MORE_INSIDE: u8 = 0x01;
const COMMAND_INSIDE: u8 = 0x02;

/// The keys of one connection, and how far its counters have come.
#[derive(Debug)]
pub struct Session {
    /// For what this side sends.
    pub sealer: Sealer,
    /// For what the peer sends.
    pub opener: Opener,
}

/// Encrypts what this side sends.
#[derive(Debug)]
pub struct Sealer {
    key: SharedKey,
    last: u64,
}

/// Decrypts what the peer sends.
#[derive(Debug)]
pub struct Opener {
    gapless: bool,
    key: SharedKey,
    last: u64,
}

impl Session {
    /// `last_sent` and `last_received`: the counters of the last commands of the handshake.
    pub(super) fn new(sends: SharedKey, last_sent: u64, receives: SharedKey, last_received: u64) -> Session {
        Session {
            sealer: Sealer { key: sends, last: last_sent },
            opener: Opener { gapless: false, key: receives, last: last_received },
        }
    }
}

impl Sealer {
    /// Seals one frame in place. `body` is that of the MESSAGE: what the frame holds begins at
    /// [`MESSAGE_OVERHEAD_BYTES`], and everything before it is written here. `more` and `command` are the frame's flags.
    ///
    /// # Panics
    /// When `body` is shorter than [`MESSAGE_OVERHEAD_BYTES`], or after 2^64 frames.
    #[inline]
    pub fn seal(&mut self, body: &mut [u8], more: bool, command: bool) {
        self.last = self.last.checked_add(1).expect("a connection has fewer than 2^64 frames");
        let counter = self.last.to_be_bytes();
        body[FLAGS_AT] = (u8::from(more) * MORE_INSIDE) | (u8::from(command) * COMMAND_INSIDE);
        // What goes in front of the flags has as many bytes as the padding.
        let tag = self.key.seal(&counter, body);
        body[..COUNTER_AT].copy_from_slice(NAME);
        body[COUNTER_AT..TAG_AT].copy_from_slice(&counter);
        body[TAG_AT..FLAGS_AT].copy_from_slice(&tag);
    }

    /// Takes back the last `frames` counters. Only for frames of which no byte has left this process: a counter that was sent
    /// must never be used again.
    pub fn take_back(&mut self, frames: u64) {
        self.last -= frames;
    }
}

impl Opener {
    /// From now on each counter must be the next one, so that nobody on the way can remove a frame unnoticed. RFC 26 asks only
    /// that counters increase; this library's never have gaps.
    pub fn refuse_gaps(&mut self) {
        self.gapless = true;
    }

    /// Opens the body of one MESSAGE in place; what it holds begins at [`MESSAGE_OVERHEAD_BYTES`]. Returns the flags of the
    /// frame: more, command. Flags that RFC 26 does not name are ignored.
    ///
    /// # Errors
    /// [`CurveError::Clear`] if it is not a MESSAGE, [`CurveError::Nonce`] if the counter is not larger than the last one, or not
    /// the next (see [`refuse_gaps`](Self::refuse_gaps)), [`CurveError::Box`] if the frame was changed or made with another key. The connection must be closed.
    #[inline]
    pub fn open(&mut self, body: &mut [u8]) -> Result<(bool, bool), CurveError> {
        let Some((head, sealed)) =
            body.split_at_mut_checked(FLAGS_AT).filter(|(_, sealed)| !sealed.is_empty())
        else {
            return Err(CurveError::Clear);
        };
        let (name, head) = head.split_first_chunk().expect("the head is longer");
        let (counter, tag) = head.split_first_chunk().expect("the head is longer");
        if name != NAME {
            return Err(CurveError::Clear);
        }
        let number = u64::from_be_bytes(*counter);
        if number <= self.last || self.gapless && number - self.last > 1 {
            return Err(CurveError::Nonce);
        }
        let tag: &[u8; TAG] = tag.try_into().expect("the rest of the head");
        if !self.key.open(counter, tag, sealed) {
            return Err(CurveError::Box("MESSAGE"));
        }
        self.last = number;
        Ok((sealed[0] & MORE_INSIDE != 0, sealed[0] & COMMAND_INSIDE != 0))
    }
}
