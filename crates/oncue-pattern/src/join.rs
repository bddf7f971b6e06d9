//! The automaton of all that follows a pattern's head: the values of each parameter, and the literals between them. The
//! literals decide where a value ends, so the automaton does not backtrack.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::automaton::{Automaton, Classes, DEAD, START, TooLarge};
use super::kind::{Kind, SEPARATOR};

/// One parameter and the literal after it, which is empty only at the end of the pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Param {
    pub(super) name: Box<str>,
    pub(super) kind: Kind,
    /// The values of the kind.
    pub(super) values: Automaton,
    pub(super) tail: Vec<u8>,
}

/// How much of a topic was read.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct At {
    /// The parameter whose value, or the literal after it, is being read.
    param: usize,
    /// Whether the value has at least one byte.
    begun: bool,
    /// The state of the value's automaton, if the last byte belongs to the value.
    value: u16,
    /// The places where the value may have ended and the literal begun.
    ends: Vec<End>,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct End {
    /// How many bytes of the literal were read since then.
    len: usize,
    /// Whether the bytes before it are a value of the kind.
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
            // The first place where the literal follows ends the value, whether it is of the kind or not.
            if let Some(end) = ends.iter().find(|end| end.len == tail.len()) {
                return end.good.then(|| At::start(self.param + 1));
            }
        } else {
            // The last literal counts only at the end of the topic.
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
