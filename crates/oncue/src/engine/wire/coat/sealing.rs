//! The way out: takes frames in clear, and writes them sealed.
//!
//! A byte in clear counts as written when the stream has taken the whole sealed frame that holds it; of a frame that the stream
//! took in part, all but the last byte count. So at most one sealed frame waits here, and the queue above, which never drops a
//! message that is partly written, needs to know nothing of it. Frames that were sealed in vain, as the stream took less, are
//! forgotten and sealed again later: none of their bytes has left, so their counters are free.

use std::cell::Cell;
use std::io::{self, IoSlice};

use oncue_core::frame::{Header, HeaderBytes, parse_header};
use oncue_core::mechanism::curve::{MESSAGE_OVERHEAD_BYTES, Sealer};

use crate::net::Stream;

/// How many sealed bytes are written at once. A larger frame is written alone.
const BATCH_BYTES: usize = 64 << 10;
/// A long header.
const HEADER_BYTES_MAX: usize = 9;

/// The way out of one peer.
pub(super) struct Sealing {
    sealer: Sealer,
    /// How many bytes pass as they are, before the first sealed one.
    clear: u64,
    /// A sealed frame that the stream has taken in part, and how much of it. The last byte of the frame in clear is not counted
    /// as written yet.
    waiting: Vec<u8>,
    waiting_at: usize,
    /// A frame that came in part, and whose bytes count as written.
    partial: Option<Box<Partial>>,
}

/// The beginning of a frame.
#[derive(Default)]
struct Partial {
    head: Vec<u8>,
    /// The sealed frame in the making, once the header is complete: its flags and how many bytes it still lacks.
    frame: Option<(Header, usize)>,
    bytes: Vec<u8>,
}

/// One batch of sealed frames.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    /// Where each frame ends: sealed, and in the input.
    ends: Vec<(usize, usize)>,
}

thread_local! {
    /// The memory of a batch, which one thread needs once.
    static BATCH: Cell<Batch> = const { Cell::new(Batch { bytes: Vec::new(), ends: Vec::new() }) };
}

impl Sealing {
    pub(super) fn new(sealer: Sealer, clear: u64) -> Sealing {
        Sealing { sealer, clear, waiting: Vec::new(), waiting_at: 0, partial: None }
    }

    /// As [`Stream::write`], for bytes in clear.
    pub(super) fn write(&mut self, stream: &mut impl Stream, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.clear > 0 {
            return self.pass(stream, slices);
        }
        let mut input = Input::new(slices);
        if !self.waiting.is_empty() {
            self.write_waiting(stream)?;
            input.skip(1);
        }
        let mut batch = BATCH.take();
        let result = self.write_batches(stream, &mut input, &mut batch);
        batch.bytes.clear();
        batch.ends.clear();
        if batch.bytes.capacity() <= 2 * BATCH_BYTES {
            BATCH.set(batch);
        }
        match result {
            Err(_) if input.counted > 0 => Ok(input.counted),
            result => result.map(|()| input.counted),
        }
    }

    /// Bytes that were queued before the coat was put on.
    fn pass(&mut self, stream: &mut impl Stream, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let Some(slice) = slices.iter().find(|slice| !slice.is_empty()) else { return Ok(0) };
        let len = usize::try_from(self.clear).unwrap_or(usize::MAX).min(slice.len());
        let n = stream.write(&[IoSlice::new(&slice[..len])])?;
        self.clear -= n as u64;
        Ok(n)
    }

    fn write_waiting(&mut self, stream: &mut impl Stream) -> io::Result<()> {
        while self.waiting_at < self.waiting.len() {
            self.waiting_at += stream.write(&[IoSlice::new(&self.waiting[self.waiting_at..])])?;
        }
        (self.waiting, self.waiting_at) = (Vec::new(), 0);
        Ok(())
    }

    /// Seals and writes the input, a batch at a time. `Err`: the stream takes no more.
    fn write_batches(
        &mut self,
        stream: &mut impl Stream,
        input: &mut Input<'_, '_>,
        batch: &mut Batch,
    ) -> io::Result<()> {
        loop {
            // A frame that came in part, and is complete now, is written alone. Its first bytes have been counted.
            if self.partial.is_some() && !self.complete(stream, input)? {
                return Ok(());
            }
            batch.bytes.clear();
            batch.ends.clear();
            self.fill(input, batch)?;
            if batch.ends.is_empty() {
                match input.rest() {
                    0 => return Ok(()),
                    // Less than a frame, or a frame that is written alone.
                    _ => self.partial = Some(Box::default()),
                }
                continue;
            }
            let mut at = 0;
            while at < batch.bytes.len() {
                match stream.write(&[IoSlice::new(&batch.bytes[at..])]) {
                    Ok(n) => at += n,
                    Err(e) => {
                        self.keep_begun(input, batch, at);
                        return Err(e);
                    }
                }
            }
            input.count_all();
        }
    }

    /// Goes on with a frame that came in part. Returns whether it was complete, and is written.
    fn complete(&mut self, stream: &mut impl Stream, input: &mut Input<'_, '_>) -> io::Result<bool> {
        let Some(partial) = &mut self.partial else { return Ok(true) };
        if !partial.take(input)? {
            input.count_all();
            return Ok(false);
        }
        let mut partial = *self.partial.take().expect("it is there");
        partial.seal(&mut self.sealer);
        self.waiting = partial.bytes;
        // All but its last byte: that is counted when the stream has taken the frame.
        input.count_all();
        input.counted -= 1;
        self.write_waiting(stream)?;
        input.counted += 1;
        Ok(true)
    }

    /// Seals whole frames until the batch is full. Larger ones are left.
    fn fill(&mut self, input: &mut Input<'_, '_>, batch: &mut Batch) -> io::Result<()> {
        while batch.bytes.len() < BATCH_BYTES {
            let Some(header) = input.header()? else { break };
            let Some(len) = usize::try_from(header.body_len).ok().filter(|len| *len <= BATCH_BYTES) else {
                break;
            };
            if input.rest() < header.header_len + len {
                break;
            }
            let start = put_start(&header, &mut batch.bytes);
            input.skip_uncounted(header.header_len);
            input.take(len, &mut batch.bytes);
            self.sealer.seal(&mut batch.bytes[start..], header.more(), header.command());
            batch.ends.push((batch.bytes.len(), input.at));
        }
        Ok(())
    }

    /// The stream took the first `at` bytes of a batch: keeps what is left of the frame that is begun, and counts what is
    /// written.
    fn keep_begun(&mut self, input: &mut Input<'_, '_>, batch: &Batch, at: usize) {
        let done = batch.ends.partition_point(|(sealed, _)| *sealed <= at);
        let written = done.checked_sub(1).map(|last| batch.ends[last]);
        let begun = batch.ends.get(done).filter(|_| written.map_or(0, |(sealed, _)| sealed) < at);
        self.sealer.take_back((batch.ends.len() - done - usize::from(begun.is_some())) as u64);
        match begun {
            Some(&(end, clear)) => {
                self.waiting = batch.bytes[at..end].to_vec();
                input.counted = clear - 1;
            }
            None => input.counted = written.map_or(input.counted, |(_, clear)| clear),
        }
    }
}

impl Partial {
    /// Takes what there is of the frame. Returns whether it is complete.
    fn take(&mut self, input: &mut Input<'_, '_>) -> io::Result<bool> {
        while self.frame.is_none() {
            if let Some(header) = parse_header(&self.head).map_err(io::Error::other)? {
                self.bytes
                    .reserve_exact(HEADER_BYTES_MAX + MESSAGE_OVERHEAD_BYTES + header.body_len as usize);
                put_start(&header, &mut self.bytes);
                self.frame = Some((header, header.body_len as usize));
            } else if input.rest() == 0 {
                return Ok(false);
            } else {
                input.take(1, &mut self.head);
            }
        }
        let Some((_, lacks)) = &mut self.frame else { return Ok(false) };
        let len = input.rest().min(*lacks);
        input.take(len, &mut self.bytes);
        *lacks -= len;
        Ok(*lacks == 0)
    }

    fn seal(&mut self, sealer: &mut Sealer) {
        let Some((header, _)) = &self.frame else { return };
        let len = MESSAGE_OVERHEAD_BYTES + header.body_len as usize;
        let start = self.bytes.len() - len;
        sealer.seal(&mut self.bytes[start..], header.more(), header.command());
    }
}

/// Appends the header of a sealed frame, and room for what is in front of its content. Returns where its body begins. The flags
/// are inside: libzmq would take an outer MORE or COMMAND for the frame's own.
fn put_start(header: &Header, bytes: &mut Vec<u8>) -> usize {
    bytes.extend_from_slice(&HeaderBytes::new(0, header.body_len + MESSAGE_OVERHEAD_BYTES as u64));
    let start = bytes.len();
    bytes.extend_from_slice(&[0; MESSAGE_OVERHEAD_BYTES]);
    start
}

/// The slices of one write, read from the front.
struct Input<'a, 'b> {
    slices: &'a [IoSlice<'b>],
    /// The first slice that is not read to its end, and how far that is.
    slice: usize,
    within: usize,
    /// How many bytes are read, of how many, and how many of them count as written.
    at: usize,
    len: usize,
    counted: usize,
}

impl<'a, 'b> Input<'a, 'b> {
    fn new(slices: &'a [IoSlice<'b>]) -> Input<'a, 'b> {
        let len = slices.iter().map(|slice| slice.len()).sum();
        Input { slices, slice: 0, within: 0, at: 0, len, counted: 0 }
    }

    fn rest(&self) -> usize {
        self.len - self.at
    }

    /// The header of the frame that is next; `None` while it is incomplete.
    #[inline]
    fn header(&mut self) -> io::Result<Option<Header>> {
        let rest = self.here();
        if rest.len() >= HEADER_BYTES_MAX {
            return parse_header(rest).map_err(io::Error::other);
        }
        let mut head = Vec::with_capacity(HEADER_BYTES_MAX);
        let (slice, within, at) = (self.slice, self.within, self.at);
        self.take(HEADER_BYTES_MAX.min(self.rest()), &mut head);
        (self.slice, self.within, self.at) = (slice, within, at);
        parse_header(&head).map_err(io::Error::other)
    }

    /// What is left of the current slice.
    #[inline]
    fn here(&mut self) -> &'a [u8] {
        while let Some(slice) = self.slices.get(self.slice) {
            if self.within < slice.len() {
                return &slice[self.within..];
            }
            (self.slice, self.within) = (self.slice + 1, 0);
        }
        &[]
    }

    /// Appends the next `len` bytes, which must be there.
    #[inline]
    fn take(&mut self, mut len: usize, to: &mut Vec<u8>) {
        while len > 0 {
            let here = self.here();
            let n = here.len().min(len);
            to.extend_from_slice(&here[..n]);
            self.advance(n);
            len -= n;
        }
    }

    fn skip_uncounted(&mut self, mut len: usize) {
        while len > 0 {
            let n = self.here().len().min(len);
            self.advance(n);
            len -= n;
        }
    }

    /// Skips bytes that were sealed by an earlier write.
    fn skip(&mut self, len: usize) {
        self.skip_uncounted(len.min(self.rest()));
        self.count_all();
    }

    fn advance(&mut self, n: usize) {
        self.within += n;
        self.at += n;
    }

    fn count_all(&mut self) {
        self.counted = self.at;
    }
}
