//! Patterns of routes over topics: literals (`clock`) and parameters (`prices/{symbol}`). What a pattern says about a
//! topic and about a prefix is decided here; feeds, peers and demand are unknown to it.
//!
//! A parameter stands for one or more bytes other than `/`. Where a value ends is decided by the literals alone: at
//! the first place where the literal after it follows, and for the last parameter at the end of the topic. So a match
//! is unique, needs no backtracking and costs one pass. A kind of parameter may refuse a value, never move its end.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use self::overlap::Symbol;

mod overlap;
mod parse;
#[cfg(test)]
mod tests;

pub use self::parse::{PatternError, PatternProblem};

/// The byte that no parameter matches.
const SEPARATOR: u8 = b'/';

/// A set of topics: those that a route serves.
///
/// ```
/// use oncue_core::topic::pattern::{Pattern, PrefixMeaning};
///
/// let pattern = Pattern::parse("prices/{symbol}").unwrap();
/// let params = pattern.match_topic(b"prices/AAPL").unwrap();
/// assert_eq!(params.get("symbol"), Some(7..11));
/// assert_eq!(pattern.prefix(b"prices/AA"), PrefixMeaning::Exact);
/// assert_eq!(pattern.prefix(b"pri"), PrefixMeaning::Partial);
/// assert_eq!(pattern.prefix(b"news"), PrefixMeaning::None);
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Pattern {
    /// What comes before the first parameter; all there is when no parameter follows.
    head: Box<[u8]>,
    params: Arc<[Param]>,
}

/// One parameter and the literal after it, which is empty only where the pattern ends.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Param {
    name: Box<str>,
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
/// first is the greater. Patterns of which neither lies within the other compare too, but that says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Specificity(usize);

/// Why a topic could not be made of the values given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TopicError {
    /// No value was given for this parameter.
    Missing(String),
    /// The pattern has no parameter of this name.
    Unknown(String),
    /// The value given for this parameter is empty or holds a `/`.
    BadValue(String),
    /// The topic would be read back with other values: a value holds the literal that ends it.
    Ambiguous(String),
}

impl Pattern {
    /// Reads a pattern: `{name}` is a parameter, `{{` and `}}` are braces, everything else stands for itself.
    /// A name is an ASCII letter or `_`, then letters, digits and `_`; `{name:kind}` is kept for kinds of parameters.
    ///
    /// # Errors
    /// [`PatternError`] says at which byte the text is wrong, and how to write it.
    pub fn parse(text: &str) -> Result<Pattern, PatternError> {
        parse::parse(text)
    }

    /// The pattern of one topic, of any bytes; braces are bytes like all others.
    pub fn literal(topic: impl Into<Vec<u8>>) -> Pattern {
        Pattern { head: topic.into().into_boxed_slice(), params: Arc::new([]) }
    }

    /// The topic, if the pattern has exactly one.
    pub fn as_literal(&self) -> Option<&[u8]> {
        self.params.is_empty().then_some(&self.head)
    }

    /// The names of the parameters, in the order of the pattern.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.params.iter().map(|param| &*param.name)
    }

    /// Whether this is a topic of the pattern.
    pub fn matches(&self, topic: &[u8]) -> bool {
        self.walk(topic, |_| ())
    }

    /// The values of the parameters if this is a topic of the pattern.
    pub fn match_topic(&self, topic: &[u8]) -> Option<Params> {
        let mut values = Vec::with_capacity(self.params.len());
        self.walk(topic, |value| values.push(value))
            .then(|| Params { params: self.params.clone(), values: values.into_boxed_slice() })
    }

    /// What a prefix means to this pattern.
    pub fn prefix(&self, prefix: &[u8]) -> PrefixMeaning {
        if self.matches(prefix) {
            PrefixMeaning::Exact
        } else if self.may_begin(prefix) {
            PrefixMeaning::Partial
        } else {
            PrefixMeaning::None
        }
    }

    /// The topic that has these values.
    ///
    /// # Errors
    /// [`TopicError`] when a value is missing, is of no parameter, or would not be read back from the topic.
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
            expected.push(topic.len()..topic.len() + value.len());
            topic.extend_from_slice(value);
            topic.extend_from_slice(&param.tail);
        }
        let read = self.match_topic(&topic).map(|params| params.values).unwrap_or_default();
        for (index, param) in self.params.iter().enumerate() {
            if read.get(index) != expected.get(index) {
                return Err(TopicError::Ambiguous(param.name.clone().into_string()));
            }
        }
        Ok(topic)
    }

    /// Whether some topic belongs to both patterns.
    pub fn overlaps(&self, other: &Pattern) -> bool {
        self.heads_agree(other) && overlap::meet(&self.symbols(), &other.symbols())
    }

    /// Whether every topic of `other` is a topic of this pattern too.
    pub fn covers(&self, other: &Pattern) -> bool {
        self.heads_agree(other) && overlap::meet(&self.symbols(), &other.sample())
    }

    /// How narrow the pattern is: see [`Specificity`].
    pub fn specificity(&self) -> Specificity {
        // Were all topics of A topics of B, each literal byte of B would meet a literal byte of A. So A has as many
        // at least, and with equally many the two would be the same pattern.
        Specificity(self.head.len() + self.params.iter().map(|param| param.tail.len()).sum::<usize>())
    }

    fn walk(&self, topic: &[u8], mut value_at: impl FnMut(Range<usize>)) -> bool {
        let Some(mut rest) = topic.strip_prefix(&*self.head) else { return false };
        let Some((last, inner)) = self.params.split_last() else { return rest.is_empty() };
        for param in inner {
            let Some(len) = value_len(rest, &param.tail) else { return false };
            let at = topic.len() - rest.len();
            value_at(at..at + len);
            rest = &rest[len + param.tail.len()..];
        }
        let Some(value) = rest.strip_suffix(&*last.tail) else { return false };
        let at = topic.len() - rest.len();
        value_at(at..at + value.len());
        !value.is_empty() && !value.contains(&SEPARATOR)
    }

    fn may_begin(&self, prefix: &[u8]) -> bool {
        let Some(mut rest) = prefix.strip_prefix(&*self.head) else { return self.head.starts_with(prefix) };
        for param in self.params.iter() {
            let Some(bound) = rest.iter().position(|&byte| byte == SEPARATOR) else {
                // The value may go on beyond the prefix, and all the rest of the pattern may come after it.
                return true;
            };
            let Some(len) = value_len(rest, &param.tail) else {
                return (1..=bound).any(|len| param.tail.starts_with(&rest[len..]));
            };
            rest = &rest[len + param.tail.len()..];
        }
        rest.is_empty()
    }

    fn heads_agree(&self, other: &Pattern) -> bool {
        self.head.iter().zip(&*other.head).all(|(a, b)| a == b)
    }

    fn symbols(&self) -> Vec<Symbol> {
        self.spell(&[Symbol::One, Symbol::More])
    }

    /// A topic whose values are of a byte that no pattern names: what matches it matches every topic of `self`.
    fn sample(&self) -> Vec<Symbol> {
        self.spell(&[Symbol::Unnamed])
    }

    fn spell(&self, value: &[Symbol]) -> Vec<Symbol> {
        let literal = |bytes: &[u8]| bytes.iter().map(|&byte| Symbol::Byte(byte)).collect::<Vec<_>>();
        let mut symbols = literal(&self.head);
        for param in self.params.iter() {
            symbols.extend_from_slice(value);
            symbols.extend(literal(&param.tail));
        }
        symbols
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
            write!(f, "{{{}}}", param.name)?;
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
            TopicError::Ambiguous(name) => write!(
                f,
                "the topic would be read back with another value of `{name}`; give one without the literal after it"
            ),
        }
    }
}

impl core::error::Error for TopicError {}
