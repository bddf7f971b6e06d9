"""Devices with a third socket, which gets a copy of each message."""

from __future__ import annotations

from typing import Any

from ..constants import DeviceType, SocketType
from ..sugar.functions import proxy
from .basedevice import Device, ThreadDevice, _Side


class Proxy(Device):
    """A device with a PUB that captures what passes."""

    def __init__(self, in_type: int, out_type: int, mon_type: int = SocketType.PUB) -> None:
        super().__init__(DeviceType.QUEUE, in_type, out_type)
        self._mon = _Side(mon_type)

    @property
    def mon_type(self) -> int | None:
        """The type of the socket that captures."""
        return self._mon.type

    def bind_mon(self, addr: str) -> None:
        """Will bind the socket that captures."""
        self._mon.binds.append(addr)

    def bind_mon_to_random_port(self, addr: str, *args: int, **kwargs: int) -> int:
        """Will bind the socket that captures at a port that is free now. Returns the port."""
        return self._random(self._mon, addr, *args, **kwargs)

    def connect_mon(self, addr: str) -> None:
        """Will connect the socket that captures."""
        self._mon.connects.append(addr)

    def setsockopt_mon(self, opt: int, value: Any) -> None:
        """Will set an option of the socket that captures."""
        self._mon.options.append((opt, value))

    def _setup_sockets(self) -> tuple[Any, ...]:
        front, back = super()._setup_sockets()
        capture = self._mon.make(self._context)
        self._sockets.append(capture)
        return front, back, capture

    def run_device(self) -> None:
        """Makes the sockets, and forwards until the context ends."""
        proxy(*self._setup_sockets())


class ThreadProxy(Proxy, ThreadDevice):
    """A ``Proxy`` that runs on a thread of its own."""


__all__ = ["Proxy", "ThreadProxy"]
