//! Masking keys, from the system's random numbers: RFC 6455 wants them unpredictable.

use std::cell::RefCell;

use oncue_core::websocket::Mask;

use crate::curve::random;

/// How many keys are drawn together: a system call for each would cost more than the frame.
const KEYS: usize = 1024;

struct Block {
    keys: Vec<u8>,
    used: usize,
}

thread_local! {
    static BLOCK: RefCell<Block> = const { RefCell::new(Block { keys: Vec::new(), used: 0 }) };
}

/// A key that was never used.
#[inline]
pub(super) fn fresh() -> Mask {
    BLOCK.with_borrow_mut(|block| {
        if block.used == block.keys.len() {
            block.keys.resize(KEYS * size_of::<Mask>(), 0);
            random(&mut block.keys);
            block.used = 0;
        }
        let key = block.keys[block.used..].first_chunk().copied().unwrap_or_default();
        block.used += size_of::<Mask>();
        key
    })
}
