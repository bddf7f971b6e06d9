//! How a program is started: without a shell, in a process group of its own, and so that it does not outlive us.
//!
//! Linux kills a process when its parent dies only if the process has asked for that itself. So `oncue` starts itself
//! first, asks, and becomes the program.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use rustix::process::{
    Pid, Resource, Rlimit, Signal, getpid, getppid, getrlimit, set_parent_process_death_signal, setrlimit,
};

use crate::output;

/// The first argument of `oncue` when it is to become a program.
const WORD: &str = "__launch";
/// What shells end with, too, when there is no such program.
const STATUS_NOT_STARTED: u8 = 127;
const ITSELF: &str = "/proc/self/exe";

/// Starts programs.
#[derive(Debug, Clone)]
pub(crate) struct Launcher {
    /// This program, if it can be found.
    itself: Option<PathBuf>,
    /// The files that a program may open, before we took more for ourselves; `None` for no bound.
    files: Option<u64>,
}

impl Launcher {
    /// What is started by this ends with us, where the system can see to that. Takes as many open files for us as
    /// there may be: each program takes five. What is started has as many as we had.
    pub(crate) fn new() -> Launcher {
        let itself = PathBuf::from(ITSELF);
        let files = oncue::raise_descriptor_limit();
        Launcher { itself: itself.exists().then_some(itself), files }
    }

    /// What is started by this may outlive us: for tests, whose program is another one.
    #[cfg(test)]
    pub(crate) fn direct() -> Launcher {
        Launcher { itself: None, files: getrlimit(Resource::Nofile).current }
    }

    /// A program with its arguments, to be started by the thread that waits for its end: if that thread ended before,
    /// so would the program.
    pub(crate) fn command(&self, words: &[OsString]) -> Command {
        let (program, arguments) =
            words.split_first().map_or((OsStr::new(""), words), |(program, rest)| (program, rest));
        let mut command = match &self.itself {
            Some(itself) => {
                let mut command = Command::new(itself);
                let ours = Pid::as_raw(Some(getpid())).to_string();
                // 0 stands for no bound.
                let files = self.files.unwrap_or_default().to_string();
                command.args([WORD, &ours, &files]).arg(program);
                command
            }
            None => Command::new(program),
        };
        command.args(arguments).process_group(0);
        command
    }
}

/// Becomes the program of the command line, if this process was started for that. Returns only if it was, and cannot.
pub(crate) fn become_program() -> Option<ExitCode> {
    let mut arguments = env::args_os().skip(1);
    if arguments.next()? != WORD {
        return None;
    }
    let parent = arguments.next()?;
    // A kernel that cannot do it is no reason not to run the program.
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    let now = Pid::as_raw(getppid()).to_string();
    if parent != *now {
        // It died before we had asked.
        return Some(ExitCode::FAILURE);
    }
    let files = arguments.next()?.to_str()?.parse().ok().filter(|files| *files > 0);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: files, ..getrlimit(Resource::Nofile) });
    let program = arguments.next()?;
    let error = Command::new(&program).args(arguments).exec();
    let mut line = b"`".to_vec();
    output::escape(program.as_encoded_bytes(), &mut line);
    line.extend_from_slice(format!("` cannot be started: {error}\n").as_bytes());
    let _ = std::io::stderr().write_all(&line);
    Some(ExitCode::from(STATUS_NOT_STARTED))
}
