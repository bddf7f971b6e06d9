//! What the library tells, as lines of the log.

use std::time::{Duration, Instant};

use oncue_mesh::MeshEvent;

use crate::output::counted;
use crate::pace::Limiter;
use crate::record::{Level, Record};

/// How many lines about other sites there may be at once: all of a large mesh come when this one starts.
const LINES_BURST: u32 = 1000;
/// The time in which another one is earned. Sites come and go as they like, so they must not fill a disk.
const LINE_PERIOD: Duration = Duration::from_secs(1);

/// Writes lines about events. Those that others cause are bounded in rate.
pub(crate) struct Teller(Limiter);

impl Teller {
    pub(crate) fn new() -> Teller {
        Teller(Limiter::new(LINES_BURST, LINE_PERIOD))
    }

    /// Writes a line about an event, if there may be one.
    pub(crate) fn tell(&mut self, event: &MeshEvent, record: impl Fn(&Record<'_>)) {
        let of_others =
            !matches!(event, MeshEvent::Connected { .. } | MeshEvent::Disconnected(_) | MeshEvent::Ended(_));
        let dropped = if of_others { self.0.admit(Instant::now()) } else { Some(0) };
        let Some(dropped) = dropped else { return };
        if dropped > 0 {
            let text = format!("{} about other sites dropped before this one", counted(dropped, "line"));
            record(&Record { event: Some("remarks_dropped"), ..Record::new(Level::Warning, &text) });
        }
        tell(event, record);
    }
}

fn tell(event: &MeshEvent, record: impl Fn(&Record<'_>)) {
    let (level, name, site, text) = match event {
        MeshEvent::Connected { epoch } => {
            (Level::Info, "mesh_connected", None, format!("in the mesh (epoch {epoch})"))
        }
        MeshEvent::Disconnected(why) => {
            (Level::Warning, "mesh_disconnected", None, format!("not in the mesh: {why}; trying again"))
        }
        MeshEvent::Ended(why) => (Level::Error, "mesh_ended", None, format!("left the mesh for good: {why}")),
        MeshEvent::Joined { site, epoch } => {
            (Level::Info, "site_joined", Some(site), format!("site {site} joined (epoch {epoch})"))
        }
        MeshEvent::Live { site, prefixes } => {
            let noun = if *prefixes == 1 { "prefix" } else { "prefixes" };
            (Level::Info, "site_live", Some(site), format!("site {site} wants {prefixes} {noun}"))
        }
        MeshEvent::Silent { site } => {
            let text = format!("site {site} is silent: its demand is dropped until it is heard again");
            (Level::Warning, "site_silent", Some(site), text)
        }
        MeshEvent::Left { site } => (Level::Info, "site_left", Some(site), format!("site {site} left")),
        MeshEvent::Warning(why) => (Level::Warning, "mesh_warning", None, why.clone()),
        _ => return,
    };
    record(&Record { event: Some(name), site: site.map(String::as_str), ..Record::new(level, &text) });
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn lines_that_others_cause_are_bounded_and_those_of_this_site_are_not() {
        let said = RefCell::new(Vec::new());
        let record = |record: &Record<'_>| said.borrow_mut().push(record.message.to_owned());
        let mut teller = Teller(Limiter::new(2, Duration::from_secs(3600)));
        for epoch in 0..9 {
            teller.tell(&MeshEvent::Joined { site: "x".into(), epoch }, record);
            teller.tell(&MeshEvent::Left { site: "x".into() }, record);
        }
        assert_eq!(*said.borrow(), ["site x joined (epoch 0)", "site x left"]);
        teller.tell(&MeshEvent::Connected { epoch: 7 }, record);
        assert_eq!(said.borrow().last().unwrap(), "in the mesh (epoch 7)");
        let period = Duration::from_millis(50);
        let mut quick = Teller(Limiter::new(1, period));
        let now = Instant::now();
        while quick.0.admit(now).is_some() {}
        std::thread::sleep(2 * period);
        quick.tell(&MeshEvent::Silent { site: "x".into() }, record);
        let said = said.borrow();
        let (before, last) = (&said[said.len() - 2], &said[said.len() - 1]);
        assert!(
            before == "1 line about other sites dropped before this one"
                && last.starts_with("site x is silent"),
            "{said:?}"
        );
    }
}
