//! One program for each topic; its lines are the values.

use oncue::demand::{Feed, Produced};

use super::invocation::{self, Wanted};
use super::{Place, count};
use crate::commands::serve::config::{Restart, Running};
use crate::commands::serve::program::process::{End, Work};
use crate::lines::{Line, Lines};

/// Produces one topic until it is not wanted any more, or its program has ended.
pub(crate) fn produce(running: &Running, place: &Place, feed: &Feed) -> Produced {
    let Running { program, restart, line_bytes_max } = running;
    let command = invocation::command(&place.tools.launcher, program, &Wanted::of(feed));
    let Some((mut command, _producing)) = place.begin(feed, command) else { return Ok(()) };
    let mut values = Values { feed, place, lines: Lines::new(*line_bytes_max) };
    let stopped = || feed.stopped();
    let (end, _) = place.run(program, &mut command, &mut values, feed.topic(), None, stopped);
    match (end, restart) {
        (End::Failed(why), _) => Err(why.into()),
        // A program that is always restarted should not have ended.
        (End::Done, Restart::Always) => Err("ended".into()),
        (End::Done | End::Stopped, _) => Ok(()),
    }
}

/// Publishes the lines of one program.
struct Values<'s> {
    feed: &'s Feed,
    place: &'s Place,
    lines: Lines,
}

fn publish(feed: &Feed, place: &Place, line: Line<'_>) -> Result<(), String> {
    match line {
        // A stopped feed counts late values itself, and its program is being ended.
        Line::Whole(line) => drop(feed.publish(line)),
        Line::Beginning(line) => too_long(place, feed.topic(), line.len()),
    }
    Ok(())
}

/// Logs that a line was skipped because it is longer than this.
pub(super) fn too_long(place: &Place, name: &[u8], bytes_max: usize) {
    count(&place.tools.counts.skipped);
    place.log.about(name, &format!("skipped a line longer than {bytes_max} bytes; see `line_bytes_max`"));
}

impl Work for Values<'_> {
    fn take_output(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.lines.take(bytes, |line| publish(self.feed, self.place, line))
    }

    fn finish(&mut self) -> Result<(), String> {
        self.lines.finish(|line| publish(self.feed, self.place, line))
    }
}
