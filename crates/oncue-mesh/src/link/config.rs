//! The configuration of the Zenoh session.

use std::collections::BTreeMap;
use std::time::Duration;

use zenoh::Config;

use super::names::Names;
use crate::error::MeshError;
use crate::options::{MeshOptions, Tls};
use crate::topology::Topology;

/// The environment variable that says which threads Zenoh has. It reads it once in a process, when it is first used.
pub const RUNTIME_VARIABLE: &str = "ZENOH_RUNTIME";

/// A value of [`RUNTIME_VARIABLE`] with which encrypted links last: one thread reads and writes them. By default Zenoh 1.10.2 reads and writes a
/// TLS link on two threads at once, which share its state, and links break now and then. A router then
/// passes on no message of more than some 600 kB, such as the snapshot of a large demand: what it passes on waits on the thread that would make room for it.
pub const RUNTIME_FOR_TLS: &str = "(rx: (handover: tx))";

/// The first wait before a lost link is dialled again. It doubles up to [`RETRY_MAX`].
const RETRY_MIN: Duration = Duration::from_millis(50);

/// The longest wait before a lost link is dialled again.
pub(super) const RETRY_MAX: Duration = Duration::from_secs(1);

/// How long opening a session waits for the links that it dials.
const OPEN_WAIT: Duration = Duration::from_millis(100);

/// How long a router waits for room in the queue of a full link until it drops a message. Once one was dropped, others are dropped without
/// waiting until there is room. While it waits it reads nothing from the link that the message came by, which holds up
/// messages to other sites.
const DROP_WAIT_FORWARDING: Duration = Duration::from_millis(20);
/// The same where waiting makes no room.
const NO_WAIT: Duration = Duration::from_micros(1);

/// How many batches of 64 KiB wait on a link, for demand and for data each: Zenoh's most. They are allocated when they are first needed.
const QUEUE_BATCHES: usize = 16;

/// The largest payload that is received, unless the quotas allow more: the snapshot of a site that wants more than its quota, and what a
/// router passes on between sites with larger quotas than its own.
const PAYLOAD_BYTES_MAX: usize = 256 << 20;

/// What is added to the largest message of a user: its topic, and what surrounds it in a batch.
const FRAMING_BYTES: usize = 1 << 16;

/// A part in the network, as Zenoh needs it.
struct Part {
    mode: &'static str,
    listen: Vec<String>,
    connect: Vec<String>,
}

impl Part {
    fn of(options: &MeshOptions) -> Part {
        match &options.topology {
            Topology::Edge { routers } => {
                Part { mode: "client", listen: Vec::new(), connect: routers.clone() }
            }
            Topology::Router { listen, parent } => {
                Part { mode: "router", listen: listen.clone(), connect: parent.iter().cloned().collect() }
            }
            Topology::Peer { sites, listen } => Part::of_peer(&options.site, sites, listen.as_ref()),
        }
    }

    /// Of each pair the site with the lower name dials: if both do, state is lost.
    fn of_peer(site: &str, sites: &BTreeMap<String, String>, listen: Option<&String>) -> Part {
        let dialled = sites.iter().filter(|(name, _)| name.as_str() > site);
        Part {
            mode: "peer",
            listen: listen.or_else(|| sites.get(site)).into_iter().cloned().collect(),
            connect: dialled.map(|(_, endpoint)| endpoint.clone()).collect(),
        }
    }
}

/// The configuration of a site's session.
pub(super) fn session(options: &MeshOptions) -> Result<Config, MeshError> {
    let mut config = configuration(options, Part::of(options))?;
    if let Some(names) = Names::of(options) {
        insert(&mut config, "access_control", &names.access_control())?;
    }
    Ok(config)
}

/// The configuration of a session that only looks at what is behind a router.
pub(super) fn probe(options: &MeshOptions, router: &str) -> Result<Config, MeshError> {
    configuration(options, Part { mode: "client", listen: Vec::new(), connect: vec![router.to_owned()] })
}

fn configuration(options: &MeshOptions, part: Part) -> Result<Config, MeshError> {
    let mut config = Config::default();
    let mut set = |key: &str, value: String| insert(&mut config, key, &value);
    set("mode", quoted(part.mode))?;
    set("listen/endpoints", list(&part.listen))?;
    set("connect/endpoints", list(&part.connect))?;
    // A client without its router is told at once, and tries again itself; the others dial in the background.
    let patience = if part.mode == "client" { 0 } else { -1 };
    set("connect/timeout_ms", patience.to_string())?;
    set("connect/exit_on_failure", "false".into())?;
    set("connect/retry", retry())?;
    set("scouting/multicast/enabled", "false".into())?;
    set("scouting/gossip/enabled", "false".into())?;
    set("scouting/delay", millis(OPEN_WAIT))?;
    set("transport/unicast/open_timeout", millis(open_timeout(options)))?;
    set("transport/unicast/accept_timeout", millis(open_timeout(options)))?;
    set("transport/link/tx/lease", millis(options.timeout))?;
    set("transport/link/tx/keep_alive", "4".into())?;
    for (key, value) in queues(part.mode, options.timeout) {
        set(&format!("transport/link/tx/queue/{key}"), value)?;
    }
    let largest = options.quotas.message_bytes.max(options.quotas.prefix_bytes).saturating_add(FRAMING_BYTES);
    set("transport/link/rx/max_message_size", largest.max(PAYLOAD_BYTES_MAX).to_string())?;
    set("timestamping/enabled", "false".into())?;
    if let Some(tls) = &options.tls {
        for (key, value) in certificates(tls) {
            set(&format!("transport/link/tls/{key}"), value)?;
        }
    }
    Ok(config)
}

fn insert(config: &mut Config, key: &str, value: &str) -> Result<(), MeshError> {
    config.insert_json5(key, value).map_err(|why| {
        MeshError::config(format!("Zenoh does not take the option `{key}` with the value {value}: {why}"))
    })
}

/// How long one attempt to open a link may take. A machine that answers nothing holds up the router after it for that long.
fn open_timeout(options: &MeshOptions) -> Duration {
    options.timeout.clamp(Duration::from_secs(1), Duration::from_secs(10))
}

fn retry() -> String {
    format!(
        "{{period_init_ms: {}, period_max_ms: {}, period_increase_factor: 2}}",
        RETRY_MIN.as_millis(),
        RETRY_MAX.as_millis()
    )
}

/// How long a message waits for room on a full link until it is dropped, and how much longer one that has more than one batch.
/// An edge has one link, so it waits for as long as that can be dead. A peer tells all sites of its demand one after another, so it
/// waits so long for a stopped one that the others do not yet take it to be silent. A router also holds up what it forwards; but
/// it gives large messages time, or slow sites would never get a large snapshot.
fn waits(mode: &str, timeout: Duration) -> (Duration, Duration) {
    match mode {
        "client" => (timeout, timeout),
        "peer" => (timeout / 8, timeout / 2),
        _ if has_one_thread() => (NO_WAIT, DROP_WAIT_FORWARDING),
        _ => (DROP_WAIT_FORWARDING.min(timeout / 8), timeout / 2),
    }
}

/// Whether the same thread reads and writes: then nothing makes room for what a router passes on while it waits, and all other sites would
/// wait with it.
fn has_one_thread() -> bool {
    std::env::var(RUNTIME_VARIABLE).is_ok_and(|value| value == RUNTIME_FOR_TLS)
}

fn queues(mode: &str, timeout: Duration) -> [(&'static str, String); 4] {
    let (wait, more) = waits(mode, timeout);
    [
        ("congestion_control/drop/wait_before_drop", wait.as_micros().to_string()),
        ("congestion_control/drop/max_wait_before_drop_fragments", more.as_micros().to_string()),
        ("size/interactive_high", QUEUE_BATCHES.to_string()),
        ("size/data", QUEUE_BATCHES.to_string()),
    ]
}

/// Both sides of each link show a certificate and check that of the other; one that dials also checks the name in it.
fn certificates(tls: &Tls) -> Vec<(&'static str, String)> {
    // `MeshOptions::check` refuses paths that are not UTF-8.
    let path = |path: &std::path::Path| quoted(&path.to_string_lossy());
    vec![
        ("root_ca_certificate", path(&tls.authority)),
        ("listen_certificate", path(&tls.certificate)),
        ("listen_private_key", path(&tls.key)),
        ("connect_certificate", path(&tls.certificate)),
        ("connect_private_key", path(&tls.key)),
        ("enable_mtls", "true".into()),
        ("verify_name_on_connect", "true".into()),
    ]
}

fn millis(time: Duration) -> String {
    time.as_millis().to_string()
}

fn list(endpoints: &[String]) -> String {
    let quoted: Vec<String> = endpoints.iter().map(|endpoint| quoted(endpoint)).collect();
    format!("[{}]", quoted.join(", "))
}

/// A text as a string of JSON.
fn quoted(text: &str) -> String {
    let mut json = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => json.extend(['\\', character]),
            _ if (character as u32) < 0x20 => json += &format!("\\u{:04x}", character as u32),
            _ => json.push(character),
        }
    }
    json.push('"');
    json
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Part, quoted, session};
    use crate::options::MeshOptions;
    use crate::topology::Topology;

    fn options(topology: Topology) -> MeshOptions {
        MeshOptions::new("b", topology)
    }

    #[test]
    fn of_two_peers_the_lower_name_dials() {
        let endpoint = |port| format!("tcp/127.0.0.1:{port}");
        let sites: BTreeMap<_, _> =
            [("a", 1), ("b", 2), ("c", 3)].map(|(name, port)| (name.to_owned(), endpoint(port))).into();
        let part = Part::of(&options(Topology::Peer { sites, listen: None }));
        assert_eq!((part.listen, part.connect), (vec![endpoint(2)], vec![endpoint(3)]));
    }

    #[test]
    fn zenoh_takes_every_option_that_is_set() {
        let routers = vec!["tcp/127.0.0.1:7447".into()];
        let config = session(&options(Topology::Edge { routers })).unwrap();
        assert_eq!(config.get_json("transport/link/tx/lease").unwrap(), "2000");
        let router = Topology::Router { listen: vec!["tcp/0.0.0.0:7447".into()], parent: None };
        let config = session(&options(router)).unwrap();
        assert_eq!(config.get_json("scouting/multicast/enabled").unwrap(), "false");
    }

    #[test]
    fn any_text_is_quoted() {
        assert_eq!(quoted("a\"b\\c\nd"), r#""a\"b\\c\u000ad""#);
    }
}
