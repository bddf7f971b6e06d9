//! Files as sources of values: the lines appended to a file, even if it is truncated or replaced, or its content.

use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime};

use oncue::demand::{Feed, Produced, Stopped, Ticks};

use super::Place;
use super::frames::too_long;
use super::invocation::Wanted;
use super::open::Named;
use super::runs::trimmed;
use crate::commands::serve::program::verdict::{Failed, Reason};
use crate::config::Watched;
use crate::lines::{Line, Lines};
use crate::record::Subject;

const READ_BYTES: usize = 64 << 10;
/// A file that was modified more recently than this may change again with the same timestamps.
const SAME_TIMES_MAX: Duration = Duration::from_secs(2);

/// Produces one topic until it is not wanted any more.
pub(crate) fn produce(watched: &Watched, reader: &mut dyn Reader, place: &Place, feed: &Feed) -> Produced {
    let named = Named::new(&watched.path, &Wanted::of(feed));
    let Some((named, _producing)) = place.begin(feed, named) else { return Ok(()) };
    let subject = Subject::Topic(feed.topic());
    let mut value = |line: Line<'_>| match line {
        Line::Whole(line) => feed.publish(line),
        Line::Beginning(line) => {
            place.skipped(subject, &too_long(line.len()));
            Ok(())
        }
    };
    let mut ticks = Ticks::new(feed, watched.every);
    // A failure is logged once, not at every look.
    let mut logged = String::new();
    loop {
        match reader.look(&named, &mut value) {
            Ok(()) => logged.clear(),
            Err(Trouble::Stopped(stopped)) => return Err(stopped.into()),
            Err(Trouble::File(why)) if why == logged => {}
            Err(Trouble::File(why)) => {
                let failed = Failed::new(Reason::File, format!("cannot be read now: {why}"));
                place.failed(subject, None, &failed);
                logged = why;
            }
        }
        ticks.wait()?;
    }
}

/// Takes values.
pub(crate) type Sink<'s> = dyn FnMut(Line<'_>) -> Result<(), Stopped> + 's;

/// How values are taken from a file.
pub(crate) trait Reader {
    /// Looks at the file, and passes new values to `value`.
    fn look(&mut self, named: &Named<'_>, value: &mut Sink<'_>) -> Result<(), Trouble>;
}

/// Why a look at a file ended.
pub(crate) enum Trouble {
    Stopped(Stopped),
    /// The file cannot be read now.
    File(String),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Trouble {
        Trouble::File(error.to_string())
    }
}

impl From<Stopped> for Trouble {
    fn from(stopped: Stopped) -> Trouble {
        Trouble::Stopped(stopped)
    }
}

/// The lines appended to the file of this name, which may be truncated or replaced.
pub(crate) struct Tail {
    bytes_max: usize,
    lines: Lines,
    file: Option<Open>,
    /// Whether there was a look before: only the file of the first look is not read from its start.
    looked: bool,
}

struct Open {
    file: File,
    id: (u64, u64),
    position: u64,
}

impl Tail {
    pub(crate) fn new(bytes_max: usize) -> Tail {
        Tail { bytes_max, lines: Lines::new(bytes_max), file: None, looked: false }
    }

    /// Reads what has been appended.
    fn read(&mut self, value: &mut Sink<'_>) -> Result<(), Trouble> {
        let Some(open) = &mut self.file else { return Ok(()) };
        if open.file.metadata()?.len() < open.position {
            open.position = open.file.seek(SeekFrom::Start(0))?;
            self.lines = Lines::new(self.bytes_max);
        }
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let read = open.file.read(&mut buffer)?;
            let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else { return Ok(()) };
            open.position += bytes.len() as u64;
            self.lines.take(bytes, &mut *value)?;
        }
    }
}

impl Reader for Tail {
    fn look(&mut self, named: &Named<'_>, value: &mut Sink<'_>) -> Result<(), Trouble> {
        self.read(value)?;
        let first = !std::mem::replace(&mut self.looked, true);
        let mut file = named.open()?;
        let id = id(&file.metadata()?);
        if self.file.as_ref().is_some_and(|open| open.id == id) {
            return Ok(());
        }
        // Another file has the name. The old one may have grown since it was read.
        self.read(value)?;
        self.lines.finish(&mut *value)?;
        let position = if first { file.seek(SeekFrom::End(0))? } else { 0 };
        self.file = Some(Open { file, id, position });
        self.read(value)
    }
}

/// The device and inode of a file, which identify it whatever its name is.
fn id(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// The content of a file.
pub(crate) struct Content {
    bytes_max: usize,
    trim: bool,
    last: Option<Vec<u8>>,
    stamp: Option<Stamp>,
}

/// What differs when a file has changed, unless it changed within the last [`SAME_TIMES_MAX`].
#[derive(PartialEq, Eq)]
struct Stamp {
    id: (u64, u64),
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Content {
    pub(crate) fn new(bytes_max: usize, trim: bool) -> Content {
        Content { bytes_max, trim, last: None, stamp: None }
    }
}

impl Reader for Content {
    fn look(&mut self, named: &Named<'_>, value: &mut Sink<'_>) -> Result<(), Trouble> {
        let file = named.open()?;
        let metadata = file.metadata()?;
        let stamp = Stamp {
            id: id(&metadata),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        };
        if self.stamp.as_ref() == Some(&stamp) {
            return Ok(());
        }
        let mut content = Vec::new();
        file.take(self.bytes_max as u64 + 2).read_to_end(&mut content)?;
        if trimmed(&content, self.trim).len() > self.bytes_max {
            return Err(Trouble::File(format!(
                "it is larger than {} bytes; see `output_bytes_max`",
                self.bytes_max
            )));
        }
        // The size and the timestamps of files in /proc and the like mean nothing.
        let tells = metadata.len() > 0
            && metadata.modified().ok().and_then(|time| SystemTime::now().duration_since(time).ok())
                > Some(SAME_TIMES_MAX);
        self.stamp = tells.then_some(stamp);
        if self.last.as_ref() != Some(&content) {
            value(Line::Whole(trimmed(&content, self.trim)))?;
            self.last = Some(content);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
