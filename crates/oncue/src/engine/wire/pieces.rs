//! Which messages of a batch go to whom: a list of pieces for each audience, in order, all in one store.
//!
//! A list consists of blocks in the order in which they were needed, so that a thousand short lists that grow by turns
//! stay in a processor's cache, need no memory of their own, and all end at once.

/// How many pieces one block has: it fills two cache lines.
const BLOCK_PIECES: usize = 15;
/// How many blocks one pass uses at most, unless one message alone needs more: 8 MiB.
pub(crate) const BLOCKS_MAX: usize = 64 << 10;
const NONE: u32 = u32::MAX;

/// Consecutive messages of a batch, counted from the first one of the pass: `first..last`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) first: u32,
    pub(crate) last: u32,
}

#[repr(align(64))]
struct Block {
    pieces: [Piece; BLOCK_PIECES],
    len: u32,
    next: u32,
}

/// The pieces of all lists.
#[derive(Default)]
pub(crate) struct Pieces {
    blocks: Vec<Block>,
}

/// One list: its first and its last block.
#[derive(Clone, Copy)]
pub(crate) struct List {
    head: u32,
    tail: u32,
}

impl Default for List {
    fn default() -> List {
        List { head: NONE, tail: NONE }
    }
}

impl Pieces {
    /// Ends all lists.
    pub(crate) fn clear(&mut self) {
        self.blocks.clear();
        // One message for very many audiences may have needed more.
        self.blocks.shrink_to(BLOCKS_MAX);
    }

    /// How many blocks are in use.
    pub(crate) fn blocks(&self) -> usize {
        self.blocks.len()
    }

    /// Adds messages behind those of a list: to its last piece if they follow that one. It takes one block at most.
    #[inline]
    pub(crate) fn add(&mut self, list: &mut List, piece: Piece) {
        if let Some(block) = self.blocks.get_mut(list.tail as usize) {
            let len = block.len as usize;
            let newest = &mut block.pieces[len - 1];
            if newest.last == piece.first {
                newest.last = piece.last;
                return;
            }
            if let Some(free) = block.pieces.get_mut(len) {
                *free = piece;
                block.len += 1;
                return;
            }
        }
        self.grow(list, piece);
    }

    fn grow(&mut self, list: &mut List, piece: Piece) {
        let number = self.blocks.len() as u32;
        let mut block = Block { pieces: [Piece::default(); BLOCK_PIECES], len: 1, next: NONE };
        block.pieces[0] = piece;
        self.blocks.push(block);
        match self.blocks.get_mut(list.tail as usize) {
            Some(last) => last.next = number,
            None => list.head = number,
        }
        list.tail = number;
    }

    /// The pieces of a list, in order.
    pub(crate) fn of(&self, list: List) -> impl Iterator<Item = Piece> {
        let mut next = list.head;
        let blocks = std::iter::from_fn(move || {
            let block = self.blocks.get(next as usize)?;
            next = block.next;
            Some(&block.pieces[..block.len as usize])
        });
        blocks.flatten().copied()
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
            let mut at = 0;
            for _ in 0..rng.below(400) {
                let nth = rng.below(lists.len() as u64) as usize;
                at += u32::from(rng.below(3) == 0);
                let piece = Piece { first: at, last: at + 1 + rng.below(3) as u32 };
                at = piece.last;
                let (list, known) = &mut lists[nth];
                pieces.add(list, piece);
                known.extend(piece.first..piece.last);
            }
            for (list, known) in &lists {
                let held: Vec<Piece> = pieces.of(*list).collect();
                assert!(held.windows(2).all(|pair| pair[0].last < pair[1].first), "pieces that meet are one");
                assert_eq!(held.iter().flat_map(|p| p.first..p.last).collect::<Vec<_>>(), *known);
            }
            pieces.clear();
            assert_eq!(pieces.blocks(), 0);
        });
    }
}
