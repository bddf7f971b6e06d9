//! A soak of `oncue serve`: `cargo xtask soak [MINUTES]`. A server with 20 routes of all kinds, under subscribers that come, go and
//! change their minds, and reloads. Once in a minute everything rests; then demand must be exactly what it should be, and
//! the server must hold no more than after the first minute: descriptors, threads, memory, children.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use oncue::{Engine, Options, Sub};
use oncue_interop::directory::Directory;
use oncue_interop::foreign::oncue;
use oncue_interop::leftovers::Holdings;
use oncue_interop::program::Program;

/// How many subscribers toggle.
const SUBSCRIBERS: u64 = 8;
/// How many values each parameter has.
const VALUES: u64 = 5;
/// How much more memory the server may hold at the end: its allocator keeps freed memory.
const BYTES_MORE_MAX: u64 = 8 << 20;
/// How long it may take until everything rests: programs get a second each time before they are killed.
const REST_MAX: Duration = Duration::from_secs(15);
const ECHO: &str = "while read x; do case $x in +*) echo \"${{x#+}}\tvalue\";; esac; done";

/// A route: its pattern with `{n}` for a number, and its other keys.
const ROUTES: [(&str, &str); 20] = [
    ("run/{n}", "command = ['echo', '{n}']\nevery = '50ms'"),
    ("fresh/{n}", "command = ['echo', '{n}']\nevery = '50ms'\nfresh_for = '1s'"),
    ("once/{n}", "command = ['echo', '{n}']\nevery = '1s'\nonce = true"),
    ("fails/{n}", "command = ['false']\nevery = '50ms'\nbackoff_min = '50ms'\nbackoff_max = '200ms'"),
    (
        "slow/{n}",
        "command = ['sleep', '0.2']\nevery = '100ms'\ntimeout = '150ms'\nkill_after = '50ms'\nbackoff_min = '50ms'",
    ),
    ("grace/{n}", "command = ['echo', '{n}']\nevery = '100ms'\ngrace = '300ms'\nkeep_last = true"),
    (
        "listed/{n}",
        "command = ['echo', '{n}']\nevery = '100ms'\ncatalogue = { command = ['printf', 'listed/0\\nlisted/1\\n'], every = '500ms' }",
    ),
    ("two/{n}", "command = ['echo', '{n}']\nevery = '100ms'\nframes = ['{topic} {value}']\ntrim = false"),
    ("stream/{n}", "command = ['sh', '-c', 'while sleep 0.05; do echo x; done']\nmode = 'stream'"),
    (
        "again/{n}",
        "command = ['sh', '-c', 'echo x; sleep 0.1']\nmode = 'stream'\nrestart = 'always'\nbackoff_min = '20ms'\nbackoff_max = '50ms'",
    ),
    (
        "dies/{n}",
        "command = ['sh', '-c', 'echo x; exit 1']\nmode = 'stream'\nbackoff_min = '50ms'\nbackoff_max = '200ms'",
    ),
    (
        "length/{n}",
        "command = ['sh', '-c', 'while sleep 0.05; do printf \"\\\\000\\\\000\\\\000\\\\003abc\"; done']\nmode = 'stream'\nframing = 'length'",
    ),
    (
        "json/{n}",
        "command = ['sh', '-c', 'while sleep 0.05; do echo \"{{\\\"value\\\":1}}\"; done']\nmode = 'stream'\nframing = 'json'",
    ),
    ("ends/{n}", "command = ['echo', 'all']\nmode = 'stream'"),
    ("shared/{n}", "command = ['sh', '-c', ECHO]\nmode = 'shared'"),
    ("stays/{n}", "command = ['sh', '-c', ECHO]\nmode = 'shared'\nidle = '200ms'"),
    (
        "crash/{n}",
        "command = ['sh', '-c', 'read x; exit 1']\nmode = 'shared'\nbackoff_min = '50ms'\nbackoff_max = '200ms'",
    ),
    (
        "stubborn/{n}",
        "command = ['sh', '-c', 'trap \"\" TERM; while :; do sleep 0.05; done']\nmode = 'shared'\nstop_after = '50ms'\nkill_after = '50ms'",
    ),
    ("lines/{n}", "file = 'lines-{n}'\nevery = '20ms'"),
    ("content/{n}", "file = 'content-{n}'\nmode = 'content'\nevery = '20ms'\non_full = 'latest'"),
];
/// The routes whose topics end by themselves: nothing is produced for them, although they are wanted.
const END: [&str; 1] = ["ends/"];
/// The routes whose topics fail again and again: they are produced at one moment and not at the next.
const FAIL: [&str; 5] = ["fails/", "slow/", "dies/", "crash/", "again/"];

fn main() -> ExitCode {
    let minutes: f64 =
        std::env::args().nth(1).map_or(20.0, |word| word.parse().expect("a number of minutes"));
    let end = Instant::now() + Duration::from_secs_f64(minutes * 60.0);
    let soak = Soak::start();
    let (mut table, mut first, mut wrong) = (Vec::new(), None, 0u64);
    println!("minute  toggles  values  fds thr    memory  children  wrong demand");
    let started = Instant::now();
    while table.is_empty() || Instant::now() < end {
        soak.toggle(Duration::from_secs(50).min(end.saturating_duration_since(Instant::now())));
        let mistakes = soak.mistakes();
        wrong += mistakes.len() as u64;
        for mistake in &mistakes {
            println!("  {mistake}");
        }
        let (holdings, children) = soak.rest();
        println!(
            "{:>6.1} {:>8} {:>7} {holdings} {children:>9} {:>13}",
            started.elapsed().as_secs_f64() / 60.0,
            soak.crowd.toggles.load(Ordering::Relaxed),
            soak.crowd.values.load(Ordering::Relaxed),
            mistakes.len(),
        );
        first.get_or_insert((holdings, children));
        table.push((holdings, children));
    }
    let (before, children_before) = first.expect("a row");
    let (after, children) = *table.last().expect("a row");
    println!(
        "before {before}, {children_before} children; after {after}, {children} children; wrong demand: {wrong}"
    );
    let held = after.descriptors <= before.descriptors
        && after.threads <= before.threads
        && after.bytes <= before.bytes + BYTES_MORE_MAX
        && children <= children_before;
    let server = soak.server.into_inner();
    server.signal("TERM");
    let code = server.end().code;
    println!("the server ended with {code:?}");
    if held && wrong == 0 && code == Some(0) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

struct Soak {
    directory: Directory,
    server: RefCell<Program>,
    /// The process of the server.
    process: u32,
    /// The topics that the server has said to be produced, by `+` and `-`.
    produced: RefCell<BTreeSet<String>>,
    crowd: Crowd,
}

/// The subscribers.
struct Crowd {
    endpoint: String,
    toggles: AtomicU64,
    values: AtomicU64,
}

impl Soak {
    fn start() -> Soak {
        let directory = Directory::new();
        for number in 0..VALUES {
            directory.write(format!("content-{number}"), "x");
            directory.write(format!("lines-{number}"), "");
        }
        let path = directory.write("oncue.toml", &config(0));
        let mut server = Program::start(oncue(&["serve"]).arg(path).current_dir(directory.path("")));
        let endpoint = server.endpoint();
        let process = server.id();
        let (server, produced) = (server.into(), RefCell::default());
        let crowd = Crowd { endpoint, toggles: 0.into(), values: 0.into() };
        Soak { directory, server, process, produced, crowd }
    }

    /// Subscribers toggle, files change, and the config is read again.
    fn toggle(&self, time: Duration) {
        let over = AtomicBool::new(false);
        let end = Instant::now() + time;
        thread::scope(|scope| {
            for seed in 1..=SUBSCRIBERS {
                let over = &over;
                let crowd = &self.crowd;
                scope.spawn(move || crowd.subscribe(seed, over));
            }
            let mut round = 0;
            while Instant::now() < end {
                round += 1;
                for number in 0..VALUES {
                    self.directory.write(format!("content-{number}"), &round.to_string());
                }
                if round % 50 == 0 {
                    self.reload(round);
                }
                thread::sleep(Duration::from_millis(100));
            }
            over.store(true, Ordering::Relaxed);
        });
        self.reload(0);
    }

    fn reload(&self, round: u64) {
        self.directory.write("oncue.toml", &config(round));
        self.server.borrow().signal("HUP");
    }

    /// Subscribes to one topic of each route, and compares what the server produces with that; then with nothing.
    fn mistakes(&self) -> Vec<String> {
        let socket = self.crowd.subscriber();
        let topics: BTreeSet<String> =
            ROUTES.iter().map(|(pattern, _)| pattern.replace("{n}", "1")).collect();
        for topic in &topics {
            socket.subscribe(topic).expect("a subscription");
        }
        let certain = |topic: &&String| !END.iter().chain(&FAIL).any(|prefix| topic.starts_with(prefix));
        let expected: BTreeSet<_> = topics.iter().filter(certain).cloned().collect();
        let mut found = self.compare("wanted", &|produced| {
            let produced: BTreeSet<_> = produced.iter().filter(certain).cloned().collect();
            produced == expected
        });
        drop(socket);
        found.extend(self.compare("unwanted", &BTreeSet::is_empty));
        found
    }

    /// Waits until the produced topics are as they should be.
    fn compare(&self, when: &str, right: &dyn Fn(&BTreeSet<String>) -> bool) -> Vec<String> {
        let end = Instant::now() + REST_MAX;
        loop {
            let produced = self.produced();
            if right(&produced) {
                return Vec::new();
            }
            if Instant::now() > end {
                return vec![format!("{when}: produced are {produced:?}")];
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    fn produced(&self) -> BTreeSet<String> {
        let mut produced = self.produced.borrow_mut();
        while let Some(line) = self.server.borrow_mut().line_within(Duration::ZERO) {
            match line.split_once(' ') {
                Some(("+", topic)) => drop(produced.insert(topic.to_owned())),
                Some(("-", topic)) => drop(produced.remove(topic)),
                _ => {}
            }
        }
        produced.clone()
    }

    /// What the server holds when nobody wants anything.
    fn rest(&self) -> (Holdings, usize) {
        let end = Instant::now() + REST_MAX;
        let mut last = (Holdings::of(self.process), usize::MAX);
        loop {
            thread::sleep(Duration::from_millis(500));
            let now = (Holdings::of(self.process), children(self.process));
            if (now == last && now.1 <= 1) || Instant::now() > end {
                return now;
            }
            last = now;
        }
    }
}

impl Crowd {
    /// One subscriber, until it is over.
    fn subscribe(&self, seed: u64, over: &AtomicBool) {
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut below = move |bound: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % bound
        };
        while !over.load(Ordering::Relaxed) {
            let socket = self.subscriber();
            let mut wanted = BTreeSet::new();
            for _ in 0..1 + below(40) {
                let (pattern, _) = ROUTES[below(ROUTES.len() as u64) as usize];
                let topic = match below(10) {
                    // All that the route lists, or a topic that no route has.
                    0 => pattern.replace("{n}", ""),
                    1 => format!("none/{}", below(1000)),
                    _ => pattern.replace("{n}", &below(VALUES).to_string()),
                };
                if wanted.remove(&topic) {
                    socket.unsubscribe(&topic).expect("the end of a subscription");
                } else {
                    socket.subscribe(&topic).expect("a subscription");
                    wanted.insert(topic);
                }
                self.toggles.fetch_add(1, Ordering::Relaxed);
                let until = Instant::now() + Duration::from_millis(below(200));
                while let Some(message) =
                    socket.recv().wait_timeout(until.saturating_duration_since(Instant::now()))
                {
                    message.expect("a message");
                    self.values.fetch_add(1, Ordering::Relaxed);
                }
                if over.load(Ordering::Relaxed) {
                    return;
                }
            }
        }
    }

    fn subscriber(&self) -> Sub {
        let socket = Sub::new(&Engine::start().expect("an engine"), Options::new()).expect("a subscriber");
        socket.connect(&self.endpoint).expect("an endpoint");
        socket
    }
}

/// The config; each round has another last route.
fn config(round: u64) -> String {
    let mut text = "bind = \"tcp://127.0.0.1:0\"\nprocesses_max = 64\n".to_owned();
    for (pattern, keys) in ROUTES {
        let keys = keys.replace("ECHO", &format!("{ECHO:?}"));
        writeln!(text, "[[route]]\ntopic = '{pattern}'\n{keys}").expect("memory");
    }
    if round > 0 {
        writeln!(text, "[[route]]\ntopic = 'extra/{round}/{{n}}'\ncommand = ['true']\nevery = '1s'")
            .expect("memory");
    }
    text
}

fn children(process: u32) -> usize {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).expect("a process").flatten();
    let children = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    children.map(|children| children.split_whitespace().count()).sum()
}
