"""The authenticator for programs with Tornado, by the name that pyzmq keeps."""

from __future__ import annotations

import warnings
from typing import Any

from ..sugar.context import Context
from .asyncio import AsyncioAuthenticator

warnings.warn(
    "zmq.auth.ioloop.IOLoopAuthenticator is deprecated. Use zmq.auth.asyncio.AsyncioAuthenticator",
    DeprecationWarning,
    stacklevel=2,
)


class IOLoopAuthenticator(AsyncioAuthenticator):
    """As ``AsyncioAuthenticator``."""

    def __init__(
        self, context: Context | None = None, encoding: str = "utf-8", log: Any = None, io_loop: Any = None
    ) -> None:
        if io_loop is not None:
            warnings.warn("the argument io_loop is not needed", DeprecationWarning, stacklevel=2)
        super().__init__(context, None, encoding, log)


__all__ = ["IOLoopAuthenticator"]
