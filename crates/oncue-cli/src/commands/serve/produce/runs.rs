//! One run of a program for each value, periodically.

use oncue::demand::{Feed, Produced, Ticks};

use super::Place;
use super::invocation::{self, Wanted};
use crate::commands::serve::config::Runs;
use crate::commands::serve::program::process::{End, Work};

/// Produces one topic until it is not wanted any more.
pub(crate) fn produce(runs: &Runs, place: &Place, feed: &Feed) -> Produced {
    let command = invocation::command(&place.tools.launcher, &runs.program, &Wanted::of(feed));
    let Some((mut command, _producing)) = place.begin(feed, command) else { return Ok(()) };
    let mut ticks = Ticks::new(feed, runs.every);
    loop {
        // The value before is good enough, or every subscriber would miss this one.
        if !feed.skip_for_freshness() && !feed.skip_for_congestion() {
            let mut output = Output::new(runs);
            let (program, timeout) = (&runs.program, Some(runs.timeout));
            let stopped = || feed.stopped();
            let (end, took) = place.run(program, &mut command, &mut output, feed.topic(), timeout, stopped);
            feed.spent(took);
            match end {
                End::Stopped => return Ok(()),
                End::Done => feed.publish(without_end(&output.bytes))?,
                End::Failed(why) => return Err(why.into()),
            }
        }
        ticks.wait()?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_newline_is_taken_off() {
        assert_eq!(without_end(b"a\nb\n\n"), b"a\nb\n");
        assert_eq!(without_end(b"a\r\n"), b"a\r");
        assert_eq!(without_end(b""), b"");
    }
}
