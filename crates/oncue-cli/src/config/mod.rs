//! The configs of the command: their keys, their types, and the messages about mistakes. It opens only the file of the config,
//! and those of the system's users if it names one, and starts nothing.

use std::path::{Path, PathBuf};

use oncue::{Options, Web};

use self::access::{rules, security};
use self::keys::{LOG, MESH, ROUTE, TOP};
use self::log::logging;
pub(crate) use self::model::{
    Catalogue, Config, Confinement, FilePath, Framing, PASSED, Program, Restart, Route, Running, Runs,
    Source, Watched,
};
pub(crate) use self::page::{help, mesh_help};
use self::reader::{Keys, texts};
pub(crate) use self::reader::{Need, Needed, Problem};
use self::socket::{address, endpoints, observe, options};
pub(crate) use self::user::User;
use crate::args;

mod access;
mod file;
mod guard;
mod keys;
mod kind;
mod log;
pub(crate) mod mesh;
mod model;
#[cfg(feature = "mesh")]
pub(crate) mod node;
mod page;
mod reader;
mod route;
pub(crate) mod rule;
pub(crate) mod rules;
mod socket;
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
        let text = file::text(path)?;
        let config = Config::parse(&text, &file::directory(path)?).and_then(|config| match check(&config) {
            Ok(()) => Ok(config),
            Err(problem) => Err(vec![problem]),
        });
        let mut config = config.map_err(|problems| file::told(path, &text, problems))?;
        config.needs.iter_mut().for_each(|need| need.place = file::place(path, &text, need.at));
        Ok(config)
    }

    /// Reads and checks the text of a config in this directory. The problems are in the order of the text.
    pub(crate) fn parse(text: &str, directory: &Path) -> Result<Config, Vec<Problem>> {
        file::parse(text, directory, TOP, read)
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
    let security = security(&mut keys, false);
    let rules = rules(&mut keys, &security);
    let http_at = keys.at("http");
    let (mesh, link_at) = keys.table("mesh", MESH).map(mesh::section).unzip();
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
        mesh,
        link_at,
        log: logging(&mut keys, LOG),
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
