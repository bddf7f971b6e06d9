//! `oncue serve` with a config: the real command, real programs and files. The other side is a subscriber of `oncue`, or a
//! plain TCP connection.

mod activation;
mod config;
mod confinement;
mod ends;
mod examples;
mod files;
mod framing;
mod leftovers;
mod log;
mod observe;
mod programs;
mod reload;
mod shared;
mod strangers;
mod subscribers;
mod supervisor;
mod surroundings;
mod values;
mod web;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use oncue::{Engine, Options, Sub};
use oncue_interop::program::Program;
use oncue_interop::{PATIENCE, directory, until};

const BIND: &str = "bind = \"tcp://127.0.0.1:0\"\n";

/// The directory of one test, in which the command runs.
struct Directory(directory::Directory);

impl Directory {
    fn new() -> Directory {
        Directory(directory::Directory::new())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        self.0.write(name, text)
    }

    /// Appends to a file.
    fn append(&self, name: &str, text: &str) {
        let mut content = fs::read_to_string(self.path(name)).unwrap_or_default();
        content.push_str(text);
        // In place: the inode stays the same.
        fs::write(self.path(name), content).expect("a file");
    }

    /// Writes a config with these routes.
    fn config(&self, routes: &str) -> PathBuf {
        self.write("oncue.toml", &format!("{BIND}{routes}"))
    }

    /// Starts the command in this directory.
    fn oncue(&self, words: &[&str]) -> Program {
        Program::start(Command::new(env!("CARGO_BIN_EXE_oncue")).args(words).current_dir(self.path("")))
    }

    /// Serves these routes.
    fn serve(&self, routes: &str) -> Server {
        let path = self.config(routes);
        self.serve_file(&path)
    }

    fn serve_file(&self, path: &Path) -> Server {
        let mut program = self.oncue(&["serve", path.to_str().expect("a path")]);
        let endpoint = program.endpoint();
        Server { program, endpoint }
    }
}

/// A running server and its endpoint.
struct Server {
    program: Program,
    endpoint: String,
}

impl Server {
    fn subscriber(&self, topics: &[&str]) -> Subscriber {
        let engine = Engine::start().expect("an engine");
        let socket = Sub::new(&engine, Options::new()).expect("a subscriber");
        for topic in topics {
            socket.subscribe(topic).expect("a subscription");
        }
        socket.connect(&self.endpoint).expect("an endpoint to connect to");
        Subscriber(socket)
    }

    /// The next line of standard error that contains this.
    fn error_with(&mut self, text: &str) -> String {
        loop {
            let line = self.program.error_line();
            if line.contains(text) {
                return line;
            }
        }
    }
}

struct Subscriber(Sub);

impl Subscriber {
    /// The next message: its topic and its value.
    fn next(&self) -> (String, String) {
        let message = self.0.recv().wait_timeout(PATIENCE).expect("a message in time").expect("a message");
        let text = |frame: Option<&[u8]>| String::from_utf8_lossy(frame.expect("two frames")).into_owned();
        assert_eq!(message.len(), 2);
        (text(message.frame(0)), text(message.frame(1)))
    }

    fn value(&self) -> String {
        self.next().1
    }

    /// The value of the next message, as it is.
    fn bytes(&self) -> Vec<u8> {
        let message = self.0.recv().wait_timeout(PATIENCE).expect("a message in time").expect("a message");
        message.frame(1).expect("two frames").to_vec()
    }

    /// Whether nothing comes for a while.
    fn is_quiet(&self, time: Duration) -> bool {
        self.0.recv().wait_timeout(time).is_none()
    }
}

/// The processes whose command line contains a text; zombies have none.
fn processes_with(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").expect("the processes").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&command).contains(text) {
            found.push(name);
        }
    }
    found
}
