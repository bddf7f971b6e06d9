//! What the server tells its supervisor (systemd). A stand-in reads the socket.

use std::fs;
use std::net::TcpStream;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use oncue_interop::PATIENCE;
use oncue_interop::program::Program;

use crate::{Directory, Server};

const ROUTE: &str = "[[route]]\ntopic = 'a'\ncommand = ['env']\nevery = '1s'\n";
/// Far longer than the time between two signs of life here.
const SILENCE: Duration = Duration::from_millis(600);

struct Supervisor {
    socket: UnixDatagram,
    directory: Directory,
}

impl Supervisor {
    fn new() -> Supervisor {
        let directory = Directory::new();
        let socket = UnixDatagram::bind(directory.path("notify")).expect("a socket");
        Supervisor { socket, directory }
    }

    /// Starts the server as a service. These variables are added to its environment.
    fn start(&self, name: &str, variables: &[(&str, &str)]) -> Program {
        let path = self.directory.config(ROUTE);
        let mut command = Command::new(env!("CARGO_BIN_EXE_oncue"));
        command.arg("serve").arg(path).env("NOTIFY_SOCKET", name).envs(variables.iter().copied());
        Program::start(&mut command)
    }

    fn socket_name(&self) -> String {
        self.directory.path("notify").to_str().expect("a path").to_owned()
    }

    /// The next news, if any come in time.
    fn next_within(&self, time: Duration) -> Option<String> {
        self.socket.set_read_timeout(Some(time)).expect("a time");
        let mut buffer = [0; 4096];
        let read = self.socket.recv(&mut buffer).ok()?;
        Some(String::from_utf8(buffer[..read].to_vec()).expect("text"))
    }

    fn next(&self) -> String {
        self.next_within(PATIENCE).expect("news in time")
    }
}

#[test]
fn a_supervisor_hears_when_the_server_is_ready_reloads_and_stops() {
    let supervisor = Supervisor::new();
    let program = supervisor.start(&supervisor.socket_name(), &[]);
    let ready = supervisor.next();
    let endpoint = ready.strip_prefix("READY=1\nSTATUS=serving 1 route at tcp://").expect(&ready);
    let serves = TcpStream::connect(endpoint).is_ok();
    assert!(serves, "{ready}");
    let reloading = |bad: bool| {
        program.signal("HUP");
        let before = supervisor.next();
        let time = before.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect(&before);
        let (time, _) = time.split_once('\n').expect("a status");
        let uptime = fs::read_to_string("/proc/uptime").expect("the time since the start of the system");
        let now: f64 = uptime.split(' ').next().and_then(|text| text.parse().ok()).expect("seconds");
        let age = now - time.parse::<f64>().expect("microseconds") / 1e6;
        assert!((-1.0..60.0).contains(&age), "{age} s");
        let after = supervisor.next();
        assert_eq!(after.contains("the config was not replaced: "), bad, "{after}");
        assert!(after.starts_with("READY=1\nSTATUS="), "{after}");
    };
    reloading(false);
    supervisor.directory.config("nonsense = 1\n");
    reloading(true);
    let config = supervisor.directory.path("oncue.toml");
    fs::remove_file(&config).expect("the config");
    reloading(true);
    supervisor.directory.config(ROUTE);
    reloading(false);
    program.signal("TERM");
    assert_eq!(supervisor.next().lines().next(), Some("STOPPING=1"));
    assert_eq!(program.end().code, Some(0));
}

#[test]
fn signs_of_life_come_only_while_the_server_runs() {
    let mut supervisor = Supervisor::new();
    let name = format!("oncue-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).expect("an address");
    supervisor.socket = UnixDatagram::bind_addr(&address).expect("a socket");
    let program = supervisor.start(&format!("@{name}"), &[("WATCHDOG_USEC", "100000")]);
    assert!(supervisor.next().starts_with("READY=1"));
    for _ in 0..5 {
        assert_eq!(supervisor.next(), "WATCHDOG=1");
    }
    program.signal("STOP");
    // Those that were sent before it had stopped.
    while supervisor.next_within(SILENCE / 2).is_some() {}
    assert_eq!(supervisor.next_within(SILENCE), None);
    program.signal("CONT");
    assert_eq!(supervisor.next(), "WATCHDOG=1");
}

/// A program that ignores TERM and the end of its input is killed after 2 s; the watchdog is fed meanwhile.
#[test]
fn a_program_that_takes_its_time_to_end_holds_up_no_sign_of_life() {
    let supervisor = Supervisor::new();
    let program = supervisor.start(&supervisor.socket_name(), &[("WATCHDOG_USEC", "200000")]);
    let ready = supervisor.next();
    let endpoint = ready.rsplit(' ').next().expect("an endpoint").to_owned();
    let deaf = "[[route]]\ntopic = 'deaf/{x:word}'\nmode = 'shared'\nstop_after = '1s'\nkill_after = '1s'\n\
                command = ['sh', '-c', 'trap \"\" TERM; read x; printf \"deaf/x\tup\\n\"; while :; do sleep 0.05; done']\n";
    let reload = |program: &Program, config: &str| {
        supervisor.directory.config(config);
        program.signal("HUP");
        while !supervisor.next().starts_with("RELOADING=1") {}
        let start = Instant::now();
        while !supervisor.next().starts_with("READY=1") {}
        start.elapsed()
    };
    reload(&program, &format!("{ROUTE}{deaf}"));
    let server = Server { program, endpoint };
    assert_eq!(server.subscriber(&["deaf/x"]).value(), "up");
    let took = reload(&server.program, ROUTE);
    assert!(took < Duration::from_secs(1), "the reload takes {took:?}");
    let end = Instant::now() + Duration::from_secs(2);
    let mut last = Instant::now();
    while Instant::now() < end {
        assert_eq!(supervisor.next(), "WATCHDOG=1");
        assert!(last.elapsed() < SILENCE, "{:?} of silence", last.elapsed());
        last = Instant::now();
    }
    server.program.signal("TERM");
    assert_eq!(server.program.end().code, Some(0));
}

#[test]
fn no_signs_of_life_are_sent_that_another_process_is_to_send() {
    let supervisor = Supervisor::new();
    let variables = [("WATCHDOG_USEC", "20000"), ("WATCHDOG_PID", "1")];
    let _program = supervisor.start(&supervisor.socket_name(), &variables);
    assert!(supervisor.next().starts_with("READY=1"));
    assert_eq!(supervisor.next_within(SILENCE), None);
}

#[test]
fn programs_do_not_know_the_supervisor() {
    let supervisor = Supervisor::new();
    let mut program = supervisor.start(&supervisor.socket_name(), &[("WATCHDOG_USEC", "60000000")]);
    let endpoint = program.endpoint();
    let environment = Server { program, endpoint }.subscriber(&["a"]).value();
    assert!(environment.contains("ONCUE_TOPIC=a"), "{environment}");
    assert!(!environment.contains("NOTIFY_SOCKET") && !environment.contains("WATCHDOG"), "{environment}");
}

#[test]
fn a_supervisor_that_cannot_be_reached_disturbs_nothing() {
    let supervisor = Supervisor::new();
    for (name, said) in [("/no/such/socket", false), ("vsock:2:1", true), ("", true)] {
        let mut program = supervisor.start(name, &[("WATCHDOG_USEC", "20000")]);
        let first = program.error_line();
        assert_eq!(first.contains("the supervisor is told nothing: NOTIFY_SOCKET="), said, "{first}");
        if said {
            program.endpoint();
        }
        program.signal("HUP");
        assert!(program.error_line().contains("config read again"));
        program.signal("TERM");
        assert_eq!(program.end().code, Some(0));
    }
    // One that goes away.
    let program = supervisor.start(&supervisor.socket_name(), &[("WATCHDOG_USEC", "20000")]);
    supervisor.next();
    drop(supervisor);
    program.signal("TERM");
    assert_eq!(program.end().code, Some(0));
}

#[test]
fn systemd_understands_the_unit() {
    let version = Command::new("systemd-analyze").arg("--version").output();
    let Ok(version) = version else {
        return eprintln!("systemd-analyze is not here: the unit was NOT verified");
    };
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let version: u32 = version.split_whitespace().nth(1).and_then(|text| text.parse().ok()).expect(&version);
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/oncue.service");
    let mut unit = fs::read_to_string(unit).expect("the unit");
    let found = unit.contains("ExecStart=/usr/bin/oncue serve ");
    assert!(found, "{unit}");
    unit = unit.replace("/usr/bin/oncue", env!("CARGO_BIN_EXE_oncue"));
    if version < 253 {
        eprintln!("systemd {version} does not know Type=notify-reload: verified with Type=notify");
        unit = unit.replace("Type=notify-reload", "Type=notify");
    }
    let directory = Directory::new();
    let path = directory.write("oncue.service", &unit);
    let socket = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/oncue.socket");
    let socket = directory.write("oncue.socket", &fs::read_to_string(socket).expect("the unit"));
    let verified = Command::new("systemd-analyze")
        .arg("verify")
        .args([&path, &socket])
        .output()
        .expect("systemd-analyze");
    let said = String::from_utf8_lossy(&verified.stderr).into_owned();
    let about_it: Vec<_> = said.lines().filter(|line| line.contains("oncue.s")).collect();
    assert!(verified.status.success() && about_it.is_empty(), "{said}");
    // What the unit may do, from 0.0 (nothing) to 10.0 (everything): the threshold is in tenths.
    let mut judge = Command::new("systemd-analyze");
    judge.args(["security", "--offline=true", "--threshold=20"]).arg(&path);
    let judged = judge.output().expect("systemd-analyze");
    assert!(judged.status.success(), "{}", String::from_utf8_lossy(&judged.stdout));
}
