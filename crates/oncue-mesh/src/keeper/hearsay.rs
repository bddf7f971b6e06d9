//! What other sites say about processes of this site's name. One of them may be wrong, or lie to push this site out, so it counts if more
//! than half of those that live say it.

use std::collections::BTreeMap;

use oncue_core::mesh::{Phase, Sites};

use super::shared::Shared;
use crate::bell::lock;

/// The epoch that each site has told, by its name.
#[derive(Default)]
pub(super) struct Hearsay(BTreeMap<String, u64>);

impl Hearsay {
    /// A site says it. Returns the epoch that more than half of the sites agree on, if they do.
    pub(super) fn hear(&mut self, shared: &Shared, by: String, epoch: u64) -> Option<u64> {
        self.agreed(lock(&shared.view).sites.as_ref()?, by, epoch)
    }

    fn agreed(&mut self, sites: &Sites, by: String, epoch: u64) -> Option<u64> {
        let live = |phase| matches!(phase, Phase::Live | Phase::Joining);
        // A site that is not known is not kept either: there are as many as it likes.
        if !sites.info(&by).is_some_and(|info| live(info.phase)) {
            return None;
        }
        let told = self.0.entry(by).or_default();
        *told = epoch.max(*told);
        self.0.retain(|site, _| sites.info(site).is_some_and(|info| live(info.phase)));
        let voters = sites.infos().filter(|info| live(info.phase)).count();
        let mut told: Vec<u64> = self.0.values().copied().collect();
        told.sort_unstable_by(|a, b| b.cmp(a));
        // The highest that more than half of them have reached.
        told.get(voters / 2).copied()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn more_than_half_of_the_living_sites_must_say_it() {
        let mut sites = Sites::new("a", 10, Duration::from_secs(1), Default::default(), 7);
        for site in ["b", "c", "d"] {
            sites.token(site, 1, true, Duration::ZERO).unwrap();
        }
        let mut hearsay = Hearsay::default();
        let mut hear = |sites: &Sites, by: &str, epoch| hearsay.agreed(sites, by.into(), epoch);
        assert_eq!(hear(&sites, "b", u64::MAX), None);
        assert_eq!(hear(&sites, "b", u64::MAX), None, "one site counts once");
        assert_eq!(hear(&sites, "stranger", 20), None);
        assert_eq!(hear(&sites, "c", 20), Some(20), "what both have reached");
        assert_eq!(hear(&sites, "d", 30), Some(30));
        sites.token("c", 1, false, Duration::ZERO).unwrap();
        sites.token("d", 1, false, Duration::ZERO).unwrap();
        assert_eq!(hear(&sites, "b", 40), Some(u64::MAX), "it is the only one");
    }
}
