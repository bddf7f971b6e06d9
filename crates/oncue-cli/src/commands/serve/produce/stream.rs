//! One program for each topic, whose lines are the values.

use std::pin::Pin;
use std::task::Context;

use oncue::demand::{Feed, Produced};

use super::invocation::{self, Wanted};
use super::{Place, Producing, count};
use crate::commands::serve::config::{Restart, Running};
use crate::commands::serve::program::lines::{Line, Lines};
use crate::commands::serve::program::process::{self, End, Work};
use crate::wait::wait;

/// Produces one topic until nobody wants it any more, or its program has ended.
pub(crate) fn produce(running: &Running, place: &Place, feed: &Feed) -> Produced {
    let Running { program, restart, line_bytes_max } = running;
    let Place { tools, log } = place;
    let mut command = match invocation::command(&tools.launcher, program, &Wanted::of(feed)) {
        Ok(command) => command,
        Err(why) => {
            place.refuse(feed.topic(), &why);
            return Ok(());
        }
    };
    let _producing = Producing::new(place, feed.topic());
    let Some(_permit) = wait(tools.permits.take(feed.stopped())) else { return Ok(()) };
    count(&tools.counts.programs);
    let lines = Lines::new(*line_bytes_max);
    let mut values = Values { feed, stopped: feed.stopped(), place, lines };
    let name = (&**log, feed.topic());
    let end = process::run(&mut command, &mut values, None, program.kill_after, name);
    values.finish();
    match (end, restart) {
        (End::Failed(why), _) => Err(why.into()),
        // Whoever is to be started again is one who should not have ended.
        (End::Done, Restart::Always) => Err("ended".into()),
        (End::Done | End::Stopped, _) => Ok(()),
    }
}

/// The lines of one program, on their way to the subscribers.
struct Values<'s, S> {
    feed: &'s Feed,
    /// Done when nobody wants the topic any more.
    stopped: S,
    place: &'s Place,
    lines: Lines,
}

impl<S> Values<'_, S> {
    fn finish(&mut self) {
        let (feed, place) = (self.feed, self.place);
        self.lines.finish(|line| publish(feed, place, line));
    }
}

fn publish(feed: &Feed, place: &Place, line: Line<'_>) {
    match line {
        // A feed that has stopped counts what comes late, and its program is being ended.
        Line::Whole(line) => drop(feed.publish(line)),
        Line::Beginning(line) => too_long(place, feed.topic(), line.len()),
    }
}

/// Leaves out a line that is longer than this.
pub(super) fn too_long(place: &Place, name: &[u8], bytes_max: usize) {
    count(&place.tools.counts.left_out);
    place.log.about(name, &format!("left out a line longer than {bytes_max} bytes; see `line_bytes_max`"));
}

impl<S: Future<Output = ()> + Unpin> Work for Values<'_, S> {
    fn poll_stop(&mut self, context: &mut Context<'_>) -> bool {
        Pin::new(&mut self.stopped).poll(context).is_ready()
    }

    fn take_output(&mut self, bytes: &[u8]) -> Result<(), String> {
        let (feed, place) = (self.feed, self.place);
        self.lines.take(bytes, |line| publish(feed, place, line));
        Ok(())
    }
}
