//! Each rule by itself, and all of them in a network with faults.
use alloc::vec::Vec;
use core::time::Duration;

use super::{Log, Output, Quotas, Sites};

mod codec;
mod data;
mod faults;
mod gaps;
mod lives;
mod log;
mod network;
mod quotas;
mod scale;

/// Large enough for all changes of a test.
const DELTA_BYTES: usize = 1 << 20;
const TIMEOUT: Duration = ms(2000);

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A log that has told these changes, each in a delta.
fn told(epoch: u64, changes: &[(&str, bool)]) -> (Log, Vec<Vec<u8>>) {
    let mut log = Log::new(epoch, 1);
    let deltas = changes.iter().map(|&(prefix, wanted)| tell(&mut log, prefix, wanted)).collect();
    (log, deltas)
}

/// The delta of one more change.
fn tell(log: &mut Log, prefix: &str, wanted: bool) -> Vec<u8> {
    assert_eq!(log.change(prefix.as_bytes(), wanted), Ok(true));
    log.take_delta(DELTA_BYTES).expect("there is a change")
}

/// The site `rome`, of epoch 50.
fn rome(quotas: Quotas) -> Sites {
    Sites::new("rome", 50, TIMEOUT, quotas, 3)
}

/// A site that has asked `paris` for its snapshot and got it.
fn following(log: &Log, quotas: Quotas) -> Sites {
    let mut sites = rome(quotas);
    sites.token("paris", log.epoch(), true, ms(0)).unwrap();
    sites.snapshot("paris", log.epoch(), Some(&log.snapshot()), ms(0)).unwrap();
    outputs(&mut sites);
    sites
}

fn outputs(sites: &mut Sites) -> Vec<Output> {
    core::iter::from_fn(|| sites.pop()).collect()
}

fn up(epoch: u64) -> Output {
    Output::Up { site: "paris".into(), epoch }
}

fn ask(epoch: u64) -> Output {
    Output::Ask { site: "paris".into(), epoch }
}

fn down(epoch: u64, why: super::Why) -> Output {
    Output::Down { site: "paris".into(), epoch, why }
}

fn changes(epoch: u64, changes: &[(&str, bool)]) -> Output {
    let changes = changes.iter().map(|&(prefix, wanted)| (prefix.into(), wanted)).collect();
    Output::Changes { site: "paris".into(), epoch, changes }
}

/// What is in force of `paris`, sorted.
fn force(sites: &Sites) -> Vec<&str> {
    let mut force: Vec<&str> =
        sites.prefixes("paris").map(|prefix| core::str::from_utf8(prefix).unwrap()).collect();
    force.sort_unstable();
    force
}
