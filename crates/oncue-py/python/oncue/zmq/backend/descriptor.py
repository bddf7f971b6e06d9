"""The descriptor of a socket for the pollers of others."""

from __future__ import annotations

import os
import select
import threading


class Descriptor:
    """An epoll that is readable while the socket can receive: the engine says so, or the rest of a message waits here.

    It exists before the engine's socket does, and is level-triggered: unlike libzmq's it stays readable until everything
    has been received.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._rest = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._is_set = False
        self._lock = threading.Lock()
        self._epoll.register(self._rest, select.EPOLLIN)

    def fileno(self) -> int:
        """Its number."""
        return self._epoll.fileno()

    def watch(self, fd: int) -> None:
        """Is readable, too, while this descriptor is."""
        self._epoll.register(fd, select.EPOLLIN)

    def set(self, readable: bool) -> None:
        """Whether something waits here."""
        with self._lock:
            if readable == self._is_set or self._epoll.closed:
                return
            self._is_set = readable
            if readable:
                os.eventfd_write(self._rest, 1)
            else:
                os.eventfd_read(self._rest)

    def close(self) -> None:
        """Closes it."""
        with self._lock:
            if not self._epoll.closed:
                self._epoll.close()
                os.close(self._rest)
