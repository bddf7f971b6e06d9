//! How a program is started: without a shell, in a process group of its own, and so that it does not outlive `oncue`.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit};

use super::confine::{self, why_not};
use super::guardian::{Entry, Guardian, Ledger, UNGUARDED};
use super::journal::remark;
use super::starter::Starter;
use crate::config::Confinement;
use crate::notify::SUPERVISOR;

/// The variables by which a supervisor tells `oncue` how many sockets it has passed, to which process, and their names. Programs do not
/// get them, nor those of [`SUPERVISOR`]: a program would take what they say for its own.
pub(crate) const ACTIVATION: [&str; 3] = ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"];

/// Starts programs.
pub(crate) struct Launcher {
    ledger: Arc<Ledger>,
    files: Files,
    starter: Starter,
    /// Kills the programs of the ledger if `oncue` dies. It ends when this is dropped.
    _guardian: Option<Guardian>,
}

/// A program that can be started, any number of times.
pub(crate) struct Prepared {
    pub(super) command: Command,
    pub(super) confinement: Arc<Confinement>,
}

/// A program that was started. Its entry must live until its group has been killed.
pub(crate) struct Launched {
    pub(crate) child: Child,
    pub(crate) entry: Entry,
}

/// How many files a program may open: as many as before `oncue` raised its own limit.
///
/// The limit belongs to the whole process, and a program inherits it. So `oncue` lowers its own while it starts a program. That
/// disturbs nothing while less than half of the lower limit is used. Beyond that, the limit of the program is lowered once it
/// runs: it may read the higher one in its first moment.
struct Files {
    /// None if it was not raised.
    limits: Option<Limits>,
    /// How many programs are being started under the lower limit.
    starting: Mutex<u32>,
}

struct Limits {
    given: Rlimit,
    raised: Rlimit,
}

impl Prepared {
    /// Sets a variable of its environment.
    pub(crate) fn env(&mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) {
        self.command.env(confine::variable(&self.confinement, name), value);
    }

    /// Sets where it runs.
    pub(crate) fn current_dir(&mut self, directory: &Path) {
        self.command.current_dir(directory);
    }

    /// The value of a variable that was set.
    #[cfg(test)]
    pub(crate) fn variable(&self, name: &str) -> Option<&OsStr> {
        let name = confine::variable(&self.confinement, name);
        self.command.get_envs().find(|(known, _)| *known == name)?.1
    }
}

impl Launcher {
    /// Programs end with `oncue`, by a guardian; if there is none, that is logged. Raises the limit of open files of `oncue`,
    /// which needs five for each program; programs get the limit of before. Must be called on a thread that has started no
    /// program.
    ///
    /// # Errors
    /// When the system has no memory, no descriptor or no thread left.
    pub(crate) fn new() -> io::Result<Launcher> {
        let ledger = Ledger::new()?;
        let guardian = Guardian::start(&ledger)
            .map_err(|why| remark(format!("there is no guardian: {why}; {UNGUARDED}")));
        Ok(Launcher { ledger, files: Files::raise(), starter: Starter::new()?, _guardian: guardian.ok() })
    }

    /// For tests, whose own program is not `oncue`: programs may outlive them.
    #[cfg(test)]
    pub(crate) fn direct() -> Launcher {
        let (ledger, starter) = (Ledger::new().expect("memory"), Starter::new().expect("a thread"));
        Launcher { ledger, files: Files::raise(), starter, _guardian: None }
    }

    /// A program with its arguments.
    pub(crate) fn prepare(&self, words: &[OsString], confinement: &Arc<Confinement>) -> Prepared {
        let (program, arguments) =
            words.split_first().map_or((OsStr::new(""), words), |(program, rest)| (program, rest));
        let mut command = confine::command(program, arguments, confinement);
        command.process_group(0);
        self.ledger.mark(&mut command);
        for variable in SUPERVISOR.into_iter().chain(ACTIVATION).chain(["LISTEN_PIDFDID"]) {
            command.env_remove(variable);
        }
        Prepared { command, confinement: confinement.clone() }
    }

    /// Starts a program. `number` is that of a descriptor that was opened just before: as many are in use.
    ///
    /// # Errors
    /// Why it cannot be started, and the remedy.
    pub(crate) fn start(&self, prepared: &mut Prepared, number: i32) -> Result<Launched, String> {
        let Prepared { command, confinement } = prepared;
        let entry = self.ledger.starting();
        let started = entry.and_then(|entry| {
            let mut spawn = || self.starter.spawn(command, confinement.new_privileges);
            // The launcher sets a limit of its own.
            let child =
                if confinement.files_max.is_some() { spawn() } else { self.files.start(spawn, number) }?;
            entry.started(Pid::from_child(&child));
            Ok(Launched { child, entry })
        });
        started.map_err(|error| why_not(command, &error))
    }
}

impl Files {
    fn raise() -> Files {
        let given = getrlimit(Resource::Nofile);
        oncue::raise_descriptor_limit();
        let raised = getrlimit(Resource::Nofile);
        let limits = (given != raised).then_some(Limits { given, raised });
        Files { limits, starting: Mutex::default() }
    }

    fn start(&self, spawn: impl FnOnce() -> io::Result<Child>, number: i32) -> io::Result<Child> {
        let Some(Limits { given, raised }) = &self.limits else { return spawn() };
        let used = u64::try_from(number).unwrap_or_default();
        if given.current.is_none_or(|given| used < given / 2) {
            let change = |starting: fn(u32) -> u32, from: u32, limit: &Rlimit| {
                let mut now = self.starting.lock().unwrap_or_else(PoisonError::into_inner);
                if *now == from {
                    // It is within the hard limit, so it is not refused.
                    let _ = setrlimit(Resource::Nofile, *limit);
                }
                *now = starting(*now);
            };
            change(|starting| starting + 1, 0, given);
            let started = spawn();
            change(|starting| starting - 1, 1, raised);
            return started;
        }
        let child = spawn()?;
        // An error means that it has ended, or has more rights than `oncue`.
        let _ = prlimit(Some(Pid::from_child(&child)), Resource::Nofile, *given);
        Ok(child)
    }
}
