//! From messages to runs: one rule for which are referenced and which are copied.

use std::sync::Arc;

use super::chunk::{Chunk, REFERENCE_PART, Run};
use super::pieces::Piece;
use crate::msg::Msg;
use crate::options::OnFull;

/// From this size on, a message in a buffer of its own is referenced.
const REFERENCE_BYTES_MIN: usize = 4 << 10;
/// Larger buffers are not kept for reuse.
const SPARE_BYTES_MAX: usize = 1 << 20;
/// A slow peer may keep buffers for long: they are at most twice as large as what is in them, and this.
const ROOMY_BYTES: usize = 64;

/// Messages for one audience or one peer, in order. Long runs are referenced; short ones are copied together, so that a
/// slow peer does not keep whole chunks alive.
#[derive(Default)]
pub(crate) struct Gather {
    runs: Vec<Run>,
    /// Copies of short runs, behind `runs`.
    copied: Vec<u8>,
    ends: Vec<u32>,
    /// The policy of the copied messages, if they have one of their own.
    on_full: Option<OnFull>,
    /// How many bytes and messages are still to come, if that is known.
    bytes: usize,
    messages: usize,
    /// Buffers of copies that all peers have taken.
    spare: (Vec<u8>, Vec<u32>),
}

impl Gather {
    /// This many bytes and messages follow.
    pub(crate) fn expect(&mut self, bytes: u64, messages: u64) {
        (self.bytes, self.messages) = (bytes as usize, messages as usize);
    }

    /// Adds pieces of `chunks`, in order; `starts` has the number of the first message of each chunk.
    pub(crate) fn add<'a>(
        &mut self,
        chunks: &[Arc<Chunk>],
        starts: &[u32],
        pieces: impl Iterator<Item = &'a [Piece]>,
    ) {
        let Some(mut chunk) = chunks.first() else { return };
        let (mut nth, mut start, mut next, mut bytes, mut long) = (0, 0, 0, &[][..], 0);
        for mut block in pieces {
            while let Some(piece) = block.first() {
                if piece.first() >= next {
                    nth += starts[nth + 1..].iter().take_while(|&&start| start <= piece.first()).count();
                    (chunk, start) = (&chunks[nth], starts[nth]);
                    next = starts.get(nth + 1).copied().unwrap_or(u32::MAX);
                    bytes = chunk.bytes();
                    long = bytes.len().div_ceil(REFERENCE_PART);
                    if chunk.on_full() != self.on_full {
                        self.seal();
                        self.on_full = chunk.on_full();
                    }
                }
                let messages = piece.first() - start..piece.last() - start;
                let part = &bytes[piece.bytes()];
                if part.len() >= long {
                    self.reference(Run::new(chunk.clone(), messages.start, messages.end));
                    block = &block[1..];
                    continue;
                }
                if self.ends.is_empty() {
                    self.begin();
                }
                if messages.len() > 1 {
                    let shift = (self.copied.len() as u32).wrapping_sub(piece.bytes().start as u32);
                    self.copied.extend_from_slice(part);
                    let ends = messages.start + 1..=messages.end;
                    self.ends.extend(ends.map(|message| chunk.start(message).wrapping_add(shift)));
                    block = &block[1..];
                    continue;
                }
                // The usual case, so all of the kind that follow one another.
                block = copy_single(block, next, bytes, long, &mut self.copied, &mut self.ends);
            }
        }
    }

    /// Adds a message in a buffer of its own.
    pub(crate) fn add_message(&mut self, message: &Msg) {
        if message.wire().len() >= REFERENCE_BYTES_MIN {
            return self.reference(Run::new(Arc::new(Chunk::shared(message.clone())), 0, 1));
        }
        self.copied.extend_from_slice(message.wire());
        self.ends.push(self.copied.len() as u32);
    }

    /// The runs of all that was added; none is left.
    pub(crate) fn finish(&mut self) -> Vec<Run> {
        self.seal();
        (self.bytes, self.messages) = (0, 0);
        std::mem::take(&mut self.runs)
    }

    /// Takes runs back that were offered: buffers that no peer has queued are used for the next ones.
    pub(crate) fn recycle(&mut self, mut runs: Vec<Run>) {
        for buffers in runs.drain(..).filter_map(Run::into_buffers) {
            if (self.spare.0.capacity() + 1..=SPARE_BYTES_MAX).contains(&buffers.0.capacity()) {
                self.spare = buffers;
            }
        }
        if self.runs.is_empty() {
            self.runs = runs;
        }
    }

    fn reference(&mut self, run: Run) {
        self.seal();
        self.bytes = self.bytes.saturating_sub(run.bytes_left() as usize);
        self.messages = self.messages.saturating_sub(run.messages() as usize);
        self.runs.push(run);
    }

    /// Gets buffers for copies.
    fn begin(&mut self) {
        let fits = |capacity, wanted| capacity >= wanted && !is_roomy(capacity, wanted);
        if fits(self.spare.0.capacity(), self.bytes) && fits(self.spare.1.capacity(), self.messages) {
            (self.copied, self.ends) = std::mem::take(&mut self.spare);
            self.copied.clear();
            self.ends.clear();
        } else {
            (self.copied, self.ends) = (Vec::with_capacity(self.bytes), Vec::with_capacity(self.messages));
        }
    }

    fn seal(&mut self) {
        if self.ends.is_empty() {
            return;
        }
        let (mut copied, mut ends) = (std::mem::take(&mut self.copied), std::mem::take(&mut self.ends));
        self.bytes = self.bytes.saturating_sub(copied.len());
        self.messages = self.messages.saturating_sub(ends.len());
        if is_roomy(copied.capacity(), copied.len()) || is_roomy(ends.capacity(), ends.len()) {
            copied.shrink_to_fit();
            ends.shrink_to_fit();
        }
        let chunk = Chunk::new(copied, ends).with_policy(self.on_full);
        let last = chunk.len();
        self.runs.push(Run::new(Arc::new(chunk), 0, last));
    }
}

/// Copies the pieces at the front that are single messages below number `next`, and shorter than `long`. Returns the others.
/// A function of its own, so that what the loop needs stays in registers.
fn copy_single<'a>(
    pieces: &'a [Piece],
    next: u32,
    bytes: &[u8],
    long: usize,
    copied: &mut Vec<u8>,
    ends: &mut Vec<u32>,
) -> &'a [Piece] {
    for (nth, piece) in pieces.iter().enumerate() {
        if piece.last() >= next || piece.last() > piece.first() + 1 {
            return &pieces[nth..];
        }
        let part = &bytes[piece.bytes()];
        if part.len() >= long {
            return &pieces[nth..];
        }
        copied.extend_from_slice(part);
        ends.push(copied.len() as u32);
    }
    &[]
}

/// Whether a buffer of this capacity is too large for so much content.
fn is_roomy(capacity: usize, wanted: usize) -> bool {
    capacity > 2 * wanted + ROOMY_BYTES
}
