//! How the end of a program is judged: which of its limits has ended it, and whether it was executed at all.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::param::clock_ticks_per_second;
use rustix::process::{Pid, Signal};

use super::confine::{REFUSAL, is_launched};
use crate::args::shown;
use crate::config::Confinement;
use crate::lines::Line;

/// What shells add to the number of the signal that has ended their program.
const SHELL_SIGNAL: i32 = 128;

/// How a program ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It was told to end, because it is not needed any more.
    Stopped,
    /// It ended by itself, with success.
    Done,
    /// It failed, or was told to end, for this reason.
    Failed(Failed),
}

/// Why a program has failed: what it "does", such as "ended with status 1", and which kind of failure that is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failed {
    pub(crate) reason: Reason,
    pub(crate) why: String,
}

/// A kind of failures of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The program could not be started, or not be attended to.
    Start,
    /// It ended with a status other than 0.
    Exit,
    /// A signal ended it.
    Signal,
    /// It used more than it may.
    Limit,
    /// It ran for too long.
    Timeout,
    /// Its output was too large, or not as `framing` says.
    Output,
    /// It said itself that it has failed.
    Reported,
    /// It ended, and should go on.
    Ended,
    /// A file could not be read.
    File,
}

impl Reason {
    pub(crate) const ALL: [Reason; 9] = [
        Reason::Start,
        Reason::Exit,
        Reason::Signal,
        Reason::Limit,
        Reason::Timeout,
        Reason::Output,
        Reason::Reported,
        Reason::Ended,
        Reason::File,
    ];

    /// Its name in the log and in metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Reason::Start => "start",
            Reason::Exit => "exit",
            Reason::Signal => "signal",
            Reason::Limit => "limit",
            Reason::Timeout => "timeout",
            Reason::Output => "output",
            Reason::Reported => "reported",
            Reason::Ended => "ended",
            Reason::File => "file",
        }
    }
}

impl Failed {
    pub(crate) fn new(reason: Reason, why: impl Into<String>) -> Failed {
        Failed { reason, why: why.into() }
    }
}

/// What is known of a program for the judgement of its end.
pub(super) struct Verdict {
    is_launched: bool,
    cpu_max: Option<Duration>,
    has_memory_max: bool,
    /// Why its launcher could not execute it.
    refusal: Option<String>,
    /// The processor time that it has used.
    used: Option<Duration>,
}

impl Verdict {
    pub(super) fn of(confinement: &Confinement) -> Verdict {
        let Confinement { cpu_max, memory_max, .. } = confinement;
        Verdict {
            is_launched: is_launched(confinement),
            cpu_max: *cpu_max,
            has_memory_max: memory_max.is_some(),
            refusal: None,
            used: None,
        }
    }

    /// Takes a line of standard error, if it is the launcher's.
    pub(super) fn takes(&mut self, line: &Line<'_>) -> bool {
        let (Line::Whole(line) | Line::Beginning(line)) = line;
        let why = line.strip_prefix(REFUSAL.as_bytes()).filter(|_| self.is_launched);
        self.refusal = why.map(|why| String::from_utf8_lossy(why).into_owned()).or(self.refusal.take());
        why.is_some()
    }

    /// Reads what a program has used that has ended, and was not waited for.
    pub(super) fn look_at(&mut self, program: Pid) {
        if self.cpu_max.is_some() {
            self.used = processor_time(program);
        }
    }

    /// What its exit status means.
    pub(super) fn judge(&self, status: ExitStatus) -> End {
        if let Some(why) = self.refusal.as_ref().filter(|_| !status.success()) {
            return End::Failed(Failed::new(Reason::Start, format!("cannot be started: {why}")));
        }
        let (signal, code) = (status.signal(), status.code().unwrap_or_default());
        let (reason, how) = match (status.success(), signal) {
            (true, _) => return End::Done,
            (false, Some(signal)) => (Reason::Signal, format!("ended by signal {signal}")),
            (false, None) => (Reason::Exit, format!("ended with status {code}")),
        };
        // A shell passes on how its own program has ended.
        let signal = signal.or((code > SHELL_SIGNAL).then_some(code - SHELL_SIGNAL));
        let is = |known: Signal| signal == Some(known.as_raw());
        End::Failed(match self.cpu_max {
            Some(max) if is(Signal::XCPU) || (is(Signal::KILL) && self.used >= Some(max)) => {
                let max = shown(max);
                Failed::new(
                    Reason::Limit,
                    format!("{how}: it used more than {max} of processor time; see `cpu_max`"),
                )
            }
            _ if self.has_memory_max && (is(Signal::SEGV) || is(Signal::ABORT) || is(Signal::BUS)) => {
                Failed::new(reason, format!("{how}: perhaps it needs more memory; see `memory_max`"))
            }
            _ => Failed::new(reason, how),
        })
    }
}

/// The processor time that a process has used.
fn processor_time(process: Pid) -> Option<Duration> {
    let stat = fs::read(format!("/proc/{}/stat", process.as_raw_pid())).ok()?;
    // The name of a process, which is in parentheses, may have any bytes. The user's and the system's time are the 12th and the
    // 13th field after it.
    let stat = stat.rsplit(|byte| *byte == b')').next()?;
    let ticks = str::from_utf8(stat).ok()?.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.map(|ticks| ticks.parse::<u64>().ok()).sum::<Option<u64>>()?;
    Some(Duration::from_secs_f64(ticks as f64 / clock_ticks_per_second() as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// The judgement of a wait status: a signal, or 256 times an exit status.
    fn judged(confinement: &Confinement, used: Option<Duration>, status: i32) -> String {
        let verdict = Verdict { used, ..Verdict::of(confinement) };
        match verdict.judge(ExitStatus::from_raw(status)) {
            End::Failed(failed) => failed.why,
            end => format!("{end:?}"),
        }
    }

    #[test]
    fn a_limit_is_blamed_only_for_what_it_has_done() {
        let none = Confinement::default();
        let cpu = Confinement { cpu_max: Some(SECOND), ..none.clone() };
        let memory = Confinement { memory_max: Some(1 << 20), ..none.clone() };
        let cpu_said = ": it used more than 1s of processor time; see `cpu_max`";
        for (confinement, used, status, expected) in [
            (&cpu, Some(2 * SECOND), 0, "Done".to_owned()),
            (&cpu, None, 24, format!("ended by signal 24{cpu_said}")),
            (&cpu, Some(SECOND), 9, format!("ended by signal 9{cpu_said}")),
            (&cpu, Some(SECOND / 2), 9, "ended by signal 9".to_owned()),
            (&cpu, None, 9, "ended by signal 9".to_owned()),
            (&cpu, None, 152 << 8, format!("ended with status 152{cpu_said}")),
            (&cpu, Some(2 * SECOND), 1 << 8, "ended with status 1".to_owned()),
            (&none, None, 24, "ended by signal 24".to_owned()),
            (
                &memory,
                None,
                6,
                "ended by signal 6: perhaps it needs more memory; see `memory_max`".to_owned(),
            ),
            (&memory, None, 15, "ended by signal 15".to_owned()),
            (&none, None, 11, "ended by signal 11".to_owned()),
        ] {
            assert_eq!(judged(confinement, used, status), expected);
        }
    }

    #[test]
    fn the_kind_of_a_failure_is_that_of_its_end() {
        let cpu = Confinement { cpu_max: Some(SECOND), ..Confinement::default() };
        for (status, expected) in [(1 << 8, Reason::Exit), (15, Reason::Signal), (24, Reason::Limit)] {
            let end = Verdict::of(&cpu).judge(ExitStatus::from_raw(status));
            assert!(matches!(&end, End::Failed(failed) if failed.reason == expected), "{end:?}");
        }
    }

    #[test]
    fn every_kind_has_its_own_counter() {
        assert!(Reason::ALL.iter().enumerate().all(|(at, reason)| *reason as usize == at));
    }

    #[test]
    fn the_word_of_a_launcher_is_the_reason_and_is_not_logged() {
        let limited = Confinement { files_max: Some(64), ..Confinement::default() };
        let line = format!("{REFUSAL}no such thing");
        let mut verdict = Verdict::of(&limited);
        assert!(!verdict.takes(&Line::Whole(b"oncue: no")));
        assert!(verdict.takes(&Line::Whole(line.as_bytes())));
        assert!(!verdict.takes(&Line::Whole(b"more")));
        let end = verdict.judge(ExitStatus::from_raw(127 << 8));
        assert_eq!(end, End::Failed(Failed::new(Reason::Start, "cannot be started: no such thing")));
        let mut others = Verdict::of(&Confinement::default());
        assert!(!others.takes(&Line::Whole(line.as_bytes())), "it has no launcher");
    }

    #[test]
    fn the_processor_time_of_a_process_is_read() {
        let own = Pid::from_raw(std::process::id() as i32).expect("a process");
        let before = processor_time(own).expect("/proc");
        let start = std::time::Instant::now();
        while processor_time(own).expect("/proc") < before + Duration::from_millis(50) {
            assert!(start.elapsed() < 60 * SECOND);
        }
        assert_eq!(processor_time(Pid::from_raw(i32::MAX).expect("a number")), None);
    }
}
