//! One program for each topic; what it writes are the values.

use oncue::demand::{Feed, Produced};

use super::burst::Burst;
use super::frames::{Frames, Item, Said};
use super::invocation::{self, Wanted};
use super::{Place, remark};
use crate::commands::serve::program::process::Work;
use crate::commands::serve::program::verdict::{End, Failed, Reason};
use crate::config::{Restart, Running};
use crate::record::Subject;

/// Produces one topic until it is not wanted any more, or its program has ended.
pub(crate) fn produce(running: &Running, place: &Place, feed: &Feed) -> Produced {
    let Running { program, restart, framing, line_bytes_max, .. } = running;
    let command = invocation::command(&place.tools.launcher, program, &Wanted::of(feed));
    let Some((mut command, _producing)) = place.begin(feed, command) else { return Ok(()) };
    let frames = Frames::new(*framing, *line_bytes_max, false);
    let mut values = Values { feed, place, frames, burst: Burst::default(), reported: false };
    let (subject, stopped) = (Subject::Topic(feed.topic()), || feed.stopped());
    let (end, _) = place.run(program, &mut command, &mut values, subject, None, stopped);
    match (end, restart) {
        (End::Failed(mut failed), _) => {
            failed.reason = if values.reported { Reason::Reported } else { failed.reason };
            Err(place.failed(subject, Some(program), &failed).into())
        }
        // A program that is always restarted should not have ended.
        (End::Done, Restart::Always) => {
            Err(place.failed(subject, Some(program), &Failed::new(Reason::Ended, "ended")).into())
        }
        (End::Done | End::Stopped, _) => Ok(()),
    }
}

/// Publishes the values of one program.
struct Values<'s> {
    feed: &'s Feed,
    place: &'s Place,
    frames: Frames,
    burst: Burst,
    /// Whether the program has said itself that it has failed.
    reported: bool,
}

impl Values<'_> {
    fn take(
        &mut self,
        cut: impl FnOnce(&mut Frames, &mut dyn FnMut(Item<'_>)) -> Result<(), String>,
    ) -> Result<(), String> {
        let Values { feed, place, frames, burst, reported } = self;
        let subject = Subject::Topic(feed.topic());
        let mut outcome = Ok(());
        let taken = cut(frames, &mut |item| match item {
            Item::Skipped(what) => place.skipped(subject, &what),
            Item::Said(Some(topic), _) if *topic != *feed.topic() => {
                place.skipped(subject, "a value of another topic");
            }
            Item::Said(_, Said::Value(value)) => burst.add(feed, &value),
            Item::Said(_, Said::End) => {
                burst.flush();
                feed.finish();
            }
            Item::Said(_, Said::Error(why)) => {
                *reported = true;
                outcome = Err(format!("says: {}", remark(&why)));
            }
        });
        // A stopped feed counts late values itself, and its program is being ended.
        burst.flush();
        outcome.and(taken)
    }
}

impl Work for Values<'_> {
    fn take_output(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.take(|frames, sink| frames.take(bytes, sink))
    }

    fn finish(&mut self) -> Result<(), String> {
        self.take(Frames::finish)
    }

    fn is_awaited(&self) -> bool {
        true
    }
}
