//! Files as sources of values: the lines appended to one, whatever becomes of the file, or its content when it changes.

use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime};

use oncue::demand::{Feed, Produced, Stopped, Ticks};

use super::invocation::Wanted;
use super::open::Named;
use super::runs::without_end;
use super::stream::too_long;
use super::{Place, Producing, count};
use crate::commands::serve::config::Watched;
use crate::lines::{Line, Lines};

const READ_BYTES: usize = 64 << 10;
/// A file that has changed more recently than this may change again without its times telling.
const TIMES_TELL: Duration = Duration::from_secs(2);

/// Produces one topic until nobody wants it any more.
pub(crate) fn produce(watched: &Watched, reader: &mut dyn Reader, place: &Place, feed: &Feed) -> Produced {
    let named = match Named::new(&watched.path, &Wanted::of(feed)) {
        Ok(named) => named,
        Err(why) => {
            place.refuse(feed.topic(), &why);
            return Ok(());
        }
    };
    let _producing = Producing::new(place, feed.topic());
    let mut value = |line: Line<'_>| match line {
        Line::Whole(line) => feed.publish(line),
        Line::Beginning(line) => {
            too_long(place, feed.topic(), line.len());
            Ok(())
        }
    };
    let mut ticks = Ticks::new(feed, watched.every);
    // What is wrong with the file is told once, not at every look.
    let mut told = String::new();
    loop {
        match reader.look(&named, &mut value) {
            Ok(()) => told.clear(),
            Err(Trouble::Stopped(stopped)) => return Err(stopped.into()),
            Err(Trouble::File(why)) if why == told => {}
            Err(Trouble::File(why)) => {
                count(&place.tools.counts.failures);
                place.log.about(feed.topic(), &format!("its file cannot be read now: {why}"));
                told = why;
            }
        }
        ticks.wait()?;
    }
}

/// Where values go.
pub(crate) type Sink<'s> = dyn FnMut(Line<'_>) -> Result<(), Stopped> + 's;

/// How values are taken from a file.
pub(crate) trait Reader {
    /// Looks at the file, and tells the values that are new.
    fn look(&mut self, named: &Named<'_>, value: &mut Sink<'_>) -> Result<(), Trouble>;
}

/// Why a look at a file ended.
pub(crate) enum Trouble {
    Stopped(Stopped),
    /// The file cannot be read; it may be later.
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

/// The lines appended to whatever file has the name: it may be cut, or another one may take its place.
pub(crate) struct Tail {
    bytes_max: usize,
    lines: Lines,
    file: Option<Open>,
    /// Whether there has been a look before: only the file that is there at the first is not read from its start.
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
        // Another file has the name. Its writer may have appended to the last one since we read it.
        self.read(value)?;
        self.lines.finish(&mut *value)?;
        let position = if first { file.seek(SeekFrom::End(0))? } else { 0 };
        self.file = Some(Open { file, id, position });
        self.read(value)
    }
}

/// The device and the number of a file: what it is, whatever its name.
fn id(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// The content of a file.
pub(crate) struct Content {
    bytes_max: usize,
    last: Option<Vec<u8>>,
    stamp: Option<Stamp>,
}

/// What of a file differs when it has changed, unless that was just now.
#[derive(PartialEq, Eq)]
struct Stamp {
    id: (u64, u64),
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Content {
    pub(crate) fn new(bytes_max: usize) -> Content {
        Content { bytes_max, last: None, stamp: None }
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
        if without_end(&content).len() > self.bytes_max {
            return Err(Trouble::File(format!(
                "it is larger than {} bytes; see `output_bytes_max`",
                self.bytes_max
            )));
        }
        // Files of the system, as in /proc, have neither a size nor times that mean anything.
        let tells = metadata.len() > 0
            && metadata.modified().ok().and_then(|time| SystemTime::now().duration_since(time).ok())
                > Some(TIMES_TELL);
        self.stamp = tells.then_some(stamp);
        if self.last.as_ref() != Some(&content) {
            value(Line::Whole(without_end(&content)))?;
            self.last = Some(content);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
