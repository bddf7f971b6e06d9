"""A socket that calls back from Tornado's loop."""

from __future__ import annotations

import asyncio
import inspect
import pickle
import warnings
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from tornado.ioloop import IOLoop
from tornado.log import gen_log

from .._future import AsyncSocket
from ..constants import DONTWAIT, POLLIN, POLLOUT
from ..error import Again, ZMQError
from ..sugar.socket import Socket
from ..utils import jsonapi

# So many messages are handled before the loop gets its turn.
_MESSAGES_AT_ONCE = 100


class ZMQStream:
    """Calls back when messages arrive, and when messages are sent. Everything happens on the thread of its loop."""

    socket: Socket
    io_loop: IOLoop

    def __init__(self, socket: Socket, io_loop: IOLoop | None = None) -> None:
        if isinstance(socket, AsyncSocket):
            warnings.warn(
                f"ZMQStream only supports the base zmq.Socket class; using zmq.Socket(shadow={socket!r})",
                RuntimeWarning,
                stacklevel=2,
            )
            socket = Socket.shadow(socket)
        self.socket = socket
        self.io_loop = io_loop or IOLoop.current()
        self._recv_callback: Callable[[list[Any]], Any] | None = None
        self._recv_copy = True
        self._send_callback: Callable[[Any, Any], Any] | None = None
        self._close_callback: Callable[[], Any] | None = None
        self._send_queue: deque[tuple[list[Any], dict[str, Any], Callable[[Any, Any], Any] | None]] = deque()
        self._fd: int | None = None
        # What is done with the socket directly.
        for name in ("bind", "bind_to_random_port", "connect", "setsockopt", "getsockopt", "set", "get"):
            setattr(self, name, getattr(self.socket, name))

    # ------------------------------------------------------------------ receiving

    def on_recv(self, callback: Callable[[list[Any]], Any] | None, copy: bool = True) -> None:
        """Calls back with the frames of each message that arrives. ``None`` stops that."""
        self._check_closed()
        assert callback is None or callable(callback)
        self._recv_callback = callback
        self._recv_copy = copy
        self._watch(callback is not None)

    def on_recv_stream(self, callback: Callable[[Any, list[Any]], Any] | None, copy: bool = True) -> None:
        """As ``on_recv``, with this stream as the first argument."""
        if callback is None:
            self.stop_on_recv()
            return
        assert callable(callback)
        self.on_recv(lambda frames: callback(self, frames), copy=copy)

    def stop_on_recv(self) -> None:
        """Calls no more."""
        self.on_recv(None)

    def receiving(self) -> bool:
        """Whether messages are received."""
        return self._recv_callback is not None

    # ------------------------------------------------------------------ sending

    def on_send(self, callback: Callable[[Any, Any], Any] | None) -> None:
        """Calls back with each message that was sent, and what ``send_multipart`` has returned."""
        self._check_closed()
        assert callback is None or callable(callback)
        self._send_callback = callback

    def on_send_stream(self, callback: Callable[[Any, Any, Any], Any] | None) -> None:
        """As ``on_send``, with this stream as the first argument."""
        if callback is None:
            self.stop_on_send()
            return
        assert callable(callback)
        self.on_send(lambda frames, status: callback(self, frames, status))

    def stop_on_send(self) -> None:
        """Calls no more."""
        self.on_send(None)

    def on_err(self, callback: Callable[[], Any]) -> None:
        """Not in use: a socket has no state of error."""
        assert callback is None or callable(callback)

    def stop_on_err(self) -> None:
        """Not in use."""

    def sending(self) -> bool:
        """Whether messages wait to be sent."""
        return bool(self._send_queue)

    def send(
        self,
        msg: Any,
        flags: int = 0,
        copy: bool = True,
        track: bool = False,
        callback: Callable[[Any, Any], Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Sends a frame, from the loop."""
        self.send_multipart([msg], flags=flags, copy=copy, track=track, callback=callback, **kwargs)

    def send_multipart(
        self,
        msg: Sequence[Any],
        flags: int = 0,
        copy: bool = True,
        track: bool = False,
        callback: Callable[[Any, Any], Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Sends a message, from the loop."""
        self._check_closed()
        self._send_queue.append((list(msg), {"flags": flags, "copy": copy, "track": track, **kwargs}, callback))
        self.io_loop.add_callback(self._send_queued)

    def send_string(
        self,
        u: str,
        flags: int = 0,
        encoding: str = "utf-8",
        callback: Callable[[Any, Any], Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Sends text."""
        if not isinstance(u, str):
            raise TypeError("unicode/str objects only")
        self.send(u.encode(encoding), flags=flags, callback=callback, **kwargs)

    send_unicode = send_string

    def send_json(self, obj: Any, flags: int = 0, callback: Callable[[Any, Any], Any] | None = None, **kwargs: Any) -> None:
        """Sends an object as JSON."""
        self.send(jsonapi.dumps(obj), flags=flags, callback=callback, **kwargs)

    def send_pyobj(
        self,
        obj: Any,
        flags: int = 0,
        protocol: int = -1,
        callback: Callable[[Any, Any], Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Sends any object, pickled."""
        self.send(pickle.dumps(obj, protocol), flags=flags, callback=callback, **kwargs)

    # ------------------------------------------------------------------ life

    def set_close_callback(self, callback: Callable[[], Any] | None) -> None:
        """Calls back when the stream is closed."""
        self._close_callback = callback

    def close(self, linger: int | None = None) -> None:
        """Closes the stream and its socket."""
        if self.socket.closed:
            # Whoever has closed the socket did not tell the loop.
            warnings.warn(f"Unregistering FD {self._fd} after closing socket.", stacklevel=2)
        self._watch(False)
        self.socket.close(linger)
        if self._close_callback is not None:
            self._call(self._close_callback)

    def closed(self) -> bool:
        """Whether the socket is closed."""
        return self.socket.closed

    def flush(self, flag: int = POLLIN | POLLOUT, limit: int | None = None) -> int:
        """Receives and sends what can be, with callbacks, at once. Returns how many messages that were."""
        self._check_closed()
        count = 0
        while limit is None or count < limit:
            received = bool(flag & POLLIN) and self.receiving() and self._receive_one()
            sent = bool(flag & POLLOUT) and self._send_one()
            if not received and not sent:
                break
            count += received + sent
        return count

    # ------------------------------------------------------------------ the loop

    def _check_closed(self) -> None:
        if self.socket.closed:
            raise OSError("Stream is closed")

    def _watch(self, watch: bool) -> None:
        if watch and self._fd is None:
            self._fd = self.socket.fileno()
            self.io_loop.add_handler(self._fd, self._readable, IOLoop.READ)
            # What has arrived before is told, too.
            self.io_loop.add_callback(self._readable)
        elif not watch and self._fd is not None:
            fd, self._fd = self._fd, None
            self.io_loop.remove_handler(fd)

    def _readable(self, *events: Any) -> None:
        for _ in range(_MESSAGES_AT_ONCE):
            if self.socket.closed:
                if self._fd is not None:
                    gen_log.warning("Got events for closed socket %s", self.socket)
                    self._watch(False)
                return
            if not self.receiving() or not self._receive_one():
                return

    def _receive_one(self) -> bool:
        try:
            message = self.socket.recv_multipart(DONTWAIT, copy=self._recv_copy)
        except Again:
            return False
        except ZMQError:
            gen_log.error("RECV Error", exc_info=True)
            return False
        if self._recv_callback is not None:
            self._call(self._recv_callback, message)
        return True

    def _send_queued(self) -> None:
        while self._send_one():
            pass

    def _send_one(self) -> bool:
        if not self._send_queue or self.socket.closed:
            return False
        message, kwargs, callback = self._send_queue[0]
        kwargs["flags"] |= DONTWAIT
        status: Any
        try:
            status = self.socket.send_multipart(message, **kwargs)
        except Again:
            self.io_loop.call_later(0.01, self._send_queued)
            return False
        except ZMQError as error:
            gen_log.error("SEND Error: %s", error)
            status = error
        self._send_queue.popleft()
        callback = callback or self._send_callback
        if callback is not None:
            self._call(callback, message, status)
        return True

    def _call(self, callback: Callable[..., Any], *args: Any) -> None:
        """Calls back. An error is logged, also that of a coroutine."""
        try:
            result = callback(*args)
        except Exception:
            gen_log.error("Uncaught exception in ZMQStream callback", exc_info=True)
            raise
        if inspect.isawaitable(result):
            asyncio.ensure_future(result).add_done_callback(_log_failure)


def _log_failure(future: asyncio.Future[Any]) -> None:
    if not future.cancelled() and future.exception() is not None:
        gen_log.error("Uncaught exception in ZMQStream callback", exc_info=future.exception())


__all__ = ["ZMQStream", "gen_log"]
