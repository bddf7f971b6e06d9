//! What the processes of a scene do.

mod load;
mod producer;
mod proxy;
mod site;
mod subscriber;

use std::time::Duration;

use oncue::Options;
use rustix::process::{Signal, set_parent_process_death_signal};

use crate::Outcome;
use crate::protocol::{Role, serve};

/// Plays a role until standard input ends.
pub(crate) fn play(role: &str) -> Outcome<()> {
    let role: Role = serde_json::from_str(role).map_err(|why| format!("`{role}` is not a role: {why}"))?;
    // A stopped process does not see that its standard input has ended.
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|why| why.to_string())?;
    let of_sockets = |why: oncue::Error| why.to_string();
    match role {
        Role::Site(role) => return site::play(&role),
        Role::Producer(role) => {
            let mut producer = producer::Producer::new(&role).map_err(of_sockets)?;
            serve(|ask| producer.answer(ask));
        }
        Role::Subscriber(role) => {
            let mut subscriber = subscriber::Subscriber::new(&role).map_err(of_sockets)?;
            serve(|ask| subscriber.answer(ask));
        }
        Role::Proxy { sources, local } => proxy::play(&sources, &local).map_err(of_sockets)?,
    }
    Ok(())
}

/// Messages that a subscriber may be behind. What is lost is to be lost between sites, and not beside them.
const BEHIND_MAX: u32 = 100_000;

/// The options of all sockets: peers are given up after `timeout`, and dialled again soon.
fn options(timeout_ms: u64) -> Options {
    let timeout = Duration::from_millis(timeout_ms);
    let options = Options::new().reconnect(Duration::from_millis(20), Duration::from_millis(200));
    options.heartbeat(timeout / 4, timeout).linger(Duration::ZERO).send_hwm(BEHIND_MAX).recv_hwm(BEHIND_MAX)
}
