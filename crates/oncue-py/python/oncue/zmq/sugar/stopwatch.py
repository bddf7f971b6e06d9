"""A stopwatch, which pyzmq keeps from libzmq's utilities. ``time.perf_counter`` does the same."""

from __future__ import annotations

import time


class Stopwatch:
    """Measures a time in microseconds."""

    _started: float | None

    def __init__(self) -> None:
        self._started = None

    def start(self) -> None:
        """Starts."""
        self._started = time.perf_counter()

    def stop(self) -> float:
        """Stops, and returns the microseconds since ``start``."""
        if self._started is None:
            raise RuntimeError("the stopwatch was not started")
        elapsed = time.perf_counter() - self._started
        self._started = None
        return elapsed * 1e6


__all__ = ["Stopwatch"]
