//! What the fuzz targets share: bytes as decisions, handshakes that are played to their end, a CURVE peer that is not ours,
//! and the parsers of the command, which is no library: its sources are modules of this package too.

pub mod curve;
pub mod handshake;

pub use oncue::stage::script;

pub use self::check::check_config;
pub use self::produce::check_frames;

#[path = "config.rs"]
mod check;
mod produce;

#[allow(dead_code)]
#[path = "../../crates/oncue-cli/src/args.rs"]
mod args;
#[allow(dead_code)]
#[path = "../../crates/oncue-cli/src/fail.rs"]
mod fail;
#[allow(dead_code)]
#[path = "../../crates/oncue-cli/src/json.rs"]
mod json;
#[allow(dead_code, unused_imports)]
#[path = "../../crates/oncue-cli/src/config/mod.rs"]
mod config;
#[allow(dead_code)]
#[path = "../../crates/oncue-cli/src/lines.rs"]
mod lines;
#[allow(dead_code)]
#[path = "../../crates/oncue-cli/src/nearest.rs"]
mod nearest;
#[allow(dead_code)]
#[path = "../../crates/oncue-cli/src/output.rs"]
mod output;
#[allow(dead_code)]
#[path = "../../crates/oncue-cli/src/record.rs"]
mod record;
#[allow(dead_code)]
#[path = "../../crates/oncue-cli/src/security.rs"]
mod security;
/// Standard error, which no parser writes.
mod stdio {
    pub(crate) fn say(name: &str, text: &str) {
        panic!("a parser has said {name}: {text}");
    }
}
