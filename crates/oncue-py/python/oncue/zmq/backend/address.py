"""Endpoints: what can be said about their text before the engine reads it."""

from __future__ import annotations

import errno
from typing import Any

from ..constants import Errno
from ..error import ZMQError, strerror

# The longest path of an ipc endpoint, without the end of the text (sun_path of sockaddr_un).
IPC_PATH_MAX_LEN = 107

_TRANSPORTS = frozenset({"tcp", "ipc", "inproc"})


def text(addr: Any) -> str:
    """An address as text. Raises ``TypeError`` for anything but ``str`` and ``bytes``."""
    if isinstance(addr, bytes):
        return addr.decode()
    if isinstance(addr, str):
        return addr
    raise TypeError(f"Expected addr to be str, got addr={addr!r}")


def failure(number: int, address: str, reason: str | None = None) -> ZMQError:
    """The error of an operation on this address."""
    return ZMQError(number, f"{reason or strerror(number)} (addr={address!r})")


def check(address: str) -> str:
    """Refuses an address of a transport that Oncue does not have, and one that is no address."""
    transport, separator, rest = address.partition("://")
    if not separator or not transport:
        raise failure(Errno.EINVAL, address)
    if transport == "udp":
        raise failure(Errno.ENOCOMPATPROTO, address)
    if transport not in _TRANSPORTS:
        raise failure(Errno.EPROTONOSUPPORT, address)
    if not rest:
        raise failure(Errno.EINVAL, address)
    if transport == "ipc" and len(rest.encode()) > IPC_PATH_MAX_LEN:
        reason = f'ipc path "{rest}" is longer than zmq.IPC_PATH_MAX_LEN, {IPC_PATH_MAX_LEN} bytes'
        raise failure(errno.ENAMETOOLONG, address, reason)
    return address


def bind_failure(error: ZMQError, address: str) -> ZMQError:
    """The error of a bind, with a text of its own where a folder is missing."""
    if error.errno == errno.ENOENT and address.startswith("ipc://"):
        return failure(errno.ENOENT, address, f'No such file or directory for ipc path "{address[6:]}".')
    return error
