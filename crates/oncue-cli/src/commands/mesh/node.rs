//! A node of a mesh, from its config to its end.

use std::future::poll_fn;
use std::path::Path;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use oncue::{Engine, OnDemand, Options, XPub, XSub};
use oncue_mesh::{Mesh, MeshError, MeshEvent};
use oncue_observe::Observe;
use oncue_observe::schema;

use crate::asked::{Ask, Asked};
use crate::config::mesh::Site;
use crate::config::node::Node;
use crate::config::rules::Rules;
use crate::connections;
use crate::fail::Fail;
use crate::mesh::{self, LEAVING, Member, Seen, Teller, failed};
use crate::metrics::pages::{self, Answer, Phase};
use crate::metrics::process::{self, Started};
use crate::metrics::text::Text;
use crate::metrics::{self, family, socket};
use crate::notify::Supervisor;
use crate::output::counted;
use crate::publisher::{self, LINGER};
use crate::record::{Level, Record};
use crate::security::Security;
use crate::signals::{Stop, Waited};
use crate::stdio::{self, complain, say};

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
    stdio::line(format!("{}: ok, site {}", path.display(), node.site.site).into_bytes());
    Ok(())
}

fn read(path: &Path) -> Result<Node, Fail> {
    let check = |node: &Node| mesh::check(&node.site, node.observe.as_deref(), &node.link_at);
    Node::read(path, check).map_err(|problems| Fail::Usage(problems.join("\n")))
}

/// The sockets of this site.
struct Sockets {
    publishers: XSub,
    subscribers: XPub,
    rules: Rules,
}

/// A node at work.
struct Running {
    node: Node,
    sockets: Sockets,
    member: Member,
}

/// Runs a node until its end.
pub(super) fn run(path: &Path, stop: &Stop) -> Result<(), Fail> {
    let node = read(path)?;
    mesh::settle(&node.site, NAME);
    // Before anything may take long: the signal would end the process.
    let asked = Asked::on_signals()?;
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
    let member = sockets.join(&engine, &node)?;
    stop.allow(LEAVING);
    let seen = member.seen();
    let about = observe.map(|observe| about(&observe, &sockets.subscribers, seen.clone())).transpose()?;
    if let Some(at) = &node.metrics {
        let url = serve_metrics(&sockets.subscribers, at, seen.clone())?;
        say(NAME, &format!("metrics at {url}/metrics"));
    }
    sockets.open(&node)?;
    let mut running = Running { node, sockets, member };
    supervisor.ready(&running.status());
    let ended = running.wait(path, &asked, &supervisor, stop);
    supervisor.stopping("leaving the mesh");
    let last = seen.said();
    running.member.leave();
    drop(about);
    running.sockets.close(stop);
    say(NAME, &summary(&last));
    ended
}

impl Running {
    /// Waits until the end, does what signals ask for, and tells the supervisor meanwhile that the node is alive.
    fn wait(&mut self, path: &Path, asked: &Asked, supervisor: &Supervisor, stop: &Stop) -> Result<(), Fail> {
        // Twice as often as the supervisor wants it.
        let beat = supervisor.watchdog().map(|time| time / 2);
        let mut next_beat = beat.map(|_| Instant::now());
        loop {
            match stop.wait(self.next(asked), next_beat) {
                Waited::Ready(News::Ended(why)) => return Err(failed(why)),
                Waited::Ready(News::Asked(Ask::Report)) => say(NAME, &summary(&self.member.seen().said())),
                Waited::Ready(News::Asked(Ask::Reload)) => {
                    supervisor.reloading();
                    let failed = self.reload(path).err();
                    supervisor.ready(&failed.unwrap_or_else(|| self.status()));
                }
                Waited::Stopped => return Ok(()),
                Waited::TimedOut => {
                    if beat.is_some_and(|beat| self.sockets.subscribers.responds_within(beat / 2)) {
                        supervisor.alive();
                    }
                    next_beat = beat.map(|beat| Instant::now() + beat);
                }
            }
        }
    }

    async fn next(&self, asked: &Asked) -> News {
        let (mut ended, mut asked) = (pin!(self.member.ended()), pin!(asked.next()));
        poll_fn(|context| match ended.as_mut().poll(context) {
            Poll::Ready(why) => Poll::Ready(News::Ended(why)),
            Poll::Pending => asked.as_mut().poll(context).map(News::Asked),
        })
        .await
    }

    fn status(&self) -> String {
        format!("site {} of the mesh {}", self.node.site.site, self.node.site.mesh)
    }

    /// Reads the config again. If anything is wrong in it, nothing changes.
    ///
    /// # Errors
    /// Why it was not replaced, which is logged.
    fn reload(&mut self, path: &Path) -> Result<(), String> {
        let why = match read(path).and_then(|node| self.replace(node)) {
            Ok(()) => return Ok(()),
            Err(Fail::Usage(why) | Fail::Runtime(why) | Fail::Timeout(why)) => why,
            Err(Fail::Signal(_)) => return Ok(()),
        };
        self.member.doubt();
        let status = format!("the config was not replaced: {}", why.lines().next().unwrap_or_default());
        complain(NAME, &why);
        complain(NAME, "the config was not replaced; the one before stays in force");
        Err(status)
    }

    fn replace(&mut self, node: Node) -> Result<(), Fail> {
        let joined = self.member.reload(&node.site).map_err(failed)?;
        self.sockets.rules.set(&node.rules);
        self.sockets.subscribers.reconsider();
        stdio::set_style(node.log.style);
        let how = if joined { "left the mesh, and joins it again" } else { "the mesh stays as it was" };
        say(NAME, &format!("config read again: {how}"));
        let fixed = changed(&self.node, &node);
        if !fixed.is_empty() {
            let text = format!("{} changed: that takes effect when oncue is started again", fixed.join(", "));
            stdio::record(NAME, &Record::new(Level::Warning, &text));
        }
        // What has not taken effect is compared with what has, again and again.
        let Node { site, rules, log, .. } = node;
        let subscribers = std::mem::take(&mut self.node.site.subscribers);
        (self.node.rules, self.node.log) = (rules, log);
        self.node.site = Site { subscribers, ..site };
        Ok(())
    }
}

/// What the node waits for.
enum News {
    Ended(MeshError),
    Asked(Ask),
}

/// The keys that have changed and that count only at the start, by their names.
fn changed(before: &Node, now: &Node) -> Vec<&'static str> {
    let keys = |node: &Node| {
        [
            ("`publishers`", format!("{:?}", node.publishers)),
            ("`publishers_bind`", format!("{:?}", node.publishers_bind)),
            ("`subscribers`", format!("{:?}", node.site.subscribers)),
            ("`observe`", format!("{:?}", node.observe)),
            ("`metrics`", format!("{:?}", node.metrics)),
            ("[curve] or [plain]", format!("{:?}", node.security)),
            ("an option of the sockets", format!("{:?}", node.options)),
        ]
    };
    let both = keys(before).into_iter().zip(keys(now));
    both.filter(|(before, now)| before != now).map(|((name, _), _)| name).collect()
}

impl Sockets {
    fn new(engine: &Engine, node: &Node, observe: Option<&Observe>, stop: &Stop) -> Result<Sockets, Fail> {
        let security = node.security.read()?;
        let [min, max] = RECONNECT;
        let options = node.options.clone().linger(LINGER).reconnect(min, max);
        let publishers = options.clone().message_bytes_max(MESSAGE_BYTES_MAX);
        let publishers = XSub::new(engine, security.set_client(publishers))?;
        let rules = Rules::new(node.observe.as_deref().unwrap_or_default());
        rules.set(&node.rules);
        let subscribers = XPub::new(engine, of_subscribers(options, rules.clone(), observe, &security))?;
        security.follow(&subscribers, NAME);
        connections::follow(&publishers, NAME, stop)?;
        connections::follow(&subscribers, NAME, stop)?;
        Ok(Sockets { publishers, subscribers, rules })
    }

    /// Joins the mesh with those that have endpoints.
    fn join(&self, engine: &Engine, node: &Node) -> Result<Member, Fail> {
        let has_publishers = !(node.publishers.is_empty() && node.publishers_bind.is_empty());
        let publishers = has_publishers.then(|| self.publishers.clone());
        let subscribers = (!node.site.subscribers.is_empty()).then(|| self.subscribers.clone());
        let engine = engine.clone();
        Member::join(&node.site, node.observe.as_deref(), move |options| {
            let mesh = Mesh::builder(&engine, options);
            let mesh = publishers.iter().fold(mesh, |mesh, socket| mesh.publishers(socket));
            let mesh = subscribers.iter().fold(mesh, |mesh, socket| mesh.subscribers(socket));
            let mut teller = Teller::new();
            mesh.on_event(move |event| tell(&mut teller, &event)).start()
        })
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

fn of_subscribers(options: Options, rules: Rules, observe: Option<&Observe>, security: &Security) -> Options {
    let options = security.set_server(options).admission(move |request| rules.decide(request));
    // What servers behind it say about themselves reaches those that ask for it alone, as at the servers.
    match observe {
        Some(observe) => observe.hide(options),
        None => options.hidden_topics(oncue_observe::PREFIX),
    }
}

/// Publishes about the mesh on the socket of subscribers.
fn about(observe: &Observe, socket: &XPub, seen: Seen) -> Result<OnDemand, Fail> {
    observe.mesh(move || Some(seen.said()));
    Ok(observe.mesh_route(OnDemand::on(socket.clone())).start()?)
}

/// Serves the metrics at this address. Returns its URL without a path.
fn serve_metrics(subscribers: &XPub, at: &str, seen: Seen) -> Result<String, Fail> {
    let (started, counting) = (Started::now(), subscribers.clone());
    pages::open(subscribers, at, move |path, accept| -> Answer {
        let write = |text: &mut Text| {
            family::write(process::FAMILIES, &started, text);
            family::write(socket::FAMILIES, &counting.stats(), text);
            family::write(metrics::mesh::FAMILIES, &seen.said(), text);
        };
        pages::answer(path, accept, Phase::Serving, write, || counting.responds_within(RESPONSE))
    })
}

/// Says what an operator would want to know. The end is said once, as the reason why the process ends.
fn tell(teller: &mut Teller, event: &MeshEvent) {
    if !matches!(event, MeshEvent::Ended(_)) {
        teller.tell(event, |record| stdio::record(NAME, record));
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
