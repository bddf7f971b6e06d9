"""A proxy that captures with a prefix."""

from __future__ import annotations

from typing import Any

from ..constants import Errno
from ..error import ZMQError


def monitored_queue(
    in_socket: Any, out_socket: Any, mon_socket: Any, in_prefix: bytes = b"in", out_prefix: bytes = b"out"
) -> None:
    """Not in Oncue: it forwards between DEALER, ROUTER and PAIR sockets. ``proxy`` captures without a prefix."""
    if not isinstance(in_prefix, bytes) or not isinstance(out_prefix, bytes):
        raise TypeError("the prefixes must be bytes")
    raise ZMQError(Errno.ENOTSUP, "Oncue has no monitored queue: proxy(frontend, backend, capture) captures what passes")


__all__ = ["monitored_queue"]
