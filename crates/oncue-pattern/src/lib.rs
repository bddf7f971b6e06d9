//! Patterns of routes over topics: literals (`clock`) and parameters (`prices/{symbol}`, `proc/{pid:int}/rss`). What a
//! pattern says about a topic and about a prefix is decided here; feeds, peers and demand are unknown to it.
//!
//! A parameter stands for one or more bytes other than `/`. Where a value ends is decided by the literals alone: at
//! the first place where the literal after it follows, and for the last parameter at the end of the topic. So a match
//! is unique and needs no backtracking. A kind of parameter may refuse a value, never move its end.
//!
//! Each pattern is made into one deterministic automaton of a bounded size when it is read. So what a stranger sends
//! costs a step a byte, and what a prefix means, what two patterns share and which is the narrower are exact.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::fmt;
use core::ops::Range;

use self::automaton::{Automaton, DEAD};

mod automaton;
mod compare;
mod expression;
mod join;
mod kind;
mod parse;
#[cfg(test)]
mod tests;

pub use self::kind::Kind;
pub use self::parse::{PatternError, PatternProblem};

/// The byte that no parameter matches.
const SEPARATOR: u8 = b'/';

/// A set of topics: those that a route serves.
///
/// ```
/// use oncue_pattern::{Pattern, PrefixMeaning};
///
/// let pattern = Pattern::parse("prices/{symbol}").unwrap();
/// let params = pattern.match_topic(b"prices/AAPL").unwrap();
/// assert_eq!(params.get("symbol"), Some(7..11));
/// assert_eq!(pattern.prefix(b"prices/AA"), PrefixMeaning::Exact);
/// assert_eq!(pattern.prefix(b"pri"), PrefixMeaning::Partial);
/// assert_eq!(pattern.prefix(b"news"), PrefixMeaning::None);
///
/// let by_number = Pattern::parse("proc/{pid:int}/rss").unwrap();
/// assert!(by_number.matches(b"proc/12/rss") && !by_number.matches(b"proc/012/rss"));
/// assert_eq!(by_number.prefix(b"proc/1"), PrefixMeaning::Partial);
/// assert_eq!(by_number.prefix(b"proc/a"), PrefixMeaning::None);
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Pattern {
    /// What comes before the first parameter; all there is when no parameter follows.
    head: Box<[u8]>,
    params: Arc<[Param]>,
    /// What follows the head; `None` when nothing does.
    automaton: Option<Arc<Automaton>>,
}

/// One parameter and the literal after it, which is empty only where the pattern ends.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Param {
    name: Box<str>,
    kind: Kind,
    /// The values of the kind.
    values: Automaton,
    tail: Box<[u8]>,
}

/// Where the values of a topic's parameters are, in the order of the pattern.
#[derive(Clone, PartialEq, Eq)]
pub struct Params {
    params: Arc<[Param]>,
    values: Box<[Range<usize>]>,
}

/// What a subscription's prefix means to one pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrefixMeaning {
    /// The prefix is a whole topic of the pattern. It may at once be the beginning of longer ones.
    Exact,
    /// The prefix is not a topic of the pattern, but some topics of it begin with the prefix.
    Partial,
    /// No topic of the pattern begins with the prefix.
    None,
}

/// How narrow a pattern is. Where all topics of one pattern are topics of another as well, and not the reverse, the
/// first is the greater; where both have the same topics, they are equal. Patterns of which neither lies within the
/// other compare too, in an order that is the same everywhere and says nothing else.
#[derive(Debug, Clone)]
pub struct Specificity(Pattern);

/// Why a topic could not be made of the values given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TopicError {
    /// No value was given for this parameter.
    Missing(String),
    /// The pattern has no parameter of this name.
    Unknown(String),
    /// The value given for this parameter is empty or holds a `/`.
    BadValue(String),
    /// The value given for this parameter is not of its kind.
    NotOfKind(String, Kind),
    /// The topic would be read back with other values: a value holds the literal that ends it.
    Ambiguous(String),
}

impl Pattern {
    /// Reads a pattern: `{name}` is a parameter, `{{` and `}}` are braces, everything else stands for itself.
    /// A name is an ASCII letter or `_`, then letters, digits and `_`.
    ///
    /// `{name:int}`, `{name:word}` and `{name:/expression/}` take the values of a [`Kind`] alone. A regular expression
    /// stands between slashes and ends at the next one, since no value holds a `/`; braces in it need no care. It takes
    /// a value as a whole, so `^` and `$` are refused, as are `\b` and its like. It is about bytes: `.` is any byte
    /// but a newline, `\w`, `\d`, `\s` and `(?i)` are ASCII, and a character beyond ASCII stands for its bytes in
    /// UTF-8, in a class only after `(?u)`. Otherwise the syntax is that of the crate `regex`; matching needs
    /// one step a byte, whatever the expression.
    ///
    /// An expression has at most 1000 bytes, and the automaton of all that follows the first literal at most 1024
    /// states: about one for each byte of a literal, and one for each that an expression counts, as in `.{1,64}`.
    ///
    /// # Errors
    /// [`PatternError`] says at which byte the text is wrong, and how to write it.
    pub fn parse(text: &str) -> Result<Pattern, PatternError> {
        parse::parse(text)
    }

    /// The pattern of one topic, of any bytes; braces are bytes like all others.
    pub fn literal(topic: impl Into<Vec<u8>>) -> Pattern {
        Pattern { head: topic.into().into_boxed_slice(), params: Arc::new([]), automaton: None }
    }

    /// The topic, if the pattern has exactly one.
    pub fn as_literal(&self) -> Option<&[u8]> {
        self.params.is_empty().then_some(&self.head)
    }

    /// The names of the parameters, in the order of the pattern.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.params.iter().map(|param| &*param.name)
    }

    /// What values the parameter of this name takes; `None` if there is no such parameter.
    pub fn kind(&self, name: &str) -> Option<&Kind> {
        self.params.iter().find(|param| *param.name == *name).map(|param| &param.kind)
    }

    /// Whether this is a topic of the pattern.
    pub fn matches(&self, topic: &[u8]) -> bool {
        topic.strip_prefix(&*self.head).is_some_and(|rest| self.automaton().matches(rest))
    }

    /// The values of the parameters if this is a topic of the pattern.
    pub fn match_topic(&self, topic: &[u8]) -> Option<Params> {
        let values = self.matches(topic).then(|| self.split(topic))??;
        Some(Params { params: self.params.clone(), values })
    }

    /// What a prefix means to this pattern: always exactly, whatever the kinds of parameters are.
    pub fn prefix(&self, prefix: &[u8]) -> PrefixMeaning {
        let Some(rest) = prefix.strip_prefix(&*self.head) else {
            // Every pattern has a topic.
            return if self.head.starts_with(prefix) { PrefixMeaning::Partial } else { PrefixMeaning::None };
        };
        match self.automaton().run(rest) {
            DEAD => PrefixMeaning::None,
            state if self.automaton().accepts(state) => PrefixMeaning::Exact,
            _ => PrefixMeaning::Partial,
        }
    }

    /// The topic that has these values.
    ///
    /// # Errors
    /// [`TopicError`] when a value is missing, is of no parameter or not of its kind, or would not be read back from the topic.
    pub fn topic<V: AsRef<[u8]>>(&self, values: &[(&str, V)]) -> Result<Vec<u8>, TopicError> {
        if let Some((name, _)) = values.iter().find(|(name, _)| self.names().all(|known| known != *name)) {
            return Err(TopicError::Unknown((*name).to_owned()));
        }
        let mut topic = self.head.to_vec();
        let mut expected = Vec::with_capacity(self.params.len());
        for param in self.params.iter() {
            let name = || param.name.clone().into_string();
            let Some((_, value)) = values.iter().find(|(name, _)| *name == &*param.name) else {
                return Err(TopicError::Missing(name()));
            };
            let value = value.as_ref();
            if value.is_empty() || value.contains(&SEPARATOR) {
                return Err(TopicError::BadValue(name()));
            }
            if !param.values.matches(value) {
                return Err(TopicError::NotOfKind(name(), param.kind.clone()));
            }
            expected.push(topic.len()..topic.len() + value.len());
            topic.extend_from_slice(value);
            topic.extend_from_slice(&param.tail);
        }
        let read = self.split(&topic).unwrap_or_default();
        for (index, param) in self.params.iter().enumerate() {
            if read.get(index) != expected.get(index) {
                return Err(TopicError::Ambiguous(param.name.clone().into_string()));
            }
        }
        Ok(topic)
    }

    /// Whether some topic belongs to both patterns.
    pub fn overlaps(&self, other: &Pattern) -> bool {
        compare::overlap(self, other)
    }

    /// Whether every topic of `other` is a topic of this pattern too.
    pub fn covers(&self, other: &Pattern) -> bool {
        compare::cover(self, other)
    }

    /// How narrow the pattern is: see [`Specificity`].
    pub fn specificity(&self) -> Specificity {
        Specificity(self.clone())
    }

    fn automaton(&self) -> &Automaton {
        self.automaton.as_deref().unwrap_or(&automaton::ENDED)
    }

    /// Where the values of a topic are, of whatever kinds.
    fn split(&self, topic: &[u8]) -> Option<Box<[Range<usize>]>> {
        let mut values = Vec::with_capacity(self.params.len());
        let mut rest = topic.strip_prefix(&*self.head)?;
        if let Some((last, inner)) = self.params.split_last() {
            for param in inner {
                let len = value_len(rest, &param.tail)?;
                let at = topic.len() - rest.len();
                values.push(at..at + len);
                rest = &rest[len + param.tail.len()..];
            }
            let value = rest.strip_suffix(&*last.tail)?;
            let at = topic.len() - rest.len();
            values.push(at..at + value.len());
        }
        Some(values.into_boxed_slice())
    }
}

/// The length of the shortest value at the start of `rest` that `tail` follows.
fn value_len(rest: &[u8], tail: &[u8]) -> Option<usize> {
    let bound = rest.iter().position(|&byte| byte == SEPARATOR).unwrap_or(rest.len());
    (1..=bound).find(|&len| rest[len..].starts_with(tail))
}

impl fmt::Display for Pattern {
    /// The pattern as [`Pattern::parse`] reads it; bytes that are not UTF-8 as `\xNN`, which it does not.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_literal(f, &self.head)?;
        for param in self.params.iter() {
            match &param.kind {
                Kind::Any => write!(f, "{{{}}}", param.name)?,
                kind => write!(f, "{{{}:{kind}}}", param.name)?,
            }
            write_literal(f, &param.tail)?;
        }
        Ok(())
    }
}

fn write_literal(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '{' => f.write_str("{{")?,
                '}' => f.write_str("}}")?,
                c if c.is_control() => write!(f, "{}", c.escape_default())?,
                c => write!(f, "{c}")?,
            }
        }
        for byte in chunk.invalid() {
            write!(f, "\\x{byte:02x}")?;
        }
    }
    Ok(())
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern(`{self}`)")
    }
}

impl PartialEq for Specificity {
    fn eq(&self, other: &Specificity) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Specificity {}

impl PartialOrd for Specificity {
    fn partial_cmp(&self, other: &Specificity) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Specificity {
    fn cmp(&self, other: &Specificity) -> Ordering {
        compare::order(&self.0, &other.0)
    }
}

impl Params {
    /// Where the value of a parameter is in the topic; `None` if the pattern has no parameter of this name.
    pub fn get(&self, name: &str) -> Option<Range<usize>> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// The parameters and where their values are in the topic, in the order of the pattern.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, Range<usize>)> {
        self.params.iter().zip(&self.values).map(|(param, value)| (&*param.name, value.clone()))
    }
}

impl fmt::Debug for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl fmt::Display for TopicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TopicError::Missing(name) => write!(f, "no value for the parameter `{name}`; give one"),
            TopicError::Unknown(name) => write!(f, "the pattern has no parameter `{name}`; leave it out"),
            TopicError::BadValue(name) => {
                write!(f, "the value of `{name}` is empty or holds a `/`; give one or more bytes without `/`")
            }
            TopicError::NotOfKind(name, kind) => {
                write!(f, "the value of `{name}` is not of its kind, `{kind}`; give one that is")
            }
            TopicError::Ambiguous(name) => write!(
                f,
                "the topic would be read back with another value of `{name}`; give one without the literal after it"
            ),
        }
    }
}

impl core::error::Error for TopicError {}
