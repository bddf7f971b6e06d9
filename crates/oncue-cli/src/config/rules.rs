//! The rules in force, which a reload replaces.

use std::sync::{Arc, PoisonError, RwLock};

use oncue::{Admission, SubscribeRequest};

use super::rule::{Rule, Subscriber, decide};

/// The rules in force. All clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    rules: Arc<RwLock<Vec<Rule>>>,
    /// What hidden topics begin with; empty if there are none.
    hidden: Arc<[u8]>,
}

impl Rules {
    pub(crate) fn new(hidden: &str) -> Rules {
        Rules { rules: Arc::default(), hidden: hidden.as_bytes().into() }
    }

    pub(crate) fn set(&self, rules: &[Rule]) {
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = rules.to_vec();
    }

    pub(crate) fn decide(&self, request: &SubscribeRequest<'_>) -> Admission {
        let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner);
        let subscriber = Subscriber { place: request.address.into(), user: request.user };
        decide(&rules, subscriber, request.prefix, &self.hidden)
    }
}
