//! (d) As many messages as go from one site to another.

use std::time::Duration;

use super::{LIMIT, Rows, cpu, joined, received, subscribe, told};
use crate::Outcome;
use crate::protocol::{Answer, Ask, Flow, Received};
use crate::scene::{Scene, Setting, System};

const MILLIS: u64 = 3_000;
/// Offered a second, with the size of a message; 0 for as many as the publisher can. What is beyond the capacity costs time, and
/// is missed: so both the rate at which nothing is lost and the rate under overload are told.
const OFFERED: [(usize, &[u64]); 2] = [
    (64, &[500_000, 1_000_000, 2_000_000, 3_000_000, 4_000_000, 6_000_000, 8_000_000, 12_000_000, 0]),
    (1024, &[50_000, 100_000, 200_000, 300_000, 400_000, 600_000, 800_000, 0]),
];
/// How many topics there are: a hundred, or so many that those of a batch are all different.
const TOPICS: u64 = 100;
const TOPICS_MANY: u64 = 100_000;
/// A loss that still counts as none: what is on its way when the run ends.
const NONE_LOST: f64 = 0.1;
const FROM: &str = "a";
const TO: &str = "b";

/// One run.
struct Measured {
    per_second: f64,
    /// Percent of what was sent.
    lost: f64,
    /// Percent of what was sent that did not get to the other site; the rest of what is lost was lost by the subscriber there.
    lost_between: f64,
    /// Of each site for a message that it has sent or received, in nanoseconds.
    cpu: [f64; 2],
}

pub(super) fn measure(system: System, rows: &mut Rows) -> Outcome<()> {
    for (size, offers) in OFFERED {
        for (inside, topics, how) in [
            (true, TOPICS, "the sites publish and receive"),
            (false, TOPICS, "publisher and subscriber beside them"),
            (true, TOPICS_MANY, "the same in the sites, of 100,000 topics in turn"),
        ] {
            let mut runs = Vec::new();
            let chosen = |offered: &&u64| rows.only.is_none_or(|only| only == (size, **offered));
            for &per_second in offers.iter().filter(chosen) {
                let measured = one(system, inside, Flow { size, per_second, millis: MILLIS, topics })?;
                println!("{size} B, {how}, {per_second}/s offered: {measured}");
                runs.push(measured);
            }
            if runs.is_empty() {
                continue;
            }
            let title = |what: &str| format!("(d) {size} B, {how}: {what}");
            let goal = if (size, inside, topics) == (64, true, TOPICS) { "8 M/s" } else { "" };
            let best = |runs: &mut dyn Iterator<Item = &Measured>| {
                let best = runs.max_by(|a, b| a.per_second.total_cmp(&b.per_second));
                best.map_or("–".to_owned(), Measured::to_string)
            };
            rows.add(
                &title("the most without loss"),
                goal,
                system,
                best(&mut runs.iter().filter(|run| run.lost < NONE_LOST)),
            );
            rows.add(&title("the most with loss"), "", system, best(&mut runs.iter()));
            rows.add(
                &title("as many offered as the publisher can"),
                "",
                system,
                best(&mut runs.last().into_iter()),
            );
        }
    }
    Ok(())
}

impl std::fmt::Display for Measured {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Measured { per_second, lost, lost_between, cpu: [from, to] } = self;
        write!(
            f,
            "{:.2} M/s, {lost:.1}% lost ({lost_between:.1}% between the sites), {from:.0} + {to:.0} ns",
            per_second / 1e6
        )
    }
}

fn one(system: System, inside: bool, flow: Flow) -> Outcome<Measured> {
    let mut scene = Scene::start(Setting { inside, ..Setting::new(system) })?;
    joined(&mut scene)?;
    begin(&mut scene, inside)?;
    let before = cpu(&mut scene)?;
    let publisher = match inside {
        true => scene.nodes.get_mut(FROM),
        false => scene.producers.get_mut(FROM),
    };
    let publisher = publisher.expect("each site has one").process();
    publisher.tell(&Ask::Publish(flow))?;
    let sent = match publisher.answer(LIMIT)? {
        Answer::Sent(sent) => sent,
        other => return Err(format!("the publisher says {other:?}")),
    };
    let after = cpu(&mut scene)?;
    std::thread::sleep(Duration::from_millis(500));
    let received = taken(&mut scene, inside)?;
    let crossed = crossed(&mut scene)?;
    if received.messages < 2 || received.backwards > 0 {
        return Err(format!("{} messages came, {} of them late", received.messages, received.backwards));
    }
    let seconds = (received.last - received.first) as f64 / 1e9;
    let each = |at: usize| (after[at] - before[at]).as_nanos() as f64 / crossed as f64;
    Ok(Measured {
        per_second: received.messages as f64 / seconds,
        lost: (1.0 - received.messages as f64 / sent as f64) * 100.0,
        lost_between: (1.0 - crossed as f64 / sent as f64) * 100.0,
        cpu: [each(0), each(1)],
    })
}

/// The other site wants the messages, and this is known.
fn begin(scene: &mut Scene, inside: bool) -> Outcome<()> {
    if !inside {
        subscribe(scene, TO, "load/")?;
        return told(scene, &[FROM], 1).map(|_| ());
    }
    let change = Ask::Change { socket: 0, subscribe: vec!["load/".to_owned()], cancel: vec![] };
    scene.nodes.get_mut(TO).expect("sites stay").process().ask(&change)?;
    let from = scene.nodes.get_mut(FROM).expect("sites stay").process();
    from.tell(&Ask::Known { sites: 1, prefixes: 1 })?;
    from.done(LIMIT).map(|_| ())
}

fn taken(scene: &mut Scene, inside: bool) -> Outcome<Received> {
    if !inside {
        return received(scene, TO);
    }
    match scene.nodes.get_mut(TO).expect("sites stay").process().ask(&Ask::Received)? {
        Answer::Received(received) => Ok(received),
        other => Err(format!("site {TO} says {other:?}")),
    }
}

/// Messages that have come to the other site.
fn crossed(scene: &mut Scene) -> Outcome<u64> {
    match scene.nodes.get_mut(TO).expect("sites stay").process().ask(&Ask::Status)? {
        Answer::Status(status) => {
            let from = status.sites.iter().find(|site| site.name == FROM);
            Ok(from.map_or(0, |site| site.received[0]))
        }
        other => Err(format!("site {TO} says {other:?}")),
    }
}
