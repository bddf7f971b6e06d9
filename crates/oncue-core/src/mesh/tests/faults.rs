//! Random faults in a network in virtual time: at any time nothing is in force that its site never wanted, and soon after the last fault
//! every site knows exactly what every other one wants.
use alloc::format;
use alloc::vec::Vec;

use super::super::Quotas;
use super::network::{Network, SECOND, Time, Weather};
use oncue_testing::{Rng, for_seeds};

/// After this time without faults all is exact: the longest pause between questions, a question that was lost before, a heartbeat,
/// and the answers.
const EXACT: Time = 6 * SECOND;
/// How often what must always hold is checked.
const STEP: Time = SECOND / 10;

/// What fails: one in so many steps.
struct Faults {
    /// Different prefixes that a site may want.
    prefixes: usize,
    changes: usize,
    deaths: usize,
    pauses: usize,
    cuts: usize,
    heals: usize,
}

/// Any site but the first one fails as any other does.
fn step(network: &mut Network, faults: &Faults) {
    let count = network.sites.len();
    for _ in 0..network.rng.below(1 + 2 * faults.changes) {
        let n = network.rng.below(count);
        let prefix = prefix(network.rng.below(faults.prefixes));
        let wanted = network.rng.one_in(2);
        network.change(n, prefix, wanted);
    }
    let n = network.rng.below(count);
    if network.rng.one_in(faults.deaths) {
        match network.sites[n].alive {
            true => network.kill(n),
            false => network.start(n),
        }
    }
    if network.rng.one_in(faults.pauses) && network.sites[n].alive {
        match network.sites[n].paused {
            None => network.pause(n),
            Some(_) => network.resume(n),
        }
    }
    if network.rng.one_in(faults.cuts) {
        cut(network);
    }
    if network.rng.one_in(faults.heals) {
        network.heal();
    }
}

/// Cuts one link, one site from all, or the sites into two halves.
fn cut(network: &mut Network) {
    let count = network.sites.len();
    let (a, b, kind) = (network.rng.below(count), network.rng.below(count), network.rng.below(3));
    for (one, other) in (0..count).flat_map(|one| (0..one).map(move |other| (one, other))) {
        let parts = match kind {
            0 => (one, other) == (a.max(b), a.min(b)),
            1 => one == a || other == a,
            _ => (one < a) != (other < a),
        };
        if parts {
            network.cut(one, other);
        }
    }
}

fn prefix(n: usize) -> Vec<u8> {
    if n == 0 { Vec::new() } else { format!("topic/{n}").into_bytes() }
}

fn run(network: &mut Network, time: Time, faults: Option<&Faults>) {
    let end = network.now + time;
    while network.now < end {
        if let Some(faults) = faults {
            step(network, faults);
        }
        network.run_until(network.now + STEP);
        network.check();
    }
}

/// No more faults: after a while all is exact.
fn settle(network: &mut Network) {
    network.heal();
    network.weather = Weather::CALM;
    for n in 0..network.sites.len() {
        network.resume(n);
    }
    run(network, EXACT, None);
    assert_eq!(network.difference(), None);
}

fn storm(rng: &mut Rng) -> Weather {
    let often = |rng: &mut Rng| if rng.one_in(3) { 0 } else { 2 + rng.below(20_usize) };
    let longest: Time = [1000, 20_000, 800_000][rng.below(3_usize)];
    let most = 1 + rng.below(longest);
    Weather { loss: often(rng), repeat: often(rng), delay: (0, most) }
}

#[test]
fn three_sites_over_any_channel_agree_when_it_is_quiet() {
    for_seeds(150, |rng| {
        let faults = Faults {
            prefixes: 12,
            changes: 1 + rng.below(4_usize),
            deaths: 30,
            pauses: 20,
            cuts: 25,
            heals: 15,
        };
        let quotas = Quotas {
            prefixes: if rng.one_in(2) { 4 } else { 1000 },
            pending_bytes: if rng.one_in(2) { 300 } else { 1 << 20 },
            ..Quotas::default()
        };
        let mut network = Network::new(Rng::new(rng.next()), 3, 3, &quotas);
        (0..3).for_each(|n| network.start(n));
        // Miri is some hundred times slower.
        let (rounds, time) = if cfg!(miri) { (1, SECOND) } else { (3, 8 * SECOND) };
        for _ in 0..rounds {
            network.weather = storm(rng);
            run(&mut network, time, Some(&faults));
            settle(&mut network);
        }
    });
}

#[test]
#[cfg_attr(miri, ignore = "the three sites run the same code")]
fn thirty_sites_agree_at_each_quiet_point_of_ten_minutes() {
    let mut network = Network::new(Rng::new(17), 30, 30, &Quotas::default());
    let faults = Faults { prefixes: 40, changes: 10, deaths: 20, pauses: 20, cuts: 40, heals: 30 };
    (0..30).for_each(|n| network.start(n));
    for _ in 0..10 {
        network.weather = Weather { loss: 50, repeat: 50, delay: (500, 20_000) };
        run(&mut network, 54 * SECOND, Some(&faults));
        settle(&mut network);
    }
    assert!(network.tally.snapshots.0 > 1000, "there were faults: {:?}", network.tally);
}

/// What one site knows depends on no other one that looks too, so few need to look.
#[test]
#[cfg_attr(miri, ignore = "the three sites run the same code")]
fn of_a_thousand_sites_some_know_all_at_each_quiet_point() {
    let mut network = Network::new(Rng::new(18), 1000, 3, &Quotas { sites: 1000, ..Quotas::default() });
    let faults = Faults { prefixes: 20, changes: 50, deaths: 1, pauses: 2, cuts: 20, heals: 10 };
    (0..1000).for_each(|n| network.start(n));
    for _ in 0..3 {
        network.weather = Weather { loss: 100, repeat: 100, delay: (500, 5000) };
        run(&mut network, 10 * SECOND, Some(&faults));
        settle(&mut network);
    }
}
