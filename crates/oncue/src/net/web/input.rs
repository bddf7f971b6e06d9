//! The slices of one write, read from the front.

use std::io::IoSlice;

use oncue_core::frame::{Header, ProtocolError, parse_header};

/// Bytes of the longest header of a ZMTP frame.
const HEADER_BYTES_MAX: usize = 9;

/// The slices of one write, read from the front.
#[derive(Clone, Copy)]
pub(super) struct Input<'a, 'b> {
    slices: &'a [IoSlice<'b>],
    /// The first slice that is not read to its end, and how far it is.
    slice: usize,
    within: usize,
    /// How many bytes are read.
    pub(super) at: usize,
}

/// The beginning of a ZMTP header that came at the end of a write.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Begun {
    bytes: [u8; HEADER_BYTES_MAX],
    pub(super) len: usize,
}

impl<'a, 'b> Input<'a, 'b> {
    pub(super) fn new(slices: &'a [IoSlice<'b>]) -> Input<'a, 'b> {
        let mut input = Input { slices, slice: 0, within: 0, at: 0 };
        input.skip(0);
        input
    }

    /// The rest of the slice that is being read; empty at the end of all.
    #[inline]
    pub(super) fn rest(&self) -> &'a [u8] {
        self.slices.get(self.slice).map_or(&[], |slice| &slice[self.within..])
    }

    /// Skips bytes of one slice.
    #[inline]
    pub(super) fn skip(&mut self, n: usize) {
        self.at += n;
        self.within += n;
        while self.slices.get(self.slice).is_some_and(|slice| slice.len() == self.within) {
            (self.slice, self.within) = (self.slice + 1, 0);
        }
    }

    /// Skips bytes of any number of slices.
    pub(super) fn skip_over(&mut self, mut n: usize) {
        while n > 0 {
            let step = n.min(self.rest().len());
            if step == 0 {
                return;
            }
            self.skip(step);
            n -= step;
        }
    }

    /// The header that begins with `begun` and goes on here, and how many bytes here belong to it; `None`: it is incomplete.
    #[inline]
    pub(super) fn header(&self, begun: &Begun) -> Result<Option<(Header, usize)>, ProtocolError> {
        if begun.len == 0
            && let Some(header) = parse_header(self.rest())?
        {
            return Ok(Some((header, header.header_len)));
        }
        let mut all = *begun;
        self.gather(&mut all);
        let header = parse_header(&all.bytes[..all.len])?;
        Ok(header.map(|header| (header, header.header_len - begun.len)))
    }

    /// Completes the beginning of a header, as far as bytes are there. They stay here.
    fn gather(&self, begun: &mut Begun) {
        let (mut slice, mut within) = (self.slice, self.within);
        while begun.len < HEADER_BYTES_MAX
            && let Some(bytes) = self.slices.get(slice)
        {
            let bytes = &bytes[within..];
            let n = bytes.len().min(HEADER_BYTES_MAX - begun.len);
            begun.bytes[begun.len..begun.len + n].copy_from_slice(&bytes[..n]);
            begun.len += n;
            (slice, within) = (slice + 1, 0);
        }
    }

    /// Takes what is left, which is the beginning of a header.
    pub(super) fn take_begun(&mut self, begun: &mut Begun) {
        let before = begun.len;
        self.gather(begun);
        self.skip_over(begun.len - before);
    }
}
