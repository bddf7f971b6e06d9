//! (d) As many messages as go from one site to another.

use std::time::Duration;

use super::{LIMIT, Rows, cpu, joined, received, subscribe, told};
use crate::Outcome;
use crate::protocol::{Answer, Ask, Flow, Received};
use crate::scene::{Scene, Setting, System};

const MILLIS: u64 = 3_000;
/// Offered a second; 0 for as many as the publisher can. What is beyond the capacity costs time, and is missed.
const OFFERED: [u64; 6] = [0, 2_000_000, 4_000_000, 6_000_000, 8_000_000, 12_000_000];
const FROM: &str = "a";
const TO: &str = "b";

struct Measured {
    per_second: f64,
    lost: f64,
    cpu: [f64; 2],
}

pub(super) fn measure(system: System, rows: &mut Rows) -> Outcome<()> {
    for (size, goal) in [(64, "8 M/s"), (1024, "")] {
        for inside in [true, false] {
            let mut best: Option<Measured> = None;
            for offered in OFFERED {
                let measured = one(system, inside, Flow { size, per_second: offered, millis: MILLIS })?;
                if best.as_ref().is_none_or(|best| best.per_second < measured.per_second) {
                    best = Some(measured);
                }
            }
            let how = if inside {
                "the sites publish and receive"
            } else {
                "with publisher and subscriber processes"
            };
            let Some(Measured { per_second, lost, cpu: [from, to] }) = best else { continue };
            let value = format!("{:.2} M/s, {lost:.0}% lost, {from:.0} + {to:.0} ns", per_second / 1e6);
            let what = format!("(d) {size} B, {how}: messages/s, processor time of the two sites for each");
            rows.add(&what, if inside { goal } else { "" }, system, value);
        }
    }
    Ok(())
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
    if received.messages < 2 || received.backwards > 0 {
        return Err(format!("{} messages came, {} of them late", received.messages, received.backwards));
    }
    let seconds = (received.last - received.first) as f64 / 1e9;
    let each = |at: usize| (after[at] - before[at]).as_nanos() as f64 / received.messages as f64;
    Ok(Measured {
        per_second: received.messages as f64 / seconds,
        lost: (1.0 - received.messages as f64 / sent as f64) * 100.0,
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
