//! Families of metrics: what each is called, what it means, and where its samples come from.

use super::text::{Kind, Text};

/// Numbers, each with the value of a label.
pub(crate) type Labelled = Vec<(&'static str, u64)>;

/// Where the samples of a family come from, which are read of an `S`.
pub(crate) trait Read<S> {
    /// The names of their labels.
    #[cfg(test)]
    fn labels(&self) -> Vec<&'static str>;

    /// Writes the samples.
    fn write(&self, of: &S, text: &mut Text);
}

/// Samples of one name.
pub(crate) struct Family<R> {
    /// Without the suffix of its kind.
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// What its name ends in, if its samples have a unit.
    pub(crate) unit: Option<&'static str>,
    pub(crate) help: &'static str,
    pub(crate) read: R,
}

pub(crate) const fn counter<R>(name: &'static str, read: R, help: &'static str) -> Family<R> {
    Family { name, kind: Kind::Counter, unit: None, help, read }
}

pub(crate) const fn gauge<R>(name: &'static str, read: R, help: &'static str) -> Family<R> {
    Family { name, kind: Kind::Gauge, unit: None, help, read }
}

pub(crate) const fn seconds<R>(name: &'static str, kind: Kind, read: R, help: &'static str) -> Family<R> {
    Family { name, kind, unit: Some("seconds"), help, read }
}

/// Writes all families of a table.
pub(crate) fn write<S, R: Read<S>>(families: &[Family<R>], of: &S, text: &mut Text) {
    for family in families {
        text.begin(family.name, family.kind, family.unit, family.help);
        family.read.write(of, text);
    }
}

/// A number, or one for each value of a label: what most tables need.
pub(crate) enum Plain<S> {
    One(fn(&S) -> u64),
    /// For each value of this label.
    By(&'static str, fn(&S) -> Labelled),
}

impl<S> Read<S> for Plain<S> {
    #[cfg(test)]
    fn labels(&self) -> Vec<&'static str> {
        match self {
            Plain::One(_) => Vec::new(),
            Plain::By(label, _) => vec![label],
        }
    }

    fn write(&self, of: &S, text: &mut Text) {
        match self {
            Plain::One(read) => text.sample(&[], read(of)),
            Plain::By(label, read) => {
                read(of).into_iter().for_each(|(name, value)| text.sample(&[(label, name)], value));
            }
        }
    }
}
