//! A table of a config, read key by key: each key has a type, an unknown one is answered with the nearest that is
//! known, and every problem has a place. What the keys mean is not known here.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::nearest::nearest;
use crate::args::{self, Heartbeat};

/// The most feeds, processes or topics that a config may allow.
pub(super) const COUNT_MAX: usize = 16_777_216;
/// The longest line, output or queue that a config may allow: 1 GiB.
pub(super) const BYTES_MAX: usize = 1 << 30;

/// Something wrong with a config, and where: the offset in bytes from the start of its text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Problem {
    pub(crate) at: usize,
    pub(crate) text: String,
}

/// All that is wrong, as it is found: one reading shows every mistake.
#[derive(Debug, Default)]
pub(super) struct Problems(pub(super) Vec<Problem>);

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct At<T> {
    pub(super) at: usize,
    pub(super) value: T,
}

/// Texts by name, each name with its place.
pub(super) type Entries = Vec<(At<String>, String)>;

/// The keys of one table that have not been taken yet.
pub(super) struct Keys<'i> {
    /// How messages call the table, such as "route 2 (`clock`)".
    pub(super) name: String,
    /// Where it begins.
    pub(super) at: usize,
    table: DeTable<'i>,
}

/// What a key has that may have either.
pub(super) enum Found<'i, T> {
    Value(T),
    Table(Keys<'i>),
}

impl Problems {
    pub(super) fn add(&mut self, at: usize, text: impl Into<String>) {
        self.0.push(Problem { at, text: text.into() });
    }
}

impl<'i> Keys<'i> {
    pub(super) fn new(name: impl Into<String>, at: usize, table: DeTable<'i>) -> Keys<'i> {
        Keys { name: name.into(), at, table }
    }

    /// Whether the key is there and has not been taken.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Takes the value of a key as `read` understands it, and where it stands. What `read` cannot understand is a
    /// problem.
    pub(super) fn take<T>(
        &mut self,
        key: &str,
        problems: &mut Problems,
        read: impl FnOnce(DeValue<'i>) -> Result<T, String>,
    ) -> Option<At<T>> {
        let (_, value) = self.table.remove_entry(key)?;
        let at = value.span().start;
        match read(value.into_inner()) {
            Ok(value) => Some(At { at, value }),
            Err(why) => {
                problems.add(at, format!("`{key}` of {}: {why}", self.name));
                None
            }
        }
    }

    pub(super) fn text(&mut self, key: &str, problems: &mut Problems) -> Option<At<String>> {
        self.take(key, problems, text)
    }

    pub(super) fn duration(&mut self, key: &str, problems: &mut Problems) -> Option<Duration> {
        self.take(key, problems, duration).map(|found| found.value)
    }

    /// A time between two ticks.
    pub(super) fn tick(&mut self, key: &str, problems: &mut Problems) -> Option<Duration> {
        self.take(key, problems, tick).map(|found| found.value)
    }

    /// How a socket notices that peers have gone, by two keys.
    pub(super) fn heartbeat(&mut self, keys: [&str; 2], problems: &mut Problems) -> Heartbeat {
        let interval = self.take(keys[0], problems, |value| match value {
            DeValue::String(text) => args::heartbeat(&text),
            other => tick(other).map(Some),
        });
        let timeout = self.take(keys[1], problems, tick);
        let at = timeout.as_ref().map(|found| found.at).or(interval.as_ref().map(|found| found.at));
        let names = keys.map(|key| format!("`{key}`"));
        let of = Heartbeat::of(
            interval.map(|found| found.value),
            timeout.map(|found| found.value),
            [&names[0], &names[1]],
        );
        of.unwrap_or_else(|why| {
            problems.add(at.unwrap_or(self.at), why);
            Heartbeat::default()
        })
    }

    pub(super) fn flag(&mut self, key: &str, problems: &mut Problems) -> Option<bool> {
        self.take(key, problems, flag).map(|found| found.value)
    }

    pub(super) fn number(
        &mut self,
        key: &str,
        range: RangeInclusive<usize>,
        problems: &mut Problems,
    ) -> Option<usize> {
        self.take(key, problems, |value| number(&value, range)).map(|found| found.value)
    }

    /// A list of texts, each with its place.
    pub(super) fn texts(&mut self, key: &str, problems: &mut Problems) -> Option<At<Vec<At<String>>>> {
        self.take(key, problems, texts)
    }

    /// A list of texts, or a table.
    pub(super) fn texts_or_table(
        &mut self,
        key: &str,
        problems: &mut Problems,
    ) -> Option<Found<'i, Vec<At<String>>>> {
        self.or_table(key, problems, texts)
    }

    /// True, false, or a table.
    pub(super) fn flag_or_table(&mut self, key: &str, problems: &mut Problems) -> Option<Found<'i, bool>> {
        self.or_table(key, problems, flag)
    }

    fn or_table<T>(
        &mut self,
        key: &str,
        problems: &mut Problems,
        read: impl FnOnce(DeValue<'i>) -> Result<T, String>,
    ) -> Option<Found<'i, T>> {
        let name = format!("`{key}` of {}", self.name);
        let at = self.table.get(key)?.span().start;
        let found = self.take(key, problems, |value| match value {
            DeValue::Table(table) => Ok(Found::Table(Keys::new(name, at, table))),
            other => read(other).map(Found::Value),
        });
        found.map(|found| found.value)
    }

    /// One text or a list of texts.
    pub(super) fn one_or_more(&mut self, key: &str, problems: &mut Problems) -> Option<At<Vec<At<String>>>> {
        let at = self.table.get(key)?.span().start;
        self.take(key, problems, |value| match value {
            DeValue::String(text) => Ok(vec![At { at, value: text.into_owned() }]),
            other => texts(other),
        })
    }

    /// A table of texts by name.
    pub(super) fn text_table(&mut self, key: &str, problems: &mut Problems) -> Option<At<Entries>> {
        self.take(key, problems, |value| {
            let DeValue::Table(table) = value else {
                return Err(format!(
                    "{} stands where a table such as {{ LANG = \"C\" }} should",
                    kind(&value)
                ));
            };
            let entries = table.into_iter().map(|(name, value)| {
                let name = At { at: name.span().start, value: name.into_inner().into_owned() };
                let value = text(value.into_inner()).map_err(|why| format!("`{}`: {why}", name.value))?;
                Ok((name, value))
            });
            entries.collect()
        })
    }

    /// The tables of `[[key]]`.
    pub(super) fn tables(&mut self, key: &str, problems: &mut Problems) -> Vec<Keys<'i>> {
        let taken = self.take(key, problems, |value| {
            let wrong = |kind| Err(format!("{kind} stands where tables should; begin each with [[{key}]]"));
            let DeValue::Array(items) = value else { return wrong(kind(&value)) };
            let mut tables = Vec::with_capacity(items.len());
            for (index, item) in items.into_iter().enumerate() {
                let at = item.span().start;
                match item.into_inner() {
                    DeValue::Table(table) => {
                        tables.push(Keys::new(format!("{key} {}", index + 1), at, table))
                    }
                    other => return wrong(kind(&other)),
                }
            }
            Ok(tables)
        });
        taken.map(|found| found.value).unwrap_or_default()
    }

    /// Ends the reading: keys that were not taken are a problem. `known` are those that this kind of table may have
    /// at all, each with what it is for, to be told where it means nothing.
    pub(super) fn finish(self, known: &[(&'static str, &'static str)], problems: &mut Problems) {
        for key in self.table.keys() {
            let name = key.get_ref();
            let text = match known.iter().find(|(known, _)| known == name) {
                Some((_, purpose)) => {
                    format!("`{name}` means nothing in {}: {purpose}; leave it out", self.name)
                }
                None => {
                    let remedy = match nearest(name, known.iter().map(|(known, _)| *known)) {
                        Some(known) => format!("did you mean `{known}`?"),
                        None => format!("leave it out; known are {}", list(known)),
                    };
                    format!("unknown key `{name}` in {}; {remedy}", self.name)
                }
            };
            problems.add(key.span().start, text);
        }
    }
}

fn list(known: &[(&str, &str)]) -> String {
    known.iter().map(|(key, _)| format!("`{key}`")).collect::<Vec<_>>().join(", ")
}

fn text(value: DeValue<'_>) -> Result<String, String> {
    match value {
        DeValue::String(text) => Ok(text.into_owned()),
        other => Err(format!("{} stands where a text in quotes should", kind(&other))),
    }
}

fn texts(value: DeValue<'_>) -> Result<Vec<At<String>>, String> {
    let DeValue::Array(items) = value else {
        return Err(format!("{} stands where a list such as [\"a\", \"b\"] should", kind(&value)));
    };
    let read = |item: Spanned<DeValue<'_>>| {
        let at = item.span().start;
        Ok(At { at, value: text(item.into_inner())? })
    };
    items.into_iter().map(read).collect()
}

fn flag(value: DeValue<'_>) -> Result<bool, String> {
    match value {
        DeValue::Boolean(flag) => Ok(flag),
        other => Err(format!("{} stands where true or false should", kind(&other))),
    }
}

fn duration(value: DeValue<'_>) -> Result<Duration, String> {
    match value {
        DeValue::String(text) => args::duration(&text),
        other => Err(format!("{} stands where a duration should; write it as \"500ms\"", kind(&other))),
    }
}

fn tick(value: DeValue<'_>) -> Result<Duration, String> {
    duration(value.clone())?;
    args::tick(&text(value)?)
}

fn number(value: &DeValue<'_>, range: RangeInclusive<usize>) -> Result<usize, String> {
    let DeValue::Integer(digits) = value else {
        return Err(format!("{} stands where a whole number should", kind(value)));
    };
    let number = usize::from_str_radix(digits.as_str(), digits.radix());
    let within = |number: &usize| range.contains(number);
    number.ok().filter(within).ok_or_else(|| {
        let (low, high): (&dyn Display, &dyn Display) = (range.start(), range.end());
        format!("{digits} is not from {low} to {high}")
    })
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a point",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
