//! Quiet points: nothing changes, and what producers are told must become what is true, and stay so.

use std::collections::BTreeSet;
use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::scene::Scene;

/// What is told must stay true for this long.
const STAYS: Duration = Duration::from_millis(200);
/// How long a difference is observed beyond the limit.
const OBSERVED: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(20);

/// What was seen at a quiet point.
pub(crate) struct Quiet {
    /// From its begin until all was right; of a wrong one until it was given up.
    pub(crate) took: Duration,
    /// The difference at the limit.
    pub(crate) wrong: Option<Wrong>,
    /// Whether nothing could be compared: more than one answer would be right.
    pub(crate) open: bool,
}

/// A difference.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wrong {
    /// Prefixes that are wanted, and that producers are not told of; summed over producers.
    pub(crate) missing: usize,
    /// Prefixes that producers are told of, and that nobody wants.
    pub(crate) stale: usize,
    /// How long after the limit it was over. None: not while it was observed.
    pub(crate) lasted: Option<Duration>,
    /// Where, and an example each.
    examples: Vec<String>,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Wrong { missing, stale, examples, .. } = self;
        write!(f, "{missing} missing, {stale} stale ({})", examples.join("; "))
    }
}

/// Waits until all producers are told what is true, at most for `limit`.
pub(crate) fn settle(scene: &mut Scene, limit: Duration) -> Outcome<Quiet> {
    let (begin, mut right, mut wrong) = (Instant::now(), None, None::<Wrong>);
    loop {
        let Some(difference) = differences(scene)? else {
            // The links get time to notice what has happened.
            thread::sleep(limit / 2);
            return Ok(Quiet { took: begin.elapsed(), wrong: None, open: true });
        };
        right = if difference.is_none() { right.or(Some(begin.elapsed())) } else { None };
        let passed = begin.elapsed();
        match (right, &mut wrong) {
            (Some(since), _) if passed - since < STAYS => {}
            (Some(since), None) => return Ok(Quiet { took: since, wrong: None, open: false }),
            (Some(since), Some(wrong)) => wrong.lasted = Some(since.saturating_sub(limit)),
            (None, None) if passed > limit => wrong = difference,
            (None, _) => {}
        }
        let is_over = wrong.as_ref().is_some_and(|wrong| wrong.lasted.is_some() || passed > limit + OBSERVED);
        if is_over {
            return Ok(Quiet { took: passed, wrong, open: false });
        }
        thread::sleep(PAUSE);
    }
}

/// What is wrong now. The outer `None`: there is more than one truth.
fn differences(scene: &mut Scene) -> Outcome<Option<Option<Wrong>>> {
    let truth = scene.truth();
    let mut wrong = Wrong::default();
    for (site, told) in scene.told()? {
        let Some(wanted) = truth.at(&site) else { return Ok(None) };
        let missing: BTreeSet<_> = wanted.difference(&told).collect();
        let stale: BTreeSet<_> = told.difference(&wanted).collect();
        wrong.missing += missing.len();
        wrong.stale += stale.len();
        let example = |what, of: Option<&&String>| of.map(|prefix| format!("{what} at {site}: {prefix}"));
        wrong.examples.extend(example("missing", missing.first()));
        wrong.examples.extend(example("stale", stale.first()));
    }
    Ok(Some((wrong.missing + wrong.stale > 0).then_some(wrong)))
}
