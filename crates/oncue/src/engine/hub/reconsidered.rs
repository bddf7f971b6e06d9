//! Permissions that have changed: everything that is in force is asked about once more.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Hub, Verdict};
use crate::authentication::NOT_LET_IN_ANY_MORE;
use crate::permission::{Admission, Reason, SubscribeRequest};

impl Hub {
    /// How often everything was reconsidered.
    pub(crate) fn reconsiderations(&self) -> u64 {
        self.reconsidered.load(Ordering::SeqCst)
    }

    /// Asks about each subscription in force, on this thread and under no lock, and ends those that are not allowed any more.
    /// First ends the connections of the users among `peers` that are not known any more.
    pub(crate) fn reconsider(self: &Arc<Self>) {
        // Before the list is made: what is put in force later sees it (`Intake::may`).
        self.reconsidered.fetch_add(1, Ordering::SeqCst);
        let pairs = self.demand.in_force();
        if let Some(doorkeeper) = &self.options.security.doorkeeper {
            for profile in self.demand.peers() {
                if profile.user.as_ref().is_some_and(|user| !doorkeeper.still_knows(user)) {
                    self.dismiss(profile.key, Some(Reason::from(NOT_LET_IN_ANY_MORE)));
                }
            }
        }
        let Some(gate) = &self.options.admission else { return };
        for (profile, prefix) in pairs {
            let request = SubscribeRequest {
                peer: profile.key,
                address: profile.address,
                user: profile.user.as_deref(),
                prefix: &prefix,
                in_force: true,
                is_first: false,
            };
            if let Admission::Reject(reason) = gate.ask(&request) {
                self.decide(profile.key, &prefix, Verdict::Revoke(reason));
            }
        }
    }
}
