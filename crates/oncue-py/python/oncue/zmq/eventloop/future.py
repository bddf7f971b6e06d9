"""Sockets for Tornado whose operations return futures. Tornado's loop runs on asyncio's, so they are asyncio's."""

from __future__ import annotations

import asyncio
from asyncio import AbstractEventLoop, CancelledError, Future
from typing import Any

from tornado.ioloop import IOLoop

from .._future import AsyncContext, AsyncPoller, AsyncSocket


class Poller(AsyncPoller):
    """A poller whose ``poll`` returns a future."""


class Socket(AsyncSocket):
    """A socket whose ``send*``, ``recv*`` and ``poll`` return futures."""

    _poller_class = Poller
    _repr_cls = "zmq.eventloop.future.Socket"
    _known_loop: Any = None

    def _get_loop(self) -> AbstractEventLoop:
        loop = super()._get_loop()
        if self._known_loop is not loop:
            self._known_loop = loop
            # So that IOLoop.close(all_fds=True) closes this socket. It watches for no event.
            IOLoop.current().add_handler(self, _ignore, 0)
        return loop

    def close(self, linger: int | None = None) -> None:
        """Closes the socket, and cancels what waits."""
        loop, self._known_loop = self._known_loop, None
        if loop is not None and not loop.is_closed() and loop is _running():
            IOLoop.current().remove_handler(self)
        super().close(linger)


class Context(AsyncContext):
    """A context whose sockets are asynchronous."""

    _socket_class = Socket
    _instance: Any = None
    _repr_cls = "zmq.eventloop.future.Context"


def _ignore(*_: Any) -> None:
    pass


def _running() -> AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


__all__ = ["CancelledError", "Context", "Future", "Poller", "Socket"]
