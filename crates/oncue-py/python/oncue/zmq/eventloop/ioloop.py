"""Tornado's event loop, by the names that pyzmq keeps."""

from __future__ import annotations

import warnings

from tornado.ioloop import IOLoop, PeriodicCallback

ZMQIOLoop = IOLoop


def install() -> None:
    """Does nothing: Tornado's own loop serves."""
    warnings.warn("zmq.eventloop.ioloop.install is not needed", DeprecationWarning, stacklevel=2)


__all__ = ["IOLoop", "PeriodicCallback", "ZMQIOLoop", "install"]
