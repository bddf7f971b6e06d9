"""What a socket is behind its object: its options, its subscriptions, and the engine's socket, once it is needed.

The engine's options are fixed when its socket is made, and pyzmq's programs set options in any order before they bind or
connect. So the engine's socket is made by the first operation that cannot do without: bind, connect, a wait for a message,
``fileno`` of the engine. What comes before that (subscriptions, a monitor) is kept, and done then.
"""

from __future__ import annotations

import errno
import os
import threading
from collections import deque
from typing import Any, Protocol

from ... import _errors, _oncue
from ..constants import Errno, Flag, PollEvent, SocketOption, SocketType
from ..error import Again, ContextTerminated, ZMQError
from . import address as addresses
from .context import ContextHandle
from .descriptor import Descriptor
from .errors import engine_error, engine_errors
from .guard import guarded
from .monitor import Monitor
from .options import (
    PUBLISHERS,
    RULES,
    Value,
    checked,
    defaults,
    engine_options,
    known,
)
from .registry import Registry
from .security import Choice

# A frame of a received message.
Part = bytes | memoryview


class Inlet(Protocol):
    """Where messages come from: a socket of the engine, or a monitor."""

    def recv(self, timeout: float | None = None, copy: bool = True) -> tuple[Part, ...]: ...

    def try_recv(self, copy: bool = True) -> tuple[Part, ...] | None: ...

    def poll(self, timeout: float | None = None) -> bool: ...

    def fileno(self) -> int: ...


_MADE_OF = {
    SocketType.PUB: _oncue.Pub,
    SocketType.SUB: _oncue.Sub,
    SocketType.XPUB: _oncue.XPub,
    SocketType.XSUB: _oncue.XSub,
}

_SUBSCRIBE, _UNSUBSCRIBE = 1, 0

# As numbers: operations on members of an enumeration take longer than a send.
_DONTWAIT = int(Flag.DONTWAIT)
_POLLIN, _POLLOUT = int(PollEvent.POLLIN), int(PollEvent.POLLOUT)


def socket_type(number: int) -> SocketType:
    """The type of this number, if Oncue has it."""
    try:
        known_type = SocketType(number)
    except ValueError:
        raise ZMQError(Errno.EINVAL, f"there is no type of sockets {number!r}") from None
    if known_type not in _MADE_OF:
        raise ZMQError(
            Errno.EINVAL,
            f"Oncue has PUB, SUB, XPUB and XSUB only; for a {known_type.name} socket use pyzmq (import zmq), "
            "whose sockets can be polled together with Oncue's",
        )
    return known_type


class SocketHandle:
    """One socket. ``Socket`` objects that are shadows of each other share one."""

    sockets: Registry[SocketHandle] = Registry()

    def __init__(self, context: ContextHandle, number: int) -> None:
        self.type = socket_type(number)
        self._begin(context)
        context.opened(self)

    def _begin(self, context: ContextHandle) -> None:
        self.context = context
        self.address = self.sockets.add(self)
        self.pid = os.getpid()
        self.closed = False
        self.receives = self.type is not SocketType.PUB
        self.sends = self.type is not SocketType.SUB
        # The rest of a message of which the first frames were received; the first frames of one that is being sent.
        self.rest: deque[Part] = deque()
        self.parts: list[bytes] = []
        self.values: dict[SocketOption, Value] = defaults(self.type)
        self.security = Choice()
        # The limits of a wait in seconds.
        self.recv_limit: float | None = None
        self.send_limit: float | None = None
        self.last_endpoint = b""
        self.monitor: Monitor | None = None
        self._engine_socket: Any = None
        self._inlet: Inlet | None = None
        self._subscriptions: list[bytes] = []
        # By the engine's names for them: an address as given, or as resolved.
        self._bound: dict[str, str] = {}
        self._connected: set[str] = set()
        self._descriptor: Descriptor | None = None
        self._making = threading.Lock()
        # Of the XPUB_MANUAL notification that was received last.
        self._asking: Any = None

    # ------------------------------------------------------------------ life

    def check(self) -> None:
        """Raises when the socket is closed or its context is being terminated."""
        if self.closed:
            raise ZMQError(Errno.ENOTSOCK)
        if self.context.terminating:
            raise ContextTerminated()

    def _gone(self) -> ZMQError:
        """The error of an operation whose socket was closed meanwhile."""
        return ContextTerminated() if self.context.terminating and not self.closed else ZMQError(Errno.ENOTSOCK)

    def interrupt(self) -> None:
        """The context is being terminated: every wait ends, and what is queued is sent within the linger."""
        # Whoever makes the engine's socket meanwhile is waited for; it is not made later.
        with self._making:
            if self._engine_socket is not None:
                self._engine_socket.close(self._linger(), wait=False)
        if self.monitor is not None:
            self.monitor.close()

    def close(self, linger: int | None = None) -> None:
        """Closes. What is queued is sent meanwhile, within the linger, in milliseconds."""
        if self.closed or self.pid != os.getpid():
            # The engine of a process from before a fork is not here.
            return
        if linger is not None and not self.context.terminating:
            self.set(SocketOption.LINGER, linger)
        self.closed = True
        with self._making:
            if self._engine_socket is not None:
                self._engine_socket.close(self._linger(), wait=False)
        self.stop_monitor()
        if self._descriptor is not None:
            self._descriptor.close()
        self.rest.clear()
        self.context.closed(self)

    def _linger(self) -> float | None:
        milliseconds = self.values.get(SocketOption.LINGER, -1)
        assert isinstance(milliseconds, int)
        # None: the engine's option, which is for ever.
        return None if milliseconds < 0 else milliseconds / 1000

    def made(self) -> Any:
        """The engine's socket."""
        if self._engine_socket is None:
            with self._making:
                self.check()
                if self._engine_socket is None:
                    self._make()
        return self._engine_socket

    def _make(self) -> None:
        options = engine_options(self.type, self.values)
        security = self.security.made(self.type, self.context, self.values)
        options["security"] = security
        domain = self.values.get(SocketOption.ZAP_DOMAIN)
        with engine_errors():
            if security is None and isinstance(domain, bytes) and domain:
                made: Any = guarded(self.context, domain, options)
            else:
                made = _MADE_OF[self.type](engine=self.context.engine(), **options)
            for prefix in self._subscriptions:
                made.subscribe(prefix)
        self._subscriptions.clear()
        if self.monitor is not None:
            self.monitor.begin(made.events())
        self._inlet = _Manual(self, made) if options.get("manual") else made
        self._engine_socket = made
        if self._descriptor is not None and self.receives:
            self._descriptor.watch(self._inlet.fileno())

    def inlet(self) -> Inlet:
        """Where this socket's messages come from."""
        if self._inlet is None:
            self.made()
            assert self._inlet is not None
        return self._inlet

    # ------------------------------------------------------------------ endpoints

    def bind(self, addr: str | bytes) -> str:
        """Listens at an address. Returns it with its wildcards resolved."""
        self.check()
        given = addresses.check(addresses.text(addr))
        made = self.made()
        fd = self.values.get(SocketOption.USE_FD, -1)
        try:
            with engine_errors(given, errno.ENODEV):
                resolved: str = made.bind_fd(fd) if isinstance(fd, int) and fd >= 0 else made.bind(given)
        except ZMQError as error:
            raise addresses.bind_failure(error, given) from None
        self._bound[resolved] = self._bound[given] = resolved
        self.last_endpoint = resolved.encode()
        return resolved

    def connect(self, addr: str | bytes) -> None:
        """Connects to an address, now or as soon as a peer listens there."""
        self.check()
        given = addresses.check(addresses.text(addr))
        made = self.made()
        if given not in self._connected:
            with engine_errors(given):
                made.connect(given)
            self._connected.add(given)
        self.last_endpoint = given.encode()

    def unbind(self, addr: str | bytes) -> None:
        """Stops listening at an address, as it was given or as ``LAST_ENDPOINT`` tells it."""
        self.check()
        given = addresses.check(addresses.text(addr))
        resolved = self._bound.get(given)
        if resolved is None:
            raise ZMQError(errno.ENOENT)
        self._bound = {name: bound for name, bound in self._bound.items() if bound != resolved}
        with engine_errors(given):
            self.made().unbind(resolved)

    def disconnect(self, addr: str | bytes) -> None:
        """Ends the connection to an address."""
        self.check()
        given = addresses.check(addresses.text(addr))
        if given not in self._connected:
            raise ZMQError(errno.ENOENT)
        self._connected.discard(given)
        with engine_errors(given):
            self.made().disconnect(given)

    # ------------------------------------------------------------------ messages

    def send(self, frames: tuple[Any, ...], flags: int) -> None:
        """Sends a message of these frames, after those that were sent with ``SNDMORE``."""
        if self.closed or self.context.terminating:
            self.check()
        if not self.sends:
            raise ZMQError(Errno.ENOTSUP)
        if self.parts:
            frames = (*self.parts, *frames)
            self.parts = []
        if self.type is SocketType.XSUB and self._is_subscription(frames):
            return
        made = self._engine_socket
        if made is None:
            # It has no peers.
            return
        try:
            made.send(*frames)
        except _errors.FullError:
            if int(flags) & _DONTWAIT or self.send_limit == 0:
                raise Again() from None
            self._send_wait(frames)
        except _errors.ClosedError:
            raise self._gone() from None
        except _errors.Error as error:
            raise engine_error(error) from None

    def send_part(self, frame: bytes) -> None:
        """Keeps a frame until the last one of its message is sent."""
        self.check()
        if not self.sends:
            raise ZMQError(Errno.ENOTSUP)
        self.parts.append(frame)

    def _send_wait(self, frames: tuple[Any, ...]) -> None:
        try:
            self._engine_socket.send_wait(*frames, timeout=self.send_limit)
        except _errors.TimeoutError:
            raise Again() from None
        except _errors.ClosedError:
            raise self._gone() from None

    def _is_subscription(self, frames: tuple[Any, ...]) -> bool:
        """Does what a message of one frame asks for that begins with the byte 1 or 0."""
        if len(frames) != 1:
            return False
        frame = bytes(frames[0])
        if not frame or frame[0] not in (_SUBSCRIBE, _UNSUBSCRIBE):
            return False
        if frame[0] == _SUBSCRIBE:
            self.subscribe(frame[1:])
        else:
            self.unsubscribe(frame[1:])
        return True

    def message(self, flags: int, copy: bool) -> tuple[Part, ...]:
        """The next message, whole."""
        if self.closed or self.context.terminating:
            self.check()
        if not self.receives:
            raise ZMQError(Errno.ENOTSUP)
        inlet = self._inlet
        try:
            if (flags and int(flags) & _DONTWAIT) or self.recv_limit == 0:
                found = None if inlet is None else inlet.try_recv(copy)
                if found is None:
                    raise Again()
                return found
            return (inlet or self.inlet()).recv(self.recv_limit, copy)
        except _errors.TimeoutError:
            raise Again() from None
        except _errors.ClosedError:
            raise self._gone() from None
        except _errors.Error as error:
            raise engine_error(error) from None

    def part(self, flags: int, copy: bool) -> Part:
        """The next frame."""
        if self.rest:
            self.check()
            part = self.rest.popleft()
            if not self.rest and self._descriptor is not None:
                self._descriptor.set(False)
            return part
        message = self.message(flags, copy)
        self.keep(message)
        return message[0]

    def keep(self, message: tuple[Part, ...]) -> None:
        """Keeps the frames of a message behind the first one."""
        self.rest.extend(message[1:])
        if self.rest and self._descriptor is not None:
            self._descriptor.set(True)

    def parts_left(self, flags: int, copy: bool) -> list[Part]:
        """The frames of the next message, or what is left of the current one."""
        if not self.rest:
            return list(self.message(flags, copy))
        self.check()
        parts = list(self.rest)
        self.rest.clear()
        if self._descriptor is not None:
            self._descriptor.set(False)
        return parts

    # ------------------------------------------------------------------ readiness

    def events(self) -> int:
        """What can be done now without a wait."""
        self.check()
        ready = _POLLOUT if self.sends else 0
        if self.rest or (self._inlet is not None and self.receives and self._inlet.poll(0)):
            ready |= _POLLIN
        return ready

    def wait_fd(self) -> int:
        """The engine's descriptor: readable while there is a message, or once the socket is closed."""
        self.check()
        return self.inlet().fileno()

    def descriptor(self) -> int:
        """The descriptor for the pollers of others."""
        self.check()
        if self._descriptor is None:
            with self._making:
                self._descriptor = Descriptor()
                self._descriptor.set(bool(self.rest))
                if self._inlet is not None and self.receives:
                    self._descriptor.watch(self._inlet.fileno())
        return self._descriptor.fileno()

    # ------------------------------------------------------------------ subscriptions

    def subscribe(self, prefix: bytes) -> None:
        """Subscribes, or in manual mode of an XPUB puts a prefix in force for the peer that has asked last."""
        with self._making:
            if self._engine_socket is None:
                self._subscriptions.append(prefix)
                return
        with engine_errors():
            self._engine_socket.subscribe(prefix)

    def unsubscribe(self, prefix: bytes) -> None:
        """Takes one ``subscribe`` back."""
        with self._making:
            if self._engine_socket is None:
                if prefix in self._subscriptions:
                    self._subscriptions.remove(prefix)
                return
        with engine_errors():
            self._engine_socket.unsubscribe(prefix)

    def _decide(self, option: SocketOption, prefix: bytes) -> None:
        """``SUBSCRIBE`` and ``UNSUBSCRIBE`` of an XPUB in manual mode."""
        if self.type is not SocketType.XPUB or self._asking is None:
            raise ZMQError(Errno.EINVAL)
        peer, asked = self._asking
        with engine_errors():
            if option is SocketOption.UNSUBSCRIBE:
                self._engine_socket.unsubscribe_for(peer, prefix)
            elif prefix == asked:
                self._engine_socket.admit(peer, prefix)
            else:
                self._engine_socket.subscribe_for(peer, prefix)

    def asked(self, event: Any) -> None:
        """Remembers whose notification was received last."""
        self._asking = (event.peer.key, event.prefix)

    # ------------------------------------------------------------------ options

    def set(self, option: int, value: Any) -> None:
        """Sets an option."""
        self.check()
        value = checked(option, value)
        found = known(option)
        if found in (SocketOption.SUBSCRIBE, SocketOption.UNSUBSCRIBE):
            self._set_subscription(found, value)
            return
        rule = RULES[found]
        if rule.allows is None or not rule.allows(value) or (rule.types is not None and self.type not in rule.types):
            raise ZMQError(Errno.EINVAL)
        security = self.security.after(found, value)
        is_new = value != self.values.get(found, rule.default) or security != self.security
        if self._engine_socket is not None and not rule.live and is_new:
            raise ZMQError(
                Errno.EINVAL, f"{found.name} must be set before the socket first binds, connects or waits for a message"
            )
        self.values[found] = value
        self.security = security
        self._apply(found, value)

    def _set_subscription(self, option: SocketOption, value: Any) -> None:
        if self.type is not SocketType.SUB:
            self._decide(option, value)
        elif option is SocketOption.SUBSCRIBE:
            self.subscribe(value)
        else:
            self.unsubscribe(value)

    def _apply(self, option: SocketOption, value: Any) -> None:
        """Makes a change effective."""
        if option is SocketOption.RCVTIMEO:
            self.recv_limit = None if value < 0 else value / 1000
        elif option is SocketOption.SNDTIMEO:
            self.send_limit = None if value < 0 else value / 1000
        elif self._engine_socket is None:
            return
        elif option is SocketOption.RCVHWM:
            self._engine_socket.set_recv_hwm(value)
        elif option is SocketOption.SNDHWM and self.type in PUBLISHERS:
            self._engine_socket.set_send_hwm(value)

    def get(self, option: int) -> Value:
        """The value of an option."""
        self.check()
        found = known(option)
        rule = RULES[found]
        if rule.default is None:
            raise ZMQError(Errno.EINVAL)
        if found is SocketOption.TYPE:
            return int(self.type)
        if found is SocketOption.EVENTS:
            return self.events()
        if found is SocketOption.RCVMORE:
            return int(bool(self.rest))
        if found is SocketOption.FD:
            return self.descriptor()
        if found is SocketOption.LAST_ENDPOINT:
            return self.last_endpoint
        if found is SocketOption.TOPICS_COUNT:
            made = self._engine_socket
            return len(set(self._subscriptions)) if made is None else int(made.prefix_count())
        decided = self.security.value(found)
        return self.values.get(found, rule.default) if decided is None else decided

    # ------------------------------------------------------------------ monitors

    def start_monitor(self, events: int) -> Monitor:
        """Begins to tell of the connections."""
        self.check()
        self.stop_monitor()
        monitor = Monitor(events)
        with self._making:
            self.monitor = monitor
            if self._engine_socket is not None:
                monitor.begin(self._engine_socket.events())
        return monitor

    def stop_monitor(self) -> None:
        """Ends what ``start_monitor`` began."""
        if self.monitor is not None:
            self.monitor.stop()
            self.monitor = None


class MonitorHandle(SocketHandle):
    """The PAIR socket from which the events of a monitor are received."""

    def __init__(self, context: ContextHandle, monitor: Monitor) -> None:
        self.type = SocketType.PAIR
        self._begin(context)
        self.sends = False
        self._inlet = monitor

    def close(self, linger: int | None = None) -> None:
        """Closes."""
        if not self.closed:
            self.closed = True
            assert isinstance(self._inlet, Monitor)
            self._inlet.close()
            if self._descriptor is not None:
                self._descriptor.close()


class _Manual:
    """The messages of an XPUB in manual mode: it remembers which peer has asked last."""

    def __init__(self, handle: SocketHandle, made: _oncue.XPub) -> None:
        self._handle = handle
        self._made = made
        self.poll = made.poll
        self.fileno = made.fileno

    def recv(self, timeout: float | None = None, copy: bool = True) -> tuple[Part, ...]:
        return self._frames(self._made.event(timeout))

    def try_recv(self, copy: bool = True) -> tuple[Part, ...] | None:
        event = self._made.try_event()
        return None if event is None else self._frames(event)

    def _frames(self, event: Any) -> tuple[Part, ...]:
        if isinstance(event, tuple):
            return event
        if hasattr(event, "peer"):
            self._handle.asked(event)
        subscribes = type(event).__name__ in _SUBSCRIBES
        return (bytes([_SUBSCRIBE if subscribes else _UNSUBSCRIBE]) + event.prefix,)


_SUBSCRIBES = frozenset({"Wanted", "Subscribed", "Repeated", "Requested"})

__all__ = ["MonitorHandle", "Part", "SocketHandle"]
