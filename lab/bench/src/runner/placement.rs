//! Where the scheduler puts the threads of two processes that talk to one another: on one processor or on two. With two
//! processors it decides half of a round trip.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often it is looked.
const LOOK: Duration = Duration::from_millis(10);

/// A watch over two processes.
pub struct Placement {
    over: Arc<AtomicBool>,
    watching: JoinHandle<(u32, u32)>,
}

impl Placement {
    /// Watches these processes until it is asked for the result.
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

    /// In which share of the looks both were on one processor; `None` if there was no look.
    pub fn share_together(self) -> Option<f64> {
        self.over.store(true, Ordering::Relaxed);
        let (together, looks) = self.watching.join().expect("a look does not panic");
        (looks > 0).then(|| f64::from(together) / f64::from(looks))
    }
}

/// The processor on which the process's first thread, which sends and receives, ran last.
fn processor(id: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/task/{id}/stat")).ok()?;
    // The fields follow the name, which may hold anything, in brackets; the processor is the 39th of all.
    stat.rsplit_once(')')?.1.split_whitespace().nth(36)?.parse().ok()
}
