//! What the value of a key may be, and what holds without it.

use std::fmt;

/// What a key may be.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Text,
    Texts,
    TextOrTexts,
    /// One of these texts.
    Choice(&'static [&'static str]),
    Time,
    /// A duration that something is repeated after: 1 ms at least.
    Period,
    /// A period, or "off".
    PeriodOrOff,
    /// A duration of whole seconds, 1 s at least.
    Seconds,
    Flag,
    /// A number from the first to the second.
    Count(u64, u64),
    /// A number of bytes from 1 to this one.
    Bytes(u64),
    /// A number of bytes from the first to the second, also with a unit.
    Size(u64, u64),
    /// The permissions of a file.
    Mode,
    /// A table of texts.
    Variables,
    /// A list of texts, or a table.
    TextsOrTable,
    /// True, false, or a table.
    FlagOrTable,
    /// A table.
    Table,
    /// Any number of tables.
    Tables,
}

/// What holds without the key.
#[derive(Debug, Clone, Copy)]
pub(super) enum Without {
    /// The key is required; an example of a value, in TOML.
    Required(&'static str),
    /// This value, in TOML.
    Is(&'static str),
    /// In words.
    Said(&'static str),
}

use Kind::{
    Bytes, Choice, Count, Flag, FlagOrTable, Mode, Period, PeriodOrOff, Seconds, Size, Table, Tables, Text,
    TextOrTexts, Texts, TextsOrTable, Time, Variables,
};

impl Kind {
    /// The smallest and the largest number.
    pub(super) fn range(self) -> (u64, u64) {
        match self {
            Count(min, max) | Size(min, max) => (min, max),
            Bytes(max) => (1, max),
            Mode => (0, 0o777),
            _ => (0, u64::MAX),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Text => "a string",
            Texts => "a list of strings such as [\"a\", \"b\"]",
            TextOrTexts => "a string or a list of strings",
            Choice(texts) => {
                let texts: Vec<_> = texts.iter().map(|text| format!("\"{text}\"")).collect();
                return f.write_str(&texts.join(" or "));
            }
            Time => "a duration such as \"500ms\", up to a year",
            Period => "a duration from \"1ms\" to a year",
            PeriodOrOff => "a duration from \"1ms\" to a year, or \"off\"",
            Seconds => "a duration of whole seconds, from \"1s\" to a year",
            Flag => "true or false",
            Count(..) | Bytes(_) => {
                let (min, max) = self.range();
                return write!(f, "a number from {min} to {max}");
            }
            Size(min, max) => {
                let (min, max) = (min >> 20, max >> 40);
                return write!(
                    f,
                    "a size such as \"256 MiB\", or a number of bytes; from {min} MiB to {max} TiB"
                );
            }
            Mode => "a number from 0o000 to 0o777",
            Variables => "a table of strings such as { LANG = \"C\" }",
            TextsOrTable => "a list of strings, or a table",
            FlagOrTable => "true, false, or a table",
            Table => "a table",
            Tables => "tables",
        })
    }
}
