"""Waiting for sockets of Oncue, sockets of pyzmq, and any other descriptors together."""

from __future__ import annotations

import select
import time
from collections.abc import Iterable
from typing import Any

from ..constants import PollEvent
from ..utils.waits import milliseconds
from .socket import SocketHandle

_TO_SYSTEM = (
    (PollEvent.POLLIN, select.POLLIN),
    (PollEvent.POLLOUT, select.POLLOUT),
    (PollEvent.POLLPRI, select.POLLPRI),
)
_FAILED = select.POLLERR | select.POLLHUP | select.POLLNVAL


class _Foreign:
    """A descriptor that is not a socket of ours."""

    def __init__(self, thing: Any) -> None:
        self.zmq_events = _zmq_events(thing)
        if isinstance(thing, int):
            self.fd = thing
            self.shown: Any = thing
            return
        try:
            self.fd = thing.fileno()
        except AttributeError:
            raise TypeError(f"Socket must be a 0MQ socket, an integer fd or have a fileno() method: {thing!r}") from None
        # pyzmq tells of a socket by the object, and of anything else by its descriptor.
        self.shown = thing if self.zmq_events is not None else self.fd


def _zmq_events(thing: Any) -> Any:
    """How to ask a socket of pyzmq for its events. Its descriptor alone does not tell: it is edge-triggered."""
    module = type(thing).__mro__
    if any(owner.__module__ == "zmq.sugar.socket" for owner in module):
        return lambda: int(thing.EVENTS)
    return None


def zmq_poll(sockets: Iterable[tuple[Any, int]], timeout: float | None = -1) -> list[tuple[Any, int]]:
    """Waits for at most ``timeout`` milliseconds until something is ready; a negative number means no limit.

    Takes pairs of a socket, a descriptor, or an object with ``fileno()``, and what to wait for. Returns those that are
    ready, and for what.
    """
    wanted = list(sockets)
    limit = None if timeout is None or timeout < 0 else timeout / 1000
    deadline = None if limit is None else time.monotonic() + limit
    handles = [_handle(thing) for thing, _ in wanted]
    foreign = [None if handle is not None else _Foreign(thing) for handle, (thing, _) in zip(handles, wanted, strict=True)]
    if not wanted:
        time.sleep(limit or 0)
        return []
    while True:
        ready, poller = _look(wanted, handles, foreign)
        left = 0.0 if ready else None if deadline is None else max(0.0, deadline - time.monotonic())
        found = dict(poller.poll(milliseconds(left)))
        result = []
        for index, (thing, events) in enumerate(wanted):
            other = foreign[index]
            now = ready.get(index, 0)
            if other is not None and other.zmq_events is None:
                now = _from_system(found.get(other.fd, 0), events)
            if now:
                result.append((thing if other is None else other.shown, now))
        if result or left == 0.0:
            return result


def _handle(thing: Any) -> SocketHandle | None:
    handle = getattr(thing, "_handle", None) if not isinstance(thing, int) else None
    return handle if isinstance(handle, SocketHandle) else None


def _look(
    wanted: list[tuple[Any, int]], handles: list[SocketHandle | None], foreign: list[_Foreign | None]
) -> tuple[dict[int, int], select.poll]:
    """Which sockets are ready now, and what to wait for otherwise."""
    ready: dict[int, int] = {}
    waits: dict[int, int] = {}
    for index, (_, events) in enumerate(wanted):
        handle, other = handles[index], foreign[index]
        if handle is not None:
            now = handle.events() & int(events)
            if events & PollEvent.POLLIN and handle.receives:
                waits[handle.wait_fd()] = select.POLLIN
        else:
            assert other is not None
            now = other.zmq_events() & int(events) if other.zmq_events is not None else 0
            mask = select.POLLIN if other.zmq_events is not None else _to_system(events)
            waits[other.fd] = waits.get(other.fd, 0) | mask
        if now:
            ready[index] = now
    poller = select.poll()
    for fd, mask in waits.items():
        poller.register(fd, mask)
    return ready, poller


def _to_system(events: int) -> int:
    return sum(system for flag, system in _TO_SYSTEM if events & flag)


def _from_system(found: int, events: int) -> int:
    now = int(sum(flag for flag, system in _TO_SYSTEM if found & system and events & flag))
    return now | int(PollEvent.POLLERR if found & _FAILED else 0)


__all__ = ["zmq_poll"]
