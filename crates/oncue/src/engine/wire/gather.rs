//! From messages to runs: one rule for which are referenced and which are copied.

use std::ops::Range;
use std::sync::Arc;

use super::chunk::{Chunk, REFERENCE_PART, Run};
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

    /// Adds consecutive messages of a chunk.
    #[inline]
    pub(crate) fn add(&mut self, chunk: &Arc<Chunk>, messages: Range<u32>) {
        let (start, end) = (chunk.start(messages.start), chunk.start(messages.end));
        if (end - start) as usize * REFERENCE_PART >= chunk.bytes().len() {
            return self.reference(Run::new(chunk.clone(), messages.start, messages.end));
        }
        if chunk.on_full() != self.on_full {
            self.seal();
            self.on_full = chunk.on_full();
        }
        if self.ends.is_empty() {
            self.begin();
        }
        let base = self.copied.len() as u32;
        self.copied.extend_from_slice(&chunk.bytes()[start as usize..end as usize]);
        match messages.len() {
            1 => self.ends.push(self.copied.len() as u32),
            _ => self.ends.extend((messages.start + 1..=messages.end).map(|i| base + chunk.start(i) - start)),
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

/// Whether a buffer of this capacity is too large for so much content.
fn is_roomy(capacity: usize, wanted: usize) -> bool {
    capacity > 2 * wanted + ROOMY_BYTES
}
