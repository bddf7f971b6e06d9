//! Zenoh's threads, where links are encrypted. Zenoh 1.10.2 reads and writes a TLS link on two threads at once, which share its state, and
//! such a link breaks now and then: 3 to 7 of 18 idle links within seconds. On one thread it does not. Which threads there are is only
//! read from the environment, before Zenoh is first used; so this program is executed anew with it, as the same process.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use oncue_mesh::{RUNTIME_FOR_TLS, RUNTIME_VARIABLE};

use crate::config::mesh::Site;
use crate::stdio::say;

/// Does not return if this program has to be executed anew. Called before anything is opened or started.
pub(crate) fn settle(site: &Site, name: &str) {
    if site.link.tls.is_none() || std::env::var_os(RUNTIME_VARIABLE).is_some() {
        return;
    }
    if let Err(why) = execute() {
        say(name, &format!("Zenoh's threads stay as they are: oncue cannot be executed anew: {why}"));
    }
}

fn execute() -> io::Result<()> {
    let mut args = std::env::args_os();
    let own = args.next();
    let mut command = Command::new(std::env::current_exe()?);
    if let Some(own) = own {
        command.arg0(own);
    }
    Err(command.args(args).env(RUNTIME_VARIABLE, RUNTIME_FOR_TLS).exec())
}
