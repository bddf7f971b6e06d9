//! (c) A site dies: until the producers of the others are told that nobody there wants anything.

use std::time::Duration;

use super::{Rows, joined, told};
use crate::Outcome;
use crate::clock::now;
use crate::forwarder::Mode;
use crate::protocol::Ask;
use crate::scene::{Scene, Setting, System};

/// What the dying site wants.
const PREFIXES: usize = 10;
const ROUNDS: usize = 5;
const DYING: &str = "c";
const OTHERS: [&str; 2] = ["a", "b"];

pub(super) fn measure(system: System, rows: &mut Rows) -> Outcome<()> {
    let mut scene = Scene::start(Setting { fragile: true, ..Setting::new(system) })?;
    joined(&mut scene)?;
    let subscriber = scene.subscribers.iter_mut().find(|subscriber| subscriber.site == DYING);
    let declare = Ask::Declare { stem: "x/".to_owned(), count: PREFIXES };
    subscriber.expect("each site has one").part.process().ask(&declare)?;
    let timeout = scene.setting.timeout;
    let within = format!("timeout, {:.1} s", timeout.as_secs_f64());
    let title = |what: &str| format!("(c) {what}: noticed after, median / longest of {ROUNDS}");
    let site = |scene: &mut Scene, act: fn(&mut crate::scene::Part)| {
        act(scene.nodes.get_mut(DYING).expect("sites stay"));
    };
    let revive = |scene: &mut Scene| scene.nodes.get_mut(DYING).expect("sites stay").revive();
    let killed = rounds(&mut scene, |scene| site(scene, crate::scene::Part::kill), revive)?;
    rows.add(&title("SIGKILL of a site"), "50 ms", system, killed);
    let stopped = rounds(&mut scene, |scene| site(scene, crate::scene::Part::stop), revive)?;
    rows.add(&title("SIGSTOP of a site"), &within, system, stopped);
    let repaired = |scene: &mut Scene| {
        links(scene, Mode::Pass);
        Ok(())
    };
    let cut = rounds(&mut scene, |scene| links(scene, Mode::Cut), repaired)?;
    rows.add(&title("its links are cut, connections closed"), "", system, cut);
    let dead = rounds(&mut scene, |scene| links(scene, Mode::Dead), repaired)?;
    rows.add(&title("its links are dead"), &within, system, dead);
    Ok(())
}

fn links(scene: &mut Scene, mode: Mode) {
    for (_, wire) in scene.links.iter_mut().filter(|((a, b), _)| a == DYING || b == DYING) {
        wire.set(mode);
    }
}

fn rounds(
    scene: &mut Scene,
    mut begin: impl FnMut(&mut Scene),
    end: impl Fn(&mut Scene) -> Outcome<()>,
) -> Outcome<String> {
    let mut took = Vec::new();
    for _ in 0..ROUNDS {
        told(scene, &OTHERS, PREFIXES)?;
        // All that was repaired before is at rest.
        std::thread::sleep(Duration::from_millis(1000));
        let at = now();
        begin(scene);
        took.push(told(scene, &OTHERS, 0)?.saturating_sub(at));
        end(scene)?;
    }
    took.sort_unstable();
    Ok(format!("{:.0} / {:.0} ms", took[ROUNDS / 2] as f64 / 1e6, took[ROUNDS - 1] as f64 / 1e6))
}
