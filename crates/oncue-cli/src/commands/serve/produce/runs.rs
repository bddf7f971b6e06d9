//! One run of a program for each value, periodically.

use std::time::{Duration, Instant};

use oncue::demand::{Feed, Produced};

use super::invocation::{self, Wanted};
use super::{Place, Producing};
use crate::commands::serve::config::Runs;
use crate::commands::serve::program::process::{End, Work};

/// Produces one topic until it is not wanted any more.
pub(crate) fn produce(runs: &Runs, place: &Place, feed: &Feed) -> Produced {
    let mut command = match invocation::command(&place.tools.launcher, &runs.program, &Wanted::of(feed)) {
        Ok(command) => command,
        Err(why) => {
            place.refuse(feed.topic(), &why);
            return Ok(());
        }
    };
    let _producing = Producing::new(place, feed.topic());
    let (mut due, kill_after) = (Instant::now(), runs.program.kill_after);
    loop {
        // Every subscriber would miss the value.
        if feed.skip_for_congestion() {
            due = next_tick(due, runs.every, Instant::now()).0;
        } else {
            let mut output = Output::new(runs);
            let (end, took) =
                place.run(&mut command, &mut output, feed.topic(), Some(runs.timeout), kill_after, || {
                    feed.stopped()
                });
            feed.spent(took);
            match end {
                End::Stopped => return Ok(()),
                End::Done => feed.publish(without_end(&output.bytes))?,
                End::Failed(why) => return Err(why.into()),
            }
            let missed;
            (due, missed) = next_tick(due, runs.every, Instant::now());
            feed.skip_ticks(missed);
        }
        feed.sleep(due.saturating_duration_since(Instant::now()))?;
    }
}

/// The output of one run.
pub(super) struct Output {
    pub(super) bytes: Vec<u8>,
    bytes_max: usize,
}

impl Output {
    pub(super) fn new(runs: &Runs) -> Output {
        Output { bytes: Vec::new(), bytes_max: runs.output_bytes_max }
    }
}

impl Work for Output {
    fn take_output(&mut self, bytes: &[u8]) -> Result<(), String> {
        // One more byte for the newline that is removed.
        if self.bytes.len() + bytes.len() > self.bytes_max.saturating_add(1) {
            return Err(format!("wrote more than {} bytes; see `output_bytes_max`", self.bytes_max));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }
}

/// The output of a program without the newline at its end.
pub(super) fn without_end(output: &[u8]) -> &[u8] {
    output.strip_suffix(b"\n").unwrap_or(output)
}

/// The first tick after `now`, a whole number of periods after `due`, and how many have passed between the two. Those are
/// gone.
pub(super) fn next_tick(due: Instant, period: Duration, now: Instant) -> (Instant, u64) {
    let late = now.saturating_duration_since(due);
    let passed = late.as_nanos() / period.as_nanos().max(1);
    let periods = u32::try_from(passed + 1).unwrap_or(u32::MAX);
    let next = period.checked_mul(periods).and_then(|since| due.checked_add(since)).unwrap_or(now);
    (next, u64::try_from(passed).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_whole_periods_after_the_first_and_those_missed_are_gone() {
        let start = Instant::now();
        let ms = Duration::from_millis;
        let next = |late: u64| {
            let (next, passed) = next_tick(start, ms(10), start + ms(late));
            (next - start, passed)
        };
        assert_eq!([next(0), next(3)], [(ms(10), 0), (ms(10), 0)]);
        assert_eq!([next(10), next(37)], [(ms(20), 1), (ms(40), 3)]);
        assert_eq!(next_tick(start + ms(5), ms(10), start), (start + ms(15), 0), "time that goes back");
    }

    #[test]
    fn one_newline_is_taken_off() {
        assert_eq!(without_end(b"a\nb\n\n"), b"a\nb\n");
        assert_eq!(without_end(b"a\r\n"), b"a\r");
        assert_eq!(without_end(b""), b"");
    }
}
