"""Sockets for asyncio: their operations return futures."""

from __future__ import annotations

import asyncio
import warnings

from ._future import AsyncContext as Context
from ._future import AsyncPoller as Poller
from ._future import AsyncSocket as Socket


class ZMQEventLoop(asyncio.SelectorEventLoop):
    """An event loop. Any other serves as well; pyzmq keeps the name."""


def install() -> None:
    """Does nothing: every event loop serves."""
    warnings.warn("zmq.asyncio.install is not needed: every event loop serves", DeprecationWarning, stacklevel=2)


__all__ = ["Context", "Poller", "Socket", "ZMQEventLoop", "install"]
