//! One run of a program for each value, periodically.

use oncue::demand::{Feed, Produced, Ticks};

use super::Place;
use super::invocation::{self, Wanted};
use crate::commands::serve::program::process::Work;
use crate::commands::serve::program::verdict::End;
use crate::config::Runs;
use crate::record::Subject;

/// Produces one topic until it is not wanted any more.
pub(crate) fn produce(runs: &Runs, place: &Place, feed: &Feed) -> Produced {
    let command = invocation::command(&place.tools.launcher, &runs.program, &Wanted::of(feed));
    let Some((mut command, _producing)) = place.begin(feed, command) else { return Ok(()) };
    let (subject, mut ticks) = (Subject::Topic(feed.topic()), Ticks::new(feed, runs.every));
    loop {
        // The value before is good enough, or every subscriber would miss this one.
        if !feed.skip_for_freshness() && !feed.skip_for_congestion() {
            let mut output = Output::new(runs);
            let (program, timeout) = (&runs.program, Some(runs.timeout));
            let stopped = || feed.stopped();
            let (end, took) = place.run(program, &mut command, &mut output, subject, timeout, stopped);
            feed.spent(took);
            match end {
                End::Stopped => return Ok(()),
                End::Done => feed.publish(output.value())?,
                End::Failed(failed) => return Err(place.failed(subject, Some(program), &failed).into()),
            }
        }
        ticks.wait()?;
    }
}

/// The output of one run.
pub(super) struct Output {
    pub(super) bytes: Vec<u8>,
    bytes_max: usize,
    trim: bool,
}

impl Output {
    pub(super) fn new(runs: &Runs) -> Output {
        Output { bytes: Vec::new(), bytes_max: runs.output_bytes_max, trim: runs.trim }
    }

    fn value(&self) -> &[u8] {
        trimmed(&self.bytes, self.trim)
    }

    fn too_large(&self) -> String {
        format!("wrote more than {} bytes; see `output_bytes_max`", self.bytes_max)
    }
}

impl Work for Output {
    fn take_output(&mut self, bytes: &[u8]) -> Result<(), String> {
        // One more byte for a newline that is removed.
        if self.bytes.len() + bytes.len() > self.bytes_max.saturating_add(1) {
            return Err(self.too_large());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn finish(&mut self) -> Result<(), String> {
        if self.value().len() > self.bytes_max { Err(self.too_large()) } else { Ok(()) }
    }
}

/// The output of a program, or the content of a file; if it is to be trimmed, without the newline at its end.
pub(super) fn trimmed(output: &[u8], trim: bool) -> &[u8] {
    output.strip_suffix(b"\n").filter(|_| trim).unwrap_or(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_newline_is_taken_off() {
        assert_eq!(trimmed(b"a\nb\n\n", true), b"a\nb\n");
        assert_eq!(trimmed(b"a\r\n", true), b"a\r");
        assert_eq!(trimmed(b"", true), b"");
        assert_eq!(trimmed(b"a\n", false), b"a\n");
    }

    #[test]
    fn the_bound_of_an_output_is_that_of_its_value() {
        for (trim, output, fits) in
            [(true, "1234\n", true), (false, "123\n", true), (false, "1234\n", false), (true, "12345", false)]
        {
            let mut taken = Output { bytes: Vec::new(), bytes_max: 4, trim };
            let fit = taken.take_output(output.as_bytes()).and_then(|()| taken.finish()).is_ok();
            assert_eq!(fit, fits, "{output:?} with {trim}");
        }
    }
}
