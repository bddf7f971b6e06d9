//! What the words of the command line mean: durations, endpoints, topics, heartbeats. Nothing is opened here.

use std::ffi::OsStr;
use std::net::IpAddr;
use std::time::Duration;

use clap::{Arg, ArgMatches, arg};
use oncue::{Endpoint, Options};

use crate::fail::Fail;

/// Units of a duration, each with its length in seconds.
const UNITS: [(&str, f64); 4] = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
/// Units of a number of bytes.
const BYTE_UNITS: [(&str, u64); 4] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];
/// The longest duration: a year.
const DURATION_MAX: Duration = Duration::from_secs(365 * 24 * 3600);
/// The shortest period of anything that is repeated.
const PERIOD_MIN: Duration = Duration::from_millis(1);
/// The environment variable with the endpoint of a command that is given none.
pub(crate) const ENDPOINT_VARIABLE: &str = "ONCUE_ENDPOINT";
/// The usual place of a page about a server.
pub(crate) const PAGE_PLACE: &str = "127.0.0.1:9180";
/// Under which headings the help shows the options that several commands have.
pub(crate) const CONNECTIONS: &str = "Connections";
pub(crate) const SECURITY: &str = "Security";
/// The default time between two PINGs.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// Reads `500ms`, `2s`, `1.5m` or `1 h`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = measure(text);
    let (_, seconds) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(|| {
        format!("`{text}` is not a duration: write a number and ms, s, m or h, such as 500ms")
    })?;
    let number: f64 = number.parse().map_err(|error| format!("`{number}` is not a number: {error}"))?;
    let duration = Duration::try_from_secs_f64(number * seconds).ok().filter(|time| *time <= DURATION_MAX);
    duration.ok_or_else(|| format!("`{text}` is longer than a year"))
}

/// Reads `64KiB`, `256 MiB` or `1.5 GiB`.
pub(crate) fn bytes(text: &str) -> Option<u64> {
    let (number, unit) = measure(text);
    let (_, unit) = BYTE_UNITS.iter().find(|(name, _)| *name == unit)?;
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let whole = whole.parse::<u64>().ok()?.checked_mul(*unit)?;
    // With 6 digits the product fits.
    let tens = 10_u64.checked_pow(u32::try_from(part.len()).ok().filter(|digits| *digits <= 6)?)?;
    whole.checked_add(part.parse::<u64>().ok()? * unit / tens)
}

/// A number and its unit, between which a space may stand.
fn measure(text: &str) -> (&str, &str) {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    (number, unit.strip_prefix(' ').unwrap_or(unit))
}

/// A duration as it is written, with a unit.
pub(crate) fn shown(time: Duration) -> String {
    if time.is_zero() { "0s".to_owned() } else { format!("{time:?}") }
}

/// Reads a duration of at least 1 ms: the period of anything that is repeated.
pub(crate) fn period(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    if time < PERIOD_MIN { Err(format!("`{text}` is shorter than 1ms")) } else { Ok(time) }
}

/// Reads the time between two PINGs; `off` is zero.
pub(crate) fn heartbeat(text: &str) -> Result<Duration, String> {
    match text {
        "off" => Ok(Duration::ZERO),
        _ => period(text).map_err(|why| format!("{why}; write off for no heartbeat")),
    }
}

/// Checks an endpoint. Its text is kept, because that is what sockets take.
pub(crate) fn endpoint(text: &str) -> Result<String, String> {
    let parsed: Endpoint = text.parse().map_err(|error: oncue::Error| error.to_string())?;
    if matches!(parsed, Endpoint::Inproc(_)) {
        return Err("inproc:// stays within one process; use ipc:// between programs".to_owned());
    }
    Ok(text.to_owned())
}

/// Checks a place for HTTP.
pub(crate) fn place(text: &str) -> Result<String, String> {
    let url = format!("ws://{text}/");
    if text.contains('/') {
        return Err(format!("{text} has more than a host and a port; write HOST:PORT, as in {PAGE_PLACE}"));
    }
    match endpoint(&url) {
        Ok(_) => Ok(text.to_owned()),
        Err(why) => Err(format!("{}; write HOST:PORT, as in {PAGE_PLACE}", why.replace(&url, text))),
    }
}

/// Checks a place for HTTP that only this machine may reach.
pub(crate) fn own_place(text: &str) -> Result<String, String> {
    let place = place(text)?;
    if is_loopback(&place) {
        return Ok(place);
    }
    Err(format!(
        "{place} is not a loopback address; only `oncue serve` shows its page to others, with http_token"
    ))
}

/// Whether only this machine reaches a place.
pub(crate) fn is_loopback(place: &str) -> bool {
    let host = place.rsplit_once(':').map_or(place, |(host, _)| host);
    let ip = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
}

/// The bytes of a topic: as typed, except that `\xNN` is the byte with that hexadecimal number, and `\\` one backslash. So
/// whatever `oncue sub` prints in its text format can be typed in again.
pub(crate) fn topic(text: &OsStr) -> Vec<u8> {
    let mut rest = text.as_encoded_bytes();
    let mut bytes = Vec::with_capacity(rest.len());
    while let Some((first, tail)) = rest.split_first() {
        let (byte, after) = escaped(rest).unwrap_or((*first, tail));
        bytes.push(byte);
        rest = after;
    }
    bytes
}

/// Reads `\xNN` or `\\` at the start.
fn escaped(bytes: &[u8]) -> Option<(u8, &[u8])> {
    if let Some(after) = bytes.strip_prefix(br"\\") {
        return Some((b'\\', after));
    }
    let (digits, after) = bytes.strip_prefix(b"\\x")?.split_at_checked(2)?;
    let [high, low] = digits else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some((digit(*high)? * 16 + digit(*low)?, after))
}

/// The value of an option that is required or has a default.
pub(crate) fn given<T: Clone + Send + Sync + 'static>(args: &ArgMatches, name: &str) -> T {
    args.get_one::<T>(name).expect("clap checks that the value is there").clone()
}

/// The argument `ENDPOINT`, in place of which [`ENDPOINT_VARIABLE`] may be set: [`endpoint_of`] reads both.
pub(crate) fn endpoint_argument(help: &str) -> Arg {
    arg!([ENDPOINT]).id("endpoint").value_parser(endpoint).help(format!("{help} [env: {ENDPOINT_VARIABLE}]"))
}

/// The endpoints of an argument, or else the one of the environment. Messages call the argument `name`.
///
/// # Errors
/// When there is neither, or the one of the environment is not an endpoint.
pub(crate) fn endpoints_of(args: &ArgMatches, id: &str, name: &str) -> Result<Vec<String>, Fail> {
    let given = args.get_many::<String>(id).unwrap_or_default().cloned().collect::<Vec<_>>();
    if !given.is_empty() {
        return Ok(given);
    }
    let missing = || {
        let example = "such as tcp://127.0.0.1:8888";
        Fail::Usage(format!("there is no endpoint: give {name}, {example}, or set {ENDPOINT_VARIABLE}"))
    };
    let set = std::env::var_os(ENDPOINT_VARIABLE).filter(|text| !text.is_empty()).ok_or_else(missing)?;
    let checked = endpoint(&set.to_string_lossy());
    Ok(vec![checked.map_err(|why| Fail::Usage(format!("{ENDPOINT_VARIABLE} is not an endpoint: {why}")))?])
}

/// The same for an argument of one endpoint.
pub(crate) fn endpoint_of(args: &ArgMatches, id: &str, name: &str) -> Result<String, Fail> {
    let endpoints = endpoints_of(args, id, name)?;
    Ok(endpoints.into_iter().next().expect("there is one, or an error"))
}

/// The option `--every DUR`.
pub(crate) fn every_option() -> Arg {
    arg!(--every <DUR> "The time between two ticks").value_parser(period)
}

/// The options `--heartbeat` and `--heartbeat-timeout`.
pub(crate) fn heartbeat_options() -> [Arg; 2] {
    [
        arg!(--heartbeat <DUR> "The time between two PINGs, or off [default: 5s]").value_parser(heartbeat),
        arg!(--"heartbeat-timeout" <DUR> "Disconnect a peer that has been silent for this long [default: three times --heartbeat]")
            .value_parser(period),
    ]
    .map(|option| option.help_heading(CONNECTIONS))
}

/// The options of a socket with the heartbeat that the command line asks for.
pub(crate) fn socket_options(args: &ArgMatches) -> Result<Options, Fail> {
    let [interval, timeout] = ["heartbeat", "heartbeat-timeout"].map(|name| args.get_one(name).copied());
    with_heartbeat(Options::new(), interval, timeout, ["--heartbeat", "--heartbeat-timeout"])
        .map_err(Fail::Usage)
}

/// Sets the time between two PINGs (zero: no heartbeat) and the longest silence of a peer, where they are given. Messages
/// call them by `names`.
pub(crate) fn with_heartbeat(
    options: Options,
    interval: Option<Duration>,
    timeout: Option<Duration>,
    names: [&str; 2],
) -> Result<Options, String> {
    let [interval_name, timeout_name] = names;
    let (interval, timeout) = match (interval, timeout) {
        (Some(Duration::ZERO), None) => return Ok(options.heartbeat_off()),
        (Some(Duration::ZERO), Some(_)) => {
            return Err(format!("{timeout_name} is not allowed while {interval_name} is off; leave it out"));
        }
        (interval, None) => {
            let interval = interval.unwrap_or(HEARTBEAT);
            (interval, interval.saturating_mul(3))
        }
        (interval, Some(timeout)) => (interval.unwrap_or(HEARTBEAT.min(timeout / 3)), timeout),
    };
    if timeout <= interval {
        return Err(format!(
            "{timeout_name} ({timeout:?}) must be longer than {interval_name} ({interval:?}), or a peer has no time to \
             answer; make it three times as long"
        ));
    }
    Ok(options.heartbeat(interval, timeout))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2s"), Ok(Duration::from_secs(2)));
        assert_eq!(duration("1.5m"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        assert_eq!(duration("10 s"), Ok(Duration::from_secs(10)));
        for bad in [
            "", "5", "s", "-1s", "1.2.3s", "5d", "1  s", "1\ts", " 1s", "1 ", " s", "9999h", "nans", "infs",
            "1e3s",
        ] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_page_without_a_token_is_for_this_machine() {
        for own in [PAGE_PLACE, "127.1.2.3:0", "[::1]:80", "localhost:9180"] {
            assert_eq!(own_place(own), Ok(own.to_owned()));
        }
        for (other, why) in [
            ("0.0.0.0:9180", "not a loopback address"),
            ("*:9180", "not a loopback address"),
            ("localhost.example:80", "not a loopback address"),
            ("[::]:80", "not a loopback address"),
            ("9180", "write HOST:PORT"),
            ("127.0.0.1:99999", "write HOST:PORT"),
        ] {
            let said = own_place(other).expect_err(other);
            assert!(said.contains(why), "{said}");
        }
    }

    #[test]
    fn sizes_need_a_unit() {
        assert_eq!(bytes("256 MiB"), Some(256 << 20));
        assert_eq!(bytes("64KiB"), Some(64 << 10));
        assert_eq!(bytes("1.5 GiB"), Some(3 << 29));
        assert_eq!(bytes("0.25 TiB"), Some(1 << 38));
        assert_eq!(bytes("16777215.999999 TiB"), Some(u64::MAX - 1_099_511), "the largest one");
        for bad in [
            "",
            "5",
            "MiB",
            "-1 MiB",
            "1.2.3 MiB",
            "1.MiB",
            ".5 MiB",
            "1  MiB",
            "1 MB",
            "1 mib",
            "16777216 TiB",
            "1.0000001 MiB",
        ] {
            assert_eq!(bytes(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_period_is_never_shorter_than_a_millisecond() {
        assert_eq!(period("1ms"), Ok(Duration::from_millis(1)));
        assert!(period("0s").is_err() && period("0.5ms").is_err());
    }

    #[test]
    fn heartbeats_leave_time_for_an_answer() {
        let secs = Duration::from_secs;
        let of = |interval, timeout| {
            let options =
                with_heartbeat(Options::new(), interval, timeout, ["--heartbeat", "--heartbeat-timeout"]);
            options.map(|options| format!("{options:?}"))
        };
        let on =
            |interval, timeout| Ok(format!("{:?}", Options::new().heartbeat(secs(interval), secs(timeout))));
        assert_eq!(of(None, None), on(5, 15));
        assert_eq!(of(Some(secs(30)), None), on(30, 90));
        assert_eq!(of(None, Some(secs(60))), on(5, 60));
        assert_eq!(of(None, Some(secs(3))), on(1, 3));
        assert_eq!(of(Some(secs(2)), Some(secs(3))), on(2, 3));
        assert_eq!(of(Some(Duration::ZERO), None), Ok(format!("{:?}", Options::new().heartbeat_off())));
        let refused = |interval, timeout| of(interval, timeout).unwrap_err();
        assert!(refused(Some(secs(3)), Some(secs(3))).contains("longer than --heartbeat (3s)"));
        assert!(refused(Some(Duration::ZERO), Some(secs(3))).contains("--heartbeat-timeout is not allowed"));
        assert_eq!((heartbeat("off"), heartbeat("2s")), (Ok(Duration::ZERO), Ok(secs(2))));
        assert!(heartbeat("0s").unwrap_err().contains("write off"));
        assert!(heartbeat("on").is_err());
    }

    #[test]
    fn endpoints_are_checked_and_kept_as_typed() {
        assert_eq!(endpoint("tcp://*:0"), Ok("tcp://*:0".to_owned()));
        for bad in ["", "localhost:80", "tcp://", "tcp://h:99999", "udp://h:1", "inproc://x"] {
            assert!(endpoint(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_topic_may_name_any_byte() {
        let topic = |text: &str| topic(OsStr::new(text));
        assert_eq!(topic("prices/ä"), "prices/ä".as_bytes());
        assert_eq!(topic(r"\x00\xfFz"), b"\x00\xffz");
        assert_eq!(topic(r"\x5cx41"), br"\x41");
        assert_eq!((topic(r"\\x41"), topic(r"\\\x41")), (br"\x41".to_vec(), br"\A".to_vec()));
        for literal in ["", r"\", r"\x", r"\x4", r"\xg1", r"\n", r"C:\path"] {
            assert_eq!(topic(literal), literal.as_bytes());
        }
    }
}
