//! What is different on a terminal.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use oncue_interop::{PATIENCE, until};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use super::{ANY_PORT, publisher, wanted};

/// A command on a terminal of 60 columns.
struct Terminal {
    child: Child,
    shown: Receiver<Vec<u8>>,
    text: String,
}

/// Which of its streams are the terminal.
#[derive(Clone, Copy, PartialEq, Eq)]
enum On {
    Output,
    Errors,
}

impl Terminal {
    fn start(on: On, words: &[&str], variables: &[(&str, &str)]) -> Terminal {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&master).and_then(|()| unlockpt(&master)).expect("our terminal");
        let size = Winsize { ws_row: 24, ws_col: 60, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&master, size).expect("a size");
        let path = ptsname(&master, Vec::new()).expect("a name").into_string().expect("text");
        let other = OpenOptions::new().read(true).write(true).open(path).expect("the terminal");
        let mut command = Command::new(env!("CARGO_BIN_EXE_oncue"));
        command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
            .env_remove("NO_COLOR")
            .env_remove("COLUMNS")
            .env("TERM", "xterm")
            .envs(variables.iter().copied());
        match on {
            On::Output => command.stdout(other),
            On::Errors => command.stderr(other),
        };
        let child = command.spawn().expect("the command");
        drop(command);
        let (sender, shown) = channel();
        let mut master = File::from(master);
        // Ends when no program has the terminal any more.
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = master.read(&mut buffer) {
                let _ = sender.send(buffer[..read].to_vec());
            }
        });
        Terminal { child, shown, text: String::new() }
    }

    /// Reads until this text is shown.
    fn expect(&mut self, text: &str) {
        until(&format!("{text:?} is shown"), || {
            while let Ok(bytes) = self.shown.try_recv() {
                self.text += &String::from_utf8_lossy(&bytes);
            }
            self.text.contains(text)
        });
    }

    /// All that is shown until the end.
    fn end(mut self) -> String {
        while let Ok(bytes) = self.shown.recv_timeout(PATIENCE) {
            self.text += &String::from_utf8_lossy(&bytes);
        }
        self.text.clone()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn topics_are_bold_on_a_terminal_unless_no_color_is_set() {
    for (variables, line) in [
        (&[][..], "\x1b[1ma\x1b[0m\t1\r\n"),
        (&[("NO_COLOR", "")], "\x1b[1ma\x1b[0m\t1\r\n"),
        (&[("NO_COLOR", "1")], "a\t1\r\n"),
        (&[("TERM", "dumb")], "a\t1\r\n"),
    ] {
        let (socket, endpoint) = publisher();
        let sub = Terminal::start(On::Output, &["sub", &endpoint, "--count", "1"], variables);
        wanted(&socket, 1);
        socket.send(["a", "1"]).expect("a publisher sends");
        assert_eq!(sub.end(), line, "{variables:?}");
    }
}

#[test]
fn help_is_wrapped_to_the_terminal_and_coloured() {
    let help = Terminal::start(On::Output, &["sub", "--help"], &[]).end();
    assert!(help.contains("\x1b["), "{help}");
    let plain = Terminal::start(On::Output, &["sub", "--help"], &[("NO_COLOR", "1")]).end();
    assert!(!plain.contains('\x1b'), "{plain}");
    let prose =
        plain.split("Some publishers").nth(1).expect("prose").split("Examples").next().expect("prose");
    let widths = prose.lines().map(|line| line.chars().count());
    let widest = widths.max().expect("lines");
    assert!((45..=60).contains(&widest), "{widest}: {prose}");
}

#[test]
fn a_terminal_is_told_what_pub_waits_for() {
    let words = ["pub", ANY_PORT, "--wait-subscribers", "2", "--wait-subscriber", "1m", "-t", "a", "-m", "x"];
    let mut program = Terminal::start(On::Errors, &words, &[]);
    program.expect("oncue pub: waiting for 2 subscribers of \"a\", 0s of at most 60s; 0 peers connected");
}

#[test]
fn a_terminal_is_told_that_nothing_comes() {
    let (socket, endpoint) = publisher();
    let mut sub = Terminal::start(On::Errors, &["sub", &endpoint, "-t", "typo"], &[]);
    wanted(&socket, 1);
    sub.expect("oncue sub: connected to 1 publisher; for 5s no message whose topic begins with \"typo\"");
}
