//! `oncue demand`: prints who is wanted, and publishes nothing.

use clap::{ArgMatches, Command, arg};
use oncue::DemandEvent;

use crate::fail::Fail;
use crate::signals::{Stop, Waited};
use crate::{output, publisher};

pub(crate) fn command() -> Command {
    Command::new("demand")
        .about("Print which prefixes have a subscriber, as that changes")
        .after_help(
            "Prints `+ PREFIX` when the first subscriber of a prefix comes and `- PREFIX` when the last one goes, or\n\
             with --json {\"event\":\"wanted\",\"prefix\":\"a\",\"peers\":1} and {\"event\":\"unwanted\",…,\"peers\":0}.\n\
             Bytes that are not printable UTF-8 show as \\xNN; with --json, prefix_base64 holds them.\n\n\
             Example:\n  oncue demand tcp://127.0.0.1:8888 --json",
        )
        .args(publisher::options())
        .arg(arg!(--json "Print each change as one line of JSON"))
}

pub(crate) fn run(args: &ArgMatches, stop: &Stop) -> Result<(), Fail> {
    let json = args.get_flag("json");
    let socket = publisher::socket(args, |options| options)?;
    let watch = socket.demand();
    publisher::open(&socket, "demand", args, stop)?;
    while let Waited::Ready(event) = stop.wait(watch.next(), None) {
        let (wanted, prefix) = match event? {
            DemandEvent::Wanted(prefix) => (true, prefix),
            DemandEvent::Unwanted(prefix) => (false, prefix),
        };
        let mut line = Vec::new();
        if json {
            output::demand_json(wanted, &prefix, &mut line);
        } else {
            line.extend_from_slice(if wanted { b"+ " } else { b"- " });
            output::escape(&prefix, &mut line);
        }
        output::line(&mut line)?;
    }
    socket.close().wait();
    Ok(())
}
