//! Whether a peer is alive: when it gave a sign of life, when it is pinged, and when it was silent for too long. It
//! neither reads a clock nor writes.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::options::Pace;
use crate::sync::Moment;

/// How many timers one peer has at most. It needs a second one only if it asks for an earlier check than before; a
/// peer that does so again and again is checked later than it asked for.
const TIMERS_MAX: u8 = 4;
/// How often a peer gets an unasked PONG while we do not read its PINGs: as often as it sent them, within these
/// bounds.
const ASSURANCES: RangeInclusive<Duration> = Duration::from_millis(50)..=Duration::from_secs(1);

/// The signs of life of one peer.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    /// When the last one came.
    heard: Moment,
    /// How long it may be silent by its own word: the TTL of its last PING.
    ttl: Moment,
    /// When it is pinged next, if it is.
    ping_at: Moment,
    /// When it was pinged first since it was last heard.
    asked: Moment,
    /// How we watch it, if we do.
    interval: Moment,
    timeout: Moment,
    ttl_ds: u16,
    /// When its last PING came, and the interval of its PINGs.
    its_ping: Moment,
    its_interval: Moment,
    /// When we owe it a sign of life, while we do not read it.
    owed_at: Moment,
    /// The earliest of its timers, and how many are set.
    look_at: Moment,
    timers: u8,
}

/// What to do about a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beat {
    /// It was silent for too long.
    Dead,
    /// Send it a PING.
    Ping {
        ttl_ds: u16,
    },
    /// Send it a PONG that it did not ask for: we live, though we do not read now.
    Assure,
    Nothing,
}

impl Pulse {
    /// A sign of life came.
    pub(crate) fn hear(&mut self, now: Duration) {
        self.heard = now.into();
        self.asked = Moment::NONE;
    }

    /// The peer was pinged, and may live without an answer.
    pub(crate) fn excuse(&mut self) {
        self.asked = Moment::NONE;
    }

    /// When the last sign of life came.
    pub(crate) fn heard(&self) -> Duration {
        self.heard.get().unwrap_or_default()
    }

    /// A PING came. A TTL of 0 revokes the previous one.
    pub(crate) fn hear_ping(&mut self, ttl_ds: u16, now: Duration) {
        self.ttl = (ttl_ds > 0).then(|| Duration::from_millis(u64::from(ttl_ds) * 100)).into();
        let since = self.its_ping.get().map(|before| now.saturating_sub(before));
        self.its_interval =
            since.unwrap_or(Duration::MAX).clamp(*ASSURANCES.start(), *ASSURANCES.end()).into();
        self.its_ping = now.into();
    }

    /// Begins to ping it, first at `at`.
    pub(crate) fn begin(&mut self, pace: Pace, at: Duration) {
        (self.interval, self.timeout, self.ttl_ds) = (pace.interval.into(), pace.timeout.into(), pace.ttl_ds);
        self.ping_at = at.into();
    }

    /// From now on an unasked PONG does no harm.
    pub(crate) fn understands(&mut self) {
        self.its_interval = (*ASSURANCES.end()).into();
    }

    /// Reading the peer pauses or goes on. While it pauses, its PINGs do not reach us, so it gets unasked PONGs.
    pub(crate) fn pause(&mut self, paused: bool, now: Duration) {
        let interval = self.its_interval.get().filter(|_| paused);
        let at = |interval| self.owed_at.get().unwrap_or(now.saturating_add(interval));
        self.owed_at = interval.map(at).into();
    }

    /// What to do now.
    pub(crate) fn beat(&mut self, now: Duration) -> Beat {
        if self.is_dead(now) {
            return Beat::Dead;
        }
        if let (Some(at), Some(interval)) = (self.ping_at.get(), self.interval.get())
            && at <= now
        {
            self.ping_at = now.saturating_add(interval).into();
            if !self.asked.is_some() {
                self.asked = now.into();
            }
            return Beat::Ping { ttl_ds: self.ttl_ds };
        }
        if let (Some(at), Some(interval)) = (self.owed_at.get(), self.its_interval.get())
            && at <= now
        {
            self.owed_at = now.saturating_add(interval).into();
            return Beat::Assure;
        }
        Beat::Nothing
    }

    /// Whether it was silent for too long.
    pub(crate) fn is_dead(&self, now: Duration) -> bool {
        self.dead_at().is_some_and(|at| at <= now)
    }

    /// When to set a timer for the next check, unless one is set.
    pub(crate) fn set_timer(&mut self) -> Option<Duration> {
        let at = [self.dead_at(), self.ping_at.get(), self.owed_at.get()].into_iter().flatten().min()?;
        if self.look_at.get().is_some_and(|look| look <= at) || self.timers == TIMERS_MAX {
            return None;
        }
        self.look_at = at.into();
        self.timers += 1;
        Some(at)
    }

    /// A timer fired. Returns whether it is the one that counts.
    pub(crate) fn timer_fired(&mut self, now: Duration) -> bool {
        self.timers = self.timers.saturating_sub(1);
        let counts = self.look_at.get().is_none_or(|at| at <= now);
        if counts {
            self.look_at = Moment::NONE;
        }
        counts
    }

    /// When it counts as dead if it stays silent. It must have had the time to answer: if we were late, it has more.
    fn dead_at(&self) -> Option<Duration> {
        let by_its_word = self.ttl.get().map(|ttl| self.heard().saturating_add(ttl));
        let pace = self.timeout.get().zip(self.interval.get());
        let by_ours = pace.zip(self.asked.get()).map(|((timeout, interval), asked)| {
            let answered = asked.saturating_add(timeout.saturating_sub(interval));
            answered.max(self.heard().saturating_add(timeout))
        });
        by_its_word.into_iter().chain(by_ours).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace { interval: secs(5), timeout: secs(15), ttl_ds: 0 };
    const PING: Beat = Beat::Ping { ttl_ds: 0 };

    const fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn pinged() -> Pulse {
        let mut pulse = Pulse::default();
        pulse.begin(PACE, secs(5));
        pulse
    }

    /// What is done about a silent peer, each with its second, until it is dead or nothing is left to do.
    fn silence(pulse: &mut Pulse) -> Vec<(u64, Beat)> {
        silence_until(pulse, secs(100_000))
    }

    /// The same, up to this time.
    fn silence_until(pulse: &mut Pulse, end: Duration) -> Vec<(u64, Beat)> {
        let mut done: Vec<(u64, Beat)> = Vec::new();
        while !done.last().is_some_and(|(now, beat)| *beat == Beat::Dead || *now >= end.as_secs()) {
            let Some(now) = pulse.set_timer() else { break };
            assert!(pulse.timer_fired(now));
            done.push((now.as_secs(), pulse.beat(now)));
        }
        done
    }

    #[test]
    fn a_silent_peer_is_pinged_and_given_up_after_the_timeout() {
        assert_eq!(silence(&mut pinged()), [(5, PING), (10, PING), (15, Beat::Dead)]);
    }

    #[test]
    fn any_sign_of_life_will_do() {
        let mut pulse = pinged();
        for now in 1..100 {
            assert_eq!(pulse.beat(secs(now)), if now % 5 == 0 { PING } else { Beat::Nothing }, "{now}");
            if now % 14 == 0 {
                pulse.hear(secs(now));
            }
        }
    }

    #[test]
    fn a_ttl_is_obeyed_until_the_next_ping_says_otherwise() {
        let mut pulse = Pulse::default();
        assert_eq!(pulse.set_timer(), None);
        pulse.hear_ping(30, secs(0));
        assert_eq!(silence(&mut pulse), [(3, Beat::Dead)]);
        pulse.hear(secs(7));
        assert_eq!(silence(&mut pulse), [(10, Beat::Dead)]);
        pulse.hear(secs(20));
        pulse.hear_ping(0, secs(20));
        assert_eq!(silence(&mut pulse), []);
    }

    #[test]
    fn a_shard_that_was_held_up_asks_before_it_judges() {
        let mut pulse = pinged();
        // It stood still for a minute; the peer had nothing to answer.
        assert_eq!(pulse.beat(secs(65)), PING);
        assert_eq!(pulse.beat(secs(70)), PING);
        assert_eq!(pulse.beat(secs(74)), Beat::Nothing);
        assert_eq!(pulse.beat(secs(75)), Beat::Dead);
    }

    #[test]
    fn one_timer_is_set_and_a_few_where_a_peer_asks_for_earlier_ones() {
        let mut pulse = pinged();
        assert_eq!(pulse.set_timer(), Some(secs(5)));
        assert_eq!(pulse.set_timer(), None);
        let set = (1..1000).rev().filter(|ttl| {
            pulse.hear_ping(*ttl, secs(0));
            pulse.set_timer().is_some()
        });
        assert_eq!(set.count(), usize::from(TIMERS_MAX) - 1);
        // Replaced timers fire and do not count.
        let earliest = pulse.look_at.get().unwrap();
        assert!(pulse.timer_fired(earliest));
        pulse.look_at = secs(100).into();
        assert!(!pulse.timer_fired(secs(5)));
    }

    #[test]
    fn a_peer_whose_pings_are_not_read_is_assured() {
        let mut pulse = Pulse::default();
        pulse.pause(true, secs(1));
        assert_eq!(pulse.set_timer(), None, "it never asked");
        pulse.hear_ping(0, secs(2));
        pulse.hear_ping(0, secs(4));
        pulse.pause(true, secs(5));
        assert_eq!(
            silence_until(&mut pulse, secs(8)),
            [(6, Beat::Assure), (7, Beat::Assure), (8, Beat::Assure)]
        );
        pulse.pause(false, secs(8));
        assert_eq!(silence(&mut pulse), []);
        pulse.hear_ping(0, secs(9));
        pulse.hear_ping(0, secs(9));
        pulse.pause(true, secs(9));
        assert_eq!(
            pulse.set_timer(),
            Some(secs(9) + *ASSURANCES.start()),
            "who asks without end is assured now and then"
        );
    }
}
