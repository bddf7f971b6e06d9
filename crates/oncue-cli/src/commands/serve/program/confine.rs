//! The launcher: how a program gets its user and its limits. No safe code runs between fork and exec, so such a program is
//! started by way of `oncue` itself: the launcher sets them on itself, and executes the program. Nothing else knows of it but its
//! word about a failure.
//!
//! It still has the rights of the server when it begins. So the variables of the program, which may name libraries that its user
//! can write (LD_LIBRARY_PATH), come to it under other names, and it is started with none but those of the server.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use rustix::fs::{FileType, fchown, fstat};
use rustix::io::Errno;
use rustix::process::{Gid, Resource, Rlimit, Uid, getrlimit, setrlimit};
use rustix::thread::{set_thread_gid, set_thread_groups, set_thread_uid};

use crate::config::{Confinement, User};
use crate::output;

/// The first argument of an `oncue` that is a launcher.
const WORD: &str = "__launch";
/// The launcher itself. It is the same file as the server even if another one has taken its place since.
const ITSELF: &str = "/proc/self/exe";
/// The line on standard error by which a launcher says why the program cannot be started begins with this.
pub(super) const REFUSAL: &str = "oncue launcher: ";
/// The exit status of a launcher that has failed, as shells have it for a program that is not found.
const STATUS: u8 = 127;
/// What a variable of the program begins with in the environment of its launcher.
const VARIABLE: &str = "oncue-launch:";
/// In place of a limit, or of a user.
const NONE: &str = "-";
/// The time between XCPU and KILL, in seconds of processor time.
const XCPU_SECONDS: u64 = 1;

/// What a launcher sets, as in its arguments.
struct Bounds {
    memory_max: Option<u64>,
    cpu_seconds_max: Option<u64>,
    files_max: Option<u64>,
    user: Option<Ids>,
}

struct Ids {
    uid: u32,
    gid: u32,
    groups: Vec<u32>,
}

/// Whether the program needs a launcher.
pub(super) fn is_launched(confinement: &Confinement) -> bool {
    let Confinement { user, memory_max, cpu_max, files_max, .. } = confinement;
    user.is_some() || memory_max.is_some() || cpu_max.is_some() || files_max.is_some()
}

/// The command that starts a program so confined, with its environment as far as that depends on it.
pub(super) fn command(program: &OsStr, arguments: &[OsString], confinement: &Confinement) -> Command {
    let mut command = if is_launched(confinement) {
        let mut command = Command::new(ITSELF);
        command.arg(WORD).args(Bounds::of(confinement).words()).arg(program);
        command
    } else {
        Command::new(program)
    };
    command.args(arguments);
    if confinement.clean_environment {
        command.env_clear();
        for name in ["PATH", "HOME", "LANG", "TZ"] {
            if let Some(value) = env::var_os(name) {
                command.env(variable(confinement, name), value);
            }
        }
    }
    if let Some(User { name, home, .. }) = &confinement.user {
        command.env(variable(confinement, "HOME"), home);
        for own in ["USER", "LOGNAME"] {
            match name {
                Some(name) => command.env(variable(confinement, own), name),
                None => command.env_remove(own),
            };
        }
    }
    command
}

/// The name by which a variable of a program so confined is set in its command.
pub(super) fn variable(confinement: &Confinement, name: impl AsRef<OsStr>) -> OsString {
    let mut set = OsString::from(if is_launched(confinement) { VARIABLE } else { "" });
    set.push(name);
    set
}

impl Bounds {
    fn of(confinement: &Confinement) -> Bounds {
        let Confinement { user, memory_max, cpu_max, files_max, .. } = confinement;
        let ids = |user: &User| Ids { uid: user.uid, gid: user.gid, groups: user.groups.clone() };
        Bounds {
            memory_max: *memory_max,
            cpu_seconds_max: cpu_max.map(|time| time.as_secs()),
            files_max: *files_max,
            user: user.as_ref().map(ids),
        }
    }

    fn words(&self) -> [String; 4] {
        let limit = |limit: Option<u64>| limit.map_or(NONE.to_owned(), |limit| limit.to_string());
        let user = self.user.as_ref().map_or(NONE.to_owned(), |Ids { uid, gid, groups }| {
            let numbers = [uid, gid].into_iter().chain(groups);
            numbers.map(ToString::to_string).collect::<Vec<_>>().join(",")
        });
        [limit(self.memory_max), limit(self.cpu_seconds_max), limit(self.files_max), user]
    }

    /// None if the words are not those of a server.
    fn read(words: &[OsString; 4]) -> Option<Bounds> {
        let numbers = |word: &OsString| -> Option<Option<Vec<u64>>> {
            let word = word.to_str()?;
            let numbers = || word.split(',').map(|number| number.parse().ok()).collect::<Option<Vec<_>>>();
            if word == NONE { Some(None) } else { numbers().map(Some) }
        };
        let limit = |word| Some(numbers(word)?.and_then(|numbers| numbers.first().copied()));
        let [memory, cpu, files, user] = words;
        let user = match numbers(user)? {
            None => None,
            Some(ids) => {
                let ids: Vec<u32> = ids.into_iter().map(u32::try_from).collect::<Result<_, _>>().ok()?;
                let [uid, gid, groups @ ..] = &ids[..] else { return None };
                Some(Ids { uid: *uid, gid: *gid, groups: groups.to_vec() })
            }
        };
        let (memory_max, cpu_seconds_max, files_max) = (limit(memory)?, limit(cpu)?, limit(files)?);
        Some(Bounds { memory_max, cpu_seconds_max, files_max, user })
    }

    /// Sets all of it on this process, the user last: it may have no right to the rest.
    fn set(&self) -> Result<(), String> {
        if let Some(files) = self.files_max {
            limit("files_max", Resource::Nofile, files, files)?;
        }
        if let Some(seconds) = self.cpu_seconds_max {
            limit("cpu_max", Resource::Cpu, seconds, seconds.saturating_add(XCPU_SECONDS))?;
        }
        // From here on nothing of any size can be allocated.
        if let Some(bytes) = self.memory_max {
            limit("memory_max", Resource::As, bytes, bytes)?;
        }
        self.user.as_ref().map_or(Ok(()), |ids| {
            ids.become_user()
                .map_err(|error| format!("`user`: {error}; `oncue` needs root's capabilities for it"))
        })
    }
}

/// Sets a limit. Nothing raises it again.
fn limit(key: &str, resource: Resource, current: u64, maximum: u64) -> Result<(), String> {
    setrlimit(resource, Rlimit { current: Some(current), maximum: Some(maximum) }).map_err(|error| {
        match (error, getrlimit(resource).maximum) {
            (Errno::PERM, Some(hard)) if hard < maximum => {
                format!("`{key}` is {current}, more than the hard limit of `oncue`, {hard}; lower it, or raise that")
            }
            _ => format!("`{key}`: {error}"),
        }
    })
}

impl Ids {
    fn become_user(&self) -> Result<(), Errno> {
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        // What opens /dev/stderr opens the pipe anew, as its own user.
        for stream in [io::stdin().as_fd(), io::stdout().as_fd(), io::stderr().as_fd()] {
            if FileType::from_raw_mode(fstat(stream)?.st_mode) == FileType::Fifo {
                fchown(stream, Some(uid), Some(gid))?;
            }
        }
        let groups: Vec<_> = self.groups.iter().map(|group| Gid::from_raw(*group)).collect();
        // This process has one thread.
        set_thread_groups(&groups)?;
        set_thread_gid(gid)?;
        set_thread_uid(uid)
    }
}

/// Executes a program within its bounds, if this process was started for that. Returns only if that fails.
pub(crate) fn become_program() -> Option<ExitCode> {
    let mut arguments = env::args_os().skip(1);
    if arguments.next()? != WORD {
        return None;
    }
    let why = launch(arguments.collect());
    let _ = writeln!(io::stderr(), "{REFUSAL}{why}");
    Some(ExitCode::from(STATUS))
}

/// Returns why not.
fn launch(words: Vec<OsString>) -> String {
    let bounds = words.first_chunk().and_then(Bounds::read);
    let (Some(bounds), Some([program, arguments @ ..])) = (bounds, words.get(4..)) else {
        return "these are not the arguments of a server".to_owned();
    };
    let mut command = Command::new(program);
    command.args(arguments);
    for (name, value) in env::vars_os() {
        if let Some(own) = name.as_bytes().strip_prefix(VARIABLE.as_bytes()) {
            command.env_remove(&name).env(OsStr::from_bytes(own), value);
        }
    }
    match bounds.set() {
        Ok(()) => {
            let error = command.exec();
            let is_refused = bounds.user.is_some() && error.kind() == ErrorKind::PermissionDenied;
            why_not(&command, &error)
                + if is_refused { " And may its `user` enter its directory?" } else { "" }
        }
        Err(why) => why,
    }
}

/// Why a command could not be started.
pub(super) fn why_not(command: &Command, error: &io::Error) -> String {
    let program = output::escaped(command.get_program().as_encoded_bytes());
    let code = error.raw_os_error().map(Errno::from_raw_os_error);
    match (command.get_current_dir(), error.kind(), code) {
        (Some(cwd), ErrorKind::NotFound, _) if !cwd.is_dir() => {
            format!("there is no directory `{}`", output::escaped(cwd.as_os_str().as_encoded_bytes()))
        }
        (_, ErrorKind::NotFound, _) if program == ITSELF => {
            format!("there is no {ITSELF}, which a program with a user or limits needs; is /proc mounted?")
        }
        (_, ErrorKind::NotFound, _) => format!("there is no program `{program}`; is it installed?"),
        (_, ErrorKind::PermissionDenied, _) => format!("`{program}`: {error}; is it executable?"),
        (_, _, Some(Errno::NOEXEC)) => {
            format!("`{program}` is not a program; a script begins with a line such as #!/bin/sh")
        }
        _ => format!("`{program}`: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_launcher_reads_what_the_server_has_written() {
        let some = Bounds {
            memory_max: Some(1 << 40),
            cpu_seconds_max: Some(10),
            files_max: Some(64),
            user: Some(Ids { uid: 33, gid: 34, groups: vec![4, 36] }),
        };
        let alone = Bounds {
            user: Some(Ids { uid: 5, gid: 0, groups: vec![] }),
            ..Bounds::of(&Confinement::default())
        };
        for (bounds, words) in [
            (some, ["1099511627776", "10", "64", "33,34,4,36"]),
            (alone, ["-", "-", "-", "5,0"]),
            (Bounds::of(&Confinement::default()), ["-"; 4]),
        ] {
            assert_eq!(bounds.words(), words);
            let read = Bounds::read(&words.map(OsString::from)).expect("words of a server");
            assert_eq!(read.words(), words);
        }
    }

    #[test]
    fn a_launcher_refuses_what_no_server_has_written() {
        for words in [
            ["", "-", "-", "-"],
            ["-", "x", "-", "-"],
            ["-", "-", "-1", "-"],
            ["-", "-", "-", "5"],
            ["-", "-", "-", "5,4294967296"],
            ["-", "-", "-", "nobody"],
        ] {
            assert!(Bounds::read(&words.map(OsString::from)).is_none(), "{words:?}");
        }
        for few in [&[][..], &["-", "-", "-"], &["-", "-", "-", "-"]] {
            let words = few.iter().map(OsString::from).collect();
            assert_eq!(launch(words), "these are not the arguments of a server", "{few:?}");
        }
    }
}
