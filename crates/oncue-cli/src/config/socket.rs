//! Reads what a config says about sockets: endpoints, addresses of HTTP, options.

use std::time::Duration;

use oncue::{IpVersions, OnFull, Options, SocksProxy};
use oncue_observe::Observe;

use super::reader::{At, Keys, texts};
use crate::args;

/// Takes a place for HTTP.
pub(super) fn address(keys: &mut Keys<'_, '_>, key: &str) -> Option<String> {
    let at = keys.at(key);
    let place = keys.take::<Option<String>>(key)?;
    if let Err(why) = args::place(&place) {
        keys.refuse(at, key, why);
    }
    Some(place)
}

pub(super) fn observe(keys: &mut Keys<'_, '_>) -> Option<String> {
    let at = keys.at("observe");
    let prefix = keys.take::<String>("observe");
    if prefix == "off" {
        return None;
    }
    if let Err(why) = Observe::new(prefix.clone()) {
        keys.refuse(at, "observe", why.to_string());
    }
    Some(prefix)
}

pub(super) fn endpoints(
    keys: &mut Keys<'_, '_>,
    key: &str,
    check: impl Fn(&str) -> Result<String, String>,
) -> Vec<String> {
    let found: Vec<At> = keys.take(key);
    for endpoint in &found {
        if let Err(why) = check(&endpoint.text) {
            keys.refuse(endpoint.at, key, why);
        }
    }
    texts(found)
}

pub(super) fn options(keys: &mut Keys<'_, '_>) -> Options {
    let at = keys.at("heartbeat_timeout");
    let (interval, timeout) = (keys.take("heartbeat"), keys.take("heartbeat_timeout"));
    let names = ["`heartbeat`", "`heartbeat_timeout`"];
    let options = args::with_heartbeat(Options::new(), interval, timeout, names)
        .unwrap_or_else(|why| {
            keys.problems.add(at, why);
            Options::new()
        })
        .send_hwm(keys.take("send_hwm"))
        .queue_bytes_max(keys.take("queue_bytes_max"))
        .peers_max(keys.take("peers_max"))
        .peers_per_address_max(keys.take::<Option<u32>>("peers_per_address_max").unwrap_or(u32::MAX))
        .handshakes_max(keys.take("handshakes_max"))
        .prefix_length_max(keys.take("prefix_length_max"))
        .prefixes_max(keys.take("prefixes_max"))
        .prefix_bytes_max(keys.take("prefix_bytes_max"))
        .prefixes_per_user_max(keys.take("prefixes_per_user_max"))
        .prefix_bytes_per_user_max(keys.take("prefix_bytes_per_user_max"))
        .changes_per_second_max(keys.take("changes_per_second_max"))
        .last_values_bytes_max(keys.take("last_values_bytes_max"))
        .discard_messages(true)
        .on_full(on_full(keys).unwrap_or_default());
    let options = match keys.take("message_bytes_max") {
        Some(bytes) => options.message_bytes_max(bytes),
        None => options,
    };
    let options = match keys.take("evict_after") {
        Some(time) => options.evict_after(time),
        None => options,
    };
    let options = system_options(keys, options);
    socks_proxy(keys, options)
}

/// What gives way where a queue is full, if the table says so.
pub(super) fn on_full(keys: &mut Keys<'_, '_>) -> Option<OnFull> {
    Some(match keys.take::<Option<String>>("on_full")?.as_str() {
        "drop-oldest" => OnFull::DropOldest,
        "latest" => OnFull::Latest,
        "disconnect" => OnFull::Disconnect,
        _ => OnFull::DropNewest,
    })
}

/// The options of the system's sockets.
fn system_options(keys: &mut Keys<'_, '_>, options: Options) -> Options {
    let device = keys.at("bind_to_device");
    let mut options = options
        .handshake_timeout(keys.take("handshake_timeout"))
        .listen_backlog(keys.take("listen_backlog"))
        .ip_versions(match keys.take::<String>("ip_versions").as_str() {
            "4" => IpVersions::V4,
            "6" => IpVersions::V6,
            _ => IpVersions::Both,
        });
    // Those without a default of their own.
    let mut set = |options: &mut Options, name, with: fn(Options, u32) -> Options| {
        if let Some(number) = keys.take(name) {
            *options = with(std::mem::take(options), number);
        }
    };
    set(&mut options, "ipc_mode", Options::ipc_mode);
    set(&mut options, "ipc_user", Options::ipc_user);
    set(&mut options, "ipc_group", Options::ipc_group);
    set(&mut options, "type_of_service", |options, byte| {
        options.type_of_service(u8::try_from(byte).expect("a byte, as the table of keys says"))
    });
    set(&mut options, "socket_priority", Options::socket_priority);
    set(&mut options, "send_buffer", Options::send_buffer);
    set(&mut options, "tcp_keepalive_count", Options::tcp_keepalive_count);
    let mut set = |options: &mut Options, name, with: fn(Options, Duration) -> Options| {
        if let Some(time) = keys.take(name) {
            *options = with(std::mem::take(options), time);
        }
    };
    set(&mut options, "connect_timeout", Options::connect_timeout);
    set(&mut options, "tcp_keepalive_idle", Options::tcp_keepalive_idle);
    set(&mut options, "tcp_keepalive_interval", Options::tcp_keepalive_interval);
    set(&mut options, "tcp_user_timeout", Options::tcp_user_timeout);
    if let Some(on) = keys.take("tcp_keepalive") {
        options = options.tcp_keepalive(on);
    }
    if let Some(name) = keys.take::<Option<String>>("bind_to_device") {
        options = options.bind_to_device(name);
        if let Err(why) = options.check() {
            keys.refuse(device, "bind_to_device", why);
        }
    }
    options
}

fn socks_proxy(keys: &mut Keys<'_, '_>, options: Options) -> Options {
    let at = keys.at("socks_proxy");
    let login_at =
        if keys.has("socks_username") { keys.at("socks_username") } else { keys.at("socks_password") };
    let address: Option<String> = keys.take("socks_proxy");
    let login: [Option<String>; 2] = [keys.take("socks_username"), keys.take("socks_password")];
    let Some(address) = address else {
        if login.iter().any(Option::is_some) {
            keys.refuse(login_at, "socks_username", "there is no `socks_proxy`; add one, or leave it out");
        }
        return options;
    };
    let proxy = SocksProxy::new(&address).map_err(|why| (at, "socks_proxy", why.to_string()));
    let proxy = proxy.and_then(|proxy| match login {
        [None, None] => Ok(proxy),
        [None, Some(_)] => Err((login_at, "socks_password", "there is no `socks_username`".to_owned())),
        [Some(username), password] => proxy
            .credentials(&username, &password.unwrap_or_default())
            .map_err(|why| (login_at, "socks_username", why.to_string())),
    });
    match proxy {
        Ok(proxy) => options.socks_proxy(proxy),
        Err((at, key, why)) => {
            keys.refuse(at, key, why);
            options
        }
    }
}
