//! What the commands with a publishing socket share: their options, and how the socket is opened and closed.

use std::io::ErrorKind;
use std::time::Duration;

use clap::{Arg, ArgMatches, arg, value_parser};
use oncue::{Engine, Error, Options, XPub};

use crate::fail::Fail;
use crate::output::counted;
use crate::progress::Progress;
use crate::security::Security;
use crate::signals::Stop;
use crate::stdio::say;
use crate::{args, connections, security};

/// How long a closed socket goes on sending what is queued, unless the command line says something else.
pub(crate) const LINGER: Duration = Duration::from_secs(1);

/// The options that bound the peers of a command.
pub(crate) fn bounds() -> [Arg; 2] {
    let bounds = [
        arg!(--"peers-max" <N> "The most subscribers at the same time; others get an error [default: 65536]"),
        arg!(--"peers-per-address-max" <N> "The most subscribers of one address (IPv6: of one /64 network) [default: no bound]"),
    ];
    bounds.map(|bound| bound.value_parser(value_parser!(u32).range(1..)).help_heading(args::CONNECTIONS))
}

/// The options of a command with a publishing socket.
pub(crate) fn options() -> Vec<Arg> {
    let mut options = vec![
        args::endpoint_argument("Where to wait for subscribers"),
        arg!(--connect "Connect to ENDPOINT instead of binding it").help_heading(args::CONNECTIONS),
    ];
    options.extend(bounds());
    options.extend(args::heartbeat_options());
    options.extend(security::options());
    options
}

/// Sets the bounds of the command line.
pub(crate) fn set_bounds(mut options: Options, args: &ArgMatches) -> Options {
    if let Some(peers) = args.get_one("peers-max") {
        options = options.peers_max(*peers);
    }
    if let Some(peers) = args.get_one("peers-per-address-max") {
        options = options.peers_per_address_max(*peers);
    }
    options
}

/// A publishing socket with the options of the command line. It has no endpoint yet, so that a watch misses nothing.
pub(crate) fn socket(
    name: &'static str,
    args: &ArgMatches,
    set: impl FnOnce(Options) -> Options,
) -> Result<XPub, Fail> {
    let options = set_bounds(args::socket_options(args)?, args).linger(LINGER).discard_messages(true);
    let security = Security::of(args)?;
    let socket = XPub::new(&Engine::start()?, security.set(set(options))?)?;
    security.follow(&socket, name);
    Ok(socket)
}

/// Binds the socket to ENDPOINT, or connects it with `--connect`, and says so.
pub(crate) fn open(socket: &XPub, name: &'static str, args: &ArgMatches, stop: &Stop) -> Result<(), Fail> {
    oncue::raise_descriptor_limit();
    connections::follow(socket, name, stop)?;
    let endpoint = args::endpoint_of(args, "endpoint", "ENDPOINT")?;
    if args.get_flag("connect") {
        connections::connect(socket, name, &endpoint)?;
    } else {
        say(name, &format!("bound to {}", socket.bind(&endpoint)?));
    }
    Ok(())
}

/// Names the remedy if the port is taken, which is often the default port in use by another run.
pub(crate) fn refused(error: Error, remedy: &str) -> Fail {
    if error.io_kind() == Some(ErrorKind::AddrInUse) {
        return Fail::Runtime(format!("{error}; choose another place, such as {remedy}"));
    }
    error.into()
}

/// Closes the socket, which goes on sending what is queued for as long as `linger` allows and no second signal comes.
/// Returns how many messages were not delivered.
pub(crate) fn close(socket: &XPub, name: &str, linger: Duration, stop: &Stop) -> u64 {
    stop.allow(linger);
    let tell = || {
        let time = args::shown(linger);
        say(name, &format!("subscribers have not taken everything yet; waiting for at most {time}"));
    };
    let closed = stop.wait_to_end_telling(socket.close(), Progress::new().due(), tell);
    closed.unwrap_or_else(|| socket.close_within(Duration::ZERO).wait()).undelivered
}

/// The same for a subcommand without an end of its own: it says how many messages were not delivered.
pub(crate) fn close_and_say(socket: &XPub, name: &str, stop: &Stop) {
    let undelivered = close(socket, name, LINGER, stop);
    if undelivered > 0 {
        say(name, &not_delivered(undelivered));
    }
}

pub(crate) fn not_delivered(messages: u64) -> String {
    format!("{} not delivered", counted(messages, "message"))
}
