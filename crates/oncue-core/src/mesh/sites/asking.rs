//! When to ask a site for a snapshot.

use core::time::Duration;

use crate::backoff::Backoff;

/// The pauses between questions to one site. The first one is asked at once.
const RETRY: Backoff = Backoff { min: Duration::from_millis(20), max: Duration::from_secs(2) };

/// After this time a question counts as failed although the caller has not said so. Generous, since a large snapshot on a slow line
/// takes long.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// The questions to one site: at most one at a time, and in a row only with growing pauses.
#[derive(Default)]
pub(super) struct Asking {
    state: State,
    failures: u32,
    /// When the last question ended.
    ended: Option<Duration>,
}

#[derive(Clone, Copy, Default)]
enum State {
    #[default]
    Idle,
    /// To be asked then.
    Due(Duration),
    /// Asked then, and not answered.
    Asked(Duration),
}

impl Asking {
    /// An answer is needed from now on.
    pub(super) fn want(&mut self, now: Duration) {
        if matches!(self.state, State::Idle) {
            self.state = State::Due(self.next(now));
        }
    }

    /// No answer is needed any more. The pauses are remembered.
    pub(super) fn cancel(&mut self, now: Duration) {
        if self.is_asked() {
            self.ended = Some(now);
        }
        self.state = State::Idle;
    }

    /// The question was answered.
    pub(super) fn answered(&mut self, now: Duration) {
        self.state = State::Idle;
        self.ended = Some(now);
    }

    /// It has failed, if there is one, and is asked again after a pause.
    pub(super) fn failed(&mut self, now: Duration) {
        if self.is_asked() {
            self.ended = Some(now);
            self.state = State::Due(self.next(now));
        }
    }

    /// Whether a question is under way.
    pub(super) fn is_asked(&self) -> bool {
        matches!(self.state, State::Asked(_))
    }

    /// Whether to ask now. If so it counts as asked.
    pub(super) fn turn(&mut self, now: Duration) -> bool {
        if self.deadline().is_none_or(|deadline| deadline > now) {
            return false;
        }
        self.failed(now);
        let due = matches!(self.state, State::Due(at) if at <= now);
        if due {
            self.state = State::Asked(now);
        }
        due
    }

    /// When to call [`turn`](Self::turn).
    pub(super) fn deadline(&self) -> Option<Duration> {
        match self.state {
            State::Idle => None,
            State::Due(at) => Some(at),
            State::Asked(at) => Some(at.saturating_add(ANSWER_MAX)),
        }
    }

    fn next(&mut self, now: Duration) -> Duration {
        let rested = self.ended.map_or(Duration::MAX, |ended| now.saturating_sub(ended));
        if rested >= RETRY.max {
            self.failures = 0;
            return now;
        }
        now.saturating_add(RETRY.pause(&mut self.failures, rested))
    }
}
