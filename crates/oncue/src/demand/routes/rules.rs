//! The rules of all routes about who may subscribe, as one answer to the socket, which asks.

use std::sync::{Arc, OnceLock, RwLock};

use oncue_pattern::PrefixMeaning;

use crate::demand::feed::Desk;
use crate::demand::runner::{Guard, Replaced, Starts};
use crate::error::Result;
use crate::options::Options;
use crate::permission::{Admission, SubscribeRequest};
use crate::sync::{read_lock, write_lock};

/// The rules of all routes that have one.
#[derive(Default)]
pub(crate) struct Rules {
    guards: RwLock<Vec<Guard>>,
    /// Is told of subscriptions to topics whose value may be missing, once routes run.
    desk: OnceLock<Arc<Desk>>,
    /// How many feeds each user may start, once routes run.
    starts: OnceLock<Arc<Starts>>,
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
            if answer != Admission::Accept || request.in_force {
                return answer;
            }
            let answer = rules.starts.get().map_or(answer, |starts| starts.ask(request));
            if !matches!(answer, Admission::Reject(_)) {
                rules.admitted(request.prefix);
            }
            answer
        })
    }

    /// Asks every route to which the prefix means something: a peer with a short prefix gets the topics of all of them.
    fn ask(&self, request: &SubscribeRequest<'_>) -> Admission {
        let mut answer = Admission::Accept;
        for Guard { pattern, admit, .. } in &*read_lock(&self.guards) {
            let admit = admit.as_ref().filter(|_| pattern.prefix(request.prefix) != PrefixMeaning::None);
            match admit.map_or(Admission::Accept, |admit| admit(request)) {
                Admission::Accept => {}
                Admission::Defer => answer = Admission::Defer,
                Admission::Reject(status) => return Admission::Reject(status),
            }
        }
        answer
    }

    /// Has the last value of a topic filled in that a peer has subscribed to, if its route can do that.
    fn admitted(&self, prefix: &[u8]) {
        let Some(desk) = self.desk.get() else { return };
        let fills = |guard: &Guard| guard.fills && guard.pattern.prefix(prefix) == PrefixMeaning::Exact;
        if read_lock(&self.guards).iter().any(fills) {
            desk.ask(prefix);
        }
    }

    /// From now on this desk is told of subscriptions, and they keep to these bounds.
    pub(crate) fn tell(&self, desk: Arc<Desk>, starts: Arc<Starts>) {
        // Routes start once.
        let _ = (self.desk.set(desk), self.starts.set(starts));
    }

    pub(crate) fn add(&self, guard: Guard) {
        write_lock(&self.guards).push(guard);
    }

    /// Makes a change of the routes, and puts their rules in the place of those before. No subscription is decided
    /// meanwhile.
    pub(crate) fn follow(&self, change: impl FnOnce() -> Result<Replaced>) -> Result<Replaced> {
        let mut guards = write_lock(&self.guards);
        let mut replaced = change()?;
        std::mem::swap(&mut *guards, &mut replaced.guards);
        Ok(replaced)
    }
}
