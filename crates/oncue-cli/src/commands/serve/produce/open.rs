//! Opens files whose names peers choose: only below one directory.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, open, openat, openat2};
use rustix::io::Errno;

use super::invocation::Wanted;
use crate::config::FilePath;

/// For reading, and without blocking, as a pipe without a writer would.
const READ: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);
const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::DIRECTORY);

/// A file that a topic names.
pub(crate) struct Named<'p> {
    directory: &'p Path,
    path: Vec<u8>,
    /// Whether values of parameters are part of the path.
    has_params: bool,
}

impl<'p> Named<'p> {
    /// The file for a topic.
    ///
    /// # Errors
    /// Why the file must not be opened.
    pub(crate) fn new(path: &'p FilePath, wanted: &Wanted<'_>) -> Result<Named<'p>, String> {
        let has_params = path.path.names().next().is_some();
        let filled = path.path.fill(|name| wanted.param(name));
        if filled.contains(&0) {
            return Err("its path would have a NUL byte".to_owned());
        }
        if path.path.names().any(|name| wanted.param(name).contains(&b'/')) {
            return Err("a value with `/` would lead into another directory".to_owned());
        }
        // Hidden files, and `.` and `..`.
        if has_params
            && filled.split(|byte| *byte == b'/').any(|part| part.first().is_none_or(|byte| *byte == b'.'))
        {
            return Err("a part of its path would be empty or begin with a dot".to_owned());
        }
        Ok(Named { directory: &path.directory, path: filled, has_params })
    }

    /// Opens the file for reading.
    ///
    /// # Errors
    /// Those of the system; [`io::ErrorKind::InvalidInput`] if it is not a regular file.
    pub(crate) fn open(&self) -> io::Result<File> {
        let path = Path::new(std::ffi::OsStr::from_bytes(&self.path));
        let file = if self.has_params {
            let directory = open(self.directory, DIRECTORY, Mode::empty())?;
            open_below(&directory, path)?
        } else {
            openat(CWD, self.directory.join(path), READ, Mode::empty())?
        };
        if FileType::from_raw_mode(fstat(&file)?.st_mode) != FileType::RegularFile {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
        }
        Ok(file.into())
    }
}

/// Opens a file below a directory: neither `..` nor a symbolic link leads out of it.
fn open_below(directory: &OwnedFd, path: &Path) -> rustix::io::Result<OwnedFd> {
    let below = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    match openat2(directory, path, READ, Mode::empty(), below) {
        // A file was moved meanwhile, or the kernel is older than 5.6, or a sandbox forbids the call.
        Err(Errno::AGAIN | Errno::NOSYS | Errno::PERM) => open_step_by_step(directory, path),
        opened => opened,
    }
}

/// The same without `openat2`, and stricter: no symbolic link is followed.
fn open_step_by_step(directory: &OwnedFd, path: &Path) -> rustix::io::Result<OwnedFd> {
    let Some(name) = path.file_name() else { return Err(Errno::INVAL) };
    let mut held: Option<OwnedFd> = None;
    for part in path.parent().into_iter().flat_map(Path::iter) {
        if part == ".." {
            return Err(Errno::XDEV);
        }
        let at = held.as_ref().unwrap_or(directory);
        let next = openat(at.as_fd(), part, DIRECTORY | OFlags::NOFOLLOW, Mode::empty())?;
        held = Some(next);
    }
    openat(held.as_ref().unwrap_or(directory).as_fd(), name, READ | OFlags::NOFOLLOW, Mode::empty())
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::symlink;

    use oncue_interop::directory::Directory;

    use super::*;
    use oncue::demand::Template;

    type Values<'v> = &'v [(&'v str, &'v [u8])];

    /// A directory `in` with files, and a secret beside it.
    struct Place(Directory);

    impl Place {
        fn new() -> Place {
            let place = Directory::new();
            place.write("secret.log", "secret");
            place.write("in/a.log", "a");
            place.write("in/.hidden.log", "hidden");
            place.write("in/sub/b.log", "b");
            symlink("../secret.log", place.path("in/out.log")).expect("a link");
            symlink(place.path("secret.log"), place.path("in/absolute.log")).expect("a link");
            symlink("..", place.path("in/up")).expect("a link");
            symlink("a.log", place.path("in/within.log")).expect("a link");
            Place(place)
        }

        fn read(&self, path: &str, values: Values<'_>) -> Result<String, String> {
            let path = Template::parse(path).expect("a template");
            let path = FilePath { directory: self.0.path("in"), path };
            let wanted = Wanted { topic: b"", params: values.to_vec() };
            let mut text = String::new();
            let mut file = Named::new(&path, &wanted)?.open().map_err(|error| error.to_string())?;
            file.read_to_string(&mut text).map_err(|error| error.to_string())?;
            Ok(text)
        }
    }

    #[test]
    fn files_below_the_directory_are_read() {
        let place = Place::new();
        assert_eq!(place.read("{a}.log", &[("a", b"a")]), Ok("a".into()));
        assert_eq!(place.read("{a}/{b}.log", &[("a", b"sub"), ("b", b"b")]), Ok("b".into()));
        assert_eq!(place.read("{a}.log", &[("a", b"within")]), Ok("a".into()));
        assert_eq!(place.read("../secret.log", &[]), Ok("secret".into()), "the config alone says so");
    }

    #[test]
    fn no_value_leads_out_of_the_directory() {
        let place = Place::new();
        let bad: [(&str, Values<'_>); 10] = [
            ("{a}.log", &[("a", b"../secret")]),
            ("{a}", &[("a", b"..")]),
            ("{a}", &[("a", b".")]),
            ("{a}{b}/secret.log", &[("a", b"."), ("b", b".")]),
            ("{a}/secret.log", &[("a", b"..")]),
            ("{a}/secret.log", &[("a", b"up")]),
            ("{a}.log", &[("a", b"out")]),
            ("{a}.log", &[("a", b"absolute")]),
            ("{a}.log", &[("a", b".hidden")]),
            ("{a}.log", &[("a", b"a.log\0")]),
        ];
        for (path, values) in bad {
            assert!(place.read(path, values).is_err(), "{path} {values:?}");
        }
        assert!(place.read("{a}", &[("a", b"sub")]).expect_err("a directory").contains("not a regular file"));
    }

    #[test]
    fn without_openat2_no_path_leads_out_either() {
        let place = Place::new();
        let directory = open(place.0.path("in"), DIRECTORY, Mode::empty()).expect("the directory");
        let open = |path: &str| open_step_by_step(&directory, Path::new(path));
        assert!(open("a.log").is_ok() && open("sub/b.log").is_ok());
        for bad in [
            "out.log",
            "absolute.log",
            "up/secret.log",
            "../secret.log",
            "sub/../../secret.log",
            "within.log",
        ] {
            assert!(open(bad).is_err(), "{bad}");
        }
    }
}
