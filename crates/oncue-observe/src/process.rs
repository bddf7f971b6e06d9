//! The process, as the system counts it (proc(5)).

use std::fs;

use crate::schema::Process;

/// Linux counts processor time in these, 100 a second on every architecture (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

/// This process; `None` where there is no `/proc`.
pub(crate) fn read() -> Option<Process> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the program, in parentheses, may have any bytes.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<u64>().ok();
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let field = |name: &str| -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    Some(Process {
        // utime and stime, the 14th and 15th fields; the first two are before the parenthesis.
        cpu_seconds: (ticks(11)? + ticks(12)?) as f64 / TICKS_PER_SECOND,
        memory_bytes: field("VmRSS:")? * 1024,
        descriptors: fs::read_dir("/proc/self/fd").ok()?.count() as u64,
        threads: field("Threads:")?,
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn this_process_has_memory_threads_and_descriptors() {
        let process = super::read().expect("this is Linux");
        assert!(process.memory_bytes > 1 << 20 && process.threads >= 1 && process.descriptors >= 3);
        assert!(process.cpu_seconds >= 0.0 && process.cpu_seconds < 3600.0);
    }
}
