//! What was true, and what an implementation told.

use std::collections::{BTreeMap, BTreeSet};

use crate::driver::Told;

/// The prefixes that histories use to wait for the end of what one connection has sent. They are not part of the truth.
pub const BARRIER: u8 = b'~';

/// How many prefixes are named; a longer list is a number.
const NAMED_MAX: usize = 4;

/// What an implementation told during a history, against the truth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The judgement.
    pub verdict: Verdict,
    /// What was true, and when.
    pub truth: String,
    /// What was told.
    pub told: String,
}

/// The judgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All that was told is true, and nothing was missing.
    True,
    /// The set of wanted prefixes is right at every quiet point, but some edges were told more than once, or were missing.
    Edges,
    /// Something untrue was told, or something true was not.
    False,
    /// The implementation lacks what the history needs.
    Cannot,
    /// Its program ended.
    Ended,
}

impl Verdict {
    /// The word in the table.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::True => "true",
            Verdict::Edges => "edges differ",
            Verdict::False => "**false**",
            Verdict::Cannot => "–",
            Verdict::Ended => "ended",
        }
    }
}

/// What an XPUB's user knows who takes `+` and `-` for what XPUB's documentation calls them: the first subscription and
/// the end of the last one.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    wanted: BTreeSet<Vec<u8>>,
    counts: BTreeMap<Vec<u8>, i64>,
    first: usize,
    last: usize,
}

impl Ledger {
    /// Takes a note of an event.
    pub fn note(&mut self, told: &Told) {
        let (Told::Wanted(prefix) | Told::Unwanted(prefix)) = told else { return };
        if prefix.first() == Some(&BARRIER) {
            return;
        }
        let is_wanted = matches!(told, Told::Wanted(_));
        *self.counts.entry(prefix.clone()).or_default() += if is_wanted { 1 } else { -1 };
        if is_wanted {
            self.first += 1;
            self.wanted.insert(prefix.clone());
        } else {
            self.last += 1;
            self.wanted.remove(prefix);
        }
    }

    /// The prefixes that are wanted, as far as was told.
    pub fn wanted(&self) -> &BTreeSet<Vec<u8>> {
        &self.wanted
    }

    /// The same for a user who counts subscriptions and cancels instead.
    pub fn counted(&self) -> BTreeSet<Vec<u8>> {
        let counted = self.counts.iter().filter(|(_, count)| **count > 0);
        counted.map(|(prefix, _)| prefix.clone()).collect()
    }

    /// How many first and last edges were told.
    pub fn edges(&self) -> (usize, usize) {
        (self.first, self.last)
    }
}

/// A set of prefixes as text.
pub fn listed(prefixes: &BTreeSet<Vec<u8>>) -> String {
    match prefixes.len() {
        0 => "nothing".to_owned(),
        1..=NAMED_MAX => {
            let names: Vec<String> =
                prefixes.iter().map(|prefix| format!("`{}`", prefix.escape_ascii())).collect();
            names.join(", ")
        }
        count => format!("{} prefixes", thousands(count)),
    }
}

/// A number with a comma before each three digits.
pub fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_folds_edges_and_counts_beside_that() {
        let mut ledger = Ledger::default();
        let (wanted, unwanted) = (Told::Wanted(b"T".to_vec()), Told::Unwanted(b"T".to_vec()));
        for told in [&wanted, &wanted, &unwanted, &Told::Wanted(b"~1".to_vec())] {
            ledger.note(told);
        }
        assert!(ledger.wanted().is_empty(), "the barrier does not count");
        assert_eq!(ledger.counted(), BTreeSet::from([b"T".to_vec()]));
        assert_eq!(ledger.edges(), (2, 1));
    }

    #[test]
    fn long_sets_are_numbers() {
        assert_eq!(listed(&BTreeSet::new()), "nothing");
        assert_eq!(listed(&BTreeSet::from([b"a".to_vec(), b"b".to_vec()])), "`a`, `b`");
        assert_eq!(listed(&(0..1234_u32).map(|n| n.to_be_bytes().to_vec()).collect()), "1,234 prefixes");
    }
}
