//! `oncue demand`: prints what is wanted, and publishes nothing.

use clap::{ArgMatches, Command, arg};
use oncue::DemandEvent;

use crate::fail::Fail;
use crate::signals::{Stop, Waited};
use crate::stdio::say;
use crate::{json, output, publisher, stdio};

pub(crate) fn command() -> Command {
    Command::new("demand")
        .about("Print which prefixes have a subscriber, as that changes")
        .after_help(
            "It is a publisher that sends nothing: it binds ENDPOINT, or connects to it, and shows what its subscribers want.\n\
             Prints `+ PREFIX` when a prefix gets its first subscriber and `- PREFIX` when it loses its last one, or\n\
             with --json {\"event\":\"wanted\",\"prefix\":\"a\",\"peers\":1} and {\"event\":\"unwanted\",…,\"peers\":0}.\n\
             Bytes that are not printable UTF-8 are written as \\xNN; with --json, prefix_base64 holds the bytes.\n\n\
             Example:\n  oncue demand tcp://127.0.0.1:8888 --json",
        )
        .args(publisher::options())
        .arg(arg!(--json "Print each change as one line of JSON"))
}

pub(crate) fn run(args: &ArgMatches, stop: &Stop) -> Result<(), Fail> {
    let in_json = args.get_flag("json");
    let socket = publisher::socket("demand", args, |options| options)?;
    let watch = socket.demand();
    publisher::open(&socket, "demand", args, stop)?;
    say("demand", "this is a publisher that sends nothing: it shows what its subscribers want");
    while let Waited::Ready(event) = stop.wait(watch.next(), None) {
        let (wanted, prefix) = match event? {
            DemandEvent::Wanted(prefix) => (true, prefix),
            DemandEvent::Unwanted(prefix) => (false, prefix),
        };
        let line = match in_json {
            true => json::demand(wanted, &prefix),
            false => output::change(if wanted { "+ " } else { "- " }, &prefix),
        };
        stdio::print(line, stop, None);
    }
    publisher::close_and_say(&socket, "demand", stop);
    Ok(())
}
