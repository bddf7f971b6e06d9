"""What happens to a socket's connections, as the messages of libzmq's monitors."""

from __future__ import annotations

import os
import select
import struct
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress

from ... import _errors
from ..._oncue import ConnectionEvents
from ..._records import ConnectionEvent
from ..constants import Event
from ..utils.waits import poll_fd

_Frames = tuple[bytes, bytes]

# The engine tells of a connection when its handshake is done, and libzmq in two steps.
_EVENTS: dict[str, tuple[Event, ...]] = {
    "bound": (Event.LISTENING,),
    "unbound": (Event.CLOSED,),
    "accepting_paused": (Event.ACCEPT_FAILED,),
    "accepted": (Event.ACCEPTED, Event.HANDSHAKE_SUCCEEDED),
    "refused": (Event.HANDSHAKE_FAILED_NO_DETAIL,),
    "disconnected": (Event.DISCONNECTED,),
    "connecting": (Event.CONNECT_DELAYED,),
    "connected": (Event.CONNECTED, Event.HANDSHAKE_SUCCEEDED),
    "failed": (Event.CONNECT_RETRIED,),
    "lost": (Event.DISCONNECTED, Event.CONNECT_RETRIED),
    "stopped": (Event.CLOSED,),
}


class Monitor:
    """The events of one socket that are asked for, each as two frames: number and value, and the endpoint."""

    def __init__(self, events: int) -> None:
        self._wanted = events
        self._source: ConnectionEvents | None = None
        self._ready: deque[_Frames] = deque()
        self._lock = threading.Lock()
        self._stopped = self._closed = False
        # Readable while the source has something, or while something is ready here.
        self._epoll = select.epoll()
        self._own = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._epoll.register(self._own, select.EPOLLIN)

    def begin(self, source: ConnectionEvents) -> None:
        """The engine's socket is made: these are its events."""
        with self._lock:
            if not self._closed and not self._stopped:
                self._source = source
                self._epoll.register(source.fileno(), select.EPOLLIN)

    def stop(self) -> None:
        """The socket is not watched any more: the last event says so."""
        with self._lock:
            if self._stopped or self._closed:
                return
            self._take()
            self._stopped = True
            self._forget_source()
            self._put(Event.MONITOR_STOPPED, 0, b"")
            self._signal()

    def close(self) -> None:
        """Nothing is received from it any more."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._forget_source()
            self._ready.clear()
            self._signal()

    def try_recv(self, copy: bool = True) -> _Frames | None:
        """The next event, if there is one."""
        with self._lock:
            if self._closed:
                raise _errors.ClosedError("the monitor is closed")
            self._take()
            if not self._ready:
                return None
            frames = self._ready.popleft()
            self._signal()
            return frames

    def recv(self, timeout: float | None = None, copy: bool = True) -> _Frames:
        """The next event."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            frames = self.try_recv()
            if frames is not None:
                return frames
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise _errors.TimeoutError("nothing came in time")
            poll_fd(self._epoll.fileno(), left)

    def poll(self, timeout: float | None = None) -> bool:
        """Waits until there is an event."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            with self._lock:
                self._take()
                if self._ready or self._closed:
                    return True
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return False
            poll_fd(self._epoll.fileno(), left)

    def fileno(self) -> int:
        """A descriptor that is readable while there is an event, or once it is closed."""
        return self._epoll.fileno()

    def _take(self) -> None:
        """Takes what the engine tells."""
        source = self._source
        if source is None:
            return
        try:
            while (event := source.try_next()) is not None:
                for kind, value in _as_libzmq(event):
                    if self._wanted & kind:
                        self._put(kind, value, event.endpoint.encode())
        except _errors.ClosedError:
            self._forget_source()
        self._signal()

    def _put(self, kind: Event, value: int, endpoint: bytes) -> None:
        self._ready.append((struct.pack("=HI", kind, value), endpoint))

    def _forget_source(self) -> None:
        if self._source is not None:
            self._epoll.unregister(self._source.fileno())
            self._source = None

    def _signal(self) -> None:
        """Makes the descriptor say whether something is ready."""
        with suppress(BlockingIOError):
            os.eventfd_read(self._own)
        if self._ready or self._closed:
            os.eventfd_write(self._own, 1)

    def __del__(self) -> None:
        self._epoll.close()
        os.close(self._own)


# The engine's words for a client that was refused: by this side, and by the server with ZAP's status 400.
_NOT_LET_IN = "it was not let in"
_REFUSED_BY_PEER = 'it says "400"'
_REFUSED_STATUS = 400


def _as_libzmq(event: ConnectionEvent) -> Iterator[tuple[Event, int]]:
    cause = event.cause or ""
    is_not_let_in = event.kind == "refused" and cause == _NOT_LET_IN
    if is_not_let_in or (event.kind == "failed" and cause.startswith(_REFUSED_BY_PEER)):
        yield Event.HANDSHAKE_FAILED_AUTH, _REFUSED_STATUS
    if is_not_let_in:
        return
    for kind in _EVENTS.get(event.kind, ()):
        if kind is not Event.CONNECT_RETRIED:
            # libzmq's value is a descriptor or an error number; the engine tells neither.
            yield kind, 0
        elif event.retry_after is not None:
            yield kind, round(event.retry_after * 1000)
