"""Sockets and pollers whose operations return futures: what ``zmq.asyncio`` and ``zmq.eventloop.future`` share.

A future is done at once when the operation does not have to wait. Operations that wait are done in the order of their calls.
"""

from __future__ import annotations

import asyncio
import weakref
from asyncio import AbstractEventLoop, Future
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, overload

from .constants import DONTWAIT, POLLIN, POLLOUT, Errno
from .error import Again, ZMQError
from .sugar.context import Context as SyncContext
from .sugar.poll import Poller as SyncPoller
from .sugar.socket import DEFAULT_PROTOCOL
from .sugar.socket import Socket as SyncSocket
from .sugar.tracker import MessageTracker

T = TypeVar("T")

# How long a send that finds no room waits before it tries again (only with XPUB_NODROP), in seconds.
_SEND_RETRY = 0.002

# As a number: operations on members of an enumeration take longer than a send.
_DONTWAIT = int(DONTWAIT)

Callback = Callable[[], None]


class Watches:
    """Several callbacks for one descriptor of a loop, which itself allows only one."""

    _of_loop: weakref.WeakKeyDictionary[AbstractEventLoop, Watches] = weakref.WeakKeyDictionary()

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop = weakref.ref(loop)
        self._callbacks: dict[tuple[int, int], list[Callback]] = {}

    @classmethod
    def of(cls, loop: AbstractEventLoop) -> Watches:
        """Those of a loop."""
        watches = cls._of_loop.get(loop)
        if watches is None:
            watches = cls._of_loop[loop] = Watches(loop)
        return watches

    def add(self, fd: int, event: int, callback: Callback) -> None:
        """Calls back while the descriptor is readable (``POLLIN``) or writable (``POLLOUT``)."""
        callbacks = self._callbacks.setdefault((fd, event), [])
        callbacks.append(callback)
        loop = self._loop()
        if len(callbacks) == 1 and loop is not None:
            add = loop.add_reader if event == POLLIN else loop.add_writer
            add(fd, self._call, callbacks)

    def remove(self, fd: int, event: int, callback: Callback) -> None:
        """Calls it no more."""
        callbacks = self._callbacks.get((fd, event), [])
        if callback in callbacks:
            callbacks.remove(callback)
        if not callbacks and self._callbacks.pop((fd, event), None) is not None:
            loop = self._loop()
            if loop is not None and not loop.is_closed():
                (loop.remove_reader if event == POLLIN else loop.remove_writer)(fd)

    @staticmethod
    def _call(callbacks: list[Callback]) -> None:
        for callback in list(callbacks):
            callback()


def current_loop() -> AbstractEventLoop:
    """The loop that runs, or else that of the thread."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.get_event_loop()


class _Waiting:
    """One operation that waits: ``attempt`` raises ``Again`` until it can be done."""

    def __init__(self, future: Future[Any], attempt: Callable[[], Any], is_poll: bool) -> None:
        self.future = future
        self.attempt = attempt
        self.is_poll = is_poll
        self.timer: asyncio.TimerHandle | None = None


class AsyncSocket(SyncSocket):
    """A socket whose ``send*``, ``recv*`` and ``poll`` return futures."""

    _shadow_sock: SyncSocket
    _recv_futures: deque[_Waiting]
    _watched: tuple[AbstractEventLoop, int] | None = None
    _repr_cls = "zmq.asyncio.Socket"

    def __init__(self, context: Any = None, socket_type: int = -1, **kwargs: Any) -> None:
        super().__init__(context, socket_type, **kwargs)
        self._recv_futures = deque()
        self._shadow_sock = SyncSocket.shadow(self)

    def _get_loop(self) -> AbstractEventLoop:
        return current_loop()

    if TYPE_CHECKING:
        # These are made of the methods below, so that their results are futures, too.
        def recv_string(self, flags: int = 0, encoding: str = "utf-8") -> Future[str]: ...  # type: ignore[override]
        def recv_json(self, flags: int = 0, **kwargs: Any) -> Future[Any]: ...
        def recv_pyobj(self, flags: int = 0) -> Future[Any]: ...
        def recv_serialized(  # type: ignore[override]
            self, deserialize: Callable[[list[Any]], T], flags: int = 0, copy: bool = True
        ) -> Future[T]: ...
        def send_string(  # type: ignore[override]
            self, u: str, flags: int = 0, copy: bool = True, encoding: str = "utf-8", **kwargs: Any
        ) -> Future[MessageTracker | None]: ...
        def send_json(  # type: ignore[override]
            self, obj: Any, flags: int = 0, **kwargs: Any
        ) -> Future[MessageTracker | None]: ...
        def send_pyobj(  # type: ignore[override]
            self, obj: Any, flags: int = 0, protocol: int = DEFAULT_PROTOCOL, **kwargs: Any
        ) -> Future[MessageTracker | None]: ...
        def send_serialized(  # type: ignore[override]
            self,
            msg: T,
            serialize: Callable[[T], Sequence[Any]],
            flags: int = 0,
            copy: bool = True,
            **kwargs: Any,
        ) -> Future[MessageTracker | None]: ...

    # ------------------------------------------------------------------ waiting

    def _operation(self, attempt: Callable[[], Any], limit: float | None, wait: bool, is_poll: bool = False) -> Future[Any]:
        """The future of an operation on what has been received."""
        self._handle.check()
        loop = self._get_loop()
        future: Future[Any] = loop.create_future()
        if not wait or not self._recv_futures or is_poll:
            try:
                future.set_result(attempt())
                return future
            except Again as error:
                if not wait or limit == 0:
                    future.set_exception(error)
                    return future
            except Exception as error:
                future.set_exception(error)
                return future
        waiting = _Waiting(future, attempt, is_poll)
        self._recv_futures.append(waiting)
        if limit is not None:
            waiting.timer = loop.call_later(limit, self._time_out, waiting)
        future.add_done_callback(lambda _: self._done(waiting))
        self._watch(loop)
        return future

    def _time_out(self, waiting: _Waiting) -> None:
        if not waiting.future.done():
            if waiting.is_poll:
                waiting.future.set_result(0)
            else:
                waiting.future.set_exception(Again())

    def _done(self, waiting: _Waiting) -> None:
        if waiting.timer is not None:
            waiting.timer.cancel()
        if waiting in self._recv_futures:
            self._recv_futures.remove(waiting)
        if not self._recv_futures:
            self._unwatch()

    def _readable(self) -> None:
        """Something has come, or the socket was closed."""
        for waiting in [waiting for waiting in self._recv_futures if waiting.is_poll]:
            self._try(waiting)
        while self._recv_futures:
            waiting = self._recv_futures[0]
            if waiting.is_poll:
                # Not ready yet; those behind it do not wait for it.
                others = [other for other in self._recv_futures if not other.is_poll]
                if not others:
                    return
                waiting = others[0]
            if not self._try(waiting):
                return

    def _try(self, waiting: _Waiting) -> bool:
        """Whether the operation is done."""
        if not waiting.future.done():
            try:
                waiting.future.set_result(waiting.attempt())
            except Again:
                return False
            except Exception as error:
                waiting.future.set_exception(error)
        if waiting in self._recv_futures:
            self._recv_futures.remove(waiting)
        if not self._recv_futures:
            self._unwatch()
        return True

    def _watch(self, loop: AbstractEventLoop) -> None:
        fd = self._handle.wait_fd()
        if self._watched == (loop, fd):
            return
        self._unwatch()
        self._watched = (loop, fd)
        Watches.of(loop).add(fd, POLLIN, self._readable)

    def _unwatch(self) -> None:
        if self._watched is not None:
            loop, fd = self._watched
            self._watched = None
            Watches.of(loop).remove(fd, POLLIN, self._readable)

    def close(self, linger: int | None = None) -> None:
        """Closes the socket, and cancels what waits."""
        if not self.closed:
            for waiting in list(self._recv_futures):
                if not waiting.future.done() and not waiting.future.get_loop().is_closed():
                    waiting.future.cancel()
            self._recv_futures.clear()
            self._unwatch()
        super().close(linger)

    # ------------------------------------------------------------------ receiving

    def _receive(self, receive: Callable[..., Any], flags: int, **kwargs: Any) -> Future[Any]:
        now = int(flags) | _DONTWAIT
        return self._operation(lambda: receive(flags=now, **kwargs), self._handle.recv_limit, now != flags)

    def recv(  # type: ignore[override]
        self, flags: int = 0, copy: bool = True, track: bool = False
    ) -> Future[Any]:
        """The next frame."""
        return self._receive(self._shadow_sock.recv, flags, copy=copy, track=track)

    def recv_multipart(  # type: ignore[override]
        self, flags: int = 0, copy: bool = True, track: bool = False
    ) -> Future[Any]:
        """All frames of the next message."""
        return self._receive(self._shadow_sock.recv_multipart, flags, copy=copy, track=track)

    def recv_into(  # type: ignore[override]
        self, buffer: Any, /, *, nbytes: int = 0, flags: int = 0
    ) -> Future[int]:
        """The next frame into a buffer."""
        return self._receive(partial(self._shadow_sock.recv_into, buffer), flags, nbytes=nbytes)

    def _deserialize(self, recvd: Any, load: Callable[[Any], Any]) -> Any:
        future: Future[Any] = recvd.get_loop().create_future()

        def loaded(_: Future[Any]) -> None:
            if future.done():
                return
            if recvd.cancelled():
                future.cancel()
            elif recvd.exception() is not None:
                future.set_exception(recvd.exception())
            else:
                try:
                    future.set_result(load(recvd.result()))
                except Exception as error:
                    future.set_exception(error)

        def cancelled(_: Future[Any]) -> None:
            if future.cancelled():
                recvd.cancel()

        if recvd.done():
            loaded(recvd)
        else:
            recvd.add_done_callback(loaded)
            future.add_done_callback(cancelled)
        return future

    def poll(  # type: ignore[override]
        self, timeout: float | None = None, flags: int = POLLIN
    ) -> Future[int]:
        """Waits for at most ``timeout`` milliseconds. The result is what can be done, or 0."""

        def look() -> int:
            ready = self._handle.events() & int(flags)
            if not ready:
                raise Again()
            return ready

        if self.closed:
            raise ZMQError(Errno.ENOTSUP)
        limit = None if timeout is None or timeout < 0 else timeout / 1000
        if limit == 0:
            future: Future[Any] = self._get_loop().create_future()
            future.set_result(self._handle.events() & int(flags))
            return future
        return self._operation(look, limit, True, is_poll=True)

    # ------------------------------------------------------------------ sending

    def _send(self, send: Callable[..., Any], data: Any, flags: int, copy: bool, track: bool) -> Future[Any]:
        self._handle.check()
        loop = self._get_loop()
        future: Future[Any] = loop.create_future()
        now = int(flags) | _DONTWAIT
        try:
            future.set_result(send(data, now, copy=copy, track=track))
        except Again as error:
            if now == flags:
                future.set_exception(error)
            else:
                self._send_later(partial(send, data, now, copy=copy, track=track), future)
        except Exception as error:
            future.set_exception(error)
        return future

    def _send_later(self, send: Callable[[], Any], future: Future[Any]) -> None:
        """Tries again until there is room, or the time limit of sending has passed."""
        loop, limit = future.get_loop(), self._handle.send_limit
        deadline = None if limit is None else loop.time() + limit

        def attempt() -> None:
            if future.done():
                return
            try:
                future.set_result(send())
            except Again as error:
                if deadline is not None and loop.time() >= deadline:
                    future.set_exception(error)
                else:
                    loop.call_later(_SEND_RETRY, attempt)
            except Exception as error:
                future.set_exception(error)

        loop.call_later(_SEND_RETRY, attempt)

    def send(  # type: ignore[override]
        self,
        data: Any,
        flags: int = 0,
        copy: bool = True,
        track: bool = False,
        routing_id: int | None = None,
        group: str | None = None,
    ) -> Future[MessageTracker | None]:
        """Sends a frame."""
        return self._send(self._shadow_sock.send, data, flags, copy, track)

    def send_multipart(  # type: ignore[override]
        self, msg_parts: Any, flags: int = 0, copy: bool = True, track: bool = False, **kwargs: Any
    ) -> Future[MessageTracker | None]:
        """Sends a message of several frames."""
        return self._send(self._shadow_sock.send_multipart, msg_parts, flags, copy, track)


class AsyncPoller(SyncPoller):
    """A poller whose ``poll`` returns a future."""

    def _get_loop(self) -> AbstractEventLoop:
        return current_loop()

    def poll(self, timeout: float | None = None) -> Future[list[tuple[Any, int]]]:  # type: ignore[override]
        """Waits for at most ``timeout`` milliseconds. The result is what is ready, and for what."""
        loop = self._get_loop()
        future: Future[Any] = loop.create_future()
        ready = super().poll(0)
        if ready or timeout == 0:
            future.set_result(ready)
            return future
        look = super().poll
        watches = Watches.of(loop)
        watched = [(fd, event) for thing, events in self.sockets for fd, event in _descriptors(thing, events)]

        def found() -> None:
            now = look(0)
            if now and not future.done():
                future.set_result(now)

        def done(_: Future[Any]) -> None:
            if timer is not None:
                timer.cancel()
            for fd, event in watched:
                watches.remove(fd, event, found)

        def time_out() -> None:
            if not future.done():
                future.set_result([])

        timer = None if timeout is None or timeout < 0 else loop.call_later(timeout / 1000, time_out)
        for fd, event in watched:
            watches.add(fd, event, found)
        future.add_done_callback(done)
        return future


def _descriptors(thing: Any, events: int) -> list[tuple[int, int]]:
    """What to watch for a socket or a descriptor."""
    if isinstance(thing, SyncSocket):
        return [(thing._handle.wait_fd(), POLLIN)] if events & POLLIN else []
    fd = thing if isinstance(thing, int) else thing.fileno()
    return [(fd, event) for event in (POLLIN, POLLOUT) if events & event]


class AsyncContext(SyncContext):
    """A context whose sockets are asynchronous."""

    _socket_class = AsyncSocket
    # Not shared with the context of synchronous sockets.
    _instance: Any = None
    _repr_cls = "zmq.asyncio.Context"

    if TYPE_CHECKING:

        @overload
        def socket(self, socket_type: int, socket_class: Callable[..., T], **kwargs: Any) -> T: ...
        @overload
        def socket(self, socket_type: int, socket_class: None = None, **kwargs: Any) -> AsyncSocket: ...
        def socket(self, socket_type: int, socket_class: Callable[..., Any] | None = None, **kwargs: Any) -> Any: ...
