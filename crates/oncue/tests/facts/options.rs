//! docs/OPTIONS.md is complete, and each test that it names exists.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

pub(crate) fn text(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What stands between backticks.
pub(crate) fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The rows of all tables that have this number of columns.
pub(crate) fn rows<const COLUMNS: usize>(page: &str) -> Vec<[String; COLUMNS]> {
    let cells =
        |line: &str| -> Vec<_> { line.trim_matches('|').split('|').map(|c| c.trim().to_owned()).collect() };
    let lines = page.lines().filter(|line| line.starts_with('|'));
    let rows = lines.filter_map(|line| <[String; COLUMNS]>::try_from(cells(line)).ok());
    rows.filter(|row| row[0] != "libzmq" && !row[0].starts_with("---")).collect()
}

/// The names of all functions that are tests, in the sources below a directory.
pub(crate) fn tests_below(directory: &Path, names: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            tests_below(&path, names);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = fs::read_to_string(&path).unwrap();
            for part in source.split("#[test]").skip(1) {
                let name = part.split_once("fn ").and_then(|(_, rest)| rest.split_once('('));
                names.extend(name.map(|(name, _)| name.to_owned()));
            }
        }
    }
}

/// The methods of `Options`: those that a macro makes of one line each, and those that are written out.
fn methods() -> BTreeSet<String> {
    let source = text("crates/oncue/src/options/mod.rs");
    let own = source.split_once("    Options {").expect("the options of a socket").1;
    let own = own.split_once("    EngineOptions {").expect("those of an engine come after them").0;
    let net = text("crates/oncue/src/options/system.rs");
    let net = net.split_once("impl Options {").expect("the options of the system's sockets").1;
    let security = text("crates/oncue/src/options/mechanisms.rs");
    let security = security.split_once("impl Options {").expect("the security mechanisms").1;
    let name = |line: &str| -> Option<String> {
        let line = line.strip_prefix("    ")?;
        // One that only reads.
        let line = Some(line).filter(|line| !line.contains("(&self"))?;
        let head = line.strip_prefix("pub fn ").or((!line.starts_with("pub")).then_some(line))?;
        let (name, _) = head.split_once('(')?;
        let is_name = |name: &str| {
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b"_0123456789".contains(&b))
        };
        is_name(name).then(|| name.to_owned())
    };
    own.lines().chain(net.lines()).chain(security.lines()).filter_map(name).collect()
}

#[test]
fn each_test_that_the_page_of_options_names_exists() {
    let mut known = BTreeSet::new();
    for directory in ["crates", "lab/interop"] {
        tests_below(&root().join(directory), &mut known);
    }
    assert!(known.contains("each_test_that_the_page_of_options_names_exists"));
    let rows: Vec<[String; 4]> = rows(&text("docs/OPTIONS.md"));
    assert!(rows.len() > 30, "{}", rows.len());
    for [libzmq, oncue, _, shown] in &rows {
        let named: Vec<_> = quoted(shown).collect();
        assert!(!named.is_empty(), "no test shows {oncue} ({libzmq})");
        for name in named {
            assert!(known.contains(name), "{oncue} ({libzmq}): there is no test {name}");
        }
    }
}

#[test]
fn each_option_is_on_the_page_of_options() {
    let rows: Vec<[String; 4]> = rows(&text("docs/OPTIONS.md"));
    let described: BTreeSet<_> = rows.iter().flat_map(|row| quoted(&row[1])).collect();
    let methods = methods();
    assert!(
        ["send_hwm", "reconnect", "socket_priority"].iter().all(|name| methods.contains(*name)),
        "{methods:?}"
    );
    for method in &methods {
        assert!(described.contains(method.as_str()), "docs/OPTIONS.md does not have `{method}`");
    }
}

/// Every option that libzmq 4.3.6 has, as its header lists them; those of other sockets and transports among them.
const OF_LIBZMQ: &str = "
    AFFINITY ROUTING_ID SUBSCRIBE UNSUBSCRIBE RATE RECOVERY_IVL SNDBUF RCVBUF RCVMORE FD EVENTS TYPE LINGER RECONNECT_IVL
    BACKLOG RECONNECT_IVL_MAX MAXMSGSIZE SNDHWM RCVHWM MULTICAST_HOPS RCVTIMEO SNDTIMEO LAST_ENDPOINT ROUTER_MANDATORY
    TCP_KEEPALIVE TCP_KEEPALIVE_CNT TCP_KEEPALIVE_IDLE TCP_KEEPALIVE_INTVL IMMEDIATE XPUB_VERBOSE ROUTER_RAW IPV6 MECHANISM
    PLAIN_SERVER PLAIN_USERNAME PLAIN_PASSWORD CURVE_SERVER CURVE_PUBLICKEY CURVE_SECRETKEY CURVE_SERVERKEY PROBE_ROUTER
    REQ_CORRELATE REQ_RELAXED CONFLATE ZAP_DOMAIN ROUTER_HANDOVER TOS CONNECT_ROUTING_ID GSSAPI_SERVER GSSAPI_PRINCIPAL
    GSSAPI_SERVICE_PRINCIPAL GSSAPI_PLAINTEXT HANDSHAKE_IVL SOCKS_PROXY XPUB_NODROP BLOCKY XPUB_MANUAL XPUB_WELCOME_MSG
    STREAM_NOTIFY INVERT_MATCHING HEARTBEAT_IVL HEARTBEAT_TTL HEARTBEAT_TIMEOUT XPUB_VERBOSER CONNECT_TIMEOUT TCP_MAXRT
    THREAD_SAFE MULTICAST_MAXTPDU VMCI_BUFFER_SIZE VMCI_BUFFER_MIN_SIZE VMCI_BUFFER_MAX_SIZE VMCI_CONNECT_TIMEOUT USE_FD
    GSSAPI_PRINCIPAL_NAMETYPE GSSAPI_SERVICE_PRINCIPAL_NAMETYPE BINDTODEVICE ZAP_ENFORCE_DOMAIN LOOPBACK_FASTPATH METADATA
    MULTICAST_LOOP ROUTER_NOTIFY XPUB_MANUAL_LAST_VALUE SOCKS_USERNAME SOCKS_PASSWORD IN_BATCH_SIZE OUT_BATCH_SIZE
    WSS_KEY_PEM WSS_CERT_PEM WSS_TRUST_PEM WSS_HOSTNAME WSS_TRUST_SYSTEM ONLY_FIRST_SUBSCRIBE RECONNECT_STOP HELLO_MSG
    DISCONNECT_MSG PRIORITY BUSY_POLL HICCUP_MSG XSUB_VERBOSE_UNSUBSCRIBE TOPICS_COUNT NORM_MODE NORM_UNICAST_NACK
    NORM_BUFFER_SIZE NORM_SEGMENT_SIZE NORM_BLOCK_SIZE NORM_NUM_PARITY NORM_NUM_AUTOPARITY NORM_PUSH";

#[test]
fn each_option_of_libzmq_is_on_the_page_of_options() {
    let page = text("docs/OPTIONS.md");
    let named: Vec<_> =
        quoted(&page).filter(|name| name.starts_with("ZMQ_") || name.starts_with('_')).collect();
    let is_named = |option: &str| {
        let option = format!("ZMQ_{option}");
        named.iter().any(|name| match name.strip_suffix('*') {
            Some(family) => option.starts_with(family),
            None => *name == option,
        })
    };
    for option in OF_LIBZMQ.split_whitespace() {
        assert!(is_named(option), "ZMQ_{option} is not on the page");
    }
}
