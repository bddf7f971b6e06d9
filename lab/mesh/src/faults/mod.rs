//! The fault run: faults at random while subscribers change what they want; after each, and while it lasts, what producers are
//! told is compared with what is true.

mod kinds;
mod quiet;
mod report;
mod wear;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use oncue_testing::Rng;

use crate::Outcome;
use crate::scene::{Scene, Setting, State, System};
use kinds::{Fault, Kind, kinds};
use quiet::Quiet;
pub(crate) use quiet::settle;
use wear::Wear;

/// Prefixes that are subscribed to, or cancelled, at once now and then.
const BULK: usize = 300;

/// How often a scene is begun until it is right before any fault.
const BEGINNINGS_MAX: usize = 20;

/// What is run.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    /// The systems, one after the other, with the same seed.
    pub(crate) systems: Vec<System>,
    /// Faults, for each system.
    pub(crate) faults: usize,
    /// It ends after this time, for each system.
    pub(crate) longest: Duration,
    /// Of all that is random.
    pub(crate) seed: u64,
    /// How long a site or a peer may be silent.
    pub(crate) timeout: Duration,
    /// How long after a fault, beyond the timeout, what is told may be wrong.
    pub(crate) patience: Duration,
    /// A Python with pyzmq.
    pub(crate) python: Option<PathBuf>,
    /// Says each fault as it happens.
    pub(crate) verbose: bool,
    /// Whether a site, its producer and a router are never killed, and must not hold more and more.
    pub(crate) wear: bool,
}

/// After what a comparison is made; in the order of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum After {
    /// Changes alone, before any fault.
    Begin,
    /// A fault.
    One(Kind),
    /// Two faults at once.
    Two,
}

/// A comparison at a quiet point.
struct Point {
    after: After,
    /// What happened, and where.
    what: String,
    /// While the fault lasts, or after it.
    during: bool,
    quiet: Quiet,
}

/// Runs all systems, and prints the tables. Returns whether a mesh told no producer anything wrong, and has not worn out.
pub(crate) fn run(run: &Run) -> Outcome<bool> {
    println!(
        "seed {}, timeout {} ms, exact within {} ms after it",
        run.seed,
        run.timeout.as_millis(),
        run.patience.as_millis()
    );
    let (mut results, mut all_fine) = (Vec::new(), true);
    for &system in &run.systems {
        let begin = Instant::now();
        let (points, wear) = one(run, system)?;
        all_fine &= !run.wear || wear.print();
        results.push((system, points, begin.elapsed()));
    }
    report::print(&results);
    let meshes = results.iter().filter(|(system, ..)| !matches!(system, System::Libzmq(_)));
    Ok(meshes.flat_map(|(_, points, _)| points).all(|point| point.quiet.wrong.is_none()) && all_fine)
}

fn one(run: &Run, system: System) -> Outcome<(Vec<Point>, Wear)> {
    let setting = Setting {
        timeout: run.timeout,
        subscribers: 2,
        sockets: 3,
        fragile: true,
        python: run.python.clone(),
        ..Setting::new(system)
    };
    let mut rng = Rng::new(run.seed);
    let begin = Instant::now();
    let limit = run.timeout + run.patience;
    let (mut points, mut wear) = (Vec::new(), Wear::default());
    let mut scene = begun(&setting, &mut rng, limit, &mut points)?;
    for number in 0..run.faults {
        if begin.elapsed() > run.longest {
            println!("{}: {number} of {} faults in the time given", system.title(), run.faults);
            break;
        }
        let faults = draw(&scene, &mut rng, run.wear);
        if run.verbose {
            eprintln!("{} {number}: {}", system.title(), named(&faults));
        }
        let before = points.len();
        happen(&mut scene, faults, limit, &mut rng, &mut points)?;
        if points[before..].iter().any(|point| point.quiet.wrong.is_some()) {
            // A difference that stays would be counted again at each point that follows.
            drop(scene);
            scene = begun(&setting, &mut rng, limit, &mut points)?;
            // Of other processes.
            wear = Wear::default();
        } else if run.wear {
            wear.note(&mut scene);
        }
    }
    Ok((points, wear))
}

/// A scene in which something is wanted, and known. One that is wrong before any fault counts, and another one is begun.
fn begun(setting: &Setting, rng: &mut Rng, limit: Duration, points: &mut Vec<Point>) -> Outcome<Scene> {
    for _ in 0..BEGINNINGS_MAX {
        let mut scene = Scene::start(setting.clone())?;
        for _ in 0..100 {
            change(&mut scene, rng)?;
        }
        let quiet = settle(&mut scene, limit)?;
        let is_right = quiet.wrong.is_none();
        points.push(Point { after: After::Begin, what: "the begin".to_owned(), during: false, quiet });
        if is_right {
            return Ok(scene);
        }
    }
    Err(format!("{}: wrong before any fault, {BEGINNINGS_MAX} times", setting.system.title()))
}

/// One fault, or two. If `spares`, none that kills a process that must stay.
fn draw(scene: &Scene, rng: &mut Rng, spares: bool) -> Vec<Fault> {
    let mut faults = vec![draw_one(scene, rng, spares)];
    if rng.one_in(4) {
        let other = draw_one(scene, rng, spares);
        if faults[0].goes_with(&other) {
            faults.push(other);
        }
    }
    faults
}

fn draw_one(scene: &Scene, rng: &mut Rng, spares: bool) -> Fault {
    let kinds = kinds(scene.setting.system);
    loop {
        let fault = Fault::random(kinds[rng.below(kinds.len())], scene, rng);
        if !(spares && fault.kills([wear::STAYS, wear::ROUTER])) {
            return fault;
        }
    }
}

fn named(faults: &[Fault]) -> String {
    let names = faults.iter().map(|fault| format!("{} ({})", kinds::title(fault.kind), fault.place()));
    names.collect::<Vec<_>>().join(" and ")
}

fn happen(
    scene: &mut Scene,
    faults: Vec<Fault>,
    limit: Duration,
    rng: &mut Rng,
    points: &mut Vec<Point>,
) -> Outcome<()> {
    let after = if let [fault] = &faults[..] { After::One(fault.kind) } else { After::Two };
    let point = |during, quiet| Point { after, what: named(&faults), during, quiet };
    changes(scene, rng)?;
    for fault in &faults {
        fault.begin(scene, rng)?;
    }
    changes(scene, rng)?;
    if faults.iter().any(Fault::lasts) {
        let quiet = settle(scene, limit)?;
        points.push(point(true, quiet));
        changes(scene, rng)?;
    }
    for fault in &faults {
        if fault.lasts() {
            fault.end(scene)?;
        }
    }
    changes(scene, rng)?;
    let quiet = settle(scene, limit)?;
    points.push(point(false, quiet));
    match scene.lost() {
        Some(node) => Err(format!("site {node} has ended by itself")),
        None => Ok(()),
    }
}

/// Up to 10 changes, of whichever subscribers live.
fn changes(scene: &mut Scene, rng: &mut Rng) -> Outcome<()> {
    for _ in 0..rng.below(11) {
        change(scene, rng)?;
    }
    Ok(())
}

/// Prefixes that several sites want, of which some begin with others, prefixes that one socket alone wants, and now and then
/// hundreds of these at a time.
pub(crate) fn change(scene: &mut Scene, rng: &mut Rng) -> Outcome<()> {
    let (subscriber, socket) = (rng.below(scene.subscribers.len()), rng.below(scene.setting.sockets));
    if scene.subscribers[subscriber].part.state != State::Up {
        return Ok(());
    }
    let deep = if rng.one_in(2) { "/x" } else { "" };
    let prefixes = match rng.below(20) {
        0 => (0..BULK).map(|number| format!("many/{subscriber}.{socket}/{number}")).collect(),
        1..8 => vec![format!("shared/{}{deep}", rng.below(10))],
        _ => vec![format!("own/{subscriber}.{socket}/{}{deep}", rng.below(4))],
    };
    scene.change(subscriber, socket, prefixes)
}
