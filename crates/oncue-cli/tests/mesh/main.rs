//! Sites of a mesh as processes: `oncue mesh`, and `oncue serve` with `[mesh]`. Publishers and subscribers are sockets of `oncue`.
#![cfg(feature = "mesh")]

mod border;
mod ends;
mod example;
mod server;
mod sites;
mod tls;

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use oncue::{DemandEvent, DemandWatch, Engine, Options, Sub, XPub};
use oncue_interop::PATIENCE;
use oncue_interop::directory::Directory;
use oncue_interop::program::Program;

/// A port that nobody uses now. Zenoh's endpoints are known before they are bound.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}

fn oncue(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oncue"));
    command.args(words);
    command
}

/// What a command prints that must succeed.
fn said(words: &[&str]) -> String {
    let Output { status, stdout, stderr } = oncue(words).output().expect("it runs");
    assert!(status.success(), "{words:?}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).expect("text")
}

/// The next line of standard error that contains this.
fn line_with(program: &mut Program, text: &str) -> String {
    loop {
        let line = program.error_line();
        if line.contains(text) {
            return line;
        }
    }
}

/// The sites of a small mesh, each with its endpoint.
struct Mesh {
    directory: Directory,
    engine: Engine,
    sites: Vec<(&'static str, String)>,
}

/// A node of it.
struct Node {
    program: Program,
    publishers: String,
    subscribers: String,
}

impl Mesh {
    fn of(names: &[&'static str]) -> Mesh {
        let sites = names.iter().map(|name| (*name, format!("tcp/127.0.0.1:{}", free_port()))).collect();
        Mesh { directory: Directory::new(), engine: Engine::start().expect("an engine"), sites }
    }

    /// The table `link` of each site, under this name.
    fn link(&self, name: &str) -> String {
        let sites: Vec<_> = self.sites.iter().map(|(name, at)| format!("{name} = \"{at}\"")).collect();
        format!(
            "[{name}]\nrole = \"peer\"\nsites = {{ {} }}\nheartbeat = \"100ms\"\ntimeout = \"2s\"\n",
            sites.join(", ")
        )
    }

    /// Starts the node of a site, with these keys in addition: outside of tables, and tables.
    fn start_with(&self, site: &str, keys: &str, tables: &str) -> Node {
        let text = format!(
            "site = \"{site}\"\npublishers_bind = \"tcp://127.0.0.1:0\"\nsubscribers = \"tcp://127.0.0.1:0\"\n{keys}\n{}{tables}",
            self.link("link")
        );
        let path = self.directory.write(format!("{site}.toml"), &text);
        let mut program = Program::start(&mut oncue(&["mesh", path.to_str().expect("text")]));
        let (mut publishers, mut subscribers) = (None, None);
        while publishers.is_none() || subscribers.is_none() {
            let line = program.error_line();
            let at = |side: &str| line.split_once(side).map(|(_, endpoint)| endpoint.to_owned());
            publishers = publishers.or(at("publishers: bound to "));
            subscribers = subscribers.or(at("subscribers: bound to "));
        }
        let (publishers, subscribers) = (publishers.expect("it is"), subscribers.expect("it is"));
        Node { program, publishers, subscribers }
    }

    fn start(&self, site: &str) -> Node {
        self.start_with(site, "", "")
    }

    /// Starts a node with this `[link]`: a router without local sockets, or an edge with them.
    fn start_linked(&self, site: &str, link: &str) -> Node {
        let is_router = link.contains("router\"");
        let sockets = match is_router {
            true => "",
            false => "publishers_bind = \"tcp://127.0.0.1:0\"\nsubscribers = \"tcp://127.0.0.1:0\"\n",
        };
        let text = format!("site = \"{site}\"\n{sockets}[link]\n{link}\n");
        let path = self.directory.write(format!("{site}.toml"), &text);
        let mut program = Program::start(&mut oncue(&["mesh", path.to_str().expect("text")]));
        let (mut publishers, mut subscribers) = (String::new(), String::new());
        for (side, endpoint) in [("publishers", &mut publishers), ("subscribers", &mut subscribers)] {
            if !is_router {
                let line = line_with(&mut program, &format!("{side}: bound to "));
                line.split_once("bound to ").expect("an endpoint").1.clone_into(endpoint);
            }
        }
        Node { program, publishers, subscribers }
    }

    /// Starts all sites, and waits until each knows the demand of all others.
    fn start_all(&self) -> Vec<Node> {
        let nodes: Vec<_> = self.sites.iter().map(|(name, _)| self.start(name)).collect();
        nodes.iter().for_each(|node| node.knows(self.sites.len() - 1));
        nodes
    }

    fn publisher(&self, node: &Node) -> XPub {
        let socket = XPub::new(&self.engine, Options::new()).expect("a publisher");
        socket.connect(&node.publishers).expect("an endpoint");
        socket
    }

    fn subscriber(&self, endpoint: &str, topics: &[&str]) -> Sub {
        let socket = Sub::new(&self.engine, Options::new()).expect("a subscriber");
        topics.iter().for_each(|topic| drop(socket.subscribe(topic).expect("a subscription")));
        socket.connect(endpoint).expect("an endpoint");
        socket
    }
}

impl Node {
    fn status(&self) -> serde_json::Value {
        status(&self.subscribers)
    }

    /// Waits until so many other sites live and their demand is in force.
    #[track_caller]
    fn knows(&self, sites: usize) {
        let live = |status: &serde_json::Value| {
            let sites = status["sites"].as_array().expect("sites");
            sites.iter().filter(|site| site["phase"] == "live").count()
        };
        eventually(|| {
            let status = self.status();
            (live(&status) == sites).then_some(()).ok_or(status)
        });
    }
}

/// What a site says about the mesh.
fn status(endpoint: &str) -> serde_json::Value {
    let json = said(&["mesh", "status", endpoint, "--json", "--timeout", "20s"]);
    serde_json::from_str(&json).expect("JSON")
}

/// What is known of another site.
fn site(status: &serde_json::Value, name: &str) -> serde_json::Value {
    let sites = status["sites"].as_array().expect("sites");
    sites.iter().find(|site| site["name"] == name).cloned().unwrap_or_default()
}

/// Waits until something holds, and returns it; what it says meanwhile is for the failure.
#[track_caller]
fn eventually<T>(mut holds: impl FnMut() -> Result<T, serde_json::Value>) -> T {
    let start = Instant::now();
    loop {
        match holds() {
            Ok(found) => return found,
            Err(said) => assert!(start.elapsed() < PATIENCE, "{said:#}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What a publisher has been told.
struct Told {
    watch: DemandWatch,
    wanted: BTreeSet<String>,
}

impl Told {
    fn of(publisher: &XPub) -> Told {
        Told { watch: publisher.demand(), wanted: BTreeSet::new() }
    }

    /// Waits until exactly this is wanted.
    #[track_caller]
    fn becomes(&mut self, expected: &[&str], when: &str) {
        let expected: BTreeSet<_> = expected.iter().map(|prefix| (*prefix).to_owned()).collect();
        let text = |prefix: oncue::Prefix| String::from_utf8(prefix.to_vec()).expect("text");
        let start = Instant::now();
        while self.wanted != expected {
            let left = PATIENCE.saturating_sub(start.elapsed());
            match self.watch.next().wait_timeout(left) {
                Some(Ok(DemandEvent::Wanted(prefix))) => _ = self.wanted.insert(text(prefix)),
                Some(Ok(DemandEvent::Unwanted(prefix))) => _ = self.wanted.remove(&text(prefix)),
                other => panic!("{when}: {:?}, not {expected:?}: {other:?}", self.wanted),
            }
        }
    }
}

/// The frames of the next message, as text.
#[track_caller]
fn received(socket: &Sub) -> Vec<String> {
    let message = socket.recv().wait_timeout(PATIENCE).expect("a message in time").expect("a message");
    message.frames().map(|frame| String::from_utf8_lossy(frame).into_owned()).collect()
}
