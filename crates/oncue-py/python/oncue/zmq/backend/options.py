"""What each option of a socket may be, and what it is for the engine.

An option that is not in the table does not concern PUB, SUB, XPUB and XSUB, or is one that Oncue does not have: setting and
reading it is an error, as libzmq has it for options of other types.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..constants import Errno, ReconnectStop, SecurityMechanism, SocketOption, SocketType, _OptType
from ..error import ZMQError
from .curve import is_key

Value = int | bytes

PUBLISHERS = frozenset({SocketType.PUB, SocketType.XPUB})
SUBSCRIBERS = frozenset({SocketType.SUB, SocketType.XSUB})
_NOT_SUB = frozenset({SocketType.PUB, SocketType.XPUB, SocketType.XSUB})

_INT_MAX = (1 << 31) - 1


@dataclass(frozen=True)
class Rule:
    """What an option may be."""

    # What it is when nobody has set it. None: it cannot be read.
    default: Value | None
    # Whether it may have a value. None: it cannot be set.
    allows: Callable[[Any], bool] | None
    # Whether a change is effective after the engine's socket has been made; otherwise it comes too late.
    live: bool = False
    # The types of sockets at which it can be set. None: all.
    types: frozenset[SocketType] | None = None


def _at_least(minimum: int) -> Callable[[int], bool]:
    return lambda value: value >= minimum


def _within(minimum: int, maximum: int) -> Callable[[int], bool]:
    return lambda value: minimum <= value <= maximum


def _any(value: Any) -> bool:
    return True


def _bytes_within(minimum: int, maximum: int) -> Callable[[bytes], bool]:
    return lambda value: minimum <= len(value) <= maximum


_flag = _within(0, 1)

# Accepted, and without an effect: what they are about does not exist here, or is always so. docs/PYZMQ.md lists them.
_WITHOUT_EFFECT: dict[SocketOption, Rule] = {
    SocketOption.AFFINITY: Rule(0, _any, live=True),
    SocketOption.ROUTING_ID: Rule(b"", _bytes_within(1, 255), live=True),
    SocketOption.RATE: Rule(100, _at_least(1), live=True),
    SocketOption.RECOVERY_IVL: Rule(10000, _at_least(0), live=True),
    SocketOption.MULTICAST_HOPS: Rule(1, _at_least(1), live=True),
    SocketOption.MULTICAST_MAXTPDU: Rule(1500, _at_least(1), live=True),
    SocketOption.MULTICAST_LOOP: Rule(1, _any, live=True),
    SocketOption.IMMEDIATE: Rule(0, _flag, live=True),
    SocketOption.LOOPBACK_FASTPATH: Rule(0, _any, live=True),
}

# Those that choose a mechanism: the last one that is set decides. What follows from them stands in security.py.
_SECURITY: dict[SocketOption, Rule] = {
    SocketOption.MECHANISM: Rule(int(SecurityMechanism.NULL), None),
    SocketOption.PLAIN_SERVER: Rule(0, _flag),
    SocketOption.PLAIN_USERNAME: Rule(b"", _bytes_within(1, 255)),
    SocketOption.PLAIN_PASSWORD: Rule(b"", _bytes_within(1, 255)),
    SocketOption.CURVE_SERVER: Rule(0, _flag),
    SocketOption.CURVE_PUBLICKEY: Rule(None, is_key),
    SocketOption.CURVE_SECRETKEY: Rule(None, is_key),
    SocketOption.CURVE_SERVERKEY: Rule(None, is_key),
    SocketOption.ZAP_DOMAIN: Rule(b"", _bytes_within(1, 255)),
    SocketOption.ZAP_ENFORCE_DOMAIN: Rule(0, _any),
}

_KEPT: dict[SocketOption, Rule] = {
    SocketOption.LINGER: Rule(-1, _at_least(-1), live=True),
    SocketOption.RCVTIMEO: Rule(-1, _at_least(-1), live=True),
    SocketOption.SNDTIMEO: Rule(-1, _at_least(-1), live=True),
    SocketOption.SNDHWM: Rule(1000, _at_least(0), live=True),
    SocketOption.RCVHWM: Rule(1000, _at_least(0), live=True),
    SocketOption.USE_FD: Rule(-1, _at_least(-1), live=True),
    SocketOption.SNDBUF: Rule(-1, _at_least(-1)),
    SocketOption.RCVBUF: Rule(-1, _at_least(-1)),
    SocketOption.RECONNECT_IVL: Rule(100, _at_least(-1)),
    SocketOption.RECONNECT_IVL_MAX: Rule(0, _at_least(0)),
    SocketOption.RECONNECT_STOP: Rule(0, _within(0, 7)),
    SocketOption.BACKLOG: Rule(100, _at_least(0)),
    SocketOption.MAXMSGSIZE: Rule(-1, _at_least(-1)),
    SocketOption.TCP_KEEPALIVE: Rule(-1, _within(-1, 1)),
    SocketOption.TCP_KEEPALIVE_CNT: Rule(-1, _at_least(-1)),
    SocketOption.TCP_KEEPALIVE_IDLE: Rule(-1, _at_least(-1)),
    SocketOption.TCP_KEEPALIVE_INTVL: Rule(-1, _at_least(-1)),
    SocketOption.TCP_MAXRT: Rule(0, _at_least(0)),
    SocketOption.IPV6: Rule(0, _flag),
    SocketOption.IPV4ONLY: Rule(1, _flag),
    SocketOption.CONFLATE: Rule(0, _flag),
    SocketOption.TOS: Rule(0, _within(0, 255)),
    SocketOption.PRIORITY: Rule(0, _at_least(0)),
    SocketOption.HANDSHAKE_IVL: Rule(30000, _at_least(0)),
    SocketOption.CONNECT_TIMEOUT: Rule(0, _at_least(0)),
    SocketOption.HEARTBEAT_IVL: Rule(0, _at_least(0)),
    SocketOption.HEARTBEAT_TIMEOUT: Rule(-1, _at_least(0)),
    SocketOption.HEARTBEAT_TTL: Rule(0, _within(0, 6553599)),
    SocketOption.INVERT_MATCHING: Rule(0, _any),
    SocketOption.BINDTODEVICE: Rule(b"", _bytes_within(1, 15)),
    SocketOption.SOCKS_PROXY: Rule(b"", _bytes_within(1, 255)),
    SocketOption.SOCKS_USERNAME: Rule(b"", _bytes_within(0, 255)),
    SocketOption.SOCKS_PASSWORD: Rule(b"", _bytes_within(0, 255)),
    SocketOption.XPUB_VERBOSE: Rule(None, _at_least(0), types=PUBLISHERS),
    SocketOption.XPUB_VERBOSER: Rule(None, _at_least(0), types=PUBLISHERS),
    SocketOption.XPUB_NODROP: Rule(None, _at_least(0), types=PUBLISHERS),
    SocketOption.XPUB_MANUAL: Rule(None, _at_least(0), types=PUBLISHERS),
    SocketOption.XPUB_WELCOME_MSG: Rule(None, _any, types=PUBLISHERS),
    SocketOption.ONLY_FIRST_SUBSCRIBE: Rule(None, _at_least(0), types=_NOT_SUB),
}

# Read from the socket itself, or an action: SocketHandle has them.
_OF_THE_SOCKET: dict[SocketOption, Rule] = {
    SocketOption.RCVMORE: Rule(0, None),
    SocketOption.FD: Rule(0, None),
    SocketOption.EVENTS: Rule(0, None),
    SocketOption.TYPE: Rule(0, None),
    SocketOption.LAST_ENDPOINT: Rule(b"", None),
    SocketOption.TOPICS_COUNT: Rule(0, None),
    SocketOption.THREAD_SAFE: Rule(0, None),
    SocketOption.SUBSCRIBE: Rule(None, _any, live=True),
    SocketOption.UNSUBSCRIBE: Rule(None, _any, live=True),
}

RULES: Mapping[SocketOption, Rule] = {**_WITHOUT_EFFECT, **_SECURITY, **_KEPT, **_OF_THE_SOCKET}


def defaults(socket_type: SocketType) -> dict[SocketOption, Value]:
    """The options of a new socket that differ from the table's defaults."""
    return {SocketOption.LINGER: 0} if socket_type in SUBSCRIBERS else {}


def known(option: int) -> SocketOption:
    """The option of this number. Raises ``ZMQError`` with ``EINVAL`` if Oncue does not have it."""
    try:
        found = SocketOption(option)
    except ValueError:
        raise ZMQError(Errno.EINVAL, f"there is no option {option!r}") from None
    if found not in RULES:
        raise ZMQError(Errno.EINVAL, f"{found.name} is not an option of PUB, SUB, XPUB or XSUB in Oncue")
    return found


def checked(option: int, value: Any) -> Value:
    """A value of the option's type, as pyzmq accepts it. Raises ``TypeError`` or ``OverflowError`` otherwise."""
    if isinstance(value, str):
        raise TypeError("unicode not allowed, use setsockopt_string")
    opt_type = getattr(option, "_opt_type", None)
    if opt_type is None:
        opt_type = SocketOption(option)._opt_type if option in SocketOption.__members__.values() else _OptType.int
    if opt_type is _OptType.bytes:
        if not isinstance(value, bytes):
            raise TypeError(f"expected bytes, got: {value!r}")
        return value
    if not isinstance(value, int):
        raise TypeError(f"expected int, got: {value!r}")
    limit = _INT_MAX if opt_type is not _OptType.int64 else (1 << 63) - 1
    if not -limit - 1 <= value <= limit:
        raise OverflowError(f"{value} does not fit the option's type")
    return int(value)


def _milliseconds(value: int) -> float:
    return value / 1000


def engine_options(socket_type: SocketType, values: Mapping[SocketOption, Value]) -> dict[str, Any]:
    """The keyword arguments of the engine's socket. An option that nobody has set keeps the engine's default."""
    get = values.get

    def number(option: SocketOption) -> int:
        value = get(option, 0)
        assert isinstance(value, int)
        return value

    made: dict[str, Any] = {
        # Whatever LINGER is when the socket is closed is given to close().
        "linger": None,
        "ip_versions": "both" if number(SocketOption.IPV6) or get(SocketOption.IPV4ONLY) == 0 else "4",
        # As in libzmq, the high-water marks count messages, however large these are.
        "queue_bytes_max": _UNBOUNDED,
    }
    if socket_type in SUBSCRIBERS:
        made["message_bytes_max"] = _UNBOUNDED
    for option, name, convert in _DIRECT:
        value = get(option)
        if value is not None and value not in (-1, b""):
            made[name] = convert(value)
    for option in (SocketOption.CONNECT_TIMEOUT, SocketOption.TCP_MAXRT):
        # 0 means the system's limit.
        if number(option) == 0:
            made.pop(_NAMES[option], None)
    made.update(_reconnect(get))
    interval = number(SocketOption.HEARTBEAT_IVL)
    if interval:
        timeout = get(SocketOption.HEARTBEAT_TIMEOUT, interval)
        assert isinstance(timeout, int)
        made["heartbeat"] = (_milliseconds(interval), _milliseconds(timeout))
        # Tenths of a second; less than one is none.
        if number(SocketOption.HEARTBEAT_TTL) >= 100:
            made["heartbeat_ttl"] = _milliseconds(number(SocketOption.HEARTBEAT_TTL))
    proxy = get(SocketOption.SOCKS_PROXY)
    if isinstance(proxy, bytes) and proxy:
        user, password = get(SocketOption.SOCKS_USERNAME, b""), get(SocketOption.SOCKS_PASSWORD, b"")
        assert isinstance(user, bytes) and isinstance(password, bytes)
        made["socks_proxy"] = (proxy.decode(), user.decode(), password.decode()) if user else proxy.decode()
    if number(SocketOption.XPUB_NODROP):
        made["on_full"] = "refuse"
    if socket_type is SocketType.XPUB:
        if number(SocketOption.XPUB_VERBOSER):
            made["verbose"] = "all"
        elif number(SocketOption.XPUB_VERBOSE):
            made["verbose"] = "subscribes"
        made["manual"] = bool(number(SocketOption.XPUB_MANUAL))
    welcome = get(SocketOption.XPUB_WELCOME_MSG)
    if welcome:
        made["welcome"] = welcome
    return made


def _reconnect(get: Callable[..., Value | None]) -> dict[str, Any]:
    interval = get(SocketOption.RECONNECT_IVL, 100)
    longest = get(SocketOption.RECONNECT_IVL_MAX, 0)
    stop = get(SocketOption.RECONNECT_STOP, 0)
    assert isinstance(interval, int) and isinstance(longest, int) and isinstance(stop, int)
    if interval == -1:
        return {"reconnect_stop": ["always"]}
    # The engine's shortest pause is 1 ms.
    shortest = max(interval, 1)
    made: dict[str, Any] = {"reconnect": (_milliseconds(shortest), _milliseconds(max(shortest, longest)))}
    conditions = [name for flag, name in _STOPS if stop & flag]
    if conditions:
        made["reconnect_stop"] = conditions
    return made


# More bytes than any machine has.
_UNBOUNDED = 1 << 60

_STOPS = (
    (ReconnectStop.CONN_REFUSED, "connection_refused"),
    (ReconnectStop.HANDSHAKE_FAILED, "handshake_failed"),
    (ReconnectStop.AFTER_DISCONNECT, "disconnected"),
)

# Options that are options of the engine: name, and conversion of the value.
_DIRECT: tuple[tuple[SocketOption, str, Callable[[Any], Any]], ...] = (
    (SocketOption.SNDHWM, "send_hwm", int),
    (SocketOption.RCVHWM, "recv_hwm", int),
    (SocketOption.SNDBUF, "send_buffer", int),
    (SocketOption.RCVBUF, "recv_buffer", int),
    (SocketOption.BACKLOG, "listen_backlog", int),
    (SocketOption.MAXMSGSIZE, "message_bytes_max", int),
    (SocketOption.TCP_KEEPALIVE, "tcp_keepalive", bool),
    (SocketOption.TCP_KEEPALIVE_CNT, "tcp_keepalive_count", int),
    (SocketOption.TCP_KEEPALIVE_IDLE, "tcp_keepalive_idle", int),
    (SocketOption.TCP_KEEPALIVE_INTVL, "tcp_keepalive_interval", int),
    (SocketOption.TCP_MAXRT, "tcp_user_timeout", _milliseconds),
    (SocketOption.TOS, "type_of_service", int),
    (SocketOption.PRIORITY, "socket_priority", int),
    (SocketOption.HANDSHAKE_IVL, "handshake_timeout", _milliseconds),
    (SocketOption.CONNECT_TIMEOUT, "connect_timeout", _milliseconds),
    (SocketOption.CONFLATE, "conflate", bool),
    (SocketOption.INVERT_MATCHING, "invert_matching", bool),
    (SocketOption.ONLY_FIRST_SUBSCRIBE, "only_first_subscribe", bool),
    (SocketOption.BINDTODEVICE, "bind_to_device", bytes.decode),
)
_NAMES = {option: name for option, name, _ in _DIRECT}
