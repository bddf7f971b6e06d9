//! How old messages are when they come: the time since the stamp that the publisher put into them.

use std::time::{Duration, SystemTime};

use oncue::Msg;
use serde_json::Value;

use super::frame::frame;
use crate::json;

/// Each power of two of nanoseconds is cut into this many steps: a quantile is at most 1/8 too high.
const STEPS: usize = 8;
/// The steps of all powers of two of a u64.
const STEPS_ALL: usize = 64 * STEPS;

/// The nanoseconds of a second.
const NANOSECONDS: u64 = 1_000_000_000;
/// Up to which number a Unix time is in this unit, in nanoseconds.
const UNITS: [(u64, u64); 4] = [
    (100_000_000_000, NANOSECONDS),
    (100_000_000_000_000, 1_000_000),
    (100_000_000_000_000_000, 1_000),
    (u64::MAX, 1),
];

/// Where a message has its stamp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stamp {
    /// It is this frame.
    Frame(usize),
    /// The value of this key, in the JSON object that the value of the message is.
    Key(String),
}

/// The latencies of messages.
pub(super) struct Latency {
    stamp: Stamp,
    /// The frame that holds the object with the key.
    value: usize,
    steps: Box<[u64; STEPS_ALL]>,
    most: Duration,
    count: u64,
    /// Messages without a stamp, or with one that cannot be read.
    without: u64,
    /// Messages whose stamp is later than their arrival.
    ahead: u64,
}

impl Stamp {
    /// A number is a frame, anything else a key.
    pub(super) fn named(name: String) -> Stamp {
        name.parse().map_or(Stamp::Key(name), Stamp::Frame)
    }
}

impl Latency {
    pub(super) fn new(stamp: Stamp, value: usize) -> Latency {
        let steps = Box::new([0; STEPS_ALL]);
        Latency { stamp, value, steps, most: Duration::ZERO, count: 0, without: 0, ahead: 0 }
    }

    /// Takes a message that came at this time.
    pub(super) fn take(&mut self, message: &Msg, at: SystemTime) {
        let stamp = match &self.stamp {
            Stamp::Frame(number) => {
                str::from_utf8(frame(message, *number)).ok().and_then(|text| read(text.trim()))
            }
            Stamp::Key(key) => under_key(frame(message, self.value), key),
        };
        match stamp.map(|stamp| at.duration_since(stamp)) {
            None => self.without += 1,
            Some(Err(_)) => self.ahead += 1,
            Some(Ok(age)) => self.add(age),
        }
    }

    fn add(&mut self, age: Duration) {
        let nanoseconds = u64::try_from(age.as_nanos()).unwrap_or(u64::MAX);
        if let Some(step) = self.steps.get_mut(step_of(nanoseconds)) {
            *step += 1;
        }
        self.count += 1;
        self.most = self.most.max(age);
    }

    /// What so many thousandths of the messages are not older than.
    fn quantile(&self, thousandths: u64) -> Duration {
        let wanted = (self.count * thousandths).div_ceil(1000);
        let mut seen = 0;
        let at = self.steps.iter().position(|step| {
            seen += step;
            seen >= wanted
        });
        at.map_or(self.most, |at| Duration::from_nanos(end_of(at)).min(self.most))
    }

    /// For people.
    pub(super) fn words(&self) -> String {
        let mut text = match self.count {
            0 => "no latency is known".to_owned(),
            _ => format!(
                "latency: median {:.1?}, 99th percentile {:.1?}, at most {:.1?}",
                self.quantile(500),
                self.quantile(990),
                self.most
            ),
        };
        for (count, what) in [(self.without, "without a stamp"), (self.ahead, "stamped later than they came")]
        {
            if count > 0 {
                text += &format!("; {count} {what}");
            }
        }
        text
    }

    /// For programs, in seconds.
    pub(super) fn json(&self) -> Value {
        let known = |time: Duration| if self.count > 0 { time.as_secs_f64().into() } else { Value::Null };
        json::object(&[
            ("stamped", self.count.into()),
            ("median", known(self.quantile(500))),
            ("p99", known(self.quantile(990))),
            ("max", known(self.most)),
            ("without_stamp", self.without.into()),
            ("stamped_later", self.ahead.into()),
        ])
    }
}

/// The step of a number of nanoseconds: below [`STEPS`] they are the numbers themselves.
fn step_of(nanoseconds: u64) -> usize {
    let Some(power) = nanoseconds.checked_ilog2().filter(|power| *power >= STEPS.ilog2()) else {
        return usize::try_from(nanoseconds).unwrap_or_default();
    };
    let shift = power - STEPS.ilog2();
    // The highest bit, and the bits after it that choose the step.
    let leading = usize::try_from(nanoseconds >> shift).unwrap_or_default();
    shift as usize * STEPS + leading
}

/// The largest number of nanoseconds of a step.
fn end_of(step: usize) -> u64 {
    let shift = (step / STEPS).saturating_sub(1);
    let leading = (step - shift * STEPS) as u128;
    u64::try_from(((leading + 1) << shift) - 1).unwrap_or(u64::MAX)
}

/// The stamp under a key of a JSON object.
fn under_key(value: &[u8], key: &str) -> Option<SystemTime> {
    match serde_json::from_slice::<Value>(value).ok()?.get(key)? {
        Value::String(text) => read(text),
        Value::Number(number) => read(&number.to_string()),
        _ => None,
    }
}

/// Reads RFC 3339 in UTC, or a Unix time in seconds, or in milliseconds, microseconds or nanoseconds if it is too large to be in
/// the unit before: seconds from the year 5138 on are not told from milliseconds.
fn read(text: &str) -> Option<SystemTime> {
    let since_epoch = match (text.parse::<u64>(), text.parse::<f64>()) {
        (Ok(whole), _) => {
            let (_, unit) = UNITS.into_iter().find(|(below, _)| whole <= *below)?;
            let second = NANOSECONDS / unit;
            // Less than a second fits.
            Duration::new(whole / second, u32::try_from(whole % second * unit).ok()?)
        }
        (_, Ok(number)) => {
            let (_, unit) = UNITS.into_iter().find(|(below, _)| number <= *below as f64)?;
            Duration::try_from_secs_f64(number * unit as f64 / NANOSECONDS as f64).ok()?
        }
        _ => return humantime::parse_rfc3339(text).ok(),
    };
    SystemTime::UNIX_EPOCH.checked_add(since_epoch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_unix_time_in_any_unit_or_rfc_3339() {
        let expected = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        for text in [
            "1700000000",
            "1700000000.0",
            "1700000000000",
            "1700000000000.0",
            "1700000000000000",
            "1700000000000000000",
            "1.7e9",
            "2023-11-14T22:13:20Z",
        ] {
            assert_eq!(read(text), Some(expected), "{text}");
        }
        for text in ["", "x", "-1", "NaN", "inf", "2023-11-14", "1e40"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn each_number_is_in_the_step_that_ends_at_or_after_it() {
        let mut random = 1_u64;
        for shift in 0..64 {
            for near in [0, 1, 2, 7] {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                for number in [(1_u64 << shift).wrapping_sub(near), random >> shift] {
                    let step = step_of(number);
                    assert!(step < STEPS_ALL && end_of(step) >= number, "{number} in {step}");
                    assert!(end_of(step) - number <= number / 8, "{number} in {step}");
                    assert!(step == 0 || end_of(step - 1) < number, "{number} in {step}");
                }
            }
        }
    }

    #[test]
    fn quantiles_of_stamped_messages() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let mut latency = Latency::new(Stamp::named("t".to_owned()), 1);
        for millis in 1..=100 {
            let stamp = 1_700_000_000_000_u64 - millis;
            latency.take(&Msg::from_frames(["a", &format!("{{\"t\":{stamp}}}")]), now);
        }
        let millis = |thousandths| latency.quantile(thousandths).as_secs_f64() * 1e3;
        assert!((50.0..57.0).contains(&millis(500)), "{}", millis(500));
        assert!((99.0..=100.0).contains(&millis(990)), "{}", millis(990));
        latency.take(&Msg::from_frames(["a", "no object"]), now);
        latency.take(&Msg::from_frames(["a", "{\"t\":\"2023-11-14T22:13:21Z\"}"]), now);
        assert_eq!((latency.count, latency.without, latency.ahead), (100, 1, 1));
        assert!(
            latency.words().ends_with("at most 100.0ms; 1 without a stamp; 1 stamped later than they came")
        );
    }

    #[test]
    fn a_stamp_may_be_a_frame() {
        let mut latency = Latency::new(Stamp::named("2".to_owned()), 1);
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(7);
        latency.take(&Msg::from_frames(["a", "1", " 5 "]), at);
        latency.take(&Msg::from_frames(["a", "1"]), at);
        assert_eq!((latency.most, latency.without), (Duration::from_secs(2), 1));
        assert_eq!(Latency::new(Stamp::Frame(0), 1).words(), "no latency is known");
    }
}
