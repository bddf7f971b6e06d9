"""What a context is behind its object: the engine, the options, and which sockets are open."""

from __future__ import annotations

import atexit
import ctypes
import errno
import os
import threading
from typing import TYPE_CHECKING, Protocol

from ... import _errors, _oncue
from ..constants import ContextOption, Errno
from ..error import ContextTerminated, ZMQError
from .errors import engine_errors
from .registry import Registry

if TYPE_CHECKING:
    from .socket import SocketHandle

# The engine's limit. A context may be asked for more, or for none, as in libzmq.
_IO_THREADS_MAX = 64

_READ_ONLY = {ContextOption.MSG_T_SIZE: 64}
_DEFAULTS = {
    ContextOption.IO_THREADS: 1,
    ContextOption.MAX_SOCKETS: 1023,
    ContextOption.MAX_MSGSZ: (1 << 31) - 1,
    # By its other name THREAD_PRIORITY it can be set.
    ContextOption.SOCKET_LIMIT: 65535,
    ContextOption.THREAD_SCHED_POLICY: -1,
    ContextOption.THREAD_AFFINITY_CPU_ADD: -1,
    ContextOption.THREAD_AFFINITY_CPU_REMOVE: -1,
    ContextOption.THREAD_NAME_PREFIX: 0,
}
_WRITE_ONLY = frozenset({ContextOption.THREAD_AFFINITY_CPU_ADD, ContextOption.THREAD_AFFINITY_CPU_REMOVE})


class Decides(Protocol):
    """An authenticator of zmq.auth."""

    def answer(self, domain: bytes, address: str, mechanism: str, credentials: list[bytes]) -> str | None:
        """Who a peer is that is let in; None: it is refused. It may take its time."""


class ContextHandle:
    """One context. ``Context`` objects that are shadows of each other share one."""

    contexts: Registry[ContextHandle] = Registry()

    def __init__(self, io_threads: int = 1) -> None:
        self.address = self.contexts.add(self)
        self.pid = os.getpid()
        # Whether term was called, and whether it is done.
        self.terminating = False
        self.terminated = False
        self.sockets: set[SocketHandle] = set()
        # Who decides about the peers of sockets with PLAIN or CURVE, or with ZAP_DOMAIN.
        self.authenticator: Decides | None = None
        self._options = dict(_DEFAULTS)
        self._changed = threading.Condition()
        self._engine: _oncue.Engine | None = None
        self.set(ContextOption.IO_THREADS, io_threads)

    @property
    def is_foreign(self) -> bool:
        """Whether it was made before this process was forked: the engine's threads are not here."""
        return self.pid != os.getpid()

    def set(self, option: int, value: int) -> None:
        """Sets an option. Those about threads are kept, and have no effect but ``IO_THREADS``."""
        if not isinstance(value, int):
            raise TypeError(f"expected int, got: {value!r}")
        if option not in _DEFAULTS or value < (1 if option == ContextOption.MAX_SOCKETS else 0):
            raise ZMQError(Errno.EINVAL)
        self._options[ContextOption(option)] = value

    def get(self, option: int) -> int:
        """The value of an option."""
        if self.terminated:
            raise RuntimeError("Context has been destroyed")
        known = {**self._options, **_READ_ONLY}
        if option not in known or option in _WRITE_ONLY:
            raise ZMQError(Errno.EINVAL)
        return known[ContextOption(option)]

    def engine(self) -> _oncue.Engine:
        """The engine, which starts with the first socket that needs it."""
        with self._changed:
            if self._engine is None:
                threads = min(max(self._options[ContextOption.IO_THREADS], 1), _IO_THREADS_MAX)
                with engine_errors():
                    self._engine = _oncue.Engine(threads)
            return self._engine

    def opened(self, socket: SocketHandle) -> None:
        """A socket was made. Raises ``ZMQError`` when the context is being terminated, or has too many sockets."""
        with self._changed:
            if self.terminating:
                raise ContextTerminated()
            if len(self.sockets) >= self._options[ContextOption.MAX_SOCKETS]:
                raise ZMQError(errno.EMFILE, "the context has as many sockets as its option MAX_SOCKETS allows")
            self.sockets.add(socket)

    def closed(self, socket: SocketHandle) -> None:
        """A socket was closed."""
        with self._changed:
            self.sockets.discard(socket)
            self._changed.notify_all()

    def term(self) -> None:
        """Makes every operation of its sockets fail, and waits until all are closed.

        Then it waits until what they have queued is sent, or their linger has passed.
        """
        engine = self._end()
        with self._changed:
            while self.sockets:
                self._changed.wait()
        if engine is not None:
            engine.close()
        self.terminated = True

    def abandon(self) -> None:
        """Ends it without a wait: nobody has a ``Context`` of it any more. What is queued is sent in the background."""
        engine = self._end()
        for socket in list(self.sockets):
            socket.close()
        self.terminated = True
        if engine is None:
            return
        try:
            engine.close(0)
        except _errors.TimeoutError:
            # Dropping an engine waits for what its sockets have queued, so the thread holds it until that is sent.
            threading.Thread(target=engine.close, name="oncue.zmq.linger", daemon=True).start()

    def _end(self) -> _oncue.Engine | None:
        """Begins to end: every operation fails from now on. Returns the engine that is to be closed."""
        if self.is_foreign:
            # The engine's threads, and what is queued, are those of the process from before the fork.
            self.sockets.clear()
            return None
        with self._changed:
            self.terminating = True
            sockets = list(self.sockets)
        for socket in sockets:
            socket.interrupt()
        return self._engine

    def outlive_the_interpreter(self) -> None:
        """Keeps the engine from being dropped at the exit of the interpreter, which would wait for what is queued.

        What is queued then is lost, as with pyzmq: a program that wants it sent calls ``term``.
        """
        if self._engine is not None:
            # No reference of Python's own outlives the interpreter's last steps.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._engine))


@atexit.register
def _at_exit() -> None:
    for context in ContextHandle.contexts.all():
        context.outlive_the_interpreter()
