//! The kinds of parameters: which values each accepts. A kind is a set of words of one or more bytes other than `/`. It
//! does not decide where a value ends.

use alloc::boxed::Box;
use core::cmp::Ordering;
use core::fmt;

use super::automaton::{Automaton, Classes};

/// The byte that no parameter matches.
pub(super) const SEPARATOR: u8 = b'/';
/// The longest text of a [`Kind::Expression`], in bytes.
pub(super) const EXPRESSION_BYTES_MAX: usize = 1000;

/// Which values a parameter accepts. Whatever the kind, a value has at least one byte, and no `/`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// `{name}`: any value.
    Any,
    /// `{name:int}`: a number from 0 to 9223372036854775807 in decimal digits, without a sign and without leading
    /// zeros. So each number has one topic, fits every 64-bit type, and never looks like an option.
    Int,
    /// `{name:word}`: one or more ASCII letters, digits and `_`. Case matters.
    Word,
    /// `{name:/expression/}`: what the regular expression matches from the first byte to the last. See
    /// [`Pattern::parse`](super::Pattern::parse).
    Expression(Box<str>),
}

/// The largest value of `int`.
const INT_MAX: &[u8; 19] = b"9223372036854775807";

/// How much of a number was read.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Digits {
    /// The number of digits, and how they compare to as many digits of `INT_MAX`.
    Some(usize, Ordering),
    /// A zero, which nothing may follow.
    Zero,
}

impl fmt::Display for Kind {
    /// The kind as it is written after the `:` of a parameter; `any` for [`Kind::Any`], which is not written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Any => f.write_str("any"),
            Kind::Int => f.write_str("int"),
            Kind::Word => f.write_str("word"),
            Kind::Expression(text) => write!(f, "/{text}/"),
        }
    }
}

/// One or more bytes other than the separator.
pub(super) fn any() -> Automaton {
    let mut classes = Classes::one();
    classes.single_out(&[SEPARATOR]);
    some_of(&classes, |byte| byte != SEPARATOR)
}

pub(super) fn word() -> Automaton {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let mut classes = Classes::one();
    classes.refine(|byte| u8::from(is_word(byte)));
    some_of(&classes, is_word)
}

fn some_of(classes: &Classes, allowed: impl Fn(u8) -> bool) -> Automaton {
    Automaton::new(classes, false, |_, byte| allowed(byte).then_some(true), |&begun| begun)
        .expect("two states are not too many")
}

pub(super) fn int() -> Automaton {
    let mut classes = Classes::one();
    classes.single_out(b"0123456789");
    Automaton::new(&classes, Digits::Some(0, Ordering::Equal), next_digit, |digits| {
        *digits != Digits::Some(0, Ordering::Equal)
    })
    .expect("19 digits do not need many states")
}

fn next_digit(digits: &Digits, byte: u8) -> Option<Digits> {
    let Digits::Some(len, order) = *digits else { return None };
    if !byte.is_ascii_digit() {
        return None;
    }
    if len == 0 && byte == b'0' {
        return Some(Digits::Zero);
    }
    let order = order.then(byte.cmp(INT_MAX.get(len)?));
    let too_large = len + 1 == INT_MAX.len() && order == Ordering::Greater;
    (!too_large).then_some(Digits::Some(len + 1, order))
}
