//! The rules in force, which a reload replaces.

use std::sync::{Arc, PoisonError, RwLock};

use oncue::{Admission, SubscribeRequest};

use super::config::rule::{Rule, Subscriber, decide};

/// The rules in force. All clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rules(Arc<RwLock<Vec<Rule>>>);

impl Rules {
    pub(crate) fn set(&self, rules: &[Rule]) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = rules.to_vec();
    }

    pub(crate) fn decide(&self, request: &SubscribeRequest<'_>) -> Admission {
        let rules = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let subscriber = Subscriber { place: request.address.into(), user: request.user };
        decide(&rules, subscriber, request.prefix)
    }
}
