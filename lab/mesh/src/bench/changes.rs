//! (b) Each site changes what it wants 1,000 times a second.

use super::{LIMIT, Rows, cpu, joined, quantile, told};
use crate::Outcome;
use crate::protocol::{Answer, Ask};
use crate::scene::{SITES, Scene, Setting, System};

/// Prefixes that each site wants all the time.
const BACKGROUND: usize = 1_000;
const PER_SECOND: u64 = 1_000;
const MILLIS: u64 = 10_000;

pub(super) fn measure(system: System, rows: &mut Rows) -> Outcome<()> {
    let mut scene = Scene::start(Setting::new(system))?;
    joined(&mut scene)?;
    for subscriber in &mut scene.subscribers {
        let stem = format!("{}/", subscriber.site);
        subscriber.part.process().ask(&Ask::Declare { stem, count: BACKGROUND })?;
    }
    told(&mut scene, &SITES, SITES.len() * BACKGROUND)?;
    let before = cpu(&mut scene)?;
    for subscriber in &mut scene.subscribers {
        let stem = format!("churn/{}/", subscriber.site);
        subscriber.part.process().tell(&Ask::Churn { stem, per_second: PER_SECOND, millis: MILLIS })?;
    }
    for subscriber in &mut scene.subscribers {
        subscriber.part.process().done(LIMIT)?;
    }
    let after = cpu(&mut scene)?;
    // All that came is gone again: nothing was lost.
    told(&mut scene, &SITES, SITES.len() * BACKGROUND)?;
    let mut latencies = Vec::new();
    for (site, producer) in &mut scene.producers {
        match producer.process().ask(&Ask::Latencies(format!("churn/{site}/")))? {
            Answer::Latencies(of_site) => latencies.extend(of_site),
            other => return Err(format!("the producer of {site} says {other:?}")),
        }
    }
    let spent = after.iter().zip(before).map(|(after, before)| (*after - before).as_secs_f64());
    let share = spent.sum::<f64>() / SITES.len() as f64 / (MILLIS as f64 / 1000.0) * 100.0;
    let title = |what: &str| format!("(b) 1,000 changes/s at each site: {what}");
    rows.add(&title("processor of a site"), "20%", system, format!("{share:.0}%"));
    let (p50, p99) = (quantile(&mut latencies, 0.5), quantile(&mut latencies, 0.99));
    let value = format!("{p50:.2} / {p99:.2} ms");
    rows.add(&title("subscriber to producer of another site, p50 / p99"), "p99 2 ms", system, value);
    Ok(())
}
