//! A fork of the test's process without exec, as a server makes them that hands its work to child processes.

// The child of a fork may do little where its parent has threads: another thread may have held a lock. What is tested here
// is just that; the allocator of the C library is made for it.
#![allow(unsafe_code, reason = "fork(2), for tests of an unpublished package")]

use std::fs::File;
use std::io::{Read, Write, pipe};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::channel;
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, fork};

use crate::PATIENCE;

/// Runs `body` in a fork of this process, which ends without a destructor or an exit handler. Returns its lines, or the text
/// of its panic.
///
/// # Panics
/// If the child takes longer than [`PATIENCE`], which then is killed.
pub fn in_a_fork(body: impl FnOnce() -> Vec<String>) -> Vec<String> {
    let (mut reader, writer) = pipe().expect("a pipe");
    // SAFETY: the child runs only what a test asks for, and leaves by `_exit`.
    let child = match unsafe { fork() }.expect("a fork") {
        ForkResult::Parent { child } => child,
        ForkResult::Child => {
            let lines = catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                vec![format!("panicked: {}", text.unwrap_or_default())]
            });
            let _ = File::from(std::os::fd::OwnedFd::from(writer)).write_all(lines.join("\n").as_bytes());
            // SAFETY: it ends the process at once.
            unsafe { nix::libc::_exit(0) }
        }
    };
    drop(writer);
    let (sender, heard) = channel();
    let reading = thread::spawn(move || {
        let mut text = String::new();
        let _ = reader.read_to_string(&mut text);
        let _ = sender.send(());
        text
    });
    let in_time = heard.recv_timeout(PATIENCE).is_ok();
    if !in_time {
        kill(child, Signal::SIGKILL).expect("a child");
    }
    waitpid(child, None).expect("a child");
    assert!(in_time, "the child of the fork hangs");
    reading.join().expect("a reader").lines().map(str::to_owned).collect()
}
