//! How a program is started: without a shell, in a process group of its own, and so that it does not outlive `oncue`.
//!
//! Linux kills a process at the death of its parent only if the process itself has asked for that. So `oncue` starts
//! itself, asks, and then executes the program.

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

/// The first argument of an `oncue` that executes a program.
const WORD: &str = "__launch";
/// The exit status if the program cannot be executed, the same as a shell's.
const STATUS_NOT_STARTED: u8 = 127;
const ITSELF: &str = "/proc/self/exe";

/// Starts programs.
#[derive(Debug, Clone)]
pub(crate) struct Launcher {
    /// The path of `oncue` itself, if it can be found.
    itself: Option<PathBuf>,
    /// How many files a program may open: the limit that `oncue` was started with; `None` for no bound.
    files: Option<u64>,
}

impl Launcher {
    /// Programs end with `oncue`, where the system supports it. Raises the limit of open files of `oncue`, which needs five
    /// for each program; programs get the limit of before.
    pub(crate) fn new() -> Launcher {
        let itself = PathBuf::from(ITSELF);
        let files = oncue::raise_descriptor_limit();
        Launcher { itself: itself.exists().then_some(itself), files }
    }

    /// For tests, whose own program is not `oncue`: programs may outlive them.
    #[cfg(test)]
    pub(crate) fn direct() -> Launcher {
        Launcher { itself: None, files: getrlimit(Resource::Nofile).current }
    }

    /// A program with its arguments. The thread that starts it must wait for its end: if that thread ended before, the
    /// system would kill the program.
    pub(crate) fn command(&self, words: &[OsString]) -> Command {
        let (program, arguments) =
            words.split_first().map_or((OsStr::new(""), words), |(program, rest)| (program, rest));
        let mut command = match &self.itself {
            Some(itself) => {
                let mut command = Command::new(itself);
                let parent = Pid::as_raw(Some(getpid())).to_string();
                // 0 means no bound.
                let files = self.files.unwrap_or_default().to_string();
                command.args([WORD, &parent, &files]).arg(program);
                command
            }
            None => Command::new(program),
        };
        command.args(arguments).process_group(0);
        command
    }
}

/// Executes the program of the command line, if this process was started for that. Returns an exit status if that failed.
pub(crate) fn become_program() -> Option<ExitCode> {
    let mut arguments = env::args_os().skip(1);
    if arguments.next()? != WORD {
        return None;
    }
    let parent = arguments.next()?;
    // The program runs even where the kernel does not support it.
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    let now = Pid::as_raw(getppid()).to_string();
    if parent != *now {
        // The parent died before this process had asked.
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
