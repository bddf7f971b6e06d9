"""Reads the messages of a monitor's socket."""

from __future__ import annotations

import struct
from collections.abc import Awaitable
from typing import Any, TypedDict

from ..constants import Event


class _MonitorMessage(TypedDict):
    """An event of a monitor."""

    event: Event
    value: Event
    endpoint: bytes


def parse_monitor_message(msg: list[bytes]) -> _MonitorMessage:
    """An event from the two frames of its message."""
    if len(msg) != 2 or len(msg[0]) != 6:
        raise RuntimeError(f"Invalid event message format: {msg}")
    event, value = struct.unpack("=HI", msg[0])
    return {"event": Event(event), "value": Event(value), "endpoint": msg[1]}


async def _parsed(received: Awaitable[list[bytes]]) -> _MonitorMessage:
    return parse_monitor_message(await received)


def recv_monitor_message(socket: Any, flags: int = 0) -> Any:
    """The next event of a monitor's socket, as a dict of event, value and endpoint.

    Of an asynchronous socket an awaitable of it.
    """
    from .._future import AsyncSocket

    if isinstance(socket, AsyncSocket):
        return _parsed(socket.recv_multipart(flags))
    return parse_monitor_message(socket.recv_multipart(flags))


__all__ = ["parse_monitor_message", "recv_monitor_message"]
