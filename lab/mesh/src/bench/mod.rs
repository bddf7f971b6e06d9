//! W14: what a mesh of three sites costs, and how fast it is, on the loopback of one machine.

mod changes;
mod death;
mod declare;
mod latency;
mod stopped;
mod throughput;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::Outcome;
use crate::protocol::{Answer, Ask};
use crate::scene::{SITES, Scene, State, System};
use crate::table::Table;

/// How long anything may take.
pub(super) const LIMIT: Duration = Duration::from_secs(120);

/// What is measured, by letter.
type Part = fn(System, &mut Rows) -> Outcome<()>;
const PARTS: &[(&str, Part)] = &[
    ("a", declare::measure),
    ("b", changes::measure),
    ("c", death::measure),
    ("d", throughput::measure),
    ("e", latency::measure),
    ("f", stopped::measure),
];

/// Rows of the table: what, the goal, and the value of each system.
#[derive(Default)]
pub(super) struct Rows {
    /// Of (d), this alone: bytes of a message, messages offered a second.
    only: Option<(usize, u64)>,
    order: Vec<(String, String)>,
    values: BTreeMap<(String, &'static str), String>,
}

impl Rows {
    /// Adds a value, and says it at once.
    pub(super) fn add(&mut self, what: &str, goal: &str, system: System, value: String) {
        println!("{}: {what}: {value}", system.title());
        if !self.order.iter().any(|(known, _)| known == what) {
            self.order.push((what.to_owned(), goal.to_owned()));
        }
        self.values.insert((what.to_owned(), system.title()), value);
    }

    fn table(&self, systems: &[System]) -> Table {
        let titles = systems.iter().map(|system| system.title());
        let mut table = Table::new(&["", "goal"].into_iter().chain(titles).collect::<Vec<_>>());
        for (what, goal) in &self.order {
            let value = |system: &System| self.values.get(&(what.clone(), system.title()));
            let values = systems.iter().map(|system| value(system).cloned().unwrap_or("–".to_owned()));
            table.row([what.clone(), goal.clone()].into_iter().chain(values));
        }
        table
    }
}

/// What is measured.
pub(crate) struct Choice {
    /// The systems.
    pub(crate) systems: Vec<System>,
    /// The letters of the parts.
    pub(crate) parts: String,
    /// Of (d), this alone: bytes of a message, messages offered a second.
    pub(crate) only: Option<(usize, u64)>,
}

/// Measures, and prints the table. Returns whether all could be measured.
pub(crate) fn run(choice: &Choice) -> Outcome<bool> {
    let Choice { systems, parts, only } = choice;
    let mut rows = Rows { only: *only, ..Rows::default() };
    let mut all_measured = true;
    for (letter, part) in PARTS.iter().filter(|(letter, _)| parts.contains(letter)) {
        for &system in systems {
            if let Err(why) = part(system, &mut rows) {
                eprintln!("{}: {letter}: not measured: {why}", system.title());
                all_measured = false;
            }
        }
    }
    print!("\n{}", rows.table(systems));
    Ok(all_measured)
}

/// Waits until every site knows every other one.
pub(super) fn joined(scene: &mut Scene) -> Outcome<()> {
    let sites = scene.nodes.len() - 1;
    for part in scene.nodes.values_mut().filter(|part| part.state == State::Up) {
        part.process().tell(&Ask::Known { sites, prefixes: 0 })?;
        part.process().done(LIMIT)?;
    }
    Ok(())
}

/// The producer of each of these sites is told of so many prefixes. Returns when the last one was told.
pub(super) fn told(scene: &mut Scene, sites: &[&str], prefixes: usize) -> Outcome<u64> {
    let mut last = 0;
    for &site in sites {
        let producer = scene.producers.get_mut(site).expect("each site has one").process();
        producer.tell(&Ask::DemandCount(prefixes))?;
        last = last.max(producer.done(LIMIT)?);
    }
    Ok(last)
}

/// Processor time of each site so far.
pub(super) fn cpu(scene: &mut Scene) -> Outcome<Vec<Duration>> {
    SITES.iter().map(|&site| scene.nodes.get_mut(site).expect("sites stay").process().cpu()).collect()
}

/// The subscriber of a site subscribes.
pub(super) fn subscribe(scene: &mut Scene, site: &str, prefix: &str) -> Outcome<()> {
    let subscriber = scene.subscribers.iter().position(|subscriber| subscriber.site == site);
    scene.change(subscriber.ok_or(format!("nobody subscribes at {site}"))?, 0, vec![prefix.to_owned()])
}

/// What the subscriber of a site has received.
pub(super) fn received(scene: &mut Scene, site: &str) -> Outcome<crate::protocol::Received> {
    let subscriber = scene.subscribers.iter_mut().find(|subscriber| subscriber.site == site);
    match subscriber.ok_or(format!("nobody subscribes at {site}"))?.part.process().ask(&Ask::Received)? {
        Answer::Received(received) => Ok(received),
        other => Err(format!("the subscriber of {site} says {other:?}")),
    }
}

/// The share of the sorted values that is not larger, in milliseconds.
pub(super) fn quantile(nanos: &mut [u64], share: f64) -> f64 {
    nanos.sort_unstable();
    let at = ((nanos.len() as f64 * share) as usize).min(nanos.len().saturating_sub(1));
    nanos.get(at).map_or(f64::NAN, |&nanos| nanos as f64 / 1e6)
}
