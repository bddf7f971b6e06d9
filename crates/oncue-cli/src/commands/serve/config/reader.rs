//! A table of a config, read key by key. What each key may be is in [`keys`](super::keys); every problem has a place, and
//! all of them are collected. What the values mean is not known here.

use std::cell::RefCell;
use std::fmt::Display;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{self, Kind, Places, Without};
use super::nearest::nearest;
use crate::args;

/// Something wrong with a config, and where: the offset in bytes from the start of its text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Problem {
    pub(crate) at: usize,
    pub(crate) text: String,
}

/// All that is wrong, as it is found: one reading shows every mistake.
#[derive(Debug, Default)]
pub(super) struct Problems(RefCell<Vec<Problem>>);

/// A value and where it stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct At<T> {
    pub(super) at: usize,
    pub(super) value: T,
}

/// The keys of one table that have not been taken yet.
pub(super) struct Keys<'i, 'p> {
    /// How messages call the table, such as "route 2 (`clock`)".
    pub(super) name: String,
    /// Where it begins.
    pub(super) at: usize,
    /// Which place it is. Where that is not known, several: keys of all of them are accepted.
    pub(super) places: Places,
    pub(super) problems: &'p Problems,
    table: DeTable<'i>,
}

/// What a key has that may have either.
pub(super) enum Found<'i, T> {
    Value(T),
    Table(DeTable<'i>),
}

/// A type that the value of a key may be read as.
pub(super) trait Field<'i>: Sized {
    /// Reads a value that is to be of this kind.
    ///
    /// # Errors
    /// Why it is not.
    fn read(value: Spanned<DeValue<'i>>, kind: &Kind) -> Result<Self, String>;
}

impl Problems {
    pub(super) fn add(&self, at: usize, text: impl Into<String>) {
        self.0.borrow_mut().push(Problem { at, text: text.into() });
    }

    pub(super) fn count(&self) -> usize {
        self.0.borrow().len()
    }

    /// The problems in the order of the text.
    pub(super) fn sorted(self) -> Vec<Problem> {
        let mut problems = self.0.into_inner();
        problems.sort();
        problems
    }
}

impl<'i, 'p> Keys<'i, 'p> {
    pub(super) fn new(
        name: impl Into<String>,
        table: At<DeTable<'i>>,
        places: Places,
        problems: &'p Problems,
    ) -> Keys<'i, 'p> {
        Keys { name: name.into(), at: table.at, places, problems, table: table.value }
    }

    /// Whether the key is there and has not been taken.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// The value of a key that has not been taken, if it is a string.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.table.get(key)?.get_ref().as_str()
    }

    /// Takes the value of a key, or what holds without it. With a problem it is the type's default.
    pub(super) fn take<T: Field<'i> + Default>(&mut self, name: &str) -> T {
        let key = keys::find(name, self.places).expect("the table of keys has what is read");
        let Some((_, value)) = self.table.remove_entry(name) else {
            match key.without {
                Without::Wrong(example) => {
                    self.add(self.at, format_args!("has no `{name}`; write {name} = {example}"))
                }
                Without::Said(_) => {}
                Without::Is(text) => {
                    let value = DeValue::parse(text).expect("a default is TOML");
                    return T::read(value, &key.kind).expect("a default is of its kind");
                }
            }
            return T::default();
        };
        let at = value.span().start;
        T::read(value, &key.kind).unwrap_or_else(|why| {
            self.refuse(at, name, why);
            T::default()
        })
    }

    /// Takes the tables of `[[key]]`, which are at these places.
    pub(super) fn tables(&mut self, key: &str, places: Places) -> Vec<Keys<'i, 'p>> {
        let tables = self.take::<Vec<At<DeTable<'i>>>>(key).into_iter().enumerate();
        tables
            .map(|(index, table)| Keys::new(format!("{key} {}", index + 1), table, places, self.problems))
            .collect()
    }

    /// The table that is the value of a key.
    pub(super) fn inner(&self, key: &str, at: usize, table: DeTable<'i>, places: Places) -> Keys<'i, 'p> {
        Keys::new(format!("`{key}` of {}", self.name), At { at, value: table }, places, self.problems)
    }

    /// Something is wrong with the value of a key.
    pub(super) fn refuse(&self, at: usize, key: &str, why: impl Display) {
        self.problems.add(at, format!("`{key}` of {}: {why}", self.name));
    }

    /// Something is wrong with the table.
    pub(super) fn add(&self, at: usize, what: impl Display) {
        self.problems.add(at, format!("{} {what}", self.name));
    }

    /// Ends the reading: keys that do not belong here are a problem.
    pub(super) fn finish(self) {
        for key in self.table.keys() {
            let name: &str = key.get_ref();
            if keys::find(name, self.places).is_some() {
                continue;
            }
            let text = if let Some(places) = keys::elsewhere(name, self.places) {
                format!("`{name}` is not allowed in {}: it goes with {places}; leave it out", self.name)
            } else {
                let mut known: Vec<_> = keys::of_table(self.places).map(|key| key.name).collect();
                known.sort();
                known.dedup();
                let remedy = match nearest(name, known.iter().copied()) {
                    Some(known) => format!("did you mean `{known}`?"),
                    None => format!("leave it out; the keys are `{}`", known.join("`, `")),
                };
                format!("unknown key `{name}` in {}; {remedy}", self.name)
            };
            self.problems.add(key.span().start, text);
        }
    }
}

impl<'i, T: Field<'i>> Field<'i> for Option<T> {
    fn read(value: Spanned<DeValue<'i>>, kind: &Kind) -> Result<Self, String> {
        T::read(value, kind).map(Some)
    }
}

impl<'i, T: Field<'i>> Field<'i> for At<T> {
    fn read(value: Spanned<DeValue<'i>>, kind: &Kind) -> Result<Self, String> {
        Ok(At { at: value.span().start, value: T::read(value, kind)? })
    }
}

impl Field<'_> for String {
    fn read(value: Spanned<DeValue<'_>>, kind: &Kind) -> Result<Self, String> {
        match (value.into_inner(), kind) {
            (DeValue::String(text), Kind::Choice(texts)) if !texts.contains(&&*text) => {
                Err(format!("expected {kind}, found \"{text}\""))
            }
            (DeValue::String(text), _) => Ok(text.into_owned()),
            (other, _) => Err(unexpected(kind, &other)),
        }
    }
}

/// A list, each item with its place. One text is a list where its kind says so.
impl<'i> Field<'i> for Vec<At<String>> {
    fn read(value: Spanned<DeValue<'i>>, kind: &Kind) -> Result<Self, String> {
        let at = value.span().start;
        match (value.into_inner(), kind) {
            (DeValue::String(text), Kind::TextOrTexts) => Ok(vec![At { at, value: text.into_owned() }]),
            (DeValue::Array(items), _) => items.into_iter().map(|item| At::read(item, &Kind::Text)).collect(),
            (other, _) => Err(unexpected(kind, &other)),
        }
    }
}

impl Field<'_> for bool {
    fn read(value: Spanned<DeValue<'_>>, kind: &Kind) -> Result<Self, String> {
        value.get_ref().as_bool().ok_or_else(|| unexpected(kind, value.get_ref()))
    }
}

/// `"off"` is zero.
impl Field<'_> for Duration {
    fn read(value: Spanned<DeValue<'_>>, kind: &Kind) -> Result<Self, String> {
        match (value.get_ref(), kind) {
            (DeValue::String(text), Kind::Time) => args::duration(text),
            (DeValue::String(text), Kind::PeriodOrOff) => args::heartbeat(text),
            (DeValue::String(text), _) => args::tick(text),
            (other, _) => Err(unexpected(kind, other)),
        }
    }
}

impl Field<'_> for u64 {
    fn read(value: Spanned<DeValue<'_>>, kind: &Kind) -> Result<Self, String> {
        let (min, max) = kind.range();
        let number = match value.get_ref() {
            DeValue::Integer(digits) => u64::from_str_radix(digits.as_str(), digits.radix()).ok(),
            _ => None,
        };
        number.filter(|number| (min..=max).contains(number)).ok_or_else(|| unexpected(kind, value.get_ref()))
    }
}

/// The range of the kind is within that of the type.
impl Field<'_> for u32 {
    fn read(value: Spanned<DeValue<'_>>, kind: &Kind) -> Result<Self, String> {
        u64::read(value, kind)?.try_into().map_err(|error: std::num::TryFromIntError| error.to_string())
    }
}

impl Field<'_> for usize {
    fn read(value: Spanned<DeValue<'_>>, kind: &Kind) -> Result<Self, String> {
        u64::read(value, kind)?.try_into().map_err(|error: std::num::TryFromIntError| error.to_string())
    }
}

/// Texts by name, each name with its place.
impl<'i> Field<'i> for Vec<(At<String>, String)> {
    fn read(value: Spanned<DeValue<'i>>, kind: &Kind) -> Result<Self, String> {
        let DeValue::Table(table) = value.get_ref() else { return Err(unexpected(kind, value.get_ref())) };
        let entries = table.iter().map(|(name, value)| {
            let name = At { at: name.span().start, value: name.get_ref().clone().into_owned() };
            let value =
                String::read(value.clone(), &Kind::Text).map_err(|why| format!("`{}`: {why}", name.value))?;
            Ok((name, value))
        });
        entries.collect()
    }
}

impl<'i> Field<'i> for DeTable<'i> {
    fn read(value: Spanned<DeValue<'i>>, kind: &Kind) -> Result<Self, String> {
        match value.into_inner() {
            DeValue::Table(table) => Ok(table),
            other => Err(unexpected(kind, &other)),
        }
    }
}

impl<'i> Field<'i> for Vec<At<DeTable<'i>>> {
    fn read(value: Spanned<DeValue<'i>>, kind: &Kind) -> Result<Self, String> {
        match value.into_inner() {
            DeValue::Array(items) => items.into_iter().map(|item| At::read(item, kind)).collect(),
            other => Err(unexpected(kind, &other)),
        }
    }
}

impl<'i, T: Field<'i>> Field<'i> for Found<'i, T> {
    fn read(value: Spanned<DeValue<'i>>, kind: &Kind) -> Result<Self, String> {
        match value.get_ref() {
            DeValue::Table(table) => Ok(Found::Table(table.clone())),
            _ => T::read(value, kind).map(Found::Value),
        }
    }
}

/// Texts without their places.
pub(super) fn texts(found: Vec<At<String>>) -> Vec<String> {
    found.into_iter().map(|text| text.value).collect()
}

fn unexpected(kind: &Kind, value: &DeValue<'_>) -> String {
    let found = match value {
        DeValue::String(text) => format!("\"{}\"", text.escape_debug()),
        DeValue::Integer(digits) => digits.to_string(),
        DeValue::Float(digits) => digits.to_string(),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    };
    format!("expected {kind}, found {found}")
}
