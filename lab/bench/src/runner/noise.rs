//! How much of the machine other processes used during a run: distinguishes a slow run from a disturbed one.

use rustix::param::clock_ticks_per_second;

use crate::Outcome;

/// A snapshot of the time counters of all processors, in ticks.
pub struct Noise {
    busy: f64,
    total: f64,
    ours: f64,
}

impl Noise {
    /// Takes a snapshot now.
    pub fn look() -> Outcome<Noise> {
        let stat = std::fs::read_to_string("/proc/stat")?;
        let all = stat.lines().next().unwrap_or_default();
        // user, nice, system, idle, waiting for a disk, interrupts (two kinds), stolen by the host.
        let ticks: Vec<f64> =
            all.split_whitespace().skip(1).take(8).filter_map(|word| word.parse().ok()).collect();
        let total: f64 = ticks.iter().sum();
        let idle: f64 = ticks.iter().skip(3).take(2).sum();
        let own = std::fs::read_to_string("/proc/self/stat")?;
        let own = own.rsplit(')').next().unwrap_or_default();
        // User and system time of this process and of its ended children.
        let own: Vec<f64> =
            own.split_whitespace().skip(11).take(4).filter_map(|word| word.parse().ok()).collect();
        Ok(Noise { busy: total - idle, total, ours: own.iter().sum() })
    }

    /// The share of all processors that other processes have used since `before`, in percent.
    pub fn since(&self, before: &Noise) -> f64 {
        let others = (self.busy - before.busy) - (self.ours - before.ours);
        (others / (self.total - before.total).max(1.0) * 100.0).clamp(0.0, 100.0)
    }
}

/// Processor time that a process has used so far, in seconds.
pub fn cpu_seconds(id: u32) -> Outcome<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks: Vec<f64> =
        after_name.split_whitespace().skip(11).take(2).filter_map(|word| word.parse().ok()).collect();
    Ok(ticks.iter().sum::<f64>() / clock_ticks_per_second() as f64)
}
