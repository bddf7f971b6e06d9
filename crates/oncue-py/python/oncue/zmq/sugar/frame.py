"""A frame of a message, as an object."""

from __future__ import annotations

import builtins
import weakref
from threading import Event
from typing import Any

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


class Frame(AttributeSetter):
    """The bytes of one frame. It shows them by the buffer protocol, read-only."""

    more: bool = False
    tracker: MessageTracker | None = None
    tracker_event: Event | None = None
    _view: memoryview = memoryview(b"")
    _bytes: builtins.bytes | None = None
    _buffer: weakref.ref[memoryview] | None = None
    _hold: _Hold | None = None

    def __init__(
        self,
        data: Any = None,
        track: bool = False,
        copy: bool | None = None,
        copy_threshold: int | None = None,
    ) -> None:
        if data is None:
            return
        if isinstance(data, str):
            raise TypeError("Str objects not allowed. Only: bytes, buffer interfaces.")
        view = memoryview(data)
        if not view.contiguous:
            raise BufferError("the buffer is not contiguous")
        if copy is None:
            copy = view.nbytes < (COPY_THRESHOLD if copy_threshold is None else copy_threshold)
        if copy:
            data = view.tobytes("A")
            view = memoryview(data)
            if track:
                self.tracker = MessageTracker()
        else:
            if track:
                self.tracker_event = Event()
                self.tracker = MessageTracker(self.tracker_event)
            self._hold = _Hold(data, self.tracker_event)
        self._view = view

    @classmethod
    def _received(cls, view: memoryview, more: bool, track: bool) -> Frame:
        """A frame of a message that has come."""
        frame = cls()
        frame._view = view
        frame.more = more
        if track:
            frame.tracker = MessageTracker()
        return frame

    def __buffer__(self, flags: int) -> memoryview:
        return memoryview(self._view)

    def __copy__(self) -> Frame:
        twin = type(self)()
        twin._view = memoryview(self._view.obj)
        twin.more = self.more
        twin.tracker, twin.tracker_event, twin._hold = self.tracker, self.tracker_event, self._hold
        return twin

    def __len__(self) -> int:
        return self._view.nbytes

    @property
    def bytes(self) -> builtins.bytes:
        """The bytes, copied once."""
        if self._bytes is None:
            self._bytes = self._view.tobytes("A")
        return self._bytes

    def __bytes__(self) -> builtins.bytes:
        return self.bytes

    @property
    def buffer(self) -> memoryview:
        """The bytes as a memoryview, without a copy. It keeps the frame alive."""
        known = self._buffer() if self._buffer is not None else None
        if known is None:
            known = memoryview(self)  # type: ignore[arg-type]
            self._buffer = weakref.ref(known)
        return known

    def __str__(self) -> str:
        size = len(self)
        if size <= _SHOWN_BYTES:
            shown = repr(self.bytes)
        else:
            shown = f"{self.bytes[:_SHOWN_HEAD]!r}...{_rounded(size)}"
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
