//! The guardian: a process beside the server that kills all programs if the server dies without ending them.
//!
//! Linux kills a process at the death of its parent only if the process itself has asked for that, between fork and exec, and
//! never its children. So the server starts itself once more, as the guardian, with the read end of a pipe that it never
//! writes to, and with the [`Ledger`]: a file in memory where the server notes the process group of each program. The guardian
//! sleeps until the pipe ends. Then no server is left, and it kills the groups in the ledger.
//!
//! A program whose start the server did not survive is in the ledger without a number. While it is being started it holds the
//! write end of the pipe, until it is executed; after that its environment has the [mark](MARK) of the server. So at the end of
//! the pipe the guardian can find it in /proc.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, ErrorKind, PipeWriter, Read, pipe, stdin, stdout};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Pid, Signal, kill_process_group, setsid};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};

use super::journal::remark;
use crate::wait::spawn;

/// The first argument of an `oncue` that is a guardian.
const WORD: &str = "__guardian";
/// The variable in the environment of each program that names its server.
const MARK: &str = "ONCUE_SERVER";
const ITSELF: &str = "/proc/self/exe";
/// The pause before a guardian that has been killed is replaced, and the longest wait for its end.
const PAUSE: Duration = Duration::from_secs(1);
/// After these times the guardian looks for programs that were being started. The first look finds them, unless the kernel
/// has not yet written down the environment of a program that it has just executed.
const LOOKS: [Duration; 3] = [Duration::ZERO, Duration::from_millis(10), Duration::from_millis(100)];

/// The bytes of an entry of the ledger: the number of a process group, or one of these.
const ENTRY_BYTES: u64 = 4;
const FREE: u32 = 0;
/// A program is being started. It is the number of init, which leads no group of ours.
const STARTING: u32 = 1;

/// The process groups of the programs that run, in a file that the guardian shares.
pub(crate) struct Ledger {
    file: File,
    mark: OsString,
    places: Mutex<Places>,
}

/// Which places of the ledger are free: those from `end` on, and these.
#[derive(Default)]
struct Places {
    free: Vec<u32>,
    end: u32,
}

/// A place in the ledger, for one program. It must live until the group of the program has been killed.
pub(crate) struct Entry {
    ledger: Arc<Ledger>,
    place: u32,
}

impl Ledger {
    /// # Errors
    /// When the system has no memory or no descriptor left for it.
    pub(crate) fn new() -> io::Result<Arc<Ledger>> {
        let file = File::from(memfd_create("oncue-ledger", MemfdFlags::CLOEXEC)?);
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mark = format!("{}-{:x}", std::process::id(), since.as_nanos()).into();
        Ok(Arc::new(Ledger { file, mark, places: Mutex::default() }))
    }

    /// Sets what a program must have in its environment.
    pub(crate) fn mark(&self, command: &mut Command) {
        command.env(MARK, &self.mark);
    }

    /// Notes that a program is about to be started.
    ///
    /// # Errors
    /// When the system has no memory left.
    pub(crate) fn starting(self: &Arc<Ledger>) -> io::Result<Entry> {
        let mut places = self.places();
        let place = places.free.pop().unwrap_or_else(|| {
            places.end += 1;
            places.end - 1
        });
        drop(places);
        let entry = Entry { ledger: self.clone(), place };
        entry.write(STARTING)?;
        Ok(entry)
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// Notes the group of the program.
    pub(crate) fn started(&self, group: Pid) {
        // The place was written before: no memory is needed that could be missing. Without a number it is found by its mark.
        let _ = self.write(group.as_raw_pid().unsigned_abs());
    }

    fn write(&self, number: u32) -> io::Result<()> {
        self.ledger.file.write_all_at(&number.to_ne_bytes(), u64::from(self.place) * ENTRY_BYTES)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        // An error means that the place was never written, and so is free in the file.
        let _ = self.write(FREE);
        self.ledger.places().free.push(self.place);
    }
}

/// The guardian as its server sees it. It is replaced if it is killed.
pub(crate) struct Guardian(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Ends when the server does.
    pipe: Option<PipeWriter>,
    ending: bool,
    ended: bool,
}

impl Guardian {
    /// Starts a guardian of the programs in this ledger.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) fn start(ledger: &Arc<Ledger>) -> Result<Guardian, String> {
        let shared = Arc::new(Shared::default());
        let mut child = shared.launch(ledger).map_err(|error| error.to_string())?;
        let (ours, ledger) = (shared.clone(), ledger.clone());
        let watched = spawn("guardian", move || {
            while let Some(how) = ours.end_of(&mut child) {
                remark(format!("the guardian has ended ({how}); until there is another, {UNGUARDED}"));
                while !ours.pause() {
                    if let Ok(next) = ours.launch(&ledger) {
                        child = next;
                        remark("there is another guardian");
                        break;
                    }
                }
            }
            ours.state().ended = true;
            ours.changed.notify_all();
        });
        // Without the thread, the guardian that was just started ends with its pipe.
        watched.map(|_| Guardian(shared)).map_err(|_| "no thread is left".to_owned())
    }
}

/// What follows if there is no guardian.
pub(crate) const UNGUARDED: &str = "programs go on if oncue is killed by KILL or crashes";

/// Ends the guardian, and waits for that, for a bounded time.
impl Drop for Guardian {
    fn drop(&mut self) {
        let mut state = self.0.state();
        (state.ending, state.pipe) = (true, None);
        self.0.changed.notify_all();
        let ended = self.0.changed.wait_timeout_while(state, PAUSE, |state| !state.ended);
        drop(ended);
    }
}

impl Shared {
    fn launch(&self, ledger: &Ledger) -> io::Result<Child> {
        let (read, write) = pipe()?;
        let mut command = Command::new(ITSELF);
        command.arg(WORD).arg(&ledger.mark).env_clear();
        command.stdin(read).stdout(ledger.file.try_clone()?).stderr(Stdio::null());
        let child = command.spawn()?;
        let mut state = self.state();
        state.pipe = Some(write).filter(|_| !state.ending);
        Ok(child)
    }

    /// Waits for the end of a guardian, and returns how it ended; None if the server is ending.
    fn end_of(&self, child: &mut Child) -> Option<String> {
        let ended = child.wait();
        let how = |status: ExitStatus| status.to_string();
        (!self.state().ending).then(|| ended.map_or_else(|error| error.to_string(), how))
    }

    /// Waits for a while. Returns whether the server is ending.
    fn pause(&self) -> bool {
        let paused = self.changed.wait_timeout_while(self.state(), PAUSE, |state| !state.ending);
        paused.unwrap_or_else(PoisonError::into_inner).0.ending
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Guards a server until it has ended, if this process was started for that.
pub(crate) fn become_guardian() -> Option<ExitCode> {
    let mut arguments = env::args_os().skip(1);
    if arguments.next()? != WORD {
        return None;
    }
    let mark = arguments.next()?;
    let server = Job::of("self");
    // Signals of the terminal, and those that a supervisor sends to all processes of a service, are for the server: the guardian
    // ends when the server has ended. Without its own session, or without a handler, it still guards.
    let _ = setsid();
    for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2] {
        let _ = signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)));
    }
    let _ = env::set_current_dir("/");
    let _ = fs::write("/proc/self/comm", "oncue-guardian");
    while let Err(ErrorKind::Interrupted) | Ok(1..) = stdin().read(&mut [0]).map_err(|error| error.kind()) {}
    let Ok(ledger) = stdout().as_fd().try_clone_to_owned() else { return Some(ExitCode::FAILURE) };
    let (groups, starting) = noted(ledger);
    groups.into_iter().for_each(kill);
    if let (Some(server), 1..) = (server, starting) {
        for pause in LOOKS {
            sleep(pause);
            marked(&mark, &server).into_iter().for_each(kill);
        }
    }
    Some(ExitCode::SUCCESS)
}

/// The groups in a ledger, and how many programs were being started.
fn noted(ledger: OwnedFd) -> (Vec<u32>, usize) {
    let (ledger, mut bytes) = (File::from(ledger), Vec::new());
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = ledger.read_at(&mut buffer, bytes.len() as u64) {
        bytes.extend_from_slice(buffer.get(..read).unwrap_or_default());
    }
    let (entries, _) = bytes.as_chunks::<{ ENTRY_BYTES as usize }>();
    let used = entries.iter().map(|entry| u32::from_ne_bytes(*entry)).filter(|number| *number != FREE);
    let (starting, groups): (Vec<_>, Vec<_>) = used.partition(|number| *number == STARTING);
    (groups, starting.len())
}

/// The groups of the programs that have this mark. A process with a session of its own has left its program deliberately; the
/// group of the server may hold processes of its user.
fn marked(mark: &OsStr, server: &Job) -> Vec<u32> {
    let variable = [MARK.as_bytes(), b"=", mark.as_bytes()].concat();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let marked = processes.filter(|process| {
        let environment = fs::read(process.path().join("environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|known| known == variable)
    });
    let jobs = marked.filter_map(|process| Job::of(process.file_name().to_str()?));
    jobs.filter(|job| job.session == server.session && job.group != server.group)
        .map(|job| job.group)
        .collect()
}

fn kill(group: u32) {
    let group = i32::try_from(group).ok().and_then(Pid::from_raw);
    // An error means that it has ended, or has more rights than its server had.
    let _ = group.map(|group| kill_process_group(group, Signal::KILL));
}

/// What shells call a job: a process group, and its session.
struct Job {
    group: u32,
    session: u32,
}

impl Job {
    fn of(process: &str) -> Option<Job> {
        let stat = fs::read(format!("/proc/{process}/stat")).ok()?;
        // The name of a process, which is in parentheses, may have any bytes.
        let stat = stat.rsplit(|byte| *byte == b')').next()?;
        // The state, the parent, the group, the session.
        let mut fields =
            str::from_utf8(stat).ok()?.split_whitespace().skip(2).map_while(|field| field.parse().ok());
        Some(Job { group: fields.next()?, session: fields.next()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ledger_has_the_groups_that_run_and_reuses_places() {
        let ledger = Ledger::new().expect("memory");
        let of = |entries: &Ledger| noted(entries.file.try_clone().expect("a descriptor").into());
        assert_eq!(of(&ledger), (vec![], 0));
        let entries: Vec<_> = (0..2000).map(|_| ledger.starting().expect("memory")).collect();
        assert_eq!(of(&ledger), (vec![], 2000));
        let pid = |number: usize| Pid::from_raw(number as i32).expect("a number");
        for (index, entry) in entries.iter().enumerate() {
            entry.started(pid(1000 + index));
        }
        assert_eq!(of(&ledger), ((1000..3000).collect(), 0));
        drop(entries);
        assert_eq!(of(&ledger), (vec![], 0));
        let entry = ledger.starting().expect("memory");
        entry.started(pid(77));
        assert_eq!(of(&ledger), (vec![77], 0));
        assert_eq!(ledger.places().end, 2000, "places are used again");
    }

    #[test]
    fn marked_programs_of_the_session_are_found_by_their_groups() {
        use std::os::unix::process::CommandExt;
        let ledger = Ledger::new().expect("memory");
        let own = Job::of("self").expect("/proc");
        let start = |own_group: bool, mark: bool| {
            let mut command = Command::new("sleep");
            command.arg("60");
            if own_group {
                command.process_group(0);
            }
            if mark {
                ledger.mark(&mut command);
            }
            command.spawn().expect("a program")
        };
        let mut ours = start(true, true);
        let mut others = [start(true, false), start(false, true)];
        // On a busy machine the system may not show at once what a program was started with.
        let start = std::time::Instant::now();
        while marked(&ledger.mark, &own).is_empty() && start.elapsed().as_secs() < 10 {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        assert_eq!(marked(&ledger.mark, &own), [ours.id()]);
        kill(ours.id());
        assert!(!ours.wait().expect("its end").success());
        for other in &mut others {
            other.kill().and_then(|()| other.wait()).expect("its end");
        }
    }
}
