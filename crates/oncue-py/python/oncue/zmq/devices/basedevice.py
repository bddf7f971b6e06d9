"""Devices: a proxy with its sockets, which are made where it runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Thread
from typing import Any

from ..constants import DeviceType, SocketType
from ..error import ContextTerminated, ZMQBindError, ZMQError
from ..sugar.context import Context
from ..sugar.functions import device


class _Side:
    """What is done with one socket of a device when it is made."""

    def __init__(self, socket_type: int | None) -> None:
        self.type = socket_type
        self.binds: list[str] = []
        self.connects: list[str] = []
        self.options: list[tuple[int, Any]] = []

    def make(self, context: Context) -> Any:
        """Makes the socket."""
        if self.type is None:
            raise TypeError("the device was made without the types of its sockets")
        socket = context.socket(self.type)
        for option, value in self.options:
            socket.setsockopt(option, value)
        for address in self.binds:
            socket.bind(address)
        for address in self.connects:
            socket.connect(address)
        return socket


class Device:
    """A proxy whose sockets are made when it runs. ``run`` runs it, ``start`` does the same here."""

    device_type: int
    daemon: bool
    done: bool
    # Makes the context of the sockets.
    context_factory: Callable[[], Any] = Context.instance

    def __init__(self, device_type: int = DeviceType.QUEUE, in_type: int | None = None, out_type: int | None = None) -> None:
        self.device_type = device_type
        self.daemon = True
        self.done = False
        self._in = _Side(in_type)
        # A type of -1: one socket on both sides.
        self._out = _Side(out_type)
        self._context: Any = None
        self._sockets: list[Any] = []
        self._random_addrs: set[str] = set()

    @property
    def in_type(self) -> int | None:
        """The type of the socket on the side of what comes in."""
        return self._in.type

    @property
    def out_type(self) -> int | None:
        """The type of the socket on the other side."""
        return self._out.type

    def bind_in(self, addr: str) -> None:
        """Will bind the socket of what comes in."""
        self._in.binds.append(addr)

    def bind_out(self, addr: str) -> None:
        """Will bind the socket of the other side."""
        self._out.binds.append(addr)

    def connect_in(self, addr: str) -> None:
        """Will connect the socket of what comes in."""
        self._in.connects.append(addr)

    def connect_out(self, addr: str) -> None:
        """Will connect the socket of the other side."""
        self._out.connects.append(addr)

    def setsockopt_in(self, opt: int, value: Any) -> None:
        """Will set an option of the socket of what comes in."""
        self._in.options.append((opt, value))

    def setsockopt_out(self, opt: int, value: Any) -> None:
        """Will set an option of the socket of the other side."""
        self._out.options.append((opt, value))

    def bind_in_to_random_port(self, addr: str, *args: int, **kwargs: int) -> int:
        """Will bind the socket of what comes in at a port that is free now. Returns the port."""
        return self._random(self._in, addr, *args, **kwargs)

    def bind_out_to_random_port(self, addr: str, *args: int, **kwargs: int) -> int:
        """Will bind the socket of the other side at a port that is free now. Returns the port."""
        return self._random(self._out, addr, *args, **kwargs)

    def _random(self, side: _Side, addr: str, *args: int, **kwargs: int) -> int:
        """Finds a port that is free, and that no other socket of this device will use."""
        with Context() as context, context.socket(_ANY_TYPE) as probe:
            for _ in range(5):
                port: int = probe.bind_to_random_port(addr, *args, **kwargs)
                found = f"{addr}:{port}"
                if found not in self._random_addrs:
                    break
            else:
                raise ZMQBindError("Could not reserve random port.")
        self._random_addrs.add(found)
        side.binds.append(found)
        return port

    def _setup_sockets(self) -> tuple[Any, ...]:
        self._context = self.context_factory()
        front = self._in.make(self._context)
        self._sockets.append(front)
        if self._out.type is not None and self._out.type < 0:
            return front, front
        back = self._out.make(self._context)
        self._sockets.append(back)
        return front, back

    def run_device(self) -> None:
        """Makes the sockets, and forwards until the context ends."""
        device(self.device_type, *self._setup_sockets()[:2])

    def run(self) -> None:
        """Runs, and ends in good order when the context ends."""
        try:
            self.run_device()
        except ContextTerminated:
            pass
        except ZMQError as error:
            # A socket was closed under it.
            if not any(socket.closed for socket in self._sockets):
                raise error
        finally:
            self.done = True
            for socket in self._sockets:
                socket.close()

    def start(self) -> None:
        """Runs."""
        self.run()

    def join(self, timeout: float | None = None) -> None:
        """Waits until it has ended, for at most ``timeout`` seconds."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self.done and (deadline is None or time.monotonic() < deadline):
            time.sleep(0.01)


class ThreadDevice(Device):
    """A device that runs on a thread of its own."""

    launcher: Thread | None = None

    def start(self) -> None:
        """Starts the thread."""
        self.launcher = Thread(target=self.run, daemon=self.daemon)
        self.launcher.start()

    def join(self, timeout: float | None = None) -> None:
        """Waits until it has ended, for at most ``timeout`` seconds."""
        if self.launcher is not None:
            self.launcher.join(timeout)


# Any type can find out which port is free.
_ANY_TYPE = SocketType.PUB

__all__ = ["Device", "ThreadDevice"]
