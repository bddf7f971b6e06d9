"""Forwarding by the engine's proxy."""

from __future__ import annotations

from typing import Any

from ... import _errors, _oncue
from ..constants import Errno
from ..error import ContextTerminated, ZMQError
from .errors import engine_errors
from .options import PUBLISHERS, SUBSCRIBERS
from .socket import SocketHandle

# How often a proxy looks whether its sockets' context is being terminated, in seconds.
_LOOK_INTERVAL = 0.05


def _of(name: str, socket: Any) -> SocketHandle:
    handle = getattr(socket, "_handle", None)
    if not isinstance(handle, SocketHandle):
        raise TypeError(
            f"Argument {name!r} has incorrect type (expected a socket of oncue.zmq, got {type(socket).__name__})"
        )
    handle.check()
    return handle


def proxy(frontend: Any, backend: Any, capture: Any = None) -> None:
    """Forwards messages from the publishers of one socket to the subscribers of the other, and subscriptions back.

    It ends when the context is terminated or one of the sockets is closed. One socket is a SUB or XSUB, the other a PUB or
    XPUB, in any order; a PUB or XPUB as ``capture`` gets a copy of each message.
    """
    handles = [_of("frontend", frontend), _of("backend", backend)]
    subscribers = [handle for handle in handles if handle.type in SUBSCRIBERS]
    publishers = [handle for handle in handles if handle.type in PUBLISHERS]
    if len(subscribers) != 1 or len(publishers) != 1:
        raise ZMQError(Errno.EINVAL, "a proxy needs a SUB or XSUB on one side, and a PUB or XPUB on the other")
    captured = None if capture is None else _of("capture", capture)
    if captured is not None:
        if captured.type not in PUBLISHERS:
            raise ZMQError(Errno.EINVAL, "what captures must be a PUB or XPUB")
        handles.append(captured)
    with engine_errors():
        running = _oncue.Proxy(
            subscribers[0].made(), publishers[0].made(), capture=None if captured is None else captured.made()
        )
    try:
        while not running.wait(_LOOK_INTERVAL):
            for handle in handles:
                handle.check()
    except _errors.ClosedError:
        pass
    finally:
        running.stop()
    for handle in handles:
        handle.check()
    raise ContextTerminated()


def proxy_steerable(frontend: Any, backend: Any, capture: Any = None, control: Any = None) -> None:
    """Not in Oncue: libzmq steers this proxy by a PAIR or REP socket. ``oncue.Proxy`` has methods for it."""
    raise ZMQError(Errno.ENOTSUP, "Oncue has no steerable proxy; oncue.Proxy can be paused, resumed and stopped")
