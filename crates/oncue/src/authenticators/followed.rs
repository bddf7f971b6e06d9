//! Something in the file system that is looked at again and again, by a thread of its own, until its last handle is dropped.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Condvar, Mutex, Weak};
use std::thread;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::sync::lock;

/// How often files are looked at.
const LOOK: Duration = Duration::from_millis(300);

/// What has changed between two looks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Changed {
    /// Users that are new, or whose key or password is.
    pub added: Vec<String>,
    /// Users that are gone, or whose former key or password is.
    pub removed: Vec<String>,
    /// What could not be read, and why: what was known of it before stays in force.
    pub problems: Vec<String>,
}

impl Changed {
    /// What differs between what was known and what is known now, by the ids of the users.
    pub(super) fn between<K: Eq + Hash, V: PartialEq>(
        before: &HashMap<K, V>,
        now: &HashMap<K, V>,
        id: impl Fn(&K, &V) -> String,
    ) -> Changed {
        let only_in = |some: &HashMap<K, V>, others: &HashMap<K, V>| {
            let only = some.iter().filter(|(key, value)| others.get(*key) != Some(*value));
            let mut ids: Vec<_> = only.map(|(key, value)| id(key, value)).collect();
            ids.sort_unstable();
            ids
        };
        Changed { added: only_in(now, before), removed: only_in(before, now), problems: Vec::new() }
    }

    fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.problems.is_empty()
    }
}

type Callback = Arc<dyn Fn(&Changed) + Send + Sync>;

/// The functions that are told of changes, and the end of the thread.
#[derive(Default)]
pub(super) struct Followed {
    told: Mutex<Vec<Callback>>,
    ended: Mutex<bool>,
    end: Condvar,
}

impl Followed {
    /// Has `tell` called after each change.
    pub(super) fn tell(&self, tell: impl Fn(&Changed) + Send + Sync + 'static) {
        lock(&self.told).push(Arc::new(tell));
    }

    /// Looks again and again with `look`, as long as `owner` lives.
    ///
    /// # Errors
    /// The system starts no thread.
    pub(super) fn follow<T: Send + Sync + 'static>(
        self: &Arc<Followed>,
        owner: &Arc<T>,
        mut look: impl FnMut(&T) -> Changed + Send + 'static,
    ) -> Result<()> {
        let (followed, owner): (_, Weak<T>) = (self.clone(), Arc::downgrade(owner));
        let run = move || {
            let mut known_problems = Vec::new();
            while !followed.wait() {
                let Some(owner) = owner.upgrade() else { return };
                let mut changed = look(&owner);
                drop(owner);
                // A problem is told once, as long as it stays the same.
                match changed.problems == known_problems {
                    true => changed.problems.clear(),
                    false => known_problems.clone_from(&changed.problems),
                }
                if !changed.is_empty() {
                    let told: Vec<_> = lock(&followed.told).clone();
                    told.iter().for_each(|tell| tell(&changed));
                }
            }
        };
        let thread = thread::Builder::new().name("oncue keys".to_owned()).spawn(run);
        thread.map(drop).map_err(|error| Error::io("a thread that looks at files was not started", error))
    }

    /// Waits until the next look. Returns whether it is the end.
    fn wait(&self) -> bool {
        let ended = lock(&self.ended);
        let (ended, _) = self
            .end
            .wait_timeout_while(ended, LOOK, |ended| !*ended)
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        *ended
    }

    /// Ends the thread. It keeps nothing alive meanwhile but itself.
    pub(super) fn end(&self) {
        *lock(&self.ended) = true;
        lock(&self.told).clear();
        self.end.notify_all();
    }
}
