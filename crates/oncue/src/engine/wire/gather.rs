//! From messages to runs: one rule for which are referenced and which are copied.

use std::ops::Range;
use std::sync::Arc;

use super::chunk::{Chunk, REFERENCE_PART, Run};
use crate::msg::Msg;
use crate::options::OnFull;

/// From this size on, a message in a buffer of its own is referenced.
const REFERENCE_BYTES_MIN: usize = 4 << 10;

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
}

impl Gather {
    /// Adds consecutive messages of a chunk.
    pub(crate) fn add(&mut self, chunk: &Arc<Chunk>, messages: Range<u32>) {
        let (start, end) = (chunk.start(messages.start), chunk.start(messages.end));
        if (end - start) as usize * REFERENCE_PART >= chunk.bytes().len() {
            return self.reference(Run::new(chunk.clone(), messages.start, messages.end));
        }
        if chunk.on_full() != self.on_full {
            self.seal();
            self.on_full = chunk.on_full();
        }
        let base = self.copied.len() as u32;
        self.copied.extend_from_slice(&chunk.bytes()[start as usize..end as usize]);
        self.ends.extend((messages.start + 1..=messages.end).map(|i| base + chunk.start(i) - start));
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
        std::mem::take(&mut self.runs)
    }

    fn reference(&mut self, run: Run) {
        self.seal();
        self.runs.push(run);
    }

    fn seal(&mut self) {
        if self.ends.is_empty() {
            return;
        }
        let (copied, ends) = (std::mem::take(&mut self.copied), std::mem::take(&mut self.ends));
        let chunk = Chunk::new(copied, ends).with_policy(self.on_full);
        let last = chunk.len();
        self.runs.push(Run::new(Arc::new(chunk), 0, last));
    }
}
