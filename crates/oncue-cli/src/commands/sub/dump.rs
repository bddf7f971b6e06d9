//! `--dump`: each message in a file of its own.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use oncue::Msg;

use super::frame::frame;
use crate::fail::Fail;

/// The most bytes of a file's name that come from the topic.
const TOPIC_BYTES_MAX: usize = 180;
/// Larger numbers in the names of other files are not continued.
const NUMBER_MAX: u64 = 1_000_000_000_000;

/// A directory for messages.
pub(super) struct Dump {
    directory: PathBuf,
    /// The frame that is written.
    frame: usize,
    /// The number of the last file.
    last: u64,
}

impl Dump {
    /// Makes the directory if it is missing. Files are numbered on from those that are there.
    ///
    /// # Errors
    /// When it cannot be made or read.
    pub(super) fn open(directory: &Path, frame: usize) -> Result<Dump, Fail> {
        let cannot = |error| Fail::Runtime(format!("{} cannot be used: {error}", directory.display()));
        fs::create_dir_all(directory).map_err(cannot)?;
        let mut last = 0;
        for entry in fs::read_dir(directory).map_err(cannot)? {
            last = last.max(number_of(&entry.map_err(cannot)?.file_name().to_string_lossy()));
        }
        Ok(Dump { directory: directory.to_owned(), frame, last })
    }

    /// Writes a message into a new file. Returns its path.
    ///
    /// # Errors
    /// When it cannot be written; the file that was begun is removed.
    pub(super) fn write(&mut self, message: &Msg) -> Result<PathBuf, Fail> {
        let (path, mut file) = self.create(message.topic())?;
        file.write_all(frame(message, self.frame)).map_err(|error| {
            let _ = fs::remove_file(&path);
            Fail::Runtime(format!("{} cannot be written: {error}", path.display()))
        })?;
        Ok(path)
    }

    /// A file that was not there before: another command may write here too.
    fn create(&mut self, topic: &[u8]) -> Result<(PathBuf, File), Fail> {
        loop {
            self.last += 1;
            let path = self.directory.join(name(self.last, topic));
            match File::create_new(&path) {
                Ok(file) => return Ok((path, file)),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => {
                    return Err(Fail::Runtime(format!("{} cannot be made: {error}", path.display())));
                }
            }
        }
    }
}

/// The number with which a name begins; 0 if it has none.
fn number_of(name: &str) -> u64 {
    let number = name.split_once('-').and_then(|(number, _)| number.parse().ok());
    number.filter(|number| *number <= NUMBER_MAX).unwrap_or(0)
}

/// The name of a file: `000001-prices%2Fa`. Bytes of the topic that are not letters, digits, `.`, `_` or `-` are written
/// as `%NN`, so that no topic leads out of the directory, and a long topic is cut.
fn name(number: u64, topic: &[u8]) -> String {
    let mut name = format!("{number:06}-");
    let end = name.len() + TOPIC_BYTES_MAX;
    for byte in topic {
        let is_plain = byte.is_ascii_alphanumeric() || b"._-".contains(byte);
        let written = if is_plain { char::from(*byte).to_string() } else { format!("%{byte:02X}") };
        if name.len() + written.len() > end {
            break;
        }
        name += &written;
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_never_leads_out_of_the_directory() {
        assert_eq!(name(1, b"prices/a_b-1.5"), "000001-prices%2Fa_b-1.5");
        assert_eq!(name(2, b"../../etc/passwd"), "000002-..%2F..%2Fetc%2Fpasswd");
        assert_eq!(name(3, b".."), "000003-..");
        assert_eq!(name(4, b""), "000004-");
        assert_eq!(name(5, b"\0\n/%\xff"), "000005-%00%0A%2F%25%FF");
    }

    #[test]
    fn a_long_topic_is_cut_between_two_bytes() {
        let long = name(u64::MAX, &[0xff; 60_000]);
        assert_eq!(long.len(), "18446744073709551615-".len() + TOPIC_BYTES_MAX);
        assert!(long.len() <= 255 && long.ends_with("%FF"), "{long}");
        assert!(name(1, &[b"a", &[0xff; 100][..]].concat()).ends_with("%FF"));
    }

    #[test]
    fn files_are_numbered_on() {
        assert_eq!((number_of("000041-a"), number_of("7-"), number_of("1000000-a-b")), (41, 7, 1_000_000));
        for other in ["a", "x-1", "-1", "99999999999999999999-a", "18446744073709551615-a", ""] {
            assert_eq!(number_of(other), 0, "{other}");
        }
    }
}
