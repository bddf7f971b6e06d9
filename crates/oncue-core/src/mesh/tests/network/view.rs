//! What a site was told of the others, and that each output made sense when it came.
use alloc::sync::Arc;
use std::collections::{BTreeMap, BTreeSet};

use crate::edges::Prefix;
use crate::mesh::Output;

/// The sites that are up, each with its epoch and what it wants.
#[derive(Default)]
pub(super) struct View {
    up: BTreeMap<Arc<str>, (u64, BTreeSet<Prefix>)>,
    /// The greatest epoch of each site.
    epochs: BTreeMap<Arc<str>, u64>,
}

impl View {
    pub(super) fn note(&mut self, output: Output) {
        match output {
            Output::Up { site, epoch } => {
                let before = self.epochs.insert(site.clone(), epoch).unwrap_or(0);
                assert!(before <= epoch, "epochs only rise");
                assert!(self.up.insert(site, (epoch, BTreeSet::new())).is_none(), "it was up");
            }
            Output::Down { site, epoch, .. } => {
                let (was, _) = self.up.remove(&site).expect("only what is up goes down");
                assert_eq!(was, epoch);
            }
            Output::Changes { site, epoch, changes } => {
                let (up, prefixes) = self.up.get_mut(&site).expect("only what is up wants");
                assert!(*up == epoch && !changes.is_empty());
                for (prefix, wanted) in changes {
                    let real = if wanted { prefixes.insert(prefix) } else { prefixes.remove(&prefix) };
                    assert!(real, "each change is a change");
                }
            }
            Output::Ask { site, epoch } => assert_eq!(self.up[&site].0, epoch, "only what is up is asked"),
            Output::Fenced { .. } => panic!("no site has two processes here"),
        }
    }

    pub(super) fn of(&self, site: &str) -> Option<(u64, &BTreeSet<Prefix>)> {
        self.up.get(site).map(|(epoch, prefixes)| (*epoch, prefixes))
    }

    pub(super) fn up(&self) -> impl Iterator<Item = (&str, u64, &BTreeSet<Prefix>)> {
        self.up.iter().map(|(site, (epoch, prefixes))| (&**site, *epoch, prefixes))
    }
}
