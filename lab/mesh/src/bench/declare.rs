//! (a) Each of three sites wants many prefixes at once: until all know all.

use super::{LIMIT, Rows, cpu, joined, told};
use crate::Outcome;
use crate::protocol::Ask;
use crate::scene::{SITES, Scene, Setting, System};

pub(super) fn measure(system: System, rows: &mut Rows) -> Outcome<()> {
    for count in [1_000, 10_000, 100_000] {
        one(system, count, rows)?;
    }
    Ok(())
}

fn one(system: System, count: usize, rows: &mut Rows) -> Outcome<()> {
    let mut scene = Scene::start(Setting::new(system))?;
    joined(&mut scene)?;
    let memory = memories(&mut scene)?;
    let before = cpu(&mut scene)?;
    for site in SITES {
        let known = Ask::Known { sites: SITES.len() - 1, prefixes: count };
        scene.nodes.get_mut(site).expect("sites stay").process().tell(&known)?;
    }
    for subscriber in &mut scene.subscribers {
        let stem = format!("{}/", subscriber.site);
        subscriber.part.process().tell(&Ask::Declare { stem, count })?;
    }
    let mut begin = u64::MAX;
    for subscriber in &mut scene.subscribers {
        begin = begin.min(subscriber.part.process().done(LIMIT)?);
    }
    let mut known = 0;
    for site in SITES {
        known = known.max(scene.nodes.get_mut(site).expect("sites stay").process().done(LIMIT)?);
    }
    let all = told(&mut scene, &SITES, SITES.len() * count)?;
    let after = cpu(&mut scene)?;
    let grown =
        memories(&mut scene)?.into_iter().zip(memory).map(|(after, before)| after.saturating_sub(before));
    let grown = grown.sum::<u64>() as f64 / SITES.len() as f64;
    let spent = after.iter().zip(before).map(|(after, before)| (*after - before).as_secs_f64());
    let title = |what: &str| format!("(a) {} k prefixes at each site: {what}", count / 1000);
    let goal = if count == 100_000 { "0.3 s" } else { "" };
    let seconds = |until: u64| format!("{:.3} s", (until.saturating_sub(begin)) as f64 / 1e9);
    rows.add(&title("all sites know all"), goal, system, seconds(known));
    rows.add(&title("all producers are told of all"), "", system, seconds(all));
    let cpu = format!("{:.2} s", spent.sum::<f64>() / SITES.len() as f64);
    rows.add(&title("processor time of a site"), "", system, cpu);
    let each = grown / (SITES.len() * count) as f64;
    rows.add(&title("memory of a site for each of all prefixes"), "", system, format!("{each:.0} B"));
    Ok(())
}

fn memories(scene: &mut Scene) -> Outcome<Vec<u64>> {
    SITES.iter().map(|&site| scene.nodes.get_mut(site).expect("sites stay").process().memory()).collect()
}
