"""The authenticator for programs with threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

from ..sugar.context import Context
from .base import Authenticator, run_on


class ThreadAuthenticator(Authenticator):
    """Has a thread, on which the functions of ``configure_curve_callback`` are called, and coroutines run."""

    thread: threading.Thread | None

    def __init__(self, context: Context | None = None, encoding: str = "utf-8", log: Any = None) -> None:
        self.thread = None
        self._loop: asyncio.AbstractEventLoop | None = None
        super().__init__(context, encoding, log)

    def start(self) -> None:
        """From now on it decides."""
        super().start()
        if self.thread is None:
            self._loop = asyncio.new_event_loop()
            self.thread = threading.Thread(target=_serve, args=(self._loop,), name="oncue.zmq.auth", daemon=True)
            self.thread.start()

    def stop(self) -> None:
        """It decides no more."""
        super().stop()
        thread, self.thread = self.thread, None
        if thread is not None and self._loop is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join()

    def is_alive(self) -> bool:
        """Whether it decides."""
        return self.thread is not None and self.thread.is_alive()

    def _run(self, asked: Coroutine[Any, Any, bool]) -> bool:
        if self._loop is None:
            return super()._run(asked)
        return run_on(self._loop, asked)

    def __del__(self) -> None:
        if self.thread is not None:
            self.stop()


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    """Runs the loop until it is stopped. What is asked then is refused."""
    try:
        loop.run_forever()
        loop.run_until_complete(_cancel_all())
    finally:
        loop.close()


async def _cancel_all() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


__all__ = ["ThreadAuthenticator"]
