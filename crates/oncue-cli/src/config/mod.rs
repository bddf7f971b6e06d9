//! The configs of the command: their keys, their types, and the messages about mistakes. It opens only the file of the config,
//! and those of the system's users if it names one, and starts nothing.

use std::fs;
use std::path::{Path, PathBuf, absolute};
use std::time::Duration;

use oncue::curve::PublicKey;
use oncue::{IpVersions, Options, SocksProxy, Web};
use oncue_observe::Observe;
use toml::de::DeTable;

use self::keys::{CURVE, LOG, PLAIN, ROUTE, RULE, TOP};
pub(crate) use self::model::{
    Catalogue, Config, Confinement, FilePath, Framing, Logging, PASSED, Program, Restart, Route, Running,
    Runs, Source, Watched,
};
pub(crate) use self::page::help;
use self::reader::{At, Keys, Problems, texts};
pub(crate) use self::reader::{Need, Needed, Problem};
use self::rule::Origin;
pub(crate) use self::user::User;
use crate::args;
use crate::record::Style;
use crate::security::Places;

mod guard;
mod keys;
mod model;
mod page;
mod reader;
mod route;
pub(crate) mod rule;
#[cfg(test)]
mod tests;
mod user;

impl Config {
    /// Reads and checks the config of this file, its routes by `check`. The errors are lines for people, each with file, line
    /// and column.
    pub(crate) fn read(
        path: &Path,
        check: impl FnOnce(&Config) -> Result<(), Problem>,
    ) -> Result<Config, Vec<String>> {
        let shown = path.display();
        let text =
            fs::read_to_string(path).map_err(|error| vec![format!("{shown} cannot be read: {error}")])?;
        let whole = absolute(path).map_err(|error| vec![format!("{shown} has no directory: {error}")])?;
        let directory = whole.parent().unwrap_or(Path::new("/"));
        let config = Config::parse(&text, directory).and_then(|config| match check(&config) {
            Ok(()) => Ok(config),
            Err(problem) => Err(vec![problem]),
        });
        let place = |at| {
            let (line, column) = line_and_column(&text, at);
            format!("{shown}:{line}:{column}")
        };
        match config {
            Ok(mut config) => {
                config.needs.iter_mut().for_each(|need| need.place = place(need.at));
                Ok(config)
            }
            Err(problems) => {
                let said = |problem: Problem| format!("{}: {}", place(problem.at), problem.text);
                Err(problems.into_iter().map(said).collect())
            }
        }
    }

    /// Reads and checks the text of a config in this directory. The problems are in the order of the text.
    pub(crate) fn parse(text: &str, directory: &Path) -> Result<Config, Vec<Problem>> {
        let problems = Problems::new(text, directory);
        let (table, errors) = DeTable::parse_recoverable(text);
        let config =
            errors.is_empty().then(|| read(Keys::new("the config", 0, table.into_inner(), TOP, &problems)));
        for error in errors {
            let at = error.span().map_or(0, |span| span.start);
            problems.add(at, format!("not TOML: {}", error.message()));
        }
        let problems = problems.sorted();
        config.filter(|_| problems.is_empty()).ok_or(problems)
    }
}

/// Reads a whole config. It counts only if there is no problem in the end.
fn read(mut keys: Keys<'_, '_>) -> Config {
    let found = keys.problems.count();
    let bind = endpoints(&mut keys, "bind", |text| match text.starts_with(PASSED) {
        true => Ok(text.to_owned()),
        false => args::endpoint(text),
    });
    let connect = endpoints(&mut keys, "connect", args::endpoint);
    if bind.is_empty() && connect.is_empty() && keys.problems.count() == found {
        let remedy = "write where to wait for subscribers, as in bind = \"tcp://127.0.0.1:8888\"";
        keys.problems.add(0, format!("nobody can subscribe; {remedy}"));
    }
    if !keys.has("route") {
        keys.problems.add(0, "there are no routes; add one that begins with [[route]]");
    }
    let grace = keys.take("grace");
    let routes = keys.tables("route", ROUTE).into_iter().filter_map(|table| route::read(table, grace));
    let (places, routes) = routes.unzip();
    let security = security(&mut keys);
    let rules_at = keys.at("rule");
    let rules: Vec<_> = keys.tables("rule", RULE).into_iter().filter_map(rule::read).collect();
    for from in rules.iter().flat_map(|rule| &rule.from) {
        let why = match from {
            Origin::User(_) if security.is_empty() => {
                "names a user, and nobody is asked who it is; add [curve] or [plain]"
            }
            Origin::User(id)
                if security.clients.as_deref() == Some("any") && id.parse::<PublicKey>().is_err() =>
            {
                "names a user, and with clients = \"any\" users have no names but the texts of their keys; write from = \"key:…\", or \
                 name a directory"
            }
            Origin::Key(_) if security.key.is_none() => {
                "names a key, and nobody is asked for one; add [curve]"
            }
            _ => continue,
        };
        keys.problems.add(rules_at, format!("a rule {why}"));
    }
    let http_at = keys.at("http");
    let config = Config {
        bind,
        connect,
        feeds_max: keys.take("feeds_max"),
        starts_per_minute_max: keys.take("starts_per_minute_max"),
        catalogue_topics_max: keys.take("catalogue_topics_max"),
        processes_max: keys.take("processes_max"),
        status_prefix: keys.take("status_prefix"),
        observe: observe(&mut keys),
        http: address(&mut keys, "http"),
        http_token: keys.take("http_token"),
        origins: texts(keys.take("origins")),
        tls: certificate(&mut keys),
        metrics: address(&mut keys, "metrics"),
        log: logging(&mut keys),
        security,
        options: options(&mut keys),
        rules,
        routes,
        places,
        needs: keys.problems.needs(),
    };
    check_page(&mut keys, &config, http_at);
    keys.finish();
    config
}

/// Takes the files of the certificate and its key: both or none.
fn certificate(keys: &mut Keys<'_, '_>) -> Option<[PathBuf; 2]> {
    let at = keys.at("tls_certificate").max(keys.at("tls_key"));
    let directory = keys.problems.directory.to_owned();
    let [chain, key] = ["tls_certificate", "tls_key"].map(|key| keys.take::<Option<String>>(key));
    match (chain, key) {
        (Some(chain), Some(key)) => Some([chain, key].map(|file| directory.join(file))),
        (None, None) => None,
        _ => {
            keys.problems.add(at, "tls_certificate and tls_key belong together; write both");
            None
        }
    }
}

/// Takes a place for HTTP.
fn address(keys: &mut Keys<'_, '_>, key: &str) -> Option<String> {
    let at = keys.at(key);
    let place = keys.take::<Option<String>>(key)?;
    if let Err(why) = args::place(&place) {
        keys.refuse(at, key, why);
    }
    Some(place)
}

/// A page that others than this machine reach must not be for everybody.
fn check_page(keys: &mut Keys<'_, '_>, config: &Config, at: usize) {
    let mut web = Web::new().origins(config.origins.clone());
    if let Some(token) = &config.http_token {
        web = web.token(token);
    }
    if let Err(why) = Options::new().web(web).check() {
        keys.problems.add(at, why.to_string());
    }
    let Some(place) = &config.http else { return };
    if config.metrics.as_ref() == Some(place) && !place.ends_with(":0") {
        keys.refuse(at, "http", format!("{place} is the address of `metrics`, too; give each its own"));
    }
    if !args::is_loopback(place) && config.http_token.is_none() {
        let why = format!(
            "{place} is not a loopback address; add http_token = \"...\", which the URL of the page must then have"
        );
        keys.refuse(at, "http", why);
    }
}

fn observe(keys: &mut Keys<'_, '_>) -> Option<String> {
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

fn endpoints(
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

fn options(keys: &mut Keys<'_, '_>) -> Options {
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
        .on_full(route::on_full(keys).unwrap_or_default());
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

/// The table `log`.
fn logging(keys: &mut Keys<'_, '_>) -> Logging {
    let mut plain = Logging { style: Style::PLAIN, demand: false };
    if let Some(mut log) = table(keys, "log", LOG) {
        let json = log.take::<String>("format") == "json";
        let time = log.take::<Option<bool>>("time").unwrap_or(json);
        plain = Logging { style: Style { json, time }, demand: log.take("demand") };
        log.finish();
    }
    plain
}

/// The tables `curve` and `plain`.
fn security(keys: &mut Keys<'_, '_>) -> Places {
    let directory = keys.problems.directory;
    let within = |path: String| directory.join(path);
    let mut places = Places::default();
    if let Some(mut curve) = table(keys, "curve", CURVE) {
        let at = curve.at;
        places.key = curve.take::<Option<String>>("secret_key_file").map(within);
        let clients: Option<String> = curve.take("clients");
        places.clients = clients.map(|clients| match &clients[..] {
            "any" => clients,
            path => directory.join(path).to_string_lossy().into_owned(),
        });
        let server: Option<String> = curve.take("server");
        places.server = server.map(|server| match server.parse::<PublicKey>() {
            Ok(_) => server,
            Err(_) => directory.join(server).to_string_lossy().into_owned(),
        });
        let names = ["`secret_key_file`", "`server`", "`clients`"];
        let fault = places.fault(names).or_else(|| match (&places.clients, &places.server) {
            (Some(_), Some(_)) => {
                Some("`clients` makes it a server, `server` a client; leave one out".to_owned())
            }
            (None, None) => Some(
                "it has neither `clients` nor `server`; add clients = \"any\", or a directory".to_owned(),
            ),
            _ => None,
        });
        if let Some(fault) = fault {
            curve.problems.add(at, format!("[curve]: {fault}"));
        }
        curve.finish();
    }
    if let Some(mut plain) = table(keys, "plain", PLAIN) {
        if places != Places::default() {
            plain.problems.add(plain.at, "[curve] and [plain] exclude each other; leave one out");
        }
        places.users = Some(within(plain.take("users")));
        plain.finish();
    }
    places
}

/// Takes a table that the key must be, if it is there.
fn table<'i, 'p>(keys: &mut Keys<'i, 'p>, key: &str, places: keys::Places) -> Option<Keys<'i, 'p>> {
    let table = keys.inner(key, places);
    if table.is_none() && keys.has(key) {
        keys.refuse(keys.at(key), key, format_args!("it is not a table; begin it with [{key}]"));
    }
    table
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

/// The line and the column of the byte at this offset, in characters, both from 1.
fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}
