"""Waiting for descriptors."""

from __future__ import annotations

import math
import select


def milliseconds(seconds: float | None) -> int | None:
    """A time limit for ``select.poll``: never shorter than asked for."""
    return None if seconds is None else max(0, math.ceil(seconds * 1000))


def poll_fd(fd: int, seconds: float | None) -> bool:
    """Waits until a descriptor is readable. Returns whether it is."""
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    return bool(poller.poll(milliseconds(seconds)))
