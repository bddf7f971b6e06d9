"""The authenticator for programs with asyncio."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Coroutine
from typing import Any

from ..sugar.context import Context
from .base import Authenticator, run_on


class AsyncioAuthenticator(Authenticator):
    """Calls the functions of ``configure_curve_callback`` on the event loop on which it was started."""

    def __init__(self, context: Context | None = None, loop: Any = None, encoding: str = "utf-8", log: Any = None) -> None:
        if loop is not None:
            warnings.warn("the argument loop is not needed", DeprecationWarning, stacklevel=2)
        self._loop: asyncio.AbstractEventLoop | None = None
        super().__init__(context, encoding, log)

    def start(self) -> None:
        """From now on it decides."""
        super().start()
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            # Started outside of a loop: coroutines get one of their own.
            self._loop = None

    def _run(self, asked: Coroutine[Any, Any, bool]) -> bool:
        if self._loop is None:
            return super()._run(asked)
        return run_on(self._loop, asked)


__all__ = ["AsyncioAuthenticator"]
