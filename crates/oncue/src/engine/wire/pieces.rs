//! Which messages of a batch go to whom: a list of pieces for each audience, in order, all in one store.
//!
//! A list consists of blocks in the order in which they were needed, so that a thousand short lists that grow by turns
//! stay in a processor's cache, need no memory of their own, and all end at once.

use std::ops::Range;

/// How many places one block has: four cache lines. The last one leads to the next block.
const BLOCK: u32 = 16;
/// How many blocks one pass uses at most, unless one message alone needs more: 16 MiB.
pub(crate) const BLOCKS_MAX: usize = 64 << 10;

/// Consecutive messages of one chunk of a batch, and the bytes of the chunk that they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Piece {
    /// The number of the first message and, in the upper half, the one behind the last, as the pass counts them: from 1 on,
    /// and a number is left out between two chunks. Two words are stored faster than four halves.
    messages: u64,
    /// The first byte and the one behind the last, likewise.
    bytes: u64,
}

impl Piece {
    #[inline(always)]
    pub(crate) fn new(messages: Range<u32>, bytes: Range<u32>) -> Piece {
        let words = |range: Range<u32>| u64::from(range.start) | u64::from(range.end) << 32;
        Piece { messages: words(messages), bytes: words(bytes) }
    }

    #[inline(always)]
    pub(crate) fn first(&self) -> u32 {
        self.messages as u32
    }

    #[inline(always)]
    pub(crate) fn last(&self) -> u32 {
        (self.messages >> 32) as u32
    }

    #[inline(always)]
    pub(crate) fn bytes(&self) -> Range<usize> {
        self.bytes as u32 as usize..(self.bytes >> 32) as usize
    }
}

/// The pieces of all lists, in blocks.
#[derive(Default)]
pub(crate) struct Pieces {
    places: Vec<Piece>,
}

/// One list.
#[derive(Clone, Copy)]
pub(crate) struct List {
    /// The place of the first piece, and of the next one.
    head: u32,
    next: u32,
    /// The number behind the last message; 0 if there is none.
    until: u32,
}

impl List {
    pub(crate) const EMPTY: List = List { head: 0, next: BLOCK - 1, until: 0 };
    /// Nothing is added to it.
    pub(crate) const CLOSED: List = List { until: u32::MAX, ..List::EMPTY };
}

impl Default for List {
    fn default() -> List {
        List::EMPTY
    }
}

impl Pieces {
    /// Ends all lists.
    pub(crate) fn clear(&mut self) {
        self.places.clear();
        // One message for very many audiences may have needed more.
        self.places.shrink_to(BLOCKS_MAX * BLOCK as usize);
    }

    /// How many blocks are in use.
    pub(crate) fn blocks(&self) -> usize {
        self.places.len() / BLOCK as usize
    }

    /// Adds messages behind those of a list: to its last piece if they follow that one. It takes one block at most. Returns
    /// false if they are there already, or the list is closed.
    #[inline(always)]
    pub(crate) fn add(&mut self, list: &mut List, piece: Piece) -> bool {
        if list.until >= piece.last() {
            return false;
        }
        if list.until == piece.first() {
            let newest = &mut self.places[list.next as usize - 1];
            *newest =
                Piece::new(newest.first()..piece.last(), newest.bytes as u32..(piece.bytes >> 32) as u32);
        } else {
            if list.next % BLOCK == BLOCK - 1 {
                self.grow(list);
            }
            self.places[list.next as usize] = piece;
            list.next += 1;
        }
        list.until = piece.last();
        true
    }

    /// A list goes on in a new block.
    #[inline(never)]
    fn grow(&mut self, list: &mut List) {
        let place = self.places.len() as u32;
        self.places.resize(self.places.len() + BLOCK as usize, Piece::default());
        match list.until {
            0 => list.head = place,
            _ => self.places[list.next as usize].messages = place.into(),
        }
        list.next = place;
    }

    /// The pieces of a list, in order, a block at a time.
    pub(crate) fn of(&self, list: List) -> impl Iterator<Item = &[Piece]> {
        let list = if matches!(list.until, 0 | u32::MAX) { List { next: 0, ..list } } else { list };
        let mut place = list.head;
        std::iter::from_fn(move || {
            let end = list.next.min(place - place % BLOCK + BLOCK - 1);
            let block = &self.places[place as usize..end as usize];
            // In the last block its end is not a link; nothing is left then.
            place = if end == list.next { end } else { self.places[end as usize].first() };
            (!block.is_empty()).then_some(block)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oncue_testing::for_seeds;

    #[test]
    fn lists_that_grow_by_turns_keep_what_was_added() {
        for_seeds(100, |rng| {
            let mut pieces = Pieces::default();
            let mut lists: Vec<_> = (0..1 + rng.below(6)).map(|_| (List::default(), Vec::new())).collect();
            let mut at = 1;
            for _ in 0..rng.below(400) {
                let nth = rng.below(lists.len() as u64) as usize;
                at += u32::from(rng.below(3) == 0);
                let last = at + 1 + rng.below(3) as u32;
                let piece = Piece::new(at..last, 10 * at..10 * last);
                at = last;
                let (list, known) = &mut lists[nth];
                assert!(pieces.add(list, piece));
                assert!(!pieces.add(list, piece), "it is there already");
                known.extend(piece.first()..piece.last());
            }
            for (list, known) in &lists {
                let held: Vec<Piece> = pieces.of(*list).flatten().copied().collect();
                assert!(
                    held.windows(2).all(|pair| pair[0].last() < pair[1].first()),
                    "pieces that meet are one"
                );
                assert!(held.iter().all(|p| p.bytes() == (10 * p.first() as usize..10 * p.last() as usize)));
                assert_eq!(held.iter().flat_map(|p| p.first()..p.last()).collect::<Vec<_>>(), *known);
            }
            pieces.clear();
            assert_eq!(pieces.blocks(), 0);
            assert!(!pieces.add(&mut { List::CLOSED }, Piece::new(at..at + 1, 0..1)));
            assert!([List::EMPTY, List::CLOSED].iter().all(|list| pieces.of(*list).next().is_none()));
        });
    }
}
