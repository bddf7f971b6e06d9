//! The rules in force, which a reload replaces.

use std::sync::{Arc, PoisonError, RwLock};

use oncue::{Admission, Reason, SubscribeRequest};

use super::config::rule::{Rule, decide, denied_to_all};

/// The rules in force. All clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rules(Arc<RwLock<Vec<Rule>>>);

impl Rules {
    pub(crate) fn set(&self, rules: &[Rule]) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = rules.to_vec();
    }

    /// The reason for which the rules deny this prefix to everybody, if they do.
    pub(crate) fn denied_to_all(&self, prefix: &[u8]) -> Option<Reason> {
        denied_to_all(&self.0.read().unwrap_or_else(PoisonError::into_inner), prefix)
    }

    pub(crate) fn decide(&self, request: &SubscribeRequest<'_>) -> Admission {
        let rules = self.0.read().unwrap_or_else(PoisonError::into_inner);
        decide(&rules, request.address.into(), request.prefix)
    }
}
