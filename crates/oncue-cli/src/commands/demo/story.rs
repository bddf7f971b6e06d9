//! What the demo prints: a line for each event, and a summary. It counts, and decides nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use oncue::Prefix;

use crate::output::{Colour, counted, escaped};
use crate::stdio;

/// How many topics one line names.
const TOPICS_SHOWN_MAX: usize = 8;
/// How many topics are counted. Further topics are missing in the summary's list, and in the number of values that a
/// publisher without demand would have produced.
const TOPICS_COUNTED_MAX: usize = 100_000;
/// How many bytes these topics may have together.
const TOPICS_COUNTED_BYTES_MAX: usize = 4 << 20;

/// What causes an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Actor {
    name: &'static str,
    /// The colour on a terminal, as an SGR number.
    colour: u8,
}

pub(super) const S1: Actor = Actor { name: "s1", colour: 36 };
pub(super) const S2: Actor = Actor { name: "s2", colour: 35 };
const PUBLISHER: Actor = Actor { name: "publisher", colour: 33 };
const DEMAND: Actor = Actor { name: "demand", colour: 32 };

/// The events so far. The publisher and the subscribers share it.
pub(super) struct Story {
    started: Instant,
    coloured: bool,
    produced: Mutex<Produced>,
    received: [AtomicU64; 2],
    /// Whether nothing was wanted at the last tick: that is printed once, not at each tick.
    idle: AtomicBool,
}

/// What the publisher has produced.
#[derive(Default)]
struct Produced {
    values: u64,
    /// How many of them for each prefix that was ever wanted.
    each: BTreeMap<Vec<u8>, u64>,
    /// The bytes of these prefixes together.
    each_bytes: usize,
}

impl Produced {
    fn count(&mut self, prefix: &[u8], values: u64) {
        self.values += values;
        if let Some(count) = self.each.get_mut(prefix) {
            *count += values;
        } else if self.each.len() < TOPICS_COUNTED_MAX
            && self.each_bytes + prefix.len() <= TOPICS_COUNTED_BYTES_MAX
        {
            self.each.insert(prefix.to_vec(), values);
            self.each_bytes += prefix.len();
        }
    }
}

impl Story {
    /// Begins, and prints how to join at `endpoint`.
    pub(super) fn begin(endpoint: &str) -> Story {
        let story = Story {
            started: Instant::now(),
            coloured: Colour::Auto.is_shown(),
            produced: Mutex::default(),
            received: Default::default(),
            idle: AtomicBool::new(false),
        };
        let program = std::env::args().next().unwrap_or_else(|| "oncue".to_owned());
        story.plain("A publisher that produces only what somebody subscribes to, and two subscribers that come and go.");
        story.plain(&format!("Join in from another terminal: {program} sub {endpoint} --topic zebra"));
        story.plain("");
        story
    }

    pub(super) fn wanted(&self, prefix: &[u8]) {
        self.produced().count(prefix, 0);
        self.tell(DEMAND, &format!("+ {} (somebody wants it)", named(prefix)))
    }

    pub(super) fn unwanted(&self, prefix: &[u8]) {
        self.tell(DEMAND, &format!("- {} (nobody wants it any more)", named(prefix)))
    }

    /// A tick; called before its values are sent.
    pub(super) fn tick(&self, number: u64, wanted: &BTreeSet<Prefix>) {
        let was_idle = self.idle.swap(wanted.is_empty(), Ordering::Relaxed);
        if wanted.is_empty() {
            if was_idle {
                return;
            }
            return self
                .tell(PUBLISHER, &format!("tick {number}: nobody wants anything, nothing is produced"));
        }
        let mut produced = self.produced();
        wanted.iter().for_each(|prefix| produced.count(prefix, 1));
        drop(produced);
        let frames = list(wanted.iter().map(|prefix| format!("\"{} {number}\"", escaped(prefix))));
        self.tell(PUBLISHER, &format!("tick {number}: sends {frames}"))
    }

    pub(super) fn joins(&self, actor: Actor, topics: &[&str]) {
        self.tell(actor, &format!("connects, and subscribes to {}", topics.join(" and ")))
    }

    pub(super) fn receives(&self, actor: Actor, frame: &[u8], count: u64, of: u64) {
        let slot = usize::from(actor == S2);
        if let Some(received) = self.received.get(slot) {
            received.fetch_add(1, Ordering::Relaxed);
        }
        self.tell(actor, &format!("receives \"{}\" ({count} of {of})", escaped(frame)))
    }

    pub(super) fn leaves(&self, actor: Actor, messages: u64) {
        self.tell(actor, &format!("leaves after {}", counted(messages, "message")))
    }

    /// The summary after `ticks` ticks.
    pub(super) fn end(&self, ticks: u64) {
        let produced = self.produced();
        let topics = produced.each.len() as u64;
        let on_demand = produced.values;
        let without = topics * ticks;
        let saved = without.saturating_sub(on_demand);
        let percent = (saved * 100).checked_div(without).unwrap_or(0);
        let each = list(produced.each.iter().map(|(prefix, count)| format!("{} {count}", named(prefix))));
        let [s1, s2] = &self.received;
        let (s1, s2) = (s1.load(Ordering::Relaxed), s2.load(Ordering::Relaxed));
        let seconds = self.started.elapsed().as_secs_f64();
        self.plain("");
        self.plain(&format!("Summary of {ticks} ticks in {seconds:.1} s"));
        self.plain(&format!("  produced on demand     {on_demand:>4} values: {each}"));
        self.plain(&format!(
            "  without demand         {without:>4} values: each topic that was ever wanted ({topics}) at every tick ({ticks})"
        ));
        self.plain(&format!("  saved                  {saved:>4} values, {percent}%"));
        self.plain(&format!("  received               {:>4} by s1 and s2: s1 {s1}, s2 {s2}", s1 + s2))
    }

    fn tell(&self, actor: Actor, what: &str) {
        let seconds = self.started.elapsed().as_secs_f64();
        let Actor { name, colour } = actor;
        let text = if self.coloured {
            format!("{seconds:7.2}s  \x1b[{}m{name:<9}  {what}\x1b[0m", colour)
        } else {
            format!("{seconds:7.2}s  {name:<9}  {what}")
        };
        self.plain(&text)
    }

    fn plain(&self, text: &str) {
        stdio::line(text.as_bytes().to_vec());
    }

    fn produced(&self) -> MutexGuard<'_, Produced> {
        self.produced.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A prefix for people: the empty prefix, which matches everything, must be visible too.
fn named(prefix: &[u8]) -> String {
    if prefix.is_empty() { "\"\", which is everything".to_owned() } else { escaped(prefix) }
}

/// A list; only the first items are shown.
fn list(items: impl ExactSizeIterator<Item = String>) -> String {
    let more = items.len().saturating_sub(TOPICS_SHOWN_MAX);
    let mut text = items.take(TOPICS_SHOWN_MAX).collect::<Vec<_>>().join(", ");
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_is_cut() {
        assert_eq!(list((0..2).map(|n| n.to_string())), "0, 1");
        assert_eq!(list((0..10).map(|n| n.to_string())), "0, 1, 2, 3, 4, 5, 6, 7 and 2 more");
    }

    #[test]
    fn the_empty_prefix_is_visible() {
        assert_eq!(named(b""), "\"\", which is everything");
        assert_eq!(named(b"a\n"), r"a\x0a");
    }
}
