//! The options of sockets and engines as keyword arguments: the same names as in Rust, times in seconds.

use oncue::{IpVersions, Keep, OnFull, Options, ReconnectStop, SocksProxy, Verbose};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::types::{PyAnyMethods as _, PyDict, PyDictMethods as _, PyTuple, PyTupleMethods as _};
use pyo3::{Bound, FromPyObject, PyAny, PyErr, PyResult};

use crate::errors::{OrRaise as _, type_name};
use crate::frames::{body, is_one};
use crate::security::Security;
use crate::wait::duration;

/// One of the words that an option may be.
fn one_of<T: Copy>(name: &str, value: &Bound<'_, PyAny>, words: &[(&str, T)]) -> PyResult<T> {
    let word: String = extract(name, value)?;
    let found = words.iter().find(|(known, _)| *known == word);
    found.map(|(_, meaning)| *meaning).ok_or_else(|| {
        let known: Vec<_> = words.iter().map(|(known, _)| format!("{known:?}")).collect();
        PyValueError::new_err(format!("{name} must be {}, not {word:?}", known.join(" or ")))
    })
}

/// The policy of this name.
pub(crate) fn on_full(value: &Bound<'_, PyAny>) -> PyResult<OnFull> {
    let words = [
        ("drop_newest", OnFull::DropNewest),
        ("refuse", OnFull::Refuse),
        ("disconnect", OnFull::Disconnect),
        ("drop_oldest", OnFull::DropOldest),
        ("latest", OnFull::Latest),
    ];
    one_of("on_full", value, &words)
}

pub(crate) fn extract<'py, T: for<'a> FromPyObject<'a, 'py>>(
    name: &str,
    value: &Bound<'py, PyAny>,
) -> PyResult<T> {
    value.extract::<T>().map_err(|error| {
        let error: PyErr = error.into();
        let text = format!(
            "{name}={}: {}",
            value.repr().map_or_else(|_| "?".to_owned(), |text| text.to_string()),
            error.value(value.py())
        );
        match error.is_instance_of::<PyTypeError>(value.py()) {
            true => PyTypeError::new_err(text),
            false => PyValueError::new_err(text),
        }
    })
}

/// A time in seconds; `None` is a time that never comes.
pub(crate) fn time(name: &str, value: &Bound<'_, PyAny>) -> PyResult<std::time::Duration> {
    let seconds: Option<f64> = extract(name, value)?;
    seconds.map_or(Ok(std::time::Duration::MAX), |seconds| duration(name, seconds))
}

pub(crate) fn two_times(
    name: &str,
    value: &Bound<'_, PyAny>,
) -> PyResult<(std::time::Duration, std::time::Duration)> {
    let pair = value.cast::<PyTuple>().ok().filter(|pair| pair.len() == 2);
    let pair =
        pair.ok_or_else(|| PyTypeError::new_err(format!("{name} must be two times in seconds: (min, max)")))?;
    Ok((time(name, &pair.get_item(0)?)?, time(name, &pair.get_item(1)?)?))
}

/// The options that these keyword arguments set.
pub(crate) fn options(given: Option<&Bound<'_, PyDict>>) -> PyResult<Options> {
    let mut options = Options::new();
    for (name, value) in given.iter().flat_map(|given| given.iter()) {
        let name: String = name.extract()?;
        options = set(options, &name, &value)?;
    }
    options.check().or_raise()?;
    Ok(options)
}

fn set(options: Options, name: &str, value: &Bound<'_, PyAny>) -> PyResult<Options> {
    macro_rules! is {
        ($method:ident) => {
            options.$method(extract(name, value)?)
        };
    }
    Ok(match name {
        "send_hwm" => is!(send_hwm),
        "recv_hwm" => is!(recv_hwm),
        "queue_bytes_max" => is!(queue_bytes_max),
        "outbox_bytes_max" => is!(outbox_bytes_max),
        "received_bytes_max" => is!(received_bytes_max),
        "keep" => options.keep(one_of(name, value, &[("all", Keep::All), ("latest", Keep::Latest)])?),
        "discard_messages" => is!(discard_messages),
        "verbose" => {
            let words = [("off", Verbose::Off), ("subscribes", Verbose::Subscribes), ("all", Verbose::All)];
            options.verbose(one_of(name, value, &words)?)
        }
        "manual" => is!(manual),
        "only_first_subscribe" => is!(only_first_subscribe),
        "invert_matching" => is!(invert_matching),
        "message_bytes_max" => is!(message_bytes_max),
        "peers_max" => is!(peers_max),
        "peers_per_address_max" => is!(peers_per_address_max),
        "handshakes_max" => is!(handshakes_max),
        "message_timeout" => options.message_timeout(time(name, value)?),
        "prefix_length_max" => is!(prefix_length_max),
        "prefixes_max" => is!(prefixes_max),
        "prefix_bytes_max" => is!(prefix_bytes_max),
        "prefixes_per_user_max" => is!(prefixes_per_user_max),
        "prefix_bytes_per_user_max" => is!(prefix_bytes_per_user_max),
        "changes_per_second_max" => is!(changes_per_second_max),
        "last_values_bytes_max" => is!(last_values_bytes_max),
        "on_full" => options.on_full(on_full(value)?),
        "evict_after" => options.evict_after(time(name, value)?),
        "linger" => options.linger(time(name, value)?),
        "reconnect" => {
            let (min, max) = two_times(name, value)?;
            options.reconnect(min, max)
        }
        "reconnect_stop" => options.reconnect_stop(reconnect_stop(name, value)?),
        "connect_timeout" => options.connect_timeout(time(name, value)?),
        "handshake_timeout" => options.handshake_timeout(time(name, value)?),
        "heartbeat" if value.is_none() => options.heartbeat_off(),
        "heartbeat" => {
            let (interval, timeout) = two_times(name, value)?;
            options.heartbeat(interval, timeout)
        }
        "heartbeat_ttl" => options.heartbeat_ttl(time(name, value)?),
        "conflate" => {
            if extract::<bool>(name, value)? {
                options.conflate()
            } else {
                options
            }
        }
        "welcome" => welcome(options, value)?,
        "metadata" => metadata(options, name, value)?,
        "security" if value.is_none() => options,
        "security" => security(value)?.get().apply(options),
        "send_buffer" => is!(send_buffer),
        "recv_buffer" => is!(recv_buffer),
        "listen_backlog" => is!(listen_backlog),
        "ip_versions" => {
            let words = [("both", IpVersions::Both), ("4", IpVersions::V4), ("6", IpVersions::V6)];
            options.ip_versions(one_of(name, value, &words)?)
        }
        "tcp_keepalive" => is!(tcp_keepalive),
        "tcp_keepalive_idle" => options.tcp_keepalive_idle(time(name, value)?),
        "tcp_keepalive_interval" => options.tcp_keepalive_interval(time(name, value)?),
        "tcp_keepalive_count" => is!(tcp_keepalive_count),
        "tcp_user_timeout" => options.tcp_user_timeout(time(name, value)?),
        "type_of_service" => is!(type_of_service),
        "socket_priority" => is!(socket_priority),
        "bind_to_device" => options.bind_to_device(extract::<String>(name, value)?),
        "ipc_mode" => is!(ipc_mode),
        "ipc_user" => is!(ipc_user),
        "ipc_group" => is!(ipc_group),
        "socks_proxy" => options.socks_proxy(socks_proxy(name, value)?),
        _ => {
            return Err(PyTypeError::new_err(format!(
                "there is no option {name:?}; help(oncue.Pub) lists the options"
            )));
        }
    })
}

/// Not by `extract`, whose error would show the value.
fn security<'a, 'py>(value: &'a Bound<'py, PyAny>) -> PyResult<&'a Bound<'py, Security>> {
    value.cast::<Security>().map_err(|_| {
        PyTypeError::new_err(format!(
            "security must be an oncue.CurveServer, CurveClient, PlainServer or PlainClient, not {}",
            type_name(value)
        ))
    })
}

fn reconnect_stop(name: &str, value: &Bound<'_, PyAny>) -> PyResult<ReconnectStop> {
    let words = [
        ("connection_refused", ReconnectStop::CONNECTION_REFUSED),
        ("handshake_failed", ReconnectStop::HANDSHAKE_FAILED),
        ("disconnected", ReconnectStop::DISCONNECTED),
        ("always", ReconnectStop::ALWAYS),
    ];
    if is_one(value) {
        return one_of(name, value, &words);
    }
    let mut stop = ReconnectStop::NEVER;
    for condition in value.try_iter()? {
        stop = stop | one_of(name, &condition?, &words)?;
    }
    Ok(stop)
}

fn welcome(options: Options, value: &Bound<'_, PyAny>) -> PyResult<Options> {
    if is_one(value) {
        return Ok(options.welcome(body(value)?.bytes()));
    }
    let held = value.try_iter()?.collect::<PyResult<Vec<_>>>()?;
    let bodies = held.iter().map(body).collect::<PyResult<Vec<_>>>()?;
    let frames: Vec<&[u8]> = bodies.iter().map(|body| body.bytes()).collect();
    Ok(options.welcome(&frames[..]))
}

fn metadata(mut options: Options, name: &str, value: &Bound<'_, PyAny>) -> PyResult<Options> {
    let given: Bound<'_, PyDict> = extract(name, value)?;
    // Of a copy: a value may change the dict when it is asked for its bytes.
    for (name, value) in given.copy()?.iter() {
        options = options.metadata(name.extract::<String>()?, body(&value)?.bytes().to_vec());
    }
    Ok(options)
}

/// `"HOST:PORT"`, or `("HOST:PORT", "user", "password")`.
fn socks_proxy(name: &str, value: &Bound<'_, PyAny>) -> PyResult<SocksProxy> {
    if is_one(value) {
        return SocksProxy::new(&extract::<String>(name, value)?).or_raise();
    }
    let (address, user, password): (String, String, String) = extract(name, value)?;
    SocksProxy::new(&address).and_then(|proxy| proxy.credentials(&user, &password)).or_raise()
}
