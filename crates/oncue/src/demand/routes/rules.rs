//! Who may subscribe to the topics of a route: the rules of all routes as one answer to the socket, which asks.

use std::sync::{Arc, Mutex, RwLock};

use oncue_pattern::PrefixMeaning;

use crate::demand::Pattern;
use crate::demand::runner::asked::Asked;
use crate::demand::runner::plan::Plan;
use crate::options::Options;
use crate::permission::{Admission, SubscribeRequest};
use crate::sync::{lock, read_lock, write_lock};

/// A route's own rule.
pub(crate) type AdmitFn = Arc<dyn Fn(&SubscribeRequest<'_>) -> Admission + Send + Sync>;

/// The rules of all routes that have one.
#[derive(Default)]
pub(crate) struct Rules {
    rules: RwLock<Vec<(Pattern, AdmitFn)>>,
    /// Is told who is let in.
    pub(crate) asked: Arc<Asked>,
}

impl Rules {
    /// Options with which a socket asks these rules, after the rule that it had.
    pub(crate) fn guard(self: &Arc<Self>, mut options: Options) -> Options {
        let (own, rules) = (options.admission.take(), self.clone());
        options.admission(move |request| {
            let answer = match own.as_ref().map(|own| own.ask(request)) {
                None | Some(Admission::Accept) => rules.ask(request),
                Some(answer) => answer,
            };
            if answer == Admission::Accept {
                rules.asked.hear(request.prefix);
            }
            answer
        })
    }

    /// Every route is asked that the prefix means something to: who gets in by a short prefix gets the topics of all of
    /// them.
    fn ask(&self, request: &SubscribeRequest<'_>) -> Admission {
        let mut answer = Admission::Accept;
        for (pattern, rule) in &*read_lock(&self.rules) {
            if pattern.prefix(request.prefix) == PrefixMeaning::None {
                continue;
            }
            match rule(request) {
                Admission::Accept => {}
                Admission::Defer => answer = Admission::Defer,
                Admission::Reject(status) => return Admission::Reject(status),
            }
        }
        answer
    }

    pub(crate) fn add(&self, pattern: Pattern, rule: AdmitFn) {
        write_lock(&self.rules).push((pattern, rule));
    }

    /// Does what changes the routes, and takes their rules instead of those before. Nobody is let in between.
    pub(crate) fn follow<T, E>(
        &self,
        plan: &Mutex<Plan>,
        change: impl FnOnce(&mut Plan) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut rules = write_lock(&self.rules);
        let mut plan = lock(plan);
        let done = change(&mut plan)?;
        let admitting =
            plan.routes.values().filter_map(|run| Some((run.pattern.clone(), run.admit.clone()?)));
        *rules = admitting.collect();
        self.asked.follow(plan.filled());
        Ok(done)
    }
}
