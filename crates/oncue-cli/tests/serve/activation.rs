//! Sockets that were passed to the server (socket activation), as systemd passes them: from descriptor 3 on, with their count,
//! the process and their names in the environment.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixListener;
use std::process::Command;

use oncue_interop::program::Program;
use rustix::io::{FdFlags, fcntl_setfd};

use crate::{Directory, Server};

const ROUTE: &str =
    "[[route]]\ntopic = 'a'\ncommand = ['sh', '-c', 'env; ls -l /proc/self/fd']\nevery = '1s'\n";

/// Two sockets, and what a supervisor says about them.
struct Sockets {
    directory: Directory,
    tcp: TcpListener,
    unix: UnixListener,
}

impl Sockets {
    fn new() -> Sockets {
        let directory = Directory::new();
        let tcp = TcpListener::bind("127.0.0.1:0").expect("a port");
        let unix = UnixListener::bind(directory.path("passed")).expect("a file");
        for fd in [tcp.as_fd(), unix.as_fd()] {
            fcntl_setfd(fd, FdFlags::empty()).expect("it is passed on");
        }
        Sockets { directory, tcp, unix }
    }

    fn address(&self) -> SocketAddr {
        self.tcp.local_addr().expect("an address")
    }

    fn config(&self, bind: &str) -> String {
        let path = self.directory.write("oncue.toml", &format!("bind = {bind}\n{ROUTE}"));
        path.to_str().expect("a path").to_owned()
    }

    /// Starts the server with both sockets and these variables, in which `$$` is its process.
    fn start(&self, bind: &str, variables: &str) -> Program {
        let config = self.config(bind);
        let (tcp, unix) = (self.tcp.as_raw_fd(), self.unix.as_raw_fd());
        // The shell puts them in their places, and becomes the server. Not sh: its descriptors have one digit.
        let places = format!("exec 250<&{tcp} 251<&{unix} && exec 3<&250 4<&251");
        // Other tests of this process have descriptors that are passed on too.
        let others = "for f in /proc/self/fd/*; do n=${f##*/}; [ $n -le 4 ] || eval \"exec $n>&-\"; done";
        let script = format!(
            "{places}; {others}; export {variables}; exec {} serve {config}",
            env!("CARGO_BIN_EXE_oncue")
        );
        Program::start(Command::new("bash").args(["-c", &script]).current_dir(self.directory.path("")))
    }
}

const BOTH: &str = "LISTEN_FDS=2 LISTEN_PID=$$ LISTEN_FDNAMES=web:local";

fn served(mut program: Program, endpoint: &str) -> Server {
    let line = program.error_line();
    assert!(line.ends_with(&format!("bound to {endpoint}")), "{line}");
    Server { program, endpoint: endpoint.to_owned() }
}

#[test]
fn passed_sockets_are_served_by_their_names_and_programs_do_not_get_them() {
    let sockets = Sockets::new();
    let (tcp, unix) = (
        format!("tcp://{}", sockets.address()),
        format!("ipc://{}", sockets.directory.path("passed").display()),
    );
    for (bind, endpoint) in [("'fd://web'", &tcp), ("'fd://local'", &unix)] {
        let mut server = served(sockets.start(bind, BOTH), endpoint);
        let unused = server.program.error_line();
        assert!(
            unused.contains("the sockets `web`, `local` were passed; the config does not use all"),
            "{unused}"
        );
        let environment = server.subscriber(&["a"]).value();
        assert!(environment.contains("ONCUE_TOPIC=a"), "{environment}");
        assert!(!environment.contains("LISTEN_"), "{environment}");
        assert!(!environment.contains("socket:"), "no descriptor of it is left to a program: {environment}");
        server.program.signal("TERM");
        assert_eq!(server.program.end().code, Some(0));
    }
    assert!(sockets.directory.path("passed").exists(), "the file is left to its maker");
    let mut server = served(sockets.start("'fd://'", BOTH), &tcp);
    assert!(server.program.error_line().ends_with(&format!("bound to {unix}")));
    assert!(server.subscriber(&["a"]).value().contains("ONCUE_TOPIC=a"));
}

#[test]
fn a_passed_socket_can_be_left_out_of_the_config_and_come_back() {
    let sockets = Sockets::new();
    let tcp = format!("tcp://{}", sockets.address());
    let mut server = served(
        sockets.start("['fd://local', 'fd://web']", BOTH),
        &format!("ipc://{}", sockets.directory.path("passed").display()),
    );
    server.endpoint = tcp;
    for _ in 0..2 {
        assert!(server.subscriber(&["a"]).value().contains("ONCUE_TOPIC=a"));
        sockets.config("'fd://local'");
        server.program.signal("HUP");
        server.error_with("config read again");
        sockets.config("['fd://local', 'fd://web']");
        server.program.signal("HUP");
        server.error_with("config read again");
    }
}

#[test]
fn sockets_that_were_not_passed_are_missed() {
    let sockets = Sockets::new();
    for (bind, variables, said) in [
        ("'fd://other'", BOTH, "cannot bind fd://other: the sockets `web`, `local` were passed"),
        ("'fd://'", "LISTEN_FDS=2 LISTEN_PID=1", "cannot bind fd://: no socket was passed"),
        ("'fd://'", "NOTHING=", "cannot bind fd://: no socket was passed"),
        ("'fd://'", "LISTEN_FDS=3 LISTEN_PID=$$", "LISTEN_FDS=3, but the descriptor 5 was not passed"),
        ("'fd://'", "LISTEN_FDS=many LISTEN_PID=$$", "LISTEN_FDS is not a number up to 1024"),
        ("'fd://'", "LISTEN_FDS=4000000000 LISTEN_PID=$$", "LISTEN_FDS is not a number up to 1024"),
    ] {
        let mut program = sockets.start(bind, variables);
        let line = program.error_line();
        assert!(line.contains(said), "{line}");
        assert_eq!(program.end().code, Some(1), "{variables}");
    }
    // Without names they are all called so.
    let server = served(
        sockets.start("'fd://unknown'", "LISTEN_FDS=1 LISTEN_PID=$$"),
        &format!("tcp://{}", sockets.address()),
    );
    assert!(server.subscriber(&["a"]).value().contains("ONCUE_TOPIC=a"));
    server.program.signal("TERM");
    assert_eq!(server.program.end().code, Some(0));
}
