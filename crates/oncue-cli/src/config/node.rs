//! Reads the config of `oncue mesh`: a site, and the local sockets beside it.

use std::path::Path;

use oncue::Options;

use super::access::{rules, security};
use super::file;
use super::keys::{NODE, NODE_LOG};
use super::log::logging;
use super::mesh::{self, LinkPlaces, Role, Site};
use super::model::Logging;
use super::reader::{Keys, Problem};
use super::rule::Rule;
use super::socket::{address, endpoints, observe, options};
use crate::args;
use crate::security::Places;

/// A node of a mesh: it passes on what local publishers and other sites publish.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) site: Site,
    /// Where the keys of its link stand. They are not a part of it.
    pub(crate) link_at: LinkPlaces,
    /// Where publishers of this site are, and where they connect.
    pub(crate) publishers: Vec<String>,
    pub(crate) publishers_bind: Vec<String>,
    /// The prefix of the topics about the node itself. None: there are none.
    pub(crate) observe: Option<String>,
    pub(crate) metrics: Option<String>,
    pub(crate) log: Logging,
    /// As a server of local subscribers, and as a client of local publishers.
    pub(crate) security: Places,
    pub(crate) rules: Vec<Rule>,
    /// Of both local sockets.
    pub(crate) options: Options,
}

impl Node {
    /// Reads and checks the config of this file, its site by `check`. The errors are lines for people, each with file, line and column.
    pub(crate) fn read(
        path: &Path,
        check: impl FnOnce(&Node) -> Result<(), Problem>,
    ) -> Result<Node, Vec<String>> {
        let text = file::text(path)?;
        let node = Node::parse(&text, &file::directory(path)?).and_then(|node| match check(&node) {
            Ok(()) => Ok(node),
            Err(problem) => Err(vec![problem]),
        });
        node.map_err(|problems| file::told(path, &text, problems))
    }

    /// Reads and checks the text of a config in this directory. The problems are in the order of the text.
    pub(crate) fn parse(text: &str, directory: &Path) -> Result<Node, Vec<Problem>> {
        file::parse(text, directory, NODE, read)
    }
}

/// Reads a whole config. It counts only if there is no problem in the end.
fn read(mut keys: Keys<'_, '_>) -> Node {
    let found = keys.problems.count();
    let publishers = endpoints(&mut keys, "publishers", args::endpoint);
    let publishers_bind = endpoints(&mut keys, "publishers_bind", args::endpoint);
    let (site, link_at) = mesh::site(&mut keys);
    let has_sockets = [&publishers, &publishers_bind, &site.subscribers].iter().any(|list| !list.is_empty());
    if !has_sockets && !matches!(site.link.role, Role::Router { .. }) && keys.problems.count() == found {
        let remedy = "write where this site's are, as in publishers = \"tcp://127.0.0.1:8888\" or subscribers = \"tcp://127.0.0.1:9999\"";
        keys.problems.add(0, format!("there are neither publishers nor subscribers; {remedy}"));
    }
    let security = security(&mut keys, true);
    let node = Node {
        rules: rules(&mut keys, &security),
        site,
        link_at,
        publishers,
        publishers_bind,
        observe: observe(&mut keys),
        metrics: address(&mut keys, "metrics"),
        log: logging(&mut keys, NODE_LOG),
        security,
        options: options(&mut keys),
    };
    keys.finish();
    node
}
