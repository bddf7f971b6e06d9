"""The objects whose memory frames show without a copy."""

from __future__ import annotations

import itertools
import threading
from typing import Any, NamedTuple


class gcref(NamedTuple):
    """An object whose memory is shown, and what is set when that ends."""

    obj: Any
    event: threading.Event | None


class GarbageCollector:
    """Holds each object that a frame shows without a copy, until its last frame is gone."""

    refs: dict[int, gcref]

    def __init__(self) -> None:
        self.refs = {}
        self._keys = itertools.count(1)

    def store(self, obj: Any, event: threading.Event | None = None) -> int:
        """Holds an object. Returns the key that releases it."""
        key = next(self._keys)
        self.refs[key] = gcref(obj, event)
        return key

    def release(self, key: int) -> None:
        """Holds an object no more, and sets its event."""
        ref = self.refs.pop(key, None)
        if ref is not None and ref.event is not None:
            ref.event.set()


gc = GarbageCollector()

__all__ = ["GarbageCollector", "gc", "gcref"]
