//! (f) One site is stopped beside a healthy one: what each of them loses, and whether it is told.

use std::thread::sleep;
use std::time::Duration;

use super::{LIMIT, Rows, joined, received, subscribe, told};
use crate::Outcome;
use crate::protocol::{Answer, Ask, Flow, Other, Received};
use crate::scene::{Scene, Setting, System};

const FLOW: Flow = Flow { size: 1024, per_second: 20_000, millis: 12_000, topics: 100 };
/// The site is stopped after `BEFORE`, for `STOPPED`.
const BEFORE: Duration = Duration::from_secs(2);
const STOPPED: Duration = Duration::from_secs(6);
const FROM: &str = "a";
const HEALTHY: &str = "b";
const STOPPING: &str = "c";

pub(super) fn measure(system: System, rows: &mut Rows) -> Outcome<()> {
    // Below the timeout the stopped site keeps its demand, so each message that it does not get is missed. Beyond it the site
    // wants nothing until it is back.
    for (timeout, what) in [(20, "below the timeout"), (2, "beyond the timeout")] {
        one(system, Duration::from_secs(timeout), what, rows)?;
    }
    Ok(())
}

fn one(system: System, timeout: Duration, what: &str, rows: &mut Rows) -> Outcome<()> {
    let mut scene = Scene::start(Setting { timeout, ..Setting::new(system) })?;
    joined(&mut scene)?;
    subscribe(&mut scene, HEALTHY, "load/")?;
    subscribe(&mut scene, STOPPING, "load/")?;
    told(&mut scene, &[FROM], 1)?;
    let from = scene.nodes.get_mut(FROM).expect("sites stay").process();
    from.tell(&Ask::Known { sites: 2, prefixes: 1 })?;
    from.done(LIMIT)?;
    scene.producers.get_mut(FROM).expect("each site has one").process().tell(&Ask::Publish(FLOW))?;
    sleep(BEFORE);
    let stopping = scene.nodes.get_mut(STOPPING).expect("sites stay");
    stopping.stop();
    sleep(STOPPED);
    stopping.revive()?;
    let sent = match scene.producers.get_mut(FROM).expect("each site has one").process().answer(LIMIT)? {
        Answer::Sent(sent) => sent,
        other => return Err(format!("the producer says {other:?}")),
    };
    sleep(Duration::from_secs(3));
    let (healthy, stopped) = (received(&mut scene, HEALTHY)?, received(&mut scene, STOPPING)?);
    let title = |of: &str| format!("(f) a site stopped {what} at 20 k/s of 1 KiB: {of}");
    let healthy = tally(&mut scene, HEALTHY, sent, &healthy)?;
    rows.add(&title("not received at the healthy site"), "0", system, healthy);
    let goal = if timeout > STOPPED { "all counted" } else { "" };
    let stopped = tally(&mut scene, STOPPING, sent, &stopped)?;
    rows.add(&title("not received at the stopped site"), goal, system, stopped);
    Ok(())
}

/// What a subscriber did not get, and who knows of it.
fn tally(scene: &mut Scene, site: &str, sent: u64, received: &Received) -> Outcome<String> {
    let at_source = known(scene, FROM, site)?;
    let at_site = known(scene, site, FROM)?;
    Ok(format!(
        "{} of {sent}; the site counted {}, told its subscriber {}; before it was sent {}",
        sent - received.messages,
        at_site.lost,
        received.missed,
        at_source.missed
    ))
}

/// What a site knows of another one.
fn known(scene: &mut Scene, site: &str, other: &str) -> Outcome<Other> {
    match scene.nodes.get_mut(site).expect("sites stay").process().ask(&Ask::Status)? {
        Answer::Status(status) => {
            let of_other = status.sites.into_iter().find(|known| known.name == other);
            of_other.ok_or(format!("{site} does not know {other}"))
        }
        answer => Err(format!("site {site} says {answer:?}")),
    }
}
