//! A node of a mesh, from its config to its end.

use std::path::Path;
use std::time::{Duration, Instant};

use oncue::{Engine, OnDemand, Options, XPub, XSub};
use oncue_mesh::{Mesh, MeshEvent, MeshViewer};
use oncue_observe::Observe;
use oncue_observe::schema;
use signal_hook::consts::SIGUSR1;

use crate::config::node::Node;
use crate::config::rules::Rules;
use crate::connections;
use crate::fail::Fail;
use crate::mesh::{self, LEAVING, failed, said};
use crate::metrics::pages::{self, Answer, Phase};
use crate::metrics::process::{self, Started};
use crate::metrics::text::Text;
use crate::metrics::{self, family, socket};
use crate::notify::Supervisor;
use crate::output::counted;
use crate::publisher::{self, LINGER};
use crate::security::Security;
use crate::signals::{self, Stop, Waited};
use crate::stdio::{self, say};

const NAME: &str = "mesh";
/// How long the threads have to respond to whoever asks whether the node is alive.
const RESPONSE: Duration = Duration::from_secs(1);
/// The pauses before a lost publisher is tried again: one that restarts is found within this time, whatever it was away for.
const RECONNECT: [Duration; 2] = [Duration::from_millis(50), Duration::from_millis(400)];
/// The largest message of a publisher of this site, as of any subscriber.
const MESSAGE_BYTES_MAX: u64 = 1 << 30;

/// Checks a config, and the files that it names.
pub(super) fn check(path: &Path) -> Result<(), Fail> {
    let node = read(path)?;
    node.security.read()?;
    let options = mesh::options(&node.site, node.observe.as_deref());
    options.check().map_err(|why| Fail::Usage(format!("{}: {why}", path.display())))?;
    stdio::line(format!("{}: ok, site {}", path.display(), node.site.site).into_bytes());
    Ok(())
}

fn read(path: &Path) -> Result<Node, Fail> {
    Node::read(path).map_err(|problems| Fail::Usage(problems.join("\n")))
}

/// The sockets of this site.
struct Sockets {
    publishers: XSub,
    subscribers: XPub,
}

/// Runs a node until its end.
pub(super) fn run(path: &Path, stop: &Stop) -> Result<(), Fail> {
    let node = read(path)?;
    stdio::set_style(node.log.style);
    oncue::raise_descriptor_limit();
    let supervisor = Supervisor::of_environment().unwrap_or_else(|why| {
        say(NAME, &format!("the supervisor is told nothing: {why}"));
        Supervisor::none()
    });
    let engine = Engine::start()?;
    let observe = node.observe.clone().map(Observe::new).transpose();
    let observe = observe.map_err(|why| Fail::Usage(why.to_string()))?;
    let sockets = Sockets::new(&engine, &node, observe.as_ref(), stop)?;
    // Before a peer comes: it would be told nothing for a moment.
    let mesh = sockets.join(&engine, &node)?;
    stop.allow(LEAVING);
    let viewer = mesh.viewer();
    let about = observe.map(|observe| about(&observe, &sockets.subscribers, viewer.clone())).transpose()?;
    // Before it says where it is: a script may send the signal as soon as it knows.
    let counting = viewer.clone();
    signals::on_signals([SIGUSR1], move |_| say(NAME, &summary(&said(counting.status()))))?;
    if let Some(at) = &node.metrics {
        let url = serve_metrics(&sockets.subscribers, at, viewer.clone())?;
        say(NAME, &format!("metrics at {url}/metrics"));
    }
    sockets.open(&node)?;
    supervisor.ready(&format!("site {} of the mesh {}", node.site.site, node.site.mesh));
    let ended = wait(&mesh, &sockets, &supervisor, stop);
    supervisor.stopping("leaving the mesh");
    let last = said(viewer.status());
    mesh.stop();
    drop(about);
    sockets.close(stop);
    say(NAME, &summary(&last));
    ended
}

/// Waits until the end, and tells the supervisor meanwhile that the node is alive.
fn wait(mesh: &Mesh, sockets: &Sockets, supervisor: &Supervisor, stop: &Stop) -> Result<(), Fail> {
    // Twice as often as the supervisor wants it.
    let beat = supervisor.watchdog().map(|time| time / 2);
    let mut next_beat = beat.map(|_| Instant::now());
    loop {
        match stop.wait(mesh.ended(), next_beat) {
            Waited::Ready(why) => return Err(failed(why)),
            Waited::Stopped => return Ok(()),
            Waited::TimedOut => {
                if beat.is_some_and(|beat| sockets.subscribers.responds_within(beat / 2)) {
                    supervisor.alive();
                }
                next_beat = beat.map(|beat| Instant::now() + beat);
            }
        }
    }
}

impl Sockets {
    fn new(engine: &Engine, node: &Node, observe: Option<&Observe>, stop: &Stop) -> Result<Sockets, Fail> {
        let security = node.security.read()?;
        let [min, max] = RECONNECT;
        let options = node.options.clone().linger(LINGER).reconnect(min, max);
        let publishers = options.clone().message_bytes_max(MESSAGE_BYTES_MAX);
        let publishers = XSub::new(engine, security.set_client(publishers))?;
        let subscribers = XPub::new(engine, of_subscribers(options, node, observe, &security))?;
        security.follow(&subscribers, NAME);
        connections::follow(&publishers, NAME, stop)?;
        connections::follow(&subscribers, NAME, stop)?;
        Ok(Sockets { publishers, subscribers })
    }

    /// Joins the mesh with those that have endpoints.
    fn join(&self, engine: &Engine, node: &Node) -> Result<Mesh, Fail> {
        let mut mesh = Mesh::builder(engine, mesh::options(&node.site, node.observe.as_deref()));
        if !(node.publishers.is_empty() && node.publishers_bind.is_empty()) {
            mesh = mesh.publishers(&self.publishers);
        }
        if !node.site.subscribers.is_empty() {
            mesh = mesh.subscribers(&self.subscribers);
        }
        mesh.on_event(tell).start().map_err(failed)
    }

    /// Binds and connects them, and says where.
    fn open(&self, node: &Node) -> Result<(), Fail> {
        for endpoint in &node.publishers_bind {
            say(NAME, &format!("publishers: bound to {}", self.publishers.bind(endpoint)?));
        }
        for endpoint in &node.publishers {
            connections::connect(&self.publishers, NAME, endpoint)?;
        }
        for endpoint in &node.site.subscribers {
            say(NAME, &format!("subscribers: bound to {}", self.subscribers.bind(endpoint)?));
        }
        Ok(())
    }

    fn close(&self, stop: &Stop) {
        stop.wait_to_end(self.publishers.close());
        publisher::close_and_say(&self.subscribers, NAME, stop);
    }
}

fn of_subscribers(options: Options, node: &Node, observe: Option<&Observe>, security: &Security) -> Options {
    let hidden = node.observe.as_deref().unwrap_or_default();
    let rules = Rules::new(hidden);
    rules.set(&node.rules);
    let options = security.set_server(options).admission(move |request| rules.decide(request));
    // What servers behind it say about themselves reaches those that ask for it alone, as at the servers.
    match observe {
        Some(observe) => observe.hide(options),
        None => options.hidden_topics(oncue_observe::PREFIX),
    }
}

/// Publishes about the mesh on the socket of subscribers.
fn about(observe: &Observe, socket: &XPub, viewer: MeshViewer) -> Result<OnDemand, Fail> {
    observe.mesh(move || Some(said(viewer.status())));
    Ok(observe.mesh_route(OnDemand::on(socket.clone())).start()?)
}

/// Serves the metrics at this address. Returns its URL without a path.
fn serve_metrics(subscribers: &XPub, at: &str, viewer: MeshViewer) -> Result<String, Fail> {
    let (started, counting) = (Started::now(), subscribers.clone());
    pages::open(subscribers, at, move |path, accept| -> Answer {
        let write = |text: &mut Text| {
            family::write(process::FAMILIES, &started, text);
            family::write(socket::FAMILIES, &counting.stats(), text);
            family::write(metrics::mesh::FAMILIES, &said(viewer.status()), text);
        };
        pages::answer(path, accept, Phase::Serving, write, || counting.responds_within(RESPONSE))
    })
}

/// Says what an operator would want to know. The end is said once, as the reason why the process ends.
fn tell(event: MeshEvent) {
    if !matches!(event, MeshEvent::Ended(_)) {
        mesh::tell(&event, |record| stdio::record(NAME, record));
    }
}

/// What has passed, for people.
fn summary(mesh: &schema::Mesh) -> String {
    let sum = |of: fn(&schema::Site) -> u64| mesh.sites.iter().map(of).fold(0, u64::saturating_add);
    let mut text = format!(
        "{} known; sent {} ({}), received {} ({})",
        counted(mesh.sites.len() as u64, "site"),
        counted(sum(|site| site.sent.messages), "message"),
        counted(sum(|site| site.sent.bytes), "byte"),
        counted(sum(|site| site.received.messages), "message"),
        counted(sum(|site| site.received.bytes), "byte"),
    );
    for (number, what) in [
        (sum(|site| site.missed), "missed by sites that were full"),
        (sum(|site| site.lost), "lost on the way here"),
        (sum(|site| site.duplicates), "discarded since they came again"),
        (sum(|site| site.forbidden), "not permitted"),
    ] {
        if number > 0 {
            text.push_str(&format!(", {number} {what}"));
        }
    }
    text
}
