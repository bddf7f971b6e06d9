//! Files that are appended to, truncated, replaced, created and removed.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

use oncue_interop::directory::Directory;

use super::*;
use crate::config::FilePath;
use oncue::demand::Template;

struct Place {
    directory: Directory,
    path: FilePath,
}

impl Place {
    fn new() -> Place {
        let directory = Directory::new();
        let path = Template::parse("{name}").expect("a template");
        Place { path: FilePath { directory: directory.path(""), path }, directory }
    }

    fn file(&self) -> PathBuf {
        self.directory.path("log")
    }

    fn append(&self, text: &str) {
        let file = OpenOptions::new().append(true).create(true).open(self.file());
        file.and_then(|mut file| file.write_all(text.as_bytes())).expect("a file to append to");
    }

    /// One look: the values, or the failure.
    fn look(&self, reader: &mut dyn Reader) -> Result<Vec<String>, String> {
        let wanted = Wanted { topic: b"", params: vec![("name", b"log")] };
        let named = Named::new(&self.path, &wanted).expect("a name");
        let mut values = Vec::new();
        let mut value = |line: Line<'_>| {
            values.push(match line {
                Line::Whole(line) => String::from_utf8_lossy(line).into_owned(),
                Line::Beginning(_) => "too long".to_owned(),
            });
            Ok(())
        };
        match reader.look(&named, &mut value) {
            Ok(()) => Ok(values),
            Err(Trouble::File(why)) => Err(why),
            Err(Trouble::Stopped(_)) => panic!("nothing was stopped"),
        }
    }
}

fn lines<const N: usize>(lines: [&str; N]) -> Result<Vec<String>, String> {
    Ok(lines.map(str::to_owned).to_vec())
}

#[test]
fn appended_lines_are_values_once_whole_and_in_order() {
    let place = Place::new();
    place.append("before\nbeg");
    let tail = &mut Tail::new(10);
    assert_eq!(place.look(tail), lines([]), "what was there before");
    place.append("un\none\ntw");
    assert_eq!(place.look(tail), lines(["un", "one"]));
    assert_eq!(place.look(tail), lines([]));
    place.append("o\nlonger than that\nthree\n");
    assert_eq!(place.look(tail), lines(["two", "too long", "three"]));
}

#[test]
fn a_truncated_file_is_read_from_its_start() {
    let place = Place::new();
    place.append("a long line that was there\n");
    let tail = &mut Tail::new(100);
    assert_eq!(place.look(tail), lines([]));
    place.append("begun");
    assert_eq!(place.look(tail), lines([]));
    fs::write(place.file(), "new\n").expect("a file to truncate");
    assert_eq!(place.look(tail), lines(["new"]));
}

#[test]
fn a_file_that_is_replaced_is_read_to_its_end_and_the_new_one_from_its_start() {
    let place = Place::new();
    place.append("old\n");
    let tail = &mut Tail::new(100);
    assert_eq!(place.look(tail), lines([]));
    let mut writer = OpenOptions::new().append(true).open(place.file()).expect("the file");
    fs::rename(place.file(), place.directory.path("log.1")).expect("a rename");
    writer.write_all(b"last words\nwithout end").expect("the old file");
    assert!(place.look(tail).expect_err("nothing has the name").contains("No such file"));
    writer.write_all(b" indeed").expect("the old file");
    place.append("first\n");
    // The old file is read once more before the new one.
    assert_eq!(place.look(tail), lines(["without end indeed", "first"]));
    place.append("second\n");
    assert_eq!(place.look(tail), lines(["second"]));
}

#[test]
fn a_file_that_comes_later_is_read_from_its_start() {
    let place = Place::new();
    let tail = &mut Tail::new(100);
    assert!(place.look(tail).is_err());
    place.append("first\n");
    assert_eq!(place.look(tail), lines(["first"]));
}

#[test]
fn the_content_is_a_value_when_it_changes() {
    let place = Place::new();
    let content = &mut Content::new(10, true);
    assert!(place.look(content).is_err());
    fs::write(place.file(), "one\n").expect("a file");
    assert_eq!(place.look(content), lines(["one"]));
    assert_eq!(place.look(content), lines([]));
    // The same size, and so soon that the timestamps may be the same.
    fs::write(place.file(), "two\n").expect("a file");
    assert_eq!(place.look(content), lines(["two"]));
    fs::write(place.file(), "0123456789\n").expect("a file");
    assert_eq!(place.look(content), lines(["0123456789"]), "as large as it may be");
    fs::write(place.file(), "0123456789a").expect("a file");
    assert!(place.look(content).expect_err("a larger one").contains("10 bytes"));
    fs::remove_file(place.file()).expect("a file");
    assert!(place.look(content).is_err());
    fs::write(place.file(), "").expect("a file");
    assert_eq!(place.look(content), lines([""]));
}

#[test]
fn an_old_file_is_read_again_only_when_its_timestamps_change() {
    let place = Place::new();
    let content = &mut Content::new(100, true);
    let old = SystemTime::now() - 10 * SAME_TIMES_MAX;
    let age = |text: &str, time| {
        fs::write(place.file(), text).expect("a file");
        OpenOptions::new()
            .append(true)
            .open(place.file())
            .and_then(|file| file.set_modified(time))
            .expect("a time");
    };
    age("one", old);
    assert_eq!(place.look(content), lines(["one"]));
    assert!(content.stamp.is_some());
    assert_eq!(place.look(content), lines([]));
    age("two", old);
    assert_eq!(place.look(content), lines(["two"]), "the time of the last status change differs");
}
