//! Sites that are killed, stopped and started again: children of the test, which run this test program.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::super::ask::ask_all;
use super::{Arrival, PATIENCE, Site, edge, endpoint, peers, router};
use crate::options::MeshOptions;
use crate::topology::Topology;

const CHILD: &str = "ONCUE_MESH_TEST_CHILD";

/// A site `b` in a process of its own.
struct Other {
    child: Child,
    said: BufReader<ChildStdout>,
    epoch: u64,
}

impl Other {
    /// An edge. Links give it up, as each site tells the other side, after `timeout`.
    fn start(router: &str, timeout: Duration) -> Other {
        Other::spawn(format!("{router} {}", timeout.as_millis()))
    }

    /// A peer, which links give up after a minute.
    fn start_peer(options: &MeshOptions) -> Other {
        let Topology::Peer { sites, .. } = &options.topology else { panic!("not a peer") };
        let sites: Vec<String> = sites.iter().map(|(name, at)| format!("{name}={at}")).collect();
        Other::spawn(format!("{} 60000", sites.join(",")))
    }

    fn spawn(told: String) -> Other {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["link::tests::faults::child", "--exact", "--ignored", "--nocapture"])
            .env(CHILD, told)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        let epoch = loop {
            let mut line = String::new();
            assert_ne!(said.read_line(&mut line).unwrap(), 0, "the child has ended");
            // Test programs write the name of the test before what it says.
            if let Some((_, epoch)) = line.trim_end().split_once("epoch ") {
                break epoch.parse().unwrap();
            }
        };
        Other { child, said, epoch }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = self.said.read_to_end(&mut Vec::new());
    }
}

#[test]
#[ignore = "a site of other tests"]
fn child() {
    let told = std::env::var(CHILD).unwrap();
    let (place, timeout) = told.split_once(' ').unwrap();
    let sites = place.split(',').filter_map(|site| site.split_once('='));
    let sites: BTreeMap<_, _> = sites.map(|(name, at)| (name.to_owned(), at.to_owned())).collect();
    let mut options = match sites.is_empty() {
        true => edge("b", &[place]),
        false => super::options("b", Topology::Peer { sites, listen: None }),
    };
    options.timeout = Duration::from_millis(timeout.parse().unwrap());
    let site = Site::open(&options);
    println!("epoch {}", site.link.epoch());
    // Until the test closes it.
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

#[test]
fn a_killed_site_is_missed_within_50_ms_and_comes_again_with_a_higher_epoch() {
    let at = endpoint();
    let a = Site::open(&router("a", &at, None));
    let (mut last, mut times) = (0, Vec::new());
    for _ in 0..3 {
        let mut other = Other::start(&at, Duration::from_secs(1));
        assert_eq!(a.wait_token("b", true), other.epoch);
        assert!(other.epoch > last);
        last = other.epoch;
        let killed = Instant::now();
        other.child.kill().unwrap();
        assert_eq!(a.wait_token("b", false), last);
        times.push(killed.elapsed());
    }
    println!("SIGKILL noticed after {times:?}");
    assert!(times.iter().min().unwrap() <= &Duration::from_millis(50), "{times:?}");
}

#[test]
fn a_stopped_site_is_missed_after_the_timeout_and_comes_back() {
    let at = endpoint();
    let a = Site::open(&router("a", &at, None));
    let other = Other::start(&at, Duration::from_secs(1));
    a.wait_token("b", true);
    let stopped = Instant::now();
    other.signal(Signal::STOP);
    a.wait_token("b", false);
    let time = stopped.elapsed();
    println!("SIGSTOP noticed after {time:?} with a timeout of 1 s");
    assert!(time < Duration::from_secs(3), "{time:?}");
    other.signal(Signal::CONT);
    assert_eq!(a.wait_token("b", true), other.epoch);
}

#[test]
fn a_stopped_site_holds_up_neither_a_healthy_one_nor_the_close() {
    let at = endpoint();
    // No healthy site is taken to be stopped on a busy machine.
    let patient = |options| Site::open(&MeshOptions { timeout: PATIENCE, ..options });
    let a = patient(router("a", &at, None));
    let c = patient(edge("c", &[&at]));
    let other = Other::start(&at, Duration::from_secs(60));
    for name in ["b", "c"] {
        let data = a.link.data_to(name).unwrap();
        data.put(b"declared".to_vec()).unwrap();
    }
    c.wait_data("a");
    other.signal(Signal::STOP);
    let to_b = a.link.data_to("b").unwrap();
    let to_c = a.link.data_to("c").unwrap();
    const BATCHES: usize = 2000;
    /// Half of what fits into the queue of a link: one that is full loses batches by design.
    const UNDERWAY: usize = 8;
    let batch = vec![0; 32 << 10];
    let longest = thread::scope(|scope| {
        let stuffing = scope.spawn(|| stuff(|| to_b.put(batch.clone()).unwrap()));
        for sent in 0..BATCHES {
            to_c.put(batch.clone()).unwrap();
            a.link.heartbeat(b"1".to_vec()).unwrap();
            if sent >= UNDERWAY {
                assert_eq!(c.wait_data("a"), batch);
            }
        }
        stuffing.join().unwrap()
    });
    for _ in 0..UNDERWAY {
        assert_eq!(c.wait_data("a"), batch);
    }
    println!("longest put to a stopped site: {longest:?}");
    assert!(longest < Duration::from_secs(1), "{longest:?}");
    let closing = Instant::now();
    a.link.close();
    assert!(closing.elapsed() < Duration::from_secs(3), "{:?}", closing.elapsed());
}

#[test]
fn a_question_to_all_does_not_wait_for_a_stopped_site() {
    let at = endpoint();
    let patient = |options| Site::open(&MeshOptions { timeout: PATIENCE, ..options });
    let a = patient(router("a", &at, None));
    let c = patient(edge("c", &[&at]));
    let other = Other::start(&at, Duration::from_secs(60));
    a.wait_token("b", true);
    other.signal(Signal::STOP);
    let to_b = a.link.data_to("b").unwrap();
    stuff(|| to_b.put(vec![0; 32 << 10]).unwrap());
    // The router passes the question on to the stopped one, and must go on to what comes after it.
    let answers = ask_all(&c.link.session, c.link.keys.hellos(), Duration::from_millis(1), |_, _| Some(()));
    let asked = Instant::now();
    c.link.heartbeat(b"after it".to_vec()).unwrap();
    while a.wait_heartbeat("c") != b"after it" {}
    let held_up = asked.elapsed();
    println!("{} answers in time; the heartbeat after the question took {held_up:?}", answers.len());
    assert!(held_up < Duration::from_secs(1), "{held_up:?}");
}

#[test]
fn a_stopped_peer_does_not_make_this_site_silent_for_the_others() {
    // As many batches as fill the link and Zenoh's queue, from a thread of their own, as data has.
    const FILLING: usize = 600;
    let [a, b, c] = peers(["a", "b", "c"]);
    let b = Other::start_peer(&b);
    let c = Site::open(&c);
    // A put waits for an eighth of it if there is no room.
    let a = Site::open(&MeshOptions { timeout: Duration::from_secs(8), ..a });
    a.wait_token("b", true);
    let data = a.link.data_to("b").unwrap();
    b.signal(Signal::STOP);
    (0..FILLING).for_each(|_| data.put(vec![0; 32 << 10]).unwrap());
    let start = Instant::now();
    let mut longest = Duration::ZERO;
    while start.elapsed() < Duration::from_secs(1) {
        let told = Instant::now();
        a.link.delta(vec![0; 100]).unwrap();
        longest = longest.max(told.elapsed());
        thread::sleep(Duration::from_millis(1));
    }
    println!("longest delta beside a stopped peer: {longest:?}");
    a.link.heartbeat(b"last".to_vec()).unwrap();
    while c.wait_heartbeat("a") != b"last" {}
    assert!(longest < Duration::from_millis(500), "{longest:?}: it waited for the stopped peer");
}

/// Calls it 1000 times, and returns the longest time that a call took.
fn stuff(mut put: impl FnMut()) -> Duration {
    let time = |_| {
        let start = Instant::now();
        put();
        start.elapsed()
    };
    (0..1000).map(time).max().unwrap()
}

#[test]
fn nothing_comes_of_a_site_while_it_is_not_there() {
    let [a, _] = peers(["a", "b"]);
    let a = Site::open(&a);
    a.link.heartbeat(b"1".to_vec()).unwrap();
    assert_eq!(a.link.links(), 0);
    let arrived = a.arrivals.recv_timeout(Duration::from_millis(200));
    assert!(!matches!(arrived, Ok(Arrival::Token { .. } | Arrival::Heartbeat { .. })), "{arrived:?}");
}
