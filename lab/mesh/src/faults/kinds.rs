//! The faults: what each does to a scene, and how it is repaired.

use std::thread;
use std::time::Duration;

use oncue_testing::Rng;

use crate::Outcome;
use crate::forwarder::Mode;
use crate::model::Link;
use crate::scene::{Part, SITES, Scene, State, System};

/// What can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Victim {
    /// A site's process.
    Site,
    /// A router.
    Router,
    /// A process with subscribers.
    Subscriber,
    /// A producer.
    Producer,
    /// The link between two nodes.
    Link,
    /// The link between a process with subscribers and its site.
    LocalLink,
}

/// How it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum How {
    /// SIGKILL; a new process later.
    Kill,
    /// SIGKILL, and a new process at once.
    Restart,
    /// SIGSTOP for longer than the timeout.
    StopLong,
    /// SIGSTOP for less than half of the timeout.
    StopShort,
    /// The connections are closed, and new ones refused.
    Cut,
    /// Nothing passes for longer than the timeout, and nobody is told.
    Dead,
    /// The same for less than half of the timeout.
    DeadShort,
    /// The connections are closed three times within a timeout.
    Flap,
    /// Everything arrives 20 ms later in each direction.
    Slow,
}

/// A kind of fault: who, and how.
pub(crate) type Kind = (Victim, How);

/// The kinds that a system can have.
pub(crate) fn kinds(system: System) -> Vec<Kind> {
    use How::{Cut, Dead, DeadShort, Flap, Kill, Restart, Slow, StopLong, StopShort};
    let mut kinds = vec![
        (Victim::Site, Kill),
        (Victim::Site, Restart),
        (Victim::Site, StopLong),
        (Victim::Site, StopShort),
        (Victim::Subscriber, Kill),
        (Victim::Subscriber, Restart),
        (Victim::Subscriber, StopLong),
        (Victim::Subscriber, StopShort),
        (Victim::Producer, Restart),
        (Victim::Producer, StopLong),
        (Victim::Link, Cut),
        (Victim::Link, Dead),
        (Victim::Link, DeadShort),
        (Victim::Link, Flap),
        (Victim::Link, Slow),
        (Victim::LocalLink, Dead),
        (Victim::LocalLink, Flap),
    ];
    if let System::Routers(_) = system {
        kinds.extend([Kill, Restart, StopLong, StopShort].map(|how| (Victim::Router, how)));
    }
    kinds
}

/// As tables show it.
pub(crate) fn title((victim, how): Kind) -> String {
    let victim = match victim {
        Victim::Site => "site",
        Victim::Router => "router",
        Victim::Subscriber => "subscriber",
        Victim::Producer => "producer",
        Victim::Link => "link between sites",
        Victim::LocalLink => "link of a subscriber",
    };
    let how = match how {
        How::Kill => "SIGKILL",
        How::Restart => "SIGKILL, restarted at once",
        How::StopLong => "SIGSTOP beyond the timeout",
        How::StopShort => "SIGSTOP below the timeout",
        How::Cut => "cut, connections closed",
        How::Dead => "dead beyond the timeout",
        How::DeadShort => "dead below the timeout",
        How::Flap => "cut three times",
        How::Slow => "20 ms slower",
    };
    format!("{victim}: {how}")
}

/// A fault at one place.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    /// Of which kind.
    pub(crate) kind: Kind,
    place: Place,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Node(String),
    Producer(String),
    Subscriber(usize),
    Link(Link),
}

impl Fault {
    /// A random fault of a kind.
    pub(crate) fn random(kind: Kind, scene: &Scene, rng: &mut Rng) -> Fault {
        let routers: Vec<&String> =
            scene.nodes.keys().filter(|name| !SITES.contains(&name.as_str())).collect();
        let links: Vec<&Link> = scene.links.keys().collect();
        let site = SITES[rng.below(SITES.len())].to_owned();
        let place = match kind.0 {
            Victim::Site => Place::Node(site),
            Victim::Router => Place::Node(routers[rng.below(routers.len())].clone()),
            Victim::Producer => Place::Producer(site),
            Victim::Subscriber | Victim::LocalLink => Place::Subscriber(rng.below(scene.subscribers.len())),
            Victim::Link => Place::Link(links[rng.below(links.len())].clone()),
        };
        Fault { kind, place }
    }

    /// Whether another fault may be at the same time: it has another place, of another sort, and no site is left without
    /// its router by the two.
    pub(crate) fn goes_with(&self, other: &Fault) -> bool {
        let far = |fault: &Fault| matches!(fault.kind.0, Victim::Site | Victim::Router | Victim::Link);
        self.kind.0 != other.kind.0 && self.place != other.place && !(far(self) && far(other))
    }

    /// Whether it goes on until it is repaired, so that the demand can be compared meanwhile.
    pub(crate) fn lasts(&self) -> bool {
        !matches!(self.kind.1, How::Restart | How::StopShort | How::DeadShort | How::Flap)
    }

    /// Whether it kills one of these nodes or its producer.
    pub(crate) fn kills(&self, nodes: [&str; 2]) -> bool {
        let is_one = matches!(&self.place, Place::Node(name) | Place::Producer(name) if nodes.contains(&name.as_str()));
        is_one && matches!(self.kind.1, How::Kill | How::Restart)
    }

    /// Where it is.
    pub(crate) fn place(&self) -> String {
        format!("{:?}", self.place)
    }

    /// Lets it happen. One that does not last is over on return.
    pub(crate) fn begin(&self, scene: &mut Scene, rng: &mut Rng) -> Outcome<()> {
        let timeout = scene.setting.timeout;
        let short = timeout.mul_f64(0.1 + 0.3 * rng.below(100u64) as f64 / 100.0);
        match self.kind.1 {
            How::Kill => self.part(scene).kill(),
            How::Restart => {
                self.part(scene).kill();
                self.end(scene)?;
            }
            How::StopLong => self.part(scene).stop(),
            How::StopShort => {
                self.part(scene).stop();
                thread::sleep(short);
                self.end(scene)?;
            }
            How::Cut => self.set(scene, Mode::Cut),
            How::Dead => self.set(scene, Mode::Dead),
            How::DeadShort => {
                self.set(scene, Mode::Dead);
                thread::sleep(short);
                self.set(scene, Mode::Pass);
            }
            How::Flap => {
                for mode in [Mode::Cut, Mode::Pass, Mode::Cut, Mode::Pass, Mode::Cut, Mode::Pass] {
                    self.set(scene, mode);
                    thread::sleep(Duration::from_millis(rng.below(timeout.as_millis() as u64 / 6)));
                }
            }
            How::Slow => self.delay(scene, Duration::from_millis(20)),
        }
        Ok(())
    }

    /// Repairs it.
    pub(crate) fn end(&self, scene: &mut Scene) -> Outcome<()> {
        match self.place {
            Place::Link(_) => self.delay(scene, Duration::ZERO),
            Place::Subscriber(_) | Place::Node(_) | Place::Producer(_) => {}
        }
        if matches!(self.kind.0, Victim::Link | Victim::LocalLink) {
            self.set(scene, Mode::Pass);
            return Ok(());
        }
        let part = self.part(scene);
        let was_dead = part.state == State::Dead;
        part.revive()?;
        if let (true, Place::Subscriber(number)) = (was_dead, &self.place) {
            // A new process wants nothing yet.
            scene.subscribers[*number].wanted.iter_mut().for_each(std::collections::BTreeSet::clear);
        }
        Ok(())
    }

    fn part<'a>(&self, scene: &'a mut Scene) -> &'a mut Part {
        match &self.place {
            Place::Node(name) => scene.nodes.get_mut(name).expect("nodes stay"),
            Place::Producer(site) => scene.producers.get_mut(site).expect("producers stay"),
            Place::Subscriber(number) => &mut scene.subscribers[*number].part,
            Place::Link(_) => unreachable!("a link has no process"),
        }
    }

    fn set(&self, scene: &mut Scene, mode: Mode) {
        match &self.place {
            Place::Link((a, b)) => {
                // libzmq's sites have a link for each direction.
                for link in [(a.clone(), b.clone()), (b.clone(), a.clone())] {
                    if let Some(wire) = scene.links.get_mut(&link) {
                        wire.set(mode);
                    }
                }
            }
            Place::Subscriber(number) => {
                if let Some(wire) = &mut scene.subscribers[*number].link {
                    wire.set(mode);
                }
            }
            Place::Node(_) | Place::Producer(_) => {}
        }
    }

    fn delay(&self, scene: &Scene, time: Duration) {
        if let Place::Link((a, b)) = &self.place {
            for link in [(a.clone(), b.clone()), (b.clone(), a.clone())] {
                if let Some(wire) = scene.links.get(&link) {
                    wire.delay(time);
                }
            }
        }
    }
}
