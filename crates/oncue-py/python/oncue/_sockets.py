"""The sockets, with what can be awaited.

A task that waits for a message waits for the descriptor of the socket, which the I/O thread makes readable without the
interpreter. So any event loop that has ``add_reader`` will do.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Protocol, TypeVar
from weakref import WeakKeyDictionary

from . import _oncue
from ._errors import ClosedError, TimeoutError

Frames = tuple[bytes, ...]

_Item_co = TypeVar("_Item_co", covariant=True)
_Waiting = dict[int, set["asyncio.Future[None]"]]

#: After this number of messages that were there already, a task that receives lets other tasks run.
_READY_MAX = 64
#: The tasks that wait, by loop and descriptor. An event loop knows one waiter for a descriptor; these are any number.
_waiting_of: WeakKeyDictionary[asyncio.AbstractEventLoop, _Waiting] = WeakKeyDictionary()


OPTIONS = """
Options, as keyword arguments; all times are seconds, and ``None`` is a time that never comes.

Queues, for each peer: ``send_hwm`` (1000 messages), ``recv_hwm`` (1000), ``queue_bytes_max`` (64 MiB); for the socket:
``outbox_bytes_max`` (4 MiB between ``send`` and the I/O threads), ``received_bytes_max``. ``on_full``: "drop_newest" (the default),
"drop_oldest", "latest", "refuse" or "disconnect". ``evict_after``: disconnects a peer that has been full for so long. ``keep``:
"all" or "latest", which of the received messages wait. ``conflate``: keeps the newest message alone. ``linger`` (1): how long a
closed socket goes on sending. ``last_values_bytes_max`` (64 MiB).

Connections: ``reconnect`` (0.1, 5): the shortest and the longest pause. ``reconnect_stop``: one or more of "connection_refused",
"handshake_failed", "disconnected", "always". ``connect_timeout``, ``handshake_timeout`` (30), ``message_timeout`` (30).
``heartbeat``: (interval, timeout), or ``None`` for none. ``heartbeat_ttl``. ``metadata``: a dict, told to peers. ``socks_proxy``:
"HOST:PORT", or that with user and password.

XPUB and PUB: ``verbose`` ("off", "subscribes", "all"), ``manual``, ``welcome`` (a message for each new peer), ``discard_messages``,
``only_first_subscribe``, ``invert_matching``.

``security``: an ``oncue.CurveServer``, ``oncue.CurveClient``, ``oncue.PlainServer`` or ``oncue.PlainClient``; without it nothing is
encrypted, and everybody may connect.

Bounds for peers: ``peers_max``, ``peers_per_address_max``, ``handshakes_max``, ``message_bytes_max``, ``prefix_length_max``,
``prefixes_max``, ``prefix_bytes_max``, ``changes_per_second_max``; for all peers of a user: ``prefixes_per_user_max``,
``prefix_bytes_per_user_max``.

The system: ``send_buffer``, ``recv_buffer``, ``listen_backlog``, ``ip_versions`` ("both", "4", "6"), ``tcp_keepalive``,
``tcp_keepalive_idle``, ``tcp_keepalive_interval``, ``tcp_keepalive_count``, ``tcp_user_timeout``, ``type_of_service``,
``socket_priority``, ``bind_to_device``, ``ipc_mode``, ``ipc_user``, ``ipc_group``.

``engine``: an ``Engine``; without it the sockets of the process share one.
"""


class _Events(Protocol[_Item_co]):
    def fileno(self) -> int: ...

    def try_next(self) -> _Item_co | None: ...


def _wake(waiting: _Waiting, fd: int) -> None:
    for future in waiting.get(fd, ()):
        if not future.done():
            future.set_result(None)


def _expire(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_exception(TimeoutError("nothing came in time"))


def _deadline(timeout: float | None) -> float | None:
    """When a time limit in seconds has passed, by the clock of the loop; none without a limit."""
    if timeout is None or timeout == math.inf:
        return None
    if not timeout >= 0:
        raise ValueError(f"timeout must be a time in seconds from 0 on, not {timeout}")
    return asyncio.get_running_loop().time() + timeout


async def _readable(fd: int, deadline: float | None) -> None:
    loop = asyncio.get_running_loop()
    waiting = _waiting_of.setdefault(loop, {})
    future: asyncio.Future[None] = loop.create_future()
    futures = waiting.setdefault(fd, set())
    if not futures:
        loop.add_reader(fd, _wake, waiting, fd)
    futures.add(future)
    timer = None if deadline is None else loop.call_at(deadline, _expire, future)
    try:
        await future
    finally:
        if timer is not None:
            timer.cancel()
        futures.discard(future)
        if not futures and waiting.get(fd) is futures:
            del waiting[fd]
            if not loop.is_closed():
                loop.remove_reader(fd)


async def each(events: _Events[_Item_co]) -> AsyncIterator[_Item_co]:
    """The events of a stream, until its socket is closed."""
    while True:
        try:
            event = events.try_next()
        except ClosedError:
            return
        if event is None:
            await _readable(events.fileno(), None)
        else:
            yield event


class _Closing:
    """``async with``: closes, and waits in another thread until what is queued is sent."""

    async def __aenter__(self) -> Any:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        close = self.close  # type: ignore[attr-defined]
        await asyncio.to_thread(close)


class Pub(_oncue.Pub, _Closing):
    __doc__ = f"{_oncue.Pub.__doc__}\n{OPTIONS}"


class XPub(_oncue.XPub, _Closing):
    __doc__ = f"{_oncue.XPub.__doc__}\n{OPTIONS}"

    async def aevent(self, timeout: float | None = None) -> Any:
        """As ``event``, awaited."""
        deadline = _deadline(timeout)
        while True:
            event = self.try_event()
            if event is not None:
                return event
            await _readable(self.fileno(), deadline)

    async def __aiter__(self) -> AsyncIterator[Any]:
        while True:
            try:
                yield await self.aevent()
            except ClosedError:
                return


class _Receiving(_Closing):
    _ready = 0

    async def arecv(self, timeout: float | None = None) -> Frames:
        """As ``recv``, awaited. A task that is cancelled meanwhile loses nothing."""
        deadline = None if timeout is None else _deadline(timeout)
        self._ready += 1
        if self._ready >= _READY_MAX:
            self._ready = 0
            # Before a message is taken, so that a cancellation here loses none.
            await asyncio.sleep(0)
        while True:
            message = self.try_recv()  # type: ignore[attr-defined]
            if message is not None:
                return message  # type: ignore[no-any-return]
            self._ready = 0
            await _readable(self.fileno(), deadline)  # type: ignore[attr-defined]

    async def arecv_many(self, timeout: float | None = None) -> list[Frames]:
        """As ``recv_many``, awaited."""
        deadline = _deadline(timeout)
        while True:
            try:
                return self.recv_many(0)  # type: ignore[attr-defined,no-any-return]
            except TimeoutError:
                await _readable(self.fileno(), deadline)  # type: ignore[attr-defined]

    async def __aiter__(self) -> AsyncIterator[Frames]:
        while True:
            try:
                yield await self.arecv()
            except ClosedError:
                return


class Sub(_oncue.Sub, _Receiving):
    __doc__ = f"{_oncue.Sub.__doc__}\n{OPTIONS}"


class XSub(_oncue.XSub, _Receiving):
    __doc__ = f"{_oncue.XSub.__doc__}\n{OPTIONS}"
