"""The authenticator for programs with asyncio."""

from __future__ import annotations

from typing import Any

from ..sugar.context import Context
from .base import Authenticator


class AsyncioAuthenticator(Authenticator):
    """Decides on the threads of the sockets: it needs no task of a loop."""

    def __init__(self, context: Context | None = None, loop: Any = None, encoding: str = "utf-8", log: Any = None) -> None:
        super().__init__(context, encoding, log)


__all__ = ["AsyncioAuthenticator"]
