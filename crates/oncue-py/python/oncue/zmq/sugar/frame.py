"""A frame of a message, as an object."""

from __future__ import annotations

import builtins
import weakref
from threading import Event
from typing import Any

from ..._oncue import Buffer
from ..constants import Errno, MessageOption
from ..error import ZMQError
from ..utils.garbage import gc
from .attrsettr import AttributeSetter
from .tracker import MessageTracker

# A frame smaller than this is copied unless the caller says otherwise: copying then takes less time than keeping track.
COPY_THRESHOLD = 65536

_SHOWN_BYTES = 16
_SHOWN_HEAD = 12


class _Hold:
    """Keeps an object in ``gc`` while a frame shows its memory. Frames that are copies of each other share one."""

    def __init__(self, data: Any, event: Event | None) -> None:
        self._key = gc.store(data, event)

    def __del__(self) -> None:
        gc.release(self._key)


class Frame(Buffer, AttributeSetter):
    """The bytes of one frame. It shows them by the buffer protocol: of a received frame read-only."""

    more: bool = False
    tracker: MessageTracker | None = None
    tracker_event: Event | None = None
    _bytes: builtins.bytes | None = None
    _buffer: weakref.ref[memoryview] | None = None
    _hold: _Hold | None = None

    def __new__(
        cls,
        data: Any = None,
        track: bool = False,
        copy: bool | None = None,
        copy_threshold: int | None = None,
    ) -> Frame:
        """Shows the memory of an object, or a copy of it: by default a copy of what is smaller than ``copy_threshold``."""
        if isinstance(data, str):
            raise TypeError("Str objects not allowed. Only: bytes, buffer interfaces.")
        if data is None:
            return super().__new__(cls)
        frame = super().__new__(cls, data)
        if copy is None:
            copy = len(frame) < (COPY_THRESHOLD if copy_threshold is None else copy_threshold)
        if copy:
            frame = super().__new__(cls, memoryview(frame).tobytes())
            if track:
                frame.tracker = MessageTracker()
            return frame
        if track:
            frame.tracker_event = Event()
            frame.tracker = MessageTracker(frame.tracker_event)
        frame._hold = _Hold(data, frame.tracker_event)
        return frame

    @classmethod
    def _received(cls, part: builtins.bytes | memoryview, more: bool, track: bool) -> Frame:
        """A frame of a message that has come."""
        frame: Frame = super().__new__(cls, part)
        if more:
            frame.more = True
        if track:
            frame.tracker = MessageTracker()
        return frame

    def __copy__(self) -> Frame:
        twin: Frame = super().__new__(type(self), self.obj)
        twin.more = self.more
        twin.tracker, twin.tracker_event, twin._hold = self.tracker, self.tracker_event, self._hold
        return twin

    @property
    def bytes(self) -> builtins.bytes:
        """The bytes, copied once."""
        if self._bytes is None:
            self._bytes = memoryview(self).tobytes()
        return self._bytes

    def __bytes__(self) -> builtins.bytes:
        return self.bytes

    @property
    def buffer(self) -> memoryview:
        """The bytes as a memoryview, without a copy. It keeps the frame alive."""
        known = self._buffer() if self._buffer is not None else None
        if known is None:
            known = memoryview(self)
            self._buffer = weakref.ref(known)
        return known

    def __str__(self) -> str:
        size = len(self)
        shown = repr(self.bytes[:_SHOWN_HEAD] if size > _SHOWN_BYTES else self.bytes)
        if size > _SHOWN_BYTES:
            shown += f"...{_rounded(size)}"
        more = " more" if self.more else ""
        return f"<zmq.{type(self).__name__}({shown}){more}>"

    __repr__ = __str__

    def __reduce_ex__(self, protocol: Any) -> str | tuple[Any, ...]:
        raise TypeError(f"cannot pickle {type(self).__name__!r} object")

    def get(self, option: int | str) -> Any:
        """A property of the frame: ``MORE``.

        libzmq also tells properties of the connection by name; Oncue does not.
        """
        if option == MessageOption.MORE:
            return int(self.more)
        if option == MessageOption.SHARED:
            return 0
        if isinstance(option, str) or option == MessageOption.SRCFD:
            raise ZMQError(Errno.EINVAL, f"Oncue does not tell {option!r} of a frame")
        raise ZMQError(Errno.EINVAL)

    def set(self, option: int, value: Any) -> None:
        """A frame has no property that can be set."""
        raise ZMQError(Errno.EINVAL)

    def __getitem__(self, key: int | str) -> Any:
        return self.get(key)

    def _get_attr_opt(self, name: str, opt: int) -> Any:
        return self.get(opt if opt in MessageOption.__members__.values() else name)


def _rounded(size: int) -> str:
    for unit, bytes_of in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= bytes_of:
            return f"{size // bytes_of}{unit}"
    return f"{size}B"


Message = Frame

__all__ = ["COPY_THRESHOLD", "Frame", "Message"]
