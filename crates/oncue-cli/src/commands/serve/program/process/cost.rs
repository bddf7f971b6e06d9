//! What a run of a program costs, against the least that starting it and reading its output can cost.
//! `cargo test --release -p oncue-cli cost_of_a_run -- --nocapture` prints it.

use std::ffi::OsString;
use std::fs;
use std::future::pending;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{About, End, Limits, Work, run};
use crate::commands::serve::program::journal::Log;
use crate::commands::serve::program::launch::Launcher;
use crate::config::Confinement;
use crate::record::Subject;

const PAIRS: usize = 200;
const RATIO_MAX: f64 = 1.3;
/// How often a program is measured before its ratio counts as too high: other processes disturb.
const TRIES: usize = 5;

#[derive(Default)]
struct Output(Vec<u8>);

impl Work for Output {
    fn take_output(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

/// The time that something takes, and the processor time of this thread in it.
struct Cost {
    wall: Duration,
    own: Duration,
}

impl Cost {
    fn of(run: impl FnOnce()) -> Cost {
        let (own, start) = (Cost::processor_time(), Instant::now());
        run();
        Cost { wall: start.elapsed(), own: Cost::processor_time() - own }
    }

    fn processor_time() -> Duration {
        let stat =
            fs::read_to_string("/proc/thread-self/schedstat").expect("the statistics of the scheduler");
        let nanos = stat.split_whitespace().next().and_then(|nanos| nanos.parse().ok());
        Duration::from_nanos(nanos.expect("nanoseconds on a processor"))
    }

    fn median(costs: &mut [Cost]) -> Cost {
        let middle = costs.len() / 2;
        let mut median = |of: fn(&Cost) -> Duration| {
            costs.sort_by_key(of);
            of(&costs[middle])
        };
        Cost { wall: median(|cost| cost.wall), own: median(|cost| cost.own) }
    }
}

/// The costs of a bare run and of one of the server, by turns.
fn measured(words: &[&str]) -> (Cost, Cost) {
    let launcher = Launcher::direct();
    let log = Log::of(None);
    let program: Vec<OsString> = words.iter().map(Into::into).collect();
    let (mut bare, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..PAIRS {
        bare.push(Cost::of(|| {
            let mut command = Command::new(words[0]);
            command.args(&words[1..]).stdin(Stdio::null()).stderr(Stdio::null());
            assert!(command.output().expect("the program").status.success());
        }));
        ours.push(Cost::of(|| {
            let mut output = Output::default();
            let mut prepared = launcher.prepare(&program, &Arc::new(Confinement::default()));
            let long = Duration::from_secs(60);
            let limits = Limits { deadline: None, stop_after: long, kill_after: long, silence_max: long };
            let about = About { log: &log, subject: Subject::Route, command: words[0] };
            let end = run(&launcher, &mut prepared, &mut output, &mut pending(), &limits, about);
            assert_eq!(end, End::Done);
        }));
    }
    (Cost::median(&mut bare), Cost::median(&mut ours))
}

#[test]
fn the_cost_of_a_run_is_at_most_1_3_times_that_of_a_bare_spawn_and_wait() {
    for words in [&["true"][..], &["ps", "-o", "rss=", "-p", "1"]] {
        let ratio = (0..TRIES).map(|_| {
            let (bare, ours) = measured(words);
            let ratio = ours.wall.as_secs_f64() / bare.wall.as_secs_f64();
            println!(
                "{}: {:.1?} bare, of which {:.1?} in the caller; {:.1?} by the server, of which {:.1?}: {ratio:.2}",
                words.join(" "),
                bare.wall,
                bare.own,
                ours.wall,
                ours.own
            );
            ratio
        });
        let least = ratio.into_iter().find(|ratio| *ratio <= RATIO_MAX);
        assert!(least.is_some(), "{words:?}: more than {RATIO_MAX} times each time");
    }
}
