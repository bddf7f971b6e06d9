//! Where the scheduler puts the threads of two communicating processes: on one processor or on two. With two processors
//! this decides half of a round trip.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// The sampling interval.
const LOOK: Duration = Duration::from_millis(10);

/// Samples the placement of two processes.
pub struct Placement {
    over: Arc<AtomicBool>,
    watching: JoinHandle<(u32, u32)>,
}

impl Placement {
    /// Samples these processes until the result is requested.
    pub fn watch(one: u32, other: u32) -> Placement {
        let over = Arc::new(AtomicBool::new(false));
        let end = over.clone();
        let watching = std::thread::spawn(move || {
            let (mut together, mut looks) = (0, 0);
            while !end.load(Ordering::Relaxed) {
                std::thread::sleep(LOOK);
                if let (Some(one), Some(other)) = (processor(one), processor(other)) {
                    looks += 1;
                    together += u32::from(one == other);
                }
            }
            (together, looks)
        });
        Placement { over, watching }
    }

    /// The share of samples in which both were on one processor; `None` without samples.
    pub fn share_together(self) -> Option<f64> {
        self.over.store(true, Ordering::Relaxed);
        let (together, looks) = self.watching.join().expect("a look does not panic");
        (looks > 0).then(|| f64::from(together) / f64::from(looks))
    }
}

/// The processor on which the process's first thread, which sends and receives, ran last.
fn processor(id: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/task/{id}/stat")).ok()?;
    // The fields follow the name, which is in brackets and may contain anything; the processor is the 39th of all fields.
    stat.rsplit_once(')')?.1.split_whitespace().nth(36)?.parse().ok()
}
