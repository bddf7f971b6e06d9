//! Whether two patterns have a topic in common: a walk over both at once. Nothing here knows the text of a pattern.

use alloc::vec;

use super::SEPARATOR;

/// One step of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Symbol {
    /// This byte.
    Byte(u8),
    /// Any one byte but the separator: how a value begins.
    One,
    /// Any number of bytes but the separator: how a value goes on.
    More,
    /// A byte that no pattern names, and that only a parameter matches.
    Unnamed,
}

/// Whether some sequence of bytes is spelled by both. Each pair of places is visited once.
pub(super) fn meet(a: &[Symbol], b: &[Symbol]) -> bool {
    let width = b.len() + 1;
    let mut seen = vec![false; (a.len() + 1) * width];
    let mut open = vec![(0, 0)];
    while let Some((i, j)) = open.pop() {
        if core::mem::replace(&mut seen[i * width + j], true) {
            continue;
        }
        let (x, y) = (a.get(i).copied(), b.get(j).copied());
        if x.is_none() && y.is_none() {
            return true;
        }
        if x == Some(Symbol::More) {
            open.push((i + 1, j));
        }
        if y == Some(Symbol::More) {
            open.push((i, j + 1));
        }
        if let (Some(x), Some(y)) = (x, y)
            && share_a_byte(x, y)
        {
            open.push((i + usize::from(x != Symbol::More), j + usize::from(y != Symbol::More)));
        }
    }
    false
}

fn share_a_byte(x: Symbol, y: Symbol) -> bool {
    use Symbol::{Byte, More, One, Unnamed};
    match (x, y) {
        (Byte(x), Byte(y)) => x == y,
        (Byte(byte), One | More) | (One | More, Byte(byte)) => byte != SEPARATOR,
        (Unnamed, Byte(_) | Unnamed) | (Byte(_), Unnamed) => false,
        (One | More | Unnamed, One | More) | (One | More, Unnamed) => true,
    }
}
