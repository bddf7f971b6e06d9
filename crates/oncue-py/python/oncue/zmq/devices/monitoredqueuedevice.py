"""Devices that run ``monitored_queue``."""

from __future__ import annotations

from ..constants import SocketType
from .basedevice import ThreadDevice
from .monitoredqueue import monitored_queue
from .proxydevice import Proxy


class MonitoredQueue(Proxy):
    """A device that captures with a prefix."""

    def __init__(
        self,
        in_type: int,
        out_type: int,
        mon_type: int = SocketType.PUB,
        in_prefix: bytes = b"in",
        out_prefix: bytes = b"out",
    ) -> None:
        super().__init__(in_type, out_type, mon_type)
        self._prefixes = (in_prefix, out_prefix)

    def run_device(self) -> None:
        """Makes the sockets, and runs."""
        front, back, capture = self._setup_sockets()
        monitored_queue(front, back, capture, *self._prefixes)


class ThreadMonitoredQueue(MonitoredQueue, ThreadDevice):
    """A ``MonitoredQueue`` that runs on a thread of its own."""


__all__ = ["MonitoredQueue", "ThreadMonitoredQueue"]
