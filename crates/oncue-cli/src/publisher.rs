//! What commands with a publishing socket share: where it is bound or connected, how many peers it takes, and saying that
//! peers are turned away, at most once a minute however many come.

use std::future::pending;
use std::thread;
use std::time::{Duration, Instant};

use clap::{Arg, ArgMatches, arg, value_parser};
use oncue::{Options, XPub};

use crate::args;
use crate::fail::Fail;
use crate::output::say;
use crate::signals::{Stop, Waited};

/// The least time between two lines. What comes meanwhile is in the next one.
const LINE_PERIOD: Duration = Duration::from_secs(60);

/// The options that bound the peers of a command.
pub(crate) fn bounds() -> [Arg; 2] {
    [
        arg!(--"peers-max" <N> "The most subscribers at one time; others are turned away with an error [default: 65536]"),
        arg!(--"peers-per-address-max" <N> "The most of one address (IPv6: of one /64 network) [default: no bound]"),
    ]
    .map(|bound| bound.value_parser(value_parser!(u32).range(1..)))
}

/// Sets what the command line says of them.
pub(crate) fn bounded(mut options: Options, args: &ArgMatches) -> Options {
    if let Some(peers) = args.get_one("peers-max") {
        options = options.peers_max(*peers);
    }
    if let Some(peers) = args.get_one("peers-per-address-max") {
        options = options.peers_per_address_max(*peers);
    }
    options
}

/// Says with `say` when peers of the socket are turned away, on a thread of its own, until the end.
pub(crate) fn heed(socket: &XPub, stop: &Stop, say: impl Fn(String) + Send + 'static) -> Result<(), Fail> {
    let (socket, stop) = (socket.clone(), stop.clone());
    let run = move || {
        while let Waited::Ready(Ok(turned_away)) = stop.wait(socket.turned_away(), None) {
            say(turned_away.to_string());
            if stop.wait(pending::<()>(), Some(Instant::now() + LINE_PERIOD)) == Waited::Stopped {
                return;
            }
        }
    };
    let spawned = thread::Builder::new().name("turned-away".to_owned()).spawn(run);
    spawned.map(drop).map_err(|error| Fail::Runtime(format!("no thread: {error}")))
}

/// Binds the socket to ENDPOINT, or connects it with `--connect`, and says so; from then on also when peers are turned away.
pub(crate) fn open(socket: &XPub, name: &'static str, args: &ArgMatches, stop: &Stop) -> Result<(), Fail> {
    oncue::raise_descriptor_limit();
    heed(socket, stop, |text| say(name, &text))?;
    let endpoint: String = args::given(args, "endpoint");
    if args.get_flag("connect") {
        say(name, &format!("connected to {}", socket.connect(&endpoint)?));
    } else {
        say(name, &format!("bound to {}", socket.bind(&endpoint)?));
    }
    Ok(())
}
