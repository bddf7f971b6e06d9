"""Waiting for several sockets."""

from __future__ import annotations

from typing import Any

from ..backend.poll import zmq_poll
from ..constants import POLLERR, POLLIN, POLLOUT


class Poller:
    """Sockets of Oncue, sockets of pyzmq, and other descriptors, and what to wait for at each of them."""

    sockets: list[tuple[Any, int]]

    def __init__(self) -> None:
        self.sockets = []
        self._at: dict[Any, int] = {}

    def __contains__(self, socket: Any) -> bool:
        return socket in self._at

    def register(self, socket: Any, flags: int = POLLIN | POLLOUT) -> None:
        """Waits for a socket, a descriptor, or an object with ``fileno()`` from now on. No flags: not any more."""
        if not flags:
            if socket in self._at:
                self.unregister(socket)
            return
        if socket in self._at:
            self.sockets[self._at[socket]] = (socket, flags)
        else:
            self._at[socket] = len(self.sockets)
            self.sockets.append((socket, flags))

    def modify(self, socket: Any, flags: int = POLLIN | POLLOUT) -> None:
        """As ``register``."""
        self.register(socket, flags)

    def unregister(self, socket: Any) -> None:
        """Does not wait for it any more. Raises ``KeyError`` if it was not registered."""
        position = self._at.pop(socket)
        self.sockets.pop(position)
        for other in self.sockets[position:]:
            self._at[other[0]] -= 1

    def poll(self, timeout: float | None = None) -> list[tuple[Any, int]]:
        """Waits for at most ``timeout`` milliseconds. Returns what is ready, and for what."""
        return zmq_poll(self.sockets, -1 if timeout is None else timeout)


def select(
    rlist: list[Any], wlist: list[Any], xlist: list[Any], timeout: float | None = None
) -> tuple[list[Any], list[Any], list[Any]]:
    """As ``select.select``, for sockets too: what can receive, can send, and has failed, within ``timeout`` seconds."""
    lists = ((rlist, POLLIN), (wlist, POLLOUT), (xlist, POLLERR))
    wanted: dict[Any, int] = {}
    for things, flag in lists:
        for thing in things:
            wanted[thing] = wanted.get(thing, 0) | flag
    ready = dict(zmq_poll(list(wanted.items()), -1 if timeout is None else timeout * 1000))

    def of(things: list[Any], flag: int) -> list[Any]:
        return [thing for thing in things if (ready.get(thing) or ready.get(_number(thing)) or 0) & flag]

    return of(rlist, POLLIN), of(wlist, POLLOUT), of(xlist, POLLERR)


def _number(thing: Any) -> Any:
    """What an object is told as that is not a socket."""
    return thing.fileno() if hasattr(thing, "fileno") and not hasattr(thing, "underlying") else None


__all__ = ["Poller", "select"]
