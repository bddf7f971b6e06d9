//! The automaton of all that follows a pattern's head: the values of each kind, and the literals between them. A value
//! ends where the literals say, so the automaton knows no way back either.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::automaton::{Automaton, Classes, DEAD, START, TooLarge};
use super::kind::{Kind, SEPARATOR};

/// One parameter and the literal after it, which is empty only where the pattern ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Param {
    pub(super) name: Box<str>,
    pub(super) kind: Kind,
    /// The values of the kind.
    pub(super) values: Automaton,
    pub(super) tail: Vec<u8>,
}

/// How far a topic was read.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct At {
    /// The parameter whose value, or the literal after it, is being read.
    param: usize,
    /// Whether the value has a byte.
    begun: bool,
    /// The state of the value, were the last byte one of it.
    value: u16,
    /// The places where the value may have ended before, and the literal begun.
    ends: Vec<End>,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct End {
    /// How much of the literal was read since.
    len: usize,
    /// Whether what was read before it is a value of the kind.
    good: bool,
}

/// The automaton of these parameters and of the literals after them.
pub(super) fn join(params: &[Param]) -> Result<Automaton, TooLarge> {
    let mut classes = Classes::one();
    classes.single_out(&[SEPARATOR]);
    for param in params {
        classes.refine(|byte| param.values.class_of(byte));
        classes.single_out(&param.tail);
    }
    Automaton::new(&classes, At::start(0), |at, byte| at.step(params, byte), |at| at.accepts(params))
}

impl At {
    fn start(param: usize) -> At {
        At { param, begun: false, value: START, ends: Vec::new() }
    }

    fn step(&self, params: &[Param], byte: u8) -> Option<At> {
        let Param { values, tail, .. } = &params[self.param];
        let goes_on = self.ends.iter().filter(|end| tail.get(end.len) == Some(&byte));
        let mut ends: Vec<_> = goes_on.map(|end| End { len: end.len + 1, good: end.good }).collect();
        if self.begun && self.value != DEAD && tail.first() == Some(&byte) {
            ends.push(End { len: 1, good: values.accepts(self.value) });
        }
        if self.param + 1 < params.len() {
            // The first place where the literal follows ends the value, good or bad.
            if let Some(end) = ends.iter().find(|end| end.len == tail.len()) {
                return end.good.then(|| At::start(self.param + 1));
            }
        } else {
            // The last literal is at the end of the topic: where else it stands says nothing.
            ends.retain(|end| end.good);
        }
        let value = values.step(self.value, byte);
        let hope = value != DEAD || ends.iter().any(|end| end.good);
        hope.then_some(At { param: self.param, begun: true, value, ends })
    }

    fn accepts(&self, params: &[Param]) -> bool {
        let Param { values, tail, .. } = &params[self.param];
        let last = self.param + 1 == params.len();
        let ended = if tail.is_empty() {
            self.begun && values.accepts(self.value)
        } else {
            self.ends.iter().any(|end| end.good && end.len == tail.len())
        };
        last && ended
    }
}
