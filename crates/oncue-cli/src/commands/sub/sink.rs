//! Where messages go: to standard output, into files, into counts.

use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::Instant;

use clap::ArgMatches;
use oncue::Msg;

use super::dump::Dump;
use super::frame::VALUE;
use super::latency::{Latency, Stamp};
use super::line::{Format, Style, Time};
use super::moment::Arrivals;
use super::tally::Tally;
use super::template::Template;
use crate::fail::Fail;
use crate::output::Colour;
use crate::signals::{Stop, Waited};
use crate::{args, stdio};

/// What is done with each message.
pub(super) struct Sink {
    style: Style,
    dump: Option<Dump>,
    /// Nothing is printed.
    quiet: bool,
    /// A line is printed when the one before has been read.
    latest: bool,
    count: u64,
    /// When messages come, if that is printed or counted: it takes time to ask the clock.
    arrivals: Option<Arrivals>,
    /// With `--stats`.
    tally: Option<Tally>,
}

impl Sink {
    /// As the command line asks for.
    ///
    /// # Errors
    /// When its words do not fit together, or the directory of `--dump` cannot be used.
    pub(super) fn open(args: &ArgMatches) -> Result<Sink, Fail> {
        let style = style(args)?;
        let value = style.frame.unwrap_or(VALUE);
        let dump =
            args.get_one::<PathBuf>("dump").map(|directory| Dump::open(directory, value)).transpose()?;
        let stamp = args.get_one::<Stamp>("stamp").cloned();
        let stats = args.get_flag("stats");
        let timed = stats || style.time.is_some() || style.template.is_some();
        Ok(Sink {
            style,
            dump,
            quiet: args.get_flag("quiet"),
            latest: args.get_flag("latest"),
            count: 0,
            arrivals: timed.then(Arrivals::default),
            tally: stats.then(|| Tally::new(stamp.map(|stamp| Latency::new(stamp, value)))),
        })
    }

    /// Takes one message; waits for room to print it, until the deadline or the end.
    ///
    /// # Errors
    /// When its file cannot be written.
    pub(super) fn take(
        &mut self,
        message: &Msg,
        stop: &Stop,
        deadline: Option<Instant>,
    ) -> Result<Waited<()>, Fail> {
        self.count += 1;
        let arrival = self.arrivals.as_mut().map(|arrivals| arrivals.next(Instant::now(), self.count));
        if let (Some(tally), Some(arrival)) = (&mut self.tally, &arrival) {
            tally.take(message, arrival);
        }
        let path = self.dump.as_mut().map(|dump| dump.write(message)).transpose()?;
        if self.quiet {
            return Ok(Waited::Ready(()));
        }
        let line = match path {
            Some(path) => path.into_os_string().into_vec(),
            None => self.style.line(message, arrival.as_ref()),
        };
        Ok(match stdio::print(line, stop, deadline) {
            // What waits to be printed becomes old.
            Waited::Ready(()) if self.latest => stdio::taken(stop, deadline),
            waited => waited,
        })
    }

    /// How many messages it has taken.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// The counts of `--stats`, if it is given.
    pub(super) fn tally(&self) -> Option<&Tally> {
        self.tally.as_ref()
    }
}

fn style(args: &ArgMatches) -> Result<Style, Fail> {
    let format = args::given(args, "format");
    let template = args.get_one::<Template>("print").cloned();
    if template.is_some() && format == Format::Json {
        let why = "--print is not allowed with --format json; leave one of them out";
        return Err(Fail::Usage(why.to_owned()));
    }
    let chosen = args.get_one::<u16>("frame").map(|frame| usize::from(*frame));
    Ok(Style {
        format,
        time: args.get_one::<Time>("time").copied(),
        frame: chosen.or(args.get_flag("value").then_some(VALUE)),
        template,
        coloured: args::given::<Colour>(args, "color").is_shown(),
    })
}
