//! Deterministic finite automata over bytes, as tables: one step per byte, whatever the input is. This file builds an
//! automaton from a transition rule. It does not know which rules there are.

use alloc::borrow::Cow;
use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

/// The most states of one automaton: at 256 byte classes, half a mebibyte.
pub(super) const STATES_MAX: usize = 1024;

/// The state from which no word can be reached.
pub(super) const DEAD: u16 = 0;
/// The state before the first byte.
pub(super) const START: u16 = 1;

/// The automaton that accepts only the empty word.
pub(super) static ENDED: Automaton = Automaton {
    class_of: Cow::Borrowed(&[0; 256]),
    width: 1,
    next: Cow::Borrowed(&[DEAD, DEAD]),
    accepting: Cow::Borrowed(&[false, true]),
};

/// A set of words.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Automaton {
    /// The class of each byte. No state distinguishes bytes of one class.
    class_of: Cow<'static, [u8]>,
    width: usize,
    /// For each state, the next state per class. A state from which no word can be reached is replaced by `DEAD`.
    next: Cow<'static, [u16]>,
    accepting: Cow<'static, [bool]>,
}

/// More than [`STATES_MAX`] states are needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooLarge;

impl Automaton {
    /// Builds all states that the rule `step` reaches from `start`, with one byte of each class.
    pub(super) fn new<S: Ord + Clone>(
        classes: &Classes,
        start: S,
        step: impl Fn(&S, u8) -> Option<S>,
        accepts: impl Fn(&S) -> bool,
    ) -> Result<Automaton, TooLarge> {
        let bytes = classes.representatives();
        let mut ids = BTreeMap::from([(start.clone(), START)]);
        let mut states = vec![start];
        let mut next = vec![DEAD; bytes.len()];
        let mut accepting = vec![false];
        let mut at = 0;
        while let Some(state) = states.get(at).cloned() {
            at += 1;
            accepting.push(accepts(&state));
            for &byte in &bytes {
                let Some(to) = step(&state, byte) else {
                    next.push(DEAD);
                    continue;
                };
                let id = *ids.entry(to).or_insert_with_key(|to| {
                    states.push(to.clone());
                    states.len() as u16
                });
                if states.len() >= STATES_MAX {
                    return Err(TooLarge);
                }
                next.push(id);
            }
        }
        bury(&mut next, &accepting, bytes.len());
        let class_of = Cow::Owned(classes.class_of.to_vec());
        let (next, accepting) = (Cow::Owned(next), Cow::Owned(accepting));
        Ok(Automaton { class_of, width: bytes.len(), next, accepting })
    }

    pub(super) fn step(&self, state: u16, byte: u8) -> u16 {
        self.next[usize::from(state) * self.width + usize::from(self.class_of(byte))]
    }

    /// The state after `bytes`.
    pub(super) fn run(&self, bytes: &[u8]) -> u16 {
        let mut state = START;
        for &byte in bytes {
            state = self.step(state, byte);
            if state == DEAD {
                break;
            }
        }
        state
    }

    pub(super) fn accepts(&self, state: u16) -> bool {
        self.accepting[usize::from(state)]
    }

    pub(super) fn matches(&self, word: &[u8]) -> bool {
        self.accepts(self.run(word))
    }

    pub(super) fn class_of(&self, byte: u8) -> u8 {
        self.class_of[usize::from(byte)]
    }

    /// The number of classes.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// Whether the automaton accepts a word of at least one byte.
    pub(super) fn has_words(&self) -> bool {
        self.next[self.width..2 * self.width].iter().any(|&state| state != DEAD)
    }
}

impl fmt::Debug for Automaton {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Automaton({} states, {} classes)", self.accepting.len(), self.width)
    }
}

/// Replaces every state from which no accepting state can be reached by `DEAD`.
fn bury(next: &mut [u16], accepting: &[bool], width: usize) {
    let mut from = vec![Vec::new(); accepting.len()];
    for (state, row) in next.chunks(width).enumerate() {
        for &to in row {
            from[usize::from(to)].push(state);
        }
    }
    let mut alive = accepting.to_vec();
    let mut open: Vec<_> = (0..accepting.len()).filter(|&state| accepting[state]).collect();
    while let Some(state) = open.pop() {
        for &before in &from[state] {
            if !core::mem::replace(&mut alive[before], true) {
                open.push(before);
            }
        }
    }
    for to in next {
        if !alive[usize::from(*to)] {
            *to = DEAD;
        }
    }
}

/// A partition of the byte values into equivalence classes.
pub(super) struct Classes {
    class_of: [u8; 256],
}

impl Classes {
    /// One class of all bytes.
    pub(super) fn one() -> Classes {
        Classes { class_of: [0; 256] }
    }

    /// Splits each class by the value of `key`.
    pub(super) fn refine(&mut self, key: impl Fn(u8) -> u8) {
        let mut ids = BTreeMap::new();
        for byte in 0..=255 {
            let class = &mut self.class_of[usize::from(byte)];
            // There are 256 bytes, so no id is above 255.
            let id = ids.len() as u8;
            *class = *ids.entry((*class, key(byte))).or_insert(id);
        }
    }

    /// Gives each of these bytes a class of its own.
    pub(super) fn single_out(&mut self, bytes: &[u8]) {
        let mut single = [false; 256];
        bytes.iter().for_each(|&byte| single[usize::from(byte)] = true);
        self.refine(|byte| u8::from(single[usize::from(byte)]));
        self.refine(|byte| if single[usize::from(byte)] { byte } else { 0 });
    }

    /// The smallest byte of each class, in the order of the classes.
    pub(super) fn representatives(&self) -> Vec<u8> {
        let mut bytes: Vec<u8> = Vec::new();
        for byte in 0..=255 {
            if usize::from(self.class_of[usize::from(byte)]) == bytes.len() {
                bytes.push(byte);
            }
        }
        bytes
    }
}
