//! Real programs, and how they end.

use std::cell::Cell;
use std::ffi::OsString;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::Poll;

use super::*;
use crate::commands::serve::program::launch::Launcher;
use crate::config::Confinement;

const SOON: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(20);

#[derive(Default)]
struct Collect {
    output: Vec<u8>,
    /// Stops once this is in the output.
    until: Option<&'static [u8]>,
    stops: Rc<Cell<bool>>,
    bytes_max: Option<usize>,
    input: Option<Vec<u8>>,
    /// What follows the input when the program is not needed any more.
    last_input: Vec<u8>,
    awaited: bool,
    ends_at: Option<Instant>,
    tell: Option<Sender<String>>,
}

impl Work for Collect {
    fn take_output(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.output.extend_from_slice(bytes);
        if let Some(until) = self.until {
            self.stops.set(self.output.windows(until.len()).any(|window| window == until));
        }
        if let Some(tell) = &self.tell {
            let _ = tell.send(String::from_utf8_lossy(&self.output).trim().to_owned());
        }
        match self.bytes_max {
            Some(max) if self.output.len() > max => Err("too much".to_owned()),
            _ => Ok(()),
        }
    }

    fn input(&mut self, last: bool) -> Option<&mut Vec<u8>> {
        if last && let Some(input) = &mut self.input {
            input.append(&mut self.last_input);
        }
        self.input.as_mut()
    }

    fn is_awaited(&self) -> bool {
        self.awaited
    }

    fn ends_at(&self) -> Option<Instant> {
        self.ends_at
    }
}

fn run_script(script: &str, work: &mut Collect, timeout: Option<Duration>, kill_after: Duration) -> End {
    let deadline = timeout.map(|timeout| Instant::now() + timeout);
    run_within(script, work, &Limits { deadline, stop_after: LONG, kill_after, silence_max: LONG })
}

fn run_within(script: &str, work: &mut Collect, limits: &Limits) -> End {
    let log = Log::of(None);
    let words: Vec<OsString> = ["sh", "-c", script].map(OsString::from).to_vec();
    let launcher = Launcher::direct();
    let mut prepared = launcher.prepare(&words, &Arc::new(Confinement::default()));
    let (stops, ends_at) = (work.stops.clone(), work.ends_at);
    let over = move || stops.get() || ends_at.is_some_and(|at| at <= Instant::now());
    let mut stopped = poll_fn(|_| if over() { Poll::Ready(()) } else { Poll::Pending });
    let about = About { log: &log, subject: Subject::Topic(b"test"), command: "sh" };
    run(&launcher, &mut prepared, work, &mut stopped, limits, about)
}

fn failed(end: &End, with: &str) {
    assert!(matches!(end, End::Failed(failed) if failed.why.contains(with)), "{end:?}");
}

/// Whether a process exists, or is a zombie.
fn exists(pid: &str) -> bool {
    std::path::Path::new("/proc").join(pid).exists()
}

#[test]
fn output_and_status_come_back() {
    let mut work = Collect::default();
    assert_eq!(run_script("printf 'a\\nb'; echo c >&2", &mut work, None, LONG), End::Done);
    assert_eq!(work.output, b"a\nb");
    failed(&run_script("exit 3", &mut Collect::default(), None, LONG), "status 3");
    failed(&run_script("kill -9 $$", &mut Collect::default(), None, LONG), "signal 9");
}

#[test]
fn a_large_output_is_whole() {
    let mut work = Collect::default();
    assert_eq!(run_script("head -c 3000000 /dev/zero", &mut work, None, LONG), End::Done);
    assert_eq!(work.output.len(), 3_000_000);
}

#[test]
fn input_arrives_even_when_it_is_read_late() {
    let text = b"0123456789\n".repeat(100_000);
    let mut work = Collect { input: Some(text.clone()), until: Some(b"done\n"), ..Collect::default() };
    let end = run_script("sleep 0.1; head -c 1100000 | wc -c; echo done; sleep 60", &mut work, None, LONG);
    assert_eq!(end, End::Stopped);
    assert_eq!(String::from_utf8_lossy(&work.output).trim(), "1100000\ndone");
    // A program may close its input without reading it.
    let mut work = Collect { input: Some(text), ..Collect::default() };
    assert_eq!(run_script("exec <&-; echo out", &mut work, None, LONG), End::Done);
    assert_eq!(work.output, b"out\n");
}

#[test]
fn a_program_that_ignores_term_is_killed() {
    let started = Instant::now();
    let mut work = Collect { until: Some(b"up"), ..Collect::default() };
    assert_eq!(
        run_script("trap '' TERM; echo up; while :; do sleep 0.01; done", &mut work, None, SOON),
        End::Stopped
    );
    assert!(started.elapsed() >= SOON, "it had time to end");
    let started = Instant::now();
    let mut work = Collect { until: Some(b"up"), ..Collect::default() };
    let end = run_script(
        "trap 'echo bye; exit' TERM; echo up; while :; do sleep 0.01; done",
        &mut work,
        None,
        LONG,
    );
    assert_eq!((end, &work.output[..]), (End::Stopped, &b"up\nbye\n"[..]));
    assert!(started.elapsed() < LONG, "it ended on TERM");
}

#[test]
fn the_end_of_its_input_tells_a_program_to_end() {
    let script = "trap 'echo term' TERM; while read x; do echo got $x; done; echo eof";
    let mut work = Collect {
        input: Some(b"+a\n".to_vec()),
        last_input: b"-a\n".to_vec(),
        until: Some(b"got +a"),
        ..Collect::default()
    };
    assert_eq!(run_script(script, &mut work, None, LONG), End::Stopped);
    assert_eq!(String::from_utf8_lossy(&work.output), "got +a\ngot -a\neof\n");
}

#[test]
fn a_program_that_does_not_end_with_its_input_gets_term_and_then_kill() {
    // It does not read what it is told either, and the pipe is full.
    let script = "trap 'echo term' TERM; echo up; while :; do sleep 0.01; done";
    let input = Some(b"x".repeat(1 << 20));
    let mut work = Collect { input, until: Some(b"up"), ..Collect::default() };
    let limits = Limits { deadline: None, stop_after: SOON, kill_after: SOON, silence_max: LONG };
    let started = Instant::now();
    assert_eq!(run_within(script, &mut work, &limits), End::Stopped);
    assert_eq!(String::from_utf8_lossy(&work.output), "up\nterm\n");
    assert!(started.elapsed() >= 2 * SOON, "it had both times");
    // A deadline is TERM at once: the program has failed.
    let mut work = Collect { input: Some(Vec::new()), ..Collect::default() };
    failed(&run_script("sleep 60", &mut work, Some(SOON), LONG), "too long");
}

#[test]
fn a_program_ends_when_its_time_has_come_though_nothing_wakes() {
    let mut work = Collect { ends_at: Some(Instant::now() + SOON), ..Collect::default() };
    let started = Instant::now();
    assert_eq!(run_script("sleep 60", &mut work, None, LONG), End::Stopped);
    assert!((SOON..LONG).contains(&started.elapsed()), "{:?}", started.elapsed());
}

#[test]
fn a_program_is_silent_only_while_it_is_awaited() {
    let start = Instant::now();
    let mut silence = Silence { max: SOON, over: false, since: None };
    assert_eq!(silence.ends_at(true, start), Some(start + SOON));
    assert_eq!(silence.ends_at(true, start + SOON / 2), Some(start + SOON));
    assert_eq!(silence.ends_at(false, start + SOON / 2), None);
    assert_eq!(silence.ends_at(true, start + SOON), Some(start + 2 * SOON), "it begins anew");
}

#[test]
fn output_gathers_while_it_comes_in_small_pieces() {
    let start = Instant::now();
    let mut pace = Pace::default();
    let mut gathers = |bytes: Option<usize>, after: u32| {
        pace.note(bytes, start + GATHER * after);
        pace.gathers
    };
    assert!(!gathers(Some(10), 0), "the first piece");
    assert!(gathers(Some(10), 1));
    assert!(!gathers(Some(READ_BYTES), 2), "a full buffer");
    assert!(gathers(Some(10), 3));
    assert!(!gathers(None, 4), "nothing has come");
    assert!(!gathers(Some(10), 5));
    assert!(!gathers(Some(10), 8), "a pause");
}

#[test]
fn a_program_that_runs_too_long_or_writes_too_much_is_ended() {
    failed(&run_script("sleep 60", &mut Collect::default(), Some(SOON), LONG), "too long");
    let mut work = Collect { bytes_max: Some(1000), ..Collect::default() };
    failed(&run_script("cat /dev/zero", &mut work, None, LONG), "too much");
    // A few reads more may come before the kill has taken effect.
    assert!(work.output.len() <= 1000 + 16 * READ_BYTES, "{}", work.output.len());
}

#[test]
fn the_whole_group_ends_and_no_zombie_is_left() {
    // It ends by itself and leaves a child that ignores TERM and holds its output open.
    let script = "(trap '' TERM; exec sleep 60) & echo $!";
    let mut work = Collect::default();
    let started = Instant::now();
    assert_eq!(run_script(script, &mut work, None, LONG), End::Done);
    assert!(started.elapsed() < LONG, "nobody waits for the child");
    let child = String::from_utf8_lossy(&work.output).trim().to_owned();
    let gone = || {
        let stat = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        // Its new parent may take a moment to reap it.
        stat.is_empty() || stat.contains(") Z ")
    };
    let deadline = Instant::now() + LONG;
    while !gone() {
        assert!(Instant::now() < deadline, "the child {child} is still there");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn the_program_is_reaped() {
    let (tell, told): (_, Receiver<String>) = channel();
    let mut work = Collect { tell: Some(tell), until: Some(b"\n"), ..Collect::default() };
    assert_eq!(run_script("echo $$; sleep 60", &mut work, None, LONG), End::Stopped);
    let pid = told.recv().expect("its number");
    assert!(!exists(&pid), "{pid}");
}
