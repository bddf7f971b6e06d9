//! What processes that live through a whole run hold: a mesh must not wear out while others come and go.

use std::collections::BTreeMap;

use oncue_interop::leftovers::Holdings;

use crate::scene::{SITES, Scene};
use crate::table::Table;

/// The site that is never killed, with its producer. It is stopped and cut off as any other.
pub(super) const STAYS: &str = SITES[0];
/// The router that is never killed.
pub(super) const ROUTER: &str = "r1";

/// By how many bytes the least that a process holds at the end may exceed the most that it held before.
const BYTES_MORE_MAX: u64 = 1 << 20;

/// What each process that stays held, at each quiet point after a fault.
#[derive(Default)]
pub(super) struct Wear(BTreeMap<String, Vec<Holdings>>);

impl Wear {
    /// Notes what they hold now.
    pub(super) fn note(&mut self, scene: &mut Scene) {
        let nodes = scene.nodes.iter_mut().filter(|(name, _)| [STAYS, ROUTER].contains(&name.as_str()));
        let nodes = nodes.map(|(name, part)| (format!("node {name}"), part));
        let producers = scene.producers.iter_mut().filter(|(site, _)| *site == STAYS);
        let producers = producers.map(|(site, part)| (format!("producer of {site}"), part));
        for (name, part) in nodes.chain(producers) {
            self.0.entry(name).or_default().push(Holdings::of(part.process().id()));
        }
    }

    /// Prints what each has held, and returns whether none has grown.
    pub(super) fn print(&self) -> bool {
        let heading =
            ["process", "quiet points", "holds", "in the second quarter", "in the last quarter", ""];
        let (mut table, mut all_fine) = (Table::new(&heading), true);
        for (name, held) in &self.0 {
            let kinds: [Kind; 3] = [
                ("bytes", |held| held.bytes, BYTES_MORE_MAX),
                ("descriptors", |held| held.descriptors, 0),
                ("threads", |held| held.threads, 0),
            ];
            for (kind, of, more_max) in kinds {
                let held: Vec<u64> = held.iter().map(of).collect();
                let Some((before, after)) = ranges(&held) else { continue };
                let has_grown = after.0 > before.1 + more_max;
                all_fine &= !has_grown;
                table.row([
                    name.clone(),
                    held.len().to_string(),
                    kind.to_owned(),
                    format!("{} to {}", before.0, before.1),
                    format!("{} to {}", after.0, after.1),
                    if has_grown { "has grown" } else { "" }.to_owned(),
                ]);
            }
        }
        print!("\n{table}");
        all_fine
    }
}

/// What is held, where it stands, and how much more is no growth.
type Kind = (&'static str, fn(&Holdings) -> u64, u64);
/// The least and the most.
type Range = (u64, u64);

/// In the second quarter and in the last one. What is created once and kept exists after the first. None: there are too few.
///
/// What is held goes up and down with the demand and with the links of the moment; a leak moves all of it up.
fn ranges(held: &[u64]) -> Option<(Range, Range)> {
    let quarter = held.len() / 4;
    let range = |part: &[u64]| Some((*part.iter().min()?, *part.iter().max()?));
    Some((range(&held[quarter..2 * quarter])?, range(&held[held.len() - quarter..])?))
}

#[cfg(test)]
mod tests {
    use super::ranges;

    #[test]
    fn the_second_quarter_and_the_last_one_are_compared() {
        let held = [1, 9, 5, 4, 6, 6, 8, 7, 2];
        assert_eq!(ranges(&held), Some(((4, 5), (2, 7))));
        assert_eq!(ranges(&held[..3]), None);
    }
}
