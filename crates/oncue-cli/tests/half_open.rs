//! A network cable that is cut, without a FIN or a reset: two network namespaces with a pair of virtual devices between
//! them. That needs root and iproute2; without them the tests print that they are skipped.

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use oncue_interop::directory::Directory;
use oncue_interop::program::Program;
use oncue_interop::raw::{Raw, Version};
use oncue_interop::until;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

const ONCUE: &str = env!("CARGO_BIN_EXE_oncue");
const AT: &str = "tcp://10.77.0.1:5555";
const HEARTBEAT: [&str; 4] = ["--heartbeat", "500ms", "--heartbeat-timeout", "2s"];
/// The timeout, and a margin for a busy machine and for the system, which counts in whole seconds.
const NOTICED: Duration = Duration::from_secs(6);

#[test]
fn demand_is_gone_when_the_cable_is_cut_whatever_version_the_peer_speaks() {
    let Some(cable) = Cable::lay() else { return };
    let mut demand = cable.near(ONCUE, &["demand", AT], &HEARTBEAT);
    demand.endpoint();
    let new = cable.far(ONCUE, &["sub", AT, "--topic", "new"], &HEARTBEAT);
    assert_eq!(demand.line(), "+ new");
    let older = [(Version::V3_0, "older"), (Version::V2_0, "oldest")].map(|(version, topic)| {
        let raw = cable.subscriber(version, topic);
        assert_eq!(demand.line(), format!("+ {topic}"));
        raw
    });
    // They are silent, and still connected.
    assert_eq!(demand.line_within(Duration::from_secs(4)), None);
    cable.cut();
    let cut = Instant::now();
    let mut gone = [demand.line(), demand.line(), demand.line()];
    gone.sort();
    assert_eq!(gone, ["- new", "- older", "- oldest"]);
    assert!(cut.elapsed() < NOTICED, "{:?}", cut.elapsed());
    drop((new, older));
}

#[test]
fn no_program_runs_for_subscribers_behind_a_cut_cable() {
    let Some(cable) = Cable::lay() else { return };
    let directory = Directory::new();
    let config = format!(
        "bind = '{AT}'\nheartbeat = '500ms'\nheartbeat_timeout = '2s'\n\
         [[route]]\ntopic = '{{version:word}}'\nevery = '100ms'\ncommand = ['sh', '-c', 'echo | tee -a runs']\ncwd = '{}'\n",
        directory.path("").display()
    );
    let config = directory.write("oncue.toml", &config);
    let mut serve = cable.near(ONCUE, &["serve", config.to_str().expect("a path")], &[]);
    serve.endpoint();
    // After the cut, data for them is not acknowledged: the system notices that in another way than silence.
    let mut new = cable.far(ONCUE, &["sub", AT, "--topic", "new"], &HEARTBEAT);
    assert_eq!(serve.line(), "+ new");
    let mut older = [(Version::V3_0, "older"), (Version::V2_0, "oldest")].map(|(version, topic)| {
        let raw = cable.subscriber(version, topic);
        assert_eq!(serve.line(), format!("+ {topic}"));
        raw
    });
    assert_eq!(new.line(), "new\t");
    older.iter_mut().for_each(|raw| drop(raw.read(4)));
    cable.cut();
    let cut = Instant::now();
    let mut gone = [serve.line(), serve.line(), serve.line()];
    gone.sort();
    assert_eq!(gone, ["- new", "- older", "- oldest"]);
    assert!(cut.elapsed() < NOTICED, "{:?}", cut.elapsed());
    let runs = || fs::read(directory.path("runs")).expect("the file of the runs").len();
    let mut before = 0;
    until("the last run ends", || std::mem::replace(&mut before, runs()) == runs());
    thread::sleep(Duration::from_secs(1));
    assert_eq!(runs(), before, "it does not run without a subscriber");
}

#[test]
fn a_subscriber_notices_that_its_publisher_was_power_cycled() {
    let Some(mut cable) = Cable::lay() else { return };
    let mut publisher = cable.near(ONCUE, &["pub", AT], &[]);
    publisher.endpoint();
    let mut notices = cable.far(ONCUE, &["sub", AT, "--topic", "notices"], &HEARTBEAT);
    assert_eq!(publisher.line(), "+notices");
    let _believes = cable.far(ONCUE, &["sub", AT, "--topic", "believes"], &["--heartbeat", "off"]);
    assert_eq!(publisher.line(), "+believes");
    publisher.write(b"notices\t1\n");
    assert_eq!(notices.line(), "notices\t1");
    // All data must be acknowledged: a retransmission would be answered with a reset.
    thread::sleep(Duration::from_millis(500));
    cable.cut();
    publisher.kill();
    cable.replace_the_near_end();
    let mut publisher = cable.near(ONCUE, &["pub", AT], &[]);
    publisher.endpoint();
    assert_eq!(publisher.line(), "+notices");
    publisher.write(b"notices\t2\n");
    assert_eq!(notices.line(), "notices\t2");
    assert_eq!(publisher.line_within(Duration::from_secs(1)), None, "without heartbeats nobody notices");
}

/// Two namespaces, and a cable between them.
struct Cable {
    near: String,
    far: String,
}

impl Cable {
    /// None if the system does not allow it, which is printed.
    fn lay() -> Option<Cable> {
        static LAST: AtomicU32 = AtomicU32::new(0);
        remove_what_was_left();
        let id = format!("oncue-{}-{}", std::process::id(), LAST.fetch_add(1, Ordering::SeqCst));
        let cable = Cable { near: format!("{id}-near"), far: format!("{id}-far") };
        match cable.set_up() {
            Ok(()) => Some(cable),
            Err(why) => {
                // The test harness would hide the output of a macro.
                let text = format!("skipped: network namespaces cannot be made here: {why}\n");
                let _ = std::io::stderr().write_all(text.as_bytes());
                None
            }
        }
    }

    fn set_up(&self) -> Result<(), String> {
        ip(&format!("netns add {}", self.far))?;
        self.set_up_the_near_end()
    }

    fn set_up_the_near_end(&self) -> Result<(), String> {
        let Cable { near, far } = self;
        let steps = [
            format!("netns add {near}"),
            format!("-n {near} link add cable type veth peer name cable netns {far}"),
            format!("-n {near} addr add 10.77.0.1/24 dev cable"),
            format!("-n {far} addr add 10.77.0.2/24 dev cable"),
            format!("-n {near} link set cable up"),
            format!("-n {far} link set cable up"),
        ];
        steps.iter().try_for_each(|step| ip(step))
    }

    /// Replaces the near end, whose programs must have ended, by another machine, which knows no connection.
    fn replace_the_near_end(&mut self) {
        ip(&format!("-n {} link del cable", self.far)).expect("a cable that goes");
        ip(&format!("netns del {}", self.near)).expect("a namespace that goes");
        self.near.push_str("-again");
        self.set_up_the_near_end().expect("another namespace");
    }

    fn cut(&self) {
        ip(&format!("-n {} link set cable down", self.far)).expect("a device that goes down");
    }

    /// Runs a program at the near end.
    fn near(&self, program: &str, words: &[&str], more: &[&str]) -> Program {
        start(&self.near, program, words, more)
    }

    /// Runs a program at the far end.
    fn far(&self, program: &str, words: &[&str], more: &[&str]) -> Program {
        start(&self.far, program, words, more)
    }

    /// A silent subscriber at the far end.
    fn subscriber(&self, version: Version, topic: &str) -> Raw {
        let space = File::open(Path::new("/run/netns").join(&self.far)).expect("the namespace");
        let topic = topic.to_owned();
        // Only this thread enters the namespace; a socket stays in the one where it was made.
        let connect = move || {
            move_into_link_name_space(space.as_fd(), Some(LinkNameSpaceType::Network)).expect("to enter it");
            let mut raw = Raw::connect(AT);
            raw.greet(version, "SUB", "XPUB");
            raw.subscribe(version, topic.as_bytes());
            raw
        };
        thread::spawn(connect).join().expect("a subscriber")
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        for space in [&self.near, &self.far] {
            // An error means that it does not exist.
            let _ = ip(&format!("netns del {space}"));
        }
    }
}

fn start(space: &str, program: &str, words: &[&str], more: &[&str]) -> Program {
    Program::start(Command::new("ip").args(["netns", "exec", space, program]).args(words).args(more))
}

fn ip(words: &str) -> Result<(), String> {
    let output =
        Command::new("ip").args(words.split(' ')).output().map_err(|error| format!("ip: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("ip {words}: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}

/// Removes the namespaces of test processes that were killed.
fn remove_what_was_left() {
    for entry in fs::read_dir("/run/netns").into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix("oncue-").and_then(|rest| rest.split('-').next());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _ = ip(&format!("netns del {name}"));
        }
    }
}
