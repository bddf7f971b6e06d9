//! How the topic sets of two patterns compare: overlap, inclusion, specificity. All answers are exact, since both patterns
//! are automata of a bounded size.

use alloc::collections::{BTreeSet, VecDeque};
use alloc::vec;
use alloc::vec::Vec;
use core::cmp::Ordering;

use super::automaton::{Automaton, DEAD, START};
use super::pattern::Pattern;

impl Pattern {
    /// Whether some topic belongs to both patterns.
    pub fn overlaps(&self, other: &Pattern) -> bool {
        heads_agree(self, other)
            && first(self, other, |a, b| a.is_some() && b.is_some(), |a, b| a && b).is_some()
    }

    /// Whether every topic of `other` is a topic of this pattern too.
    pub fn covers(&self, other: &Pattern) -> bool {
        heads_agree(self, other) && first(self, other, |_, b| b.is_some(), |a, b| b && !a).is_none()
    }

    /// Compares how narrow two patterns are. A pattern whose topics are a proper subset of the other's is the greater one;
    /// patterns with the same topics are equal. Other pairs are ordered too, arbitrarily but always in the same way.
    pub fn cmp_specificity(&self, other: &Pattern) -> Ordering {
        // The first topic that belongs to only one of them decides, in the order of length, then of bytes. This is a total
        // order on sets of topics, and a subset never has that topic.
        match first(self, other, |_, _| true, |a, b| a != b) {
            None => Ordering::Equal,
            Some((true, _)) => Ordering::Less,
            Some(_) => Ordering::Greater,
        }
    }
}

/// Whether one head is a prefix of the other. Most pairs of patterns fail this, and then need no search.
fn heads_agree(a: &Pattern, b: &Pattern) -> bool {
    a.head.iter().zip(&*b.head).all(|(a, b)| a == b)
}

/// A pattern without the first bytes of its head.
struct Rest<'a> {
    head: &'a [u8],
    automaton: &'a Automaton,
}

/// A place in a `Rest`: those in the head come first, then the automaton's states.
type Place = usize;

impl Rest<'_> {
    fn step(&self, place: Option<Place>, byte: u8) -> Option<Place> {
        let place = place?;
        if let Some(&expected) = self.head.get(place) {
            return (expected == byte).then_some(place + 1);
        }
        let state = self.automaton.step(self.state(place), byte);
        (state != DEAD).then(|| self.head.len() + usize::from(state - START))
    }

    fn accepts(&self, place: Option<Place>) -> bool {
        place.is_some_and(|place| place >= self.head.len() && self.automaton.accepts(self.state(place)))
    }

    /// The automaton's state at a place beyond the head. There are fewer than 65,536 states.
    fn state(&self, place: Place) -> u16 {
        (place - self.head.len()) as u16 + START
    }
}

/// Searches both patterns together, breadth first, for a topic for which `found(in a, in b)` is true, and returns these two
/// values. Continues from a pair of places only if `open` allows it, and visits each pair once.
fn first(
    a: &Pattern,
    b: &Pattern,
    open: impl Fn(Option<Place>, Option<Place>) -> bool,
    found: impl Fn(bool, bool) -> bool,
) -> Option<(bool, bool)> {
    let common = a.head.iter().zip(&*b.head).take_while(|(a, b)| a == b).count();
    let a = Rest { head: &a.head[common..], automaton: a.automaton() };
    let b = Rest { head: &b.head[common..], automaton: b.automaton() };
    let bytes = telling_bytes(&a, &b);
    let mut seen = BTreeSet::from([(Some(0), Some(0))]);
    let mut queue = VecDeque::from([(Some(0), Some(0))]);
    while let Some((in_a, in_b)) = queue.pop_front() {
        let has = (a.accepts(in_a), b.accepts(in_b));
        if found(has.0, has.1) {
            return Some(has);
        }
        for &byte in &bytes {
            let next = (a.step(in_a, byte), b.step(in_b, byte));
            let alive = next.0.is_some() || next.1.is_some();
            if alive && open(next.0, next.1) && seen.insert(next) {
                queue.push_back(next);
            }
        }
    }
    None
}

/// The smallest byte of each class that neither pattern distinguishes further. Bytes of the heads are their own classes.
fn telling_bytes(a: &Rest<'_>, b: &Rest<'_>) -> Vec<u8> {
    let mut named = [false; 256];
    a.head.iter().chain(b.head).for_each(|&byte| named[usize::from(byte)] = true);
    let width = b.automaton.width();
    let mut seen = vec![false; a.automaton.width() * width];
    let mut tells = |&byte: &u8| {
        let class = usize::from(a.automaton.class_of(byte)) * width + usize::from(b.automaton.class_of(byte));
        named[usize::from(byte)] || !core::mem::replace(&mut seen[class], true)
    };
    (0..=255).filter(|byte| tells(byte)).collect()
}
