//! What this site's subscribers want of other sites, as far as it may cross: the input of the demand log.

use std::collections::HashMap;

use oncue::Prefix;
use oncue_core::mesh::Log;

use crate::border::Border;
use crate::options::MeshOptions;

/// The way from the ledger of the imports to the log. Prefixes about this process are left out; others are narrowed to what
/// may come from any site at all.
pub(crate) struct Wanted {
    own_topics: Prefix,
    /// None if every topic may come.
    borders: Vec<Border>,
    /// How many wanted prefixes each prefix of the log stands for, if there are borders.
    counts: HashMap<Prefix, u32>,
}

impl Wanted {
    pub(crate) fn new(options: &MeshOptions) -> Wanted {
        let each = [&options.import.all].into_iter().chain(options.import.sites.values());
        let mut borders: Vec<Border> =
            each.map(|permission| Border::new(permission, &options.own_topics)).collect();
        if borders.iter().any(Border::is_open) {
            borders.clear();
        }
        Wanted { own_topics: options.own_topics.clone(), borders, counts: HashMap::new() }
    }

    /// A prefix has its first subscriber, or has lost its last one.
    pub(crate) fn change(&mut self, prefix: &Prefix, wanted: bool, log: &mut Log) {
        if prefix.starts_with(&self.own_topics) {
            return;
        }
        if self.borders.is_empty() {
            tell(log, prefix, wanted);
            return;
        }
        let mut parts: Vec<&[u8]> = self.borders.iter().flat_map(|border| border.narrow(prefix)).collect();
        parts.sort_unstable();
        parts.dedup();
        for part in parts {
            if count(&mut self.counts, part, wanted) {
                tell(log, part, wanted);
            }
        }
    }
}

/// Counts up or down. Returns whether it was the first one, or the last one.
fn count(counts: &mut HashMap<Prefix, u32>, part: &[u8], wanted: bool) -> bool {
    if wanted {
        let count = counts.entry(part.into()).or_default();
        *count += 1;
        return *count == 1;
    }
    let Some(count) = counts.get_mut(part) else { return false };
    *count -= 1;
    let last = *count == 0;
    if last {
        counts.remove(part);
    }
    last
}

fn tell(log: &mut Log, prefix: &[u8], wanted: bool) {
    // It fails only when all prefixes together have more bytes than the index can address, which the ledger before it has refused.
    let _ = log.change(prefix, wanted);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Permission;
    use crate::topology::Topology;

    fn wanted(allow: &[&str]) -> (Wanted, Log) {
        let mut options = MeshOptions::new("here", Topology::Edge { routers: Vec::new() });
        let allow = allow.iter().map(|&prefix| prefix.into()).collect();
        options.import.all = Permission { allow, deny: Vec::new() };
        (Wanted::new(&options), Log::new(1, 1))
    }

    #[test]
    fn topics_about_the_process_stay_at_home() {
        let (mut wanted, mut log) = wanted(&[""]);
        wanted.change(&"$oncue/mesh".into(), true, &mut log);
        assert!(!log.has_untold());
        wanted.change(&"".into(), true, &mut log);
        assert!(log.has_untold());
    }

    #[test]
    fn a_narrowed_prefix_is_wanted_until_the_last_that_it_stands_for_has_gone() {
        let (mut wanted, mut log) = wanted(&["a/", "b/"]);
        let mut len = |prefix: &str, is: bool| {
            wanted.change(&prefix.into(), is, &mut log);
            while log.take_delta(1000).is_some() {}
            log.len()
        };
        assert_eq!([len("", true), len("a", true), len("c", true), len("a/x", true)], [2, 2, 2, 3]);
        assert_eq!([len("", false), len("c", false), len("a", false), len("a/x", false)], [2, 2, 1, 0]);
    }
}
