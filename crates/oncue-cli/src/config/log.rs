//! Reads how the log is written.

use super::keys::{LOG, Places};
use super::model::Logging;
use super::reader::Keys;
use crate::record::Style;

/// The table `log`, which is at this place.
pub(super) fn logging(keys: &mut Keys<'_, '_>, place: Places) -> Logging {
    let mut plain = Logging { style: Style::PLAIN, demand: false };
    if let Some(mut log) = keys.table("log", place) {
        let json = log.take::<String>("format") == "json";
        let time = log.take::<Option<bool>>("time").unwrap_or(json);
        let demand = place == LOG && log.take("demand");
        plain = Logging { style: Style { json, time }, demand };
        log.finish();
    }
    plain
}
