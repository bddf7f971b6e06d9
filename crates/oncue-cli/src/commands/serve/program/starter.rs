//! The threads that start programs. The flag against new privileges (`no_new_privs`) belongs to a thread, and what a thread
//! starts inherits it, at no cost. So each thread that starts a program has it, and the programs that may gain privileges are
//! started by a thread that never gets it.

use std::io;
use std::process::{Child, Command};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, PoisonError};

use rustix::thread::set_no_new_privs;

use crate::wait::spawn;

/// Starts programs, with and without the flag.
pub(super) struct Starter {
    /// To a thread without the flag; it ends with this.
    requests: Mutex<Sender<Request>>,
}

struct Request {
    command: Command,
    answer: Sender<(Command, io::Result<Child>)>,
}

impl Starter {
    /// Must be called on a thread without the flag.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub(super) fn new() -> io::Result<Starter> {
        let (requests, asked) = channel::<Request>();
        let answering = move || {
            for Request { mut command, answer } in asked {
                let started = command.spawn();
                // The one that asks waits for it.
                let _ = answer.send((command, started));
            }
        };
        spawn("privileged", answering).map_err(|_| io::Error::other("no thread is left"))?;
        Ok(Starter { requests: Mutex::new(requests) })
    }

    /// # Errors
    /// As those of [`Command::spawn`].
    pub(super) fn spawn(&self, command: &mut Command, new_privileges: bool) -> io::Result<Child> {
        if !new_privileges {
            set_no_new_privs(true)?;
            return command.spawn();
        }
        let gone = || io::Error::other("the thread that starts it has ended");
        let (answer, answered) = channel();
        let request = Request { command: std::mem::replace(command, Command::new("")), answer };
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.send(request).map_err(|_| gone())?;
        drop(requests);
        let (returned, started) = answered.recv().map_err(|_| gone())?;
        *command = returned;
        started
    }
}
