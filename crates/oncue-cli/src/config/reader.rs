//! Reads a table of a config key by key, as the table of [`keys`](super::keys) says. All problems are collected, each with its
//! place. What the values mean is not known here.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{self, Places};
use super::kind::{Kind, Without};
use crate::args;
use crate::nearest::nearest;

/// How much of a wrong value a message shows, in characters.
const SHOWN_MAX: usize = 40;

/// Something wrong with a config, and where: the offset in bytes from the start of its text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Problem {
    pub(crate) at: usize,
    pub(crate) text: String,
}

/// Something that must exist when it is used.
#[derive(Debug, Clone)]
pub(crate) struct Need {
    /// Where the config names it, in bytes from the start of the text.
    pub(crate) at: usize,
    /// The same for people: file, line and column. Empty for a config that was not read from a file.
    pub(crate) place: String,
    /// The key that names it, and of which table.
    pub(crate) named: String,
    pub(crate) needed: Needed,
}

#[derive(Debug, Clone)]
pub(crate) enum Needed {
    Directory(PathBuf),
    /// A program, searched for in these directories (as in the variable PATH, by default that of `oncue`) if it has no `/`.
    Program {
        path: PathBuf,
        directories: Option<String>,
    },
}

/// All problems of a text, so that one reading shows every mistake.
pub(super) struct Problems<'i> {
    text: &'i str,
    /// Where relative paths begin: the directory of the config.
    pub(super) directory: &'i Path,
    needs: RefCell<Vec<Need>>,
    found: RefCell<Vec<Problem>>,
}

/// A text and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct At {
    pub(super) at: usize,
    pub(super) text: String,
}

/// The keys of one table that have not been taken yet.
pub(super) struct Keys<'i, 'p> {
    /// How messages call the table, such as "route 2 (`clock`)".
    pub(super) name: String,
    /// Where it begins.
    pub(super) at: usize,
    /// Which place it is. Where that is not known, several: keys of all of them are accepted.
    pub(super) places: Places,
    pub(super) problems: &'p Problems<'i>,
    table: DeTable<'i>,
}

/// A type that the value of a key may be read as.
pub(super) trait Field<'i>: Sized {
    /// Reads a value; None if it is not of this kind.
    fn read(value: Spanned<DeValue<'i>>, kind: Kind) -> Option<Self>;
}

impl<'i> Problems<'i> {
    pub(super) fn new(text: &'i str, directory: &'i Path) -> Problems<'i> {
        Problems { text, directory, needs: RefCell::default(), found: RefCell::default() }
    }

    /// The value at this place, of a key that is named so, needs this.
    pub(super) fn need(&self, at: usize, named: String, needed: Needed) {
        self.needs.borrow_mut().push(Need { at, place: String::new(), named, needed });
    }

    /// What the config needs, in the order of the text.
    pub(super) fn needs(&self) -> Vec<Need> {
        let mut needs = self.needs.take();
        needs.sort_by_key(|need| need.at);
        needs
    }

    pub(super) fn add(&self, at: usize, text: impl Into<String>) {
        self.found.borrow_mut().push(Problem { at, text: text.into() });
    }

    pub(super) fn count(&self) -> usize {
        self.found.borrow().len()
    }

    /// The problems in the order of the text.
    pub(super) fn sorted(self) -> Vec<Problem> {
        let mut problems = self.found.into_inner();
        problems.sort();
        problems
    }

    /// The text of a value, cut to what a message has room for.
    fn shown(&self, span: Range<usize>) -> String {
        let line = self.text.get(span).and_then(|text| text.lines().next()).unwrap_or_default();
        line.char_indices()
            .nth(SHOWN_MAX)
            .map_or(line.to_owned(), |(at, _)| format!("{}...", line.split_at(at).0))
    }
}

impl<'i, 'p> Keys<'i, 'p> {
    pub(super) fn new(
        name: impl Into<String>,
        at: usize,
        table: DeTable<'i>,
        places: Places,
        problems: &'p Problems<'i>,
    ) -> Keys<'i, 'p> {
        Keys { name: name.into(), at, places, problems, table }
    }

    /// Whether the key is there and has not been taken.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Where the value of a key stands that has not been taken; where the table begins if there is none.
    pub(super) fn at(&self, key: &str) -> usize {
        self.table.get(key).map_or(self.at, |value| value.span().start)
    }

    /// All keys that have not been taken, each with the place of its value.
    pub(super) fn all(&self) -> impl Iterator<Item = (String, usize)> {
        self.table.iter().map(|(key, value)| (key.get_ref().clone().into_owned(), value.span().start))
    }

    /// The value of a key that has not been taken, if it is a string.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.table.get(key)?.get_ref().as_str()
    }

    /// Takes the value of a key, or its default. If it is wrong or missing, that is a problem, and the value is `T::default()`.
    pub(super) fn take<T: Field<'i> + Default>(&mut self, name: &str) -> T {
        let key = keys::find(name, self.places).expect("the table of keys has what is read");
        let Some((_, value)) = self.table.remove_entry(name) else {
            match key.without {
                Without::Required(example) => {
                    self.add(self.at, format_args!("has no `{name}`; write {name} = {example}"));
                }
                Without::Said(_) => {}
                Without::Is(text) => {
                    let value = DeValue::parse(text).expect("a default is TOML");
                    return T::read(value, key.kind).expect("a default is of its kind");
                }
            }
            return T::default();
        };
        let span = value.span();
        T::read(value, key.kind).unwrap_or_else(|| {
            let (at, found) = (span.start, self.problems.shown(span));
            self.refuse(at, name, format_args!("expected {}, found {found}", key.kind));
            T::default()
        })
    }

    /// Takes the tables of `[[key]]`, which are at these places.
    pub(super) fn tables(&mut self, key: &str, places: Places) -> Vec<Keys<'i, 'p>> {
        let tables = self.take::<Vec<(usize, DeTable<'i>)>>(key).into_iter().enumerate();
        let named = tables.map(|(index, (at, table))| (format!("{key} {}", index + 1), at, table));
        named.map(|(name, at, table)| Keys::new(name, at, table, places, self.problems)).collect()
    }

    /// Takes the table that is the value of a key; None if it has another value, or none.
    pub(super) fn inner(&mut self, key: &str, places: Places) -> Option<Keys<'i, 'p>> {
        self.table.get(key)?.get_ref().as_table()?;
        let value = self.table.remove(key)?;
        let at = value.span().start;
        let DeValue::Table(table) = value.into_inner() else { return None };
        Some(Keys::new(format!("`{key}` of {}", self.name), at, table, places, self.problems))
    }

    /// The same where the key must be a table, if it is there.
    pub(super) fn table(&mut self, key: &str, places: Places) -> Option<Keys<'i, 'p>> {
        let table = self.inner(key, places);
        if table.is_none() && self.has(key) {
            self.refuse(self.at(key), key, format_args!("it is not a table; begin it with [{key}]"));
        }
        table
    }

    /// The same where it must be there.
    pub(super) fn required_table(&mut self, key: &str, places: Places) -> Option<Keys<'i, 'p>> {
        let table = self.table(key, places);
        let known = keys::find(key, self.places).map(|key| key.without);
        if let (None, false, Some(Without::Required(example))) = (&table, self.has(key), known) {
            self.add(self.at, format_args!("has no `{key}`; write {key} = {example}"));
        }
        table
    }

    /// The same where it has all defaults if it is not there.
    pub(super) fn table_or_empty(&mut self, key: &str, places: Places) -> Keys<'i, 'p> {
        let (name, at) = (format!("`{key}` of {}", self.name), self.at);
        let table = self.table(key, places);
        table.unwrap_or_else(|| Keys::new(name, at, DeTable::new(), places, self.problems))
    }

    /// Takes the tables of `[key.NAME]`, which are at these places, each with its name.
    pub(super) fn tables_by_name(&mut self, key: &str, places: Places) -> Vec<(At, Keys<'i, 'p>)> {
        let Some(tables) = self.table(key, places) else { return Vec::new() };
        let named = tables.table.into_iter().filter_map(|(name, value)| {
            let name = At { at: name.span().start, text: name.into_inner().into_owned() };
            let title = format!("`{key}.{}` of {}", name.text, self.name);
            let at = value.span().start;
            let DeValue::Table(table) = value.into_inner() else {
                self.problems
                    .add(at, format!("{title} is not a table; begin it with [...{key}.{}]", name.text));
                return None;
            };
            Some((name, Keys::new(title, at, table, places, self.problems)))
        });
        named.collect()
    }

    /// Adds a problem with the value of a key.
    pub(super) fn refuse(&self, at: usize, key: &str, why: impl Display) {
        self.problems.add(at, format!("`{key}` of {}: {why}", self.name));
    }

    /// Notes that the value of a key at this place needs something.
    pub(super) fn need(&self, at: usize, key: &str, needed: Needed) {
        self.problems.need(at, format!("`{key}` of {}", self.name), needed);
    }

    /// Adds a problem with the table.
    pub(super) fn add(&self, at: usize, what: impl Display) {
        self.problems.add(at, format!("{} {what}", self.name));
    }

    /// Ends the reading: a key that is not allowed here is a problem.
    pub(super) fn finish(self) {
        let places = self.places;
        for key in self.table.keys().filter(|key| keys::find(key.get_ref(), places).is_none()) {
            let name: &str = key.get_ref();
            let text = if let Some(places) = keys::elsewhere(name, places) {
                format!("`{name}` is not allowed in {}: it goes with {places}; leave it out", self.name)
            } else {
                let known: BTreeSet<_> = keys::of_table(places).map(|key| key.name).collect();
                let remedy = match nearest(name, known.iter().copied()) {
                    Some(known) => format!("did you mean `{known}`?"),
                    None => format!("leave it out; the keys are {}", Vec::from_iter(known).join(", ")),
                };
                format!("unknown key `{name}` in {}; {remedy}", self.name)
            };
            self.problems.add(key.span().start, text);
        }
    }
}

impl<'i, T: Field<'i>> Field<'i> for Option<T> {
    fn read(value: Spanned<DeValue<'i>>, kind: Kind) -> Option<Self> {
        T::read(value, kind).map(Some)
    }
}

impl Field<'_> for String {
    fn read(value: Spanned<DeValue<'_>>, kind: Kind) -> Option<Self> {
        let text = value.get_ref().as_str()?;
        let fits = !matches!(kind, Kind::Choice(texts) if !texts.contains(&text));
        fits.then(|| text.to_owned())
    }
}

impl Field<'_> for At {
    fn read(value: Spanned<DeValue<'_>>, kind: Kind) -> Option<Self> {
        Some(At { at: value.span().start, text: String::read(value, kind)? })
    }
}

/// A list. One text is a list where its kind says so.
impl Field<'_> for Vec<At> {
    fn read(value: Spanned<DeValue<'_>>, kind: Kind) -> Option<Self> {
        match (value.get_ref(), kind) {
            (DeValue::String(_), Kind::TextOrTexts) => Some(vec![At::read(value, kind)?]),
            (DeValue::Array(items), _) => items.iter().map(|item| At::read(item.clone(), kind)).collect(),
            _ => None,
        }
    }
}

impl Field<'_> for bool {
    fn read(value: Spanned<DeValue<'_>>, _: Kind) -> Option<Self> {
        value.get_ref().as_bool()
    }
}

/// `"off"` is zero.
impl Field<'_> for Duration {
    fn read(value: Spanned<DeValue<'_>>, kind: Kind) -> Option<Self> {
        let text = value.get_ref().as_str()?;
        let read = match kind {
            Kind::Time => args::duration,
            Kind::PeriodOrOff => args::heartbeat,
            _ => args::period,
        };
        let whole = |time: &Duration| *time >= Duration::from_secs(1) && time.subsec_nanos() == 0;
        read(text).ok().filter(|time| !matches!(kind, Kind::Seconds) || whole(time))
    }
}

impl Field<'_> for u64 {
    fn read(value: Spanned<DeValue<'_>>, kind: Kind) -> Option<Self> {
        let (min, max) = kind.range();
        let number = match (value.get_ref().as_integer(), value.get_ref().as_str(), kind) {
            (Some(digits), ..) => u64::from_str_radix(digits.as_str(), digits.radix()).ok(),
            (None, Some(text), Kind::Size(..)) => args::bytes(text),
            _ => None,
        };
        number.filter(|number| (min..=max).contains(number))
    }
}

impl Field<'_> for u32 {
    fn read(value: Spanned<DeValue<'_>>, kind: Kind) -> Option<Self> {
        u64::read(value, kind)?.try_into().ok()
    }
}

impl Field<'_> for usize {
    fn read(value: Spanned<DeValue<'_>>, kind: Kind) -> Option<Self> {
        u64::read(value, kind)?.try_into().ok()
    }
}

/// Texts by name, each name with its place.
impl Field<'_> for Vec<(At, String)> {
    fn read(value: Spanned<DeValue<'_>>, kind: Kind) -> Option<Self> {
        let entries = value.get_ref().as_table()?.iter().map(|(name, value)| {
            let name = At { at: name.span().start, text: name.get_ref().clone().into_owned() };
            Some((name, String::read(value.clone(), kind)?))
        });
        entries.collect()
    }
}

/// Tables, each with its place.
impl<'i> Field<'i> for Vec<(usize, DeTable<'i>)> {
    fn read(value: Spanned<DeValue<'i>>, _: Kind) -> Option<Self> {
        let items = value.get_ref().as_array()?.iter();
        items.map(|item| Some((item.span().start, item.get_ref().as_table()?.clone()))).collect()
    }
}

/// Texts without their places.
pub(super) fn texts(found: Vec<At>) -> Vec<String> {
    found.into_iter().map(|found| found.text).collect()
}
