//! A pattern, and what it says about a topic and about a prefix. `parse` reads patterns, `compare` compares them.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use super::automaton::{Automaton, DEAD, ENDED};
use super::error::TopicError;
use super::join::Param;
use super::kind::{Kind, SEPARATOR};

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
    /// The literal before the first parameter; the whole topic if there is no parameter.
    pub(super) head: Box<[u8]>,
    pub(super) params: Arc<[Param]>,
    /// The automaton of what follows the head; `None` if nothing does.
    pub(super) automaton: Option<Arc<Automaton>>,
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
    /// The prefix is a whole topic of the pattern. It may be the beginning of longer topics as well.
    Exact,
    /// The prefix is not a topic of the pattern, but some topics of it begin with the prefix.
    Partial,
    /// No topic of the pattern begins with the prefix.
    None,
}

impl Pattern {
    /// The pattern of one topic, of any bytes; braces have no special meaning.
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

    /// Which values the parameter of this name accepts; `None` if there is no such parameter.
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

    /// What a prefix means to this pattern. The answer is exact, whatever the kinds of the parameters are.
    pub fn prefix(&self, prefix: &[u8]) -> PrefixMeaning {
        let Some(rest) = prefix.strip_prefix(&*self.head) else {
            // Every pattern has at least one topic.
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
    /// [`TopicError`] when a value is missing, belongs to no parameter, is not of the parameter's kind, or would not be
    /// parsed back from the topic.
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

    pub(super) fn automaton(&self) -> &Automaton {
        self.automaton.as_deref().unwrap_or(&ENDED)
    }

    /// Where the values of a topic are. Does not check their kinds.
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
    /// The pattern as [`Pattern::parse`] reads it, except for bytes that are not UTF-8, which are shown as `\xNN`.
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
