//! One program for each topic, whose lines are the values.

use oncue::demand::{Feed, Produced};

use super::invocation::{self, Wanted};
use super::{Place, Producing, count};
use crate::commands::serve::config::{Restart, Running};
use crate::commands::serve::program::process::{End, Work};
use crate::lines::{Line, Lines};

/// Produces one topic until nobody wants it any more, or its program has ended.
pub(crate) fn produce(running: &Running, place: &Place, feed: &Feed) -> Produced {
    let Running { program, restart, line_bytes_max } = running;
    let mut command = match invocation::command(&place.tools.launcher, program, &Wanted::of(feed)) {
        Ok(command) => command,
        Err(why) => {
            place.refuse(feed.topic(), &why);
            return Ok(());
        }
    };
    let _producing = Producing::new(place, feed.topic());
    let mut values = Values { feed, place, lines: Lines::new(*line_bytes_max) };
    let kill_after = program.kill_after;
    let (end, _) = place.run(&mut command, &mut values, feed.topic(), None, kill_after, || feed.stopped());
    match (end, restart) {
        (End::Failed(why), _) => Err(why.into()),
        // Whoever is to be started again is one who should not have ended.
        (End::Done, Restart::Always) => Err("ended".into()),
        (End::Done | End::Stopped, _) => Ok(()),
    }
}

/// The lines of one program, on their way to the subscribers.
struct Values<'s> {
    feed: &'s Feed,
    place: &'s Place,
    lines: Lines,
}

fn publish(feed: &Feed, place: &Place, line: Line<'_>) -> Result<(), String> {
    match line {
        // A feed that has stopped counts what comes late, and its program is being ended.
        Line::Whole(line) => drop(feed.publish(line)),
        Line::Beginning(line) => too_long(place, feed.topic(), line.len()),
    }
    Ok(())
}

/// Leaves out a line that is longer than this.
pub(super) fn too_long(place: &Place, name: &[u8], bytes_max: usize) {
    count(&place.tools.counts.left_out);
    place.log.about(name, &format!("left out a line longer than {bytes_max} bytes; see `line_bytes_max`"));
}

impl Work for Values<'_> {
    fn take_output(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.lines.take(bytes, |line| publish(self.feed, self.place, line))
    }

    fn finish(&mut self) -> Result<(), String> {
        self.lines.finish(|line| publish(self.feed, self.place, line))
    }
}
