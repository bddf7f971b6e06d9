//! A catalogue that a program prints, one topic a line.

use std::sync::{Mutex, PoisonError};

use oncue::demand::Pattern;

use super::runs::Output;
use super::{Place, invocation};
use crate::commands::serve::program::verdict::{End, Failed};
use crate::config::Runs;
use crate::output::counted;
use crate::record::Subject;

/// Lists the topics of a route.
pub(crate) struct Lister {
    pub(crate) place: Place,
    pub(crate) pattern: Pattern,
    pub(crate) listing: Runs,
    /// The last list; it stays in force when a run fails.
    pub(crate) last: Mutex<Vec<Vec<u8>>>,
}

impl Lister {
    /// Runs the program. Returns the topics that it prints; if it fails, those of the last run that did not.
    pub(crate) fn list(&self) -> Vec<Vec<u8>> {
        let listed = self.run();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(listed) = listed {
            *last = listed;
        }
        last.clone()
    }

    fn run(&self) -> Option<Vec<Vec<u8>>> {
        let tools = &self.place.tools;
        let (program, timeout) = (&self.listing.program, Some(self.listing.timeout));
        let mut command = invocation::topicless_command(&tools.launcher, program);
        let mut output = Output::new(&self.listing);
        let stopped = || tools.end.available();
        let (end, _) =
            self.place.run(program, &mut command, &mut output, Subject::Catalogue, timeout, stopped);
        match end {
            End::Done => Some(self.topics(&output.bytes)),
            End::Stopped => None,
            End::Failed(Failed { reason, why }) => {
                let failed = Failed::new(reason, format!("{why}; the list stays as it was"));
                self.place.failed(Subject::Catalogue, Some(program), &failed);
                None
            }
        }
    }

    /// The lines that are topics of the route.
    fn topics(&self, output: &[u8]) -> Vec<Vec<u8>> {
        let mut foreign = 0;
        let lines = output.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let ours = lines.filter(|line| {
            let ours = self.pattern.matches(line);
            foreign += u64::from(!ours);
            ours
        });
        let topics = ours.map(<[u8]>::to_vec).collect();
        if foreign > 0 {
            let lines = counted(foreign, "line");
            self.place.log.about(Subject::Catalogue, &format!("skipped {lines} with no topic of the route"));
        }
        topics
    }
}
