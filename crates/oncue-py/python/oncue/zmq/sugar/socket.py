"""Sockets."""

from __future__ import annotations

import errno
import pickle
import random
import sys
import warnings
from collections.abc import Callable, Sequence
from types import GenericAlias
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, overload

from ..backend.socket import MonitorHandle, SocketHandle
from ..constants import Errno, Event, Flag, PollEvent, SocketOption, SocketType
from ..error import ZMQBindError, ZMQError
from ..utils import jsonapi
from ..utils.interop import cast_int_addr
from . import frame as frames
from .attrsettr import AttributeSetter
from .frame import Frame
from .poll import Poller
from .tracker import _FINISHED_TRACKER, MessageTracker

if TYPE_CHECKING:
    from .context import Context

T = TypeVar("T")
Self_ = TypeVar("Self_", bound="Socket")

DEFAULT_PROTOCOL = pickle.DEFAULT_PROTOCOL

# As a number: operations on members of an enumeration take longer than a send.
_SNDMORE = int(Flag.SNDMORE)

# pyzmq's defaults of bind_to_random_port: with them the system chooses the port.
_PORTS = (49152, 65536)


class _Attached(Generic[T]):
    """What ``bind`` and ``connect`` return: a context manager that undoes them."""

    def __init__(self, socket: T, kind: str, address: str, undo: Callable[[], None]) -> None:
        self.socket = socket
        self.kind = kind
        self.addr = address
        self._undo = undo

    def __enter__(self) -> T:
        return self.socket

    def __exit__(self, *raised: object) -> None:
        if not getattr(self.socket, "closed", False):
            self._undo()

    def __repr__(self) -> str:
        return f"<SocketContext({self.kind}={self.addr!r})>"


class Socket(AttributeSetter):
    """A PUB, SUB, XPUB or XSUB socket, with pyzmq's methods. Options are attributes, too."""

    copy_threshold: int = frames.COPY_THRESHOLD
    _handle: SocketHandle
    _context: Context | None = None
    _shadow: bool = False
    _shadow_obj: Any = None
    _monitor_socket: Any = None
    _type_name: str = "PUB"
    _repr_cls = "zmq.Socket"
    _poller_class: Any = Poller
    _option_names = frozenset(SocketOption.__members__)

    def __init__(
        self,
        ctx_or_socket: Context | Socket | None = None,
        socket_type: int = -1,
        *,
        shadow: Socket | int = 0,
        copy_threshold: int | None = None,
    ) -> None:
        if copy_threshold is not None:
            self.copy_threshold = copy_threshold
        if isinstance(ctx_or_socket, Socket):
            shadow, ctx_or_socket = ctx_or_socket, None
        if shadow:
            self._shadow = True
            self._shadow_obj = shadow if isinstance(shadow, Socket) else None
            self._handle = _found(cast_int_addr(shadow))
            self._context = shadow._context if isinstance(shadow, Socket) else None
        else:
            if ctx_or_socket is None:
                raise TypeError("a socket needs a context, and a type")
            self._handle = SocketHandle(ctx_or_socket._handle, socket_type)
            self._context = ctx_or_socket
            ctx_or_socket._add_socket(self)
        self._type_name = self._handle.type.name

    # pyzmq's annotations name what send returns.
    __class_getitem__: Any = classmethod(GenericAlias)

    # ------------------------------------------------------------------ identity and life

    @classmethod
    def shadow(cls: type[Self_], address: int | Socket) -> Self_:
        """A second object for a socket, given as an object or as its address (``underlying``)."""
        return cls(shadow=address)

    def __copy__(self: Self_, memo: Any = None) -> Self_:
        return self.__class__(shadow=self)

    __deepcopy__ = __copy__

    def __reduce_ex__(self, protocol: Any) -> str | tuple[Any, ...]:
        raise TypeError(f"cannot pickle {type(self).__name__!r} object")

    def __del__(self, _is_finalizing: Callable[[], bool] = sys.is_finalizing) -> None:
        handle = self.__dict__.get("_handle")
        if handle is None or self._shadow or handle.closed or handle.context.is_foreign or _is_finalizing():
            return
        warnings.warn(f"Unclosed socket {self}", ResourceWarning, stacklevel=2, source=self)
        self.close()

    def __enter__(self: Self_) -> Self_:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def __repr__(self) -> str:
        closed = " closed" if self.closed else ""
        return f"<{self._repr_cls}(zmq.{self._type_name}) at {hex(id(self))}{closed}>"

    @property
    def underlying(self) -> int:
        """The address of the socket, for ``shadow``. It is not a pointer: libzmq cannot use it."""
        return self._handle.address

    @property
    def context(self) -> Context:
        """The context of the socket."""
        if self._context is None:
            from .context import Context

            self._context = Context.shadow(self._handle.context.address)
        return self._context

    @property
    def type(self) -> SocketType:
        """The type of the socket."""
        return self._handle.type

    @property
    def socket_type(self) -> SocketType:
        """The type of the socket."""
        return self._handle.type

    @property
    def closed(self) -> bool:
        """Whether ``close`` was called."""
        return self._handle.closed

    def close(self, linger: int | None = None) -> None:
        """Closes the socket. What is queued is sent meanwhile, for at most ``linger`` milliseconds (option ``LINGER``)."""
        if self._context is not None:
            self._context._rm_socket(self)
        self._monitor_socket = None
        self._handle.close(linger)

    # ------------------------------------------------------------------ endpoints

    def bind(self: Self_, addr: str | bytes) -> _Attached[Self_]:
        """Listens at an address. As a context manager it is undone at the end."""
        resolved = self._handle.bind(addr)
        shown = resolved if str(addr).endswith((":*", ":0")) else _shown(addr)
        return _Attached(self, "bind", shown, lambda: self.unbind(resolved))

    def connect(self: Self_, addr: str | bytes) -> _Attached[Self_]:
        """Connects to an address. As a context manager it is undone at the end."""
        self._handle.connect(addr)
        return _Attached(self, "connect", _shown(addr), lambda: self.disconnect(addr))

    def unbind(self, addr: str | bytes) -> None:
        """Stops listening at an address. Peers that have connected stay."""
        self._handle.unbind(addr)

    def disconnect(self, addr: str | bytes) -> None:
        """Ends the connection to an address."""
        self._handle.disconnect(addr)

    def bind_to_random_port(
        self, addr: str, min_port: int = _PORTS[0], max_port: int = _PORTS[1], max_tries: int = 100
    ) -> int:
        """Listens at a free port of an address without one, such as ``tcp://127.0.0.1``. Returns the port."""
        if (min_port, max_port) == _PORTS:
            self.bind(f"{addr}:*")
            return int(self._handle.last_endpoint.rpartition(b":")[2])
        for _ in range(max_tries):
            port = random.randrange(min_port, max_port)
            try:
                self.bind(f"{addr}:{port}")
            except ZMQError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
            else:
                return port
        raise ZMQBindError("Could not bind socket to random port.")

    # ------------------------------------------------------------------ options

    def set(self, option: int, optval: int | bytes) -> None:
        """Sets an option."""
        self._handle.set(option, optval)

    def get(self, option: int) -> Any:
        """The value of an option."""
        return self._handle.get(option)

    setsockopt = set
    getsockopt = get

    def set_string(self, option: int, optval: str, encoding: str = "utf-8") -> None:
        """Sets an option to text."""
        if not isinstance(optval, str):
            raise TypeError(f"strings only, not {type(optval)}: {optval!r}")
        self.set(option, optval.encode(encoding))

    def get_string(self, option: int, encoding: str = "utf-8") -> str:
        """The value of an option as text. Raises ``TypeError`` for a number."""
        value = self.get(option)
        if not isinstance(value, bytes):
            raise TypeError(f"option {option} will not return a string to be decoded")
        return value.decode(encoding)

    setsockopt_string = setsockopt_unicode = set_string
    getsockopt_string = getsockopt_unicode = get_string

    def subscribe(self, topic: str | bytes) -> None:
        """Subscribes to all topics that start with this. SUB only."""
        self.set(SocketOption.SUBSCRIBE, topic.encode("utf8") if isinstance(topic, str) else topic)

    def unsubscribe(self, topic: str | bytes) -> None:
        """Takes one ``subscribe`` back. SUB only."""
        self.set(SocketOption.UNSUBSCRIBE, topic.encode("utf8") if isinstance(topic, str) else topic)

    def __setattr__(self, key: str, value: Any) -> None:
        # ``s.subscribe = "x"`` subscribes, although there are methods of the same names.
        if key.lower() in ("subscribe", "unsubscribe"):
            getattr(self, key.lower())(value)
            return
        super().__setattr__(key, value)

    def get_hwm(self) -> int:
        """The high-water mark of sending."""
        return int(self.get(SocketOption.SNDHWM))

    def set_hwm(self, value: int) -> None:
        """Sets both high-water marks."""
        self.set(SocketOption.SNDHWM, value)
        self.set(SocketOption.RCVHWM, value)

    hwm = property(get_hwm, set_hwm, None, "The high-water marks: reads that of sending, sets both.")

    def fileno(self) -> int:
        """The descriptor (option ``FD``): readable while there is something to receive."""
        return self._handle.descriptor()

    def poll(self, timeout: float | None = None, flags: int = PollEvent.POLLIN) -> int:
        """Waits for at most ``timeout`` milliseconds. Returns what can be done, or 0."""
        if self.closed:
            raise ZMQError(Errno.ENOTSUP)
        poller = self._poller_class()
        poller.register(self, flags)
        return int(dict(poller.poll(timeout)).get(self, 0))

    # ------------------------------------------------------------------ sending

    def send(
        self,
        data: Any,
        flags: int = 0,
        copy: bool = True,
        track: bool = False,
        routing_id: int | None = None,
        group: str | None = None,
    ) -> MessageTracker | None:
        """Sends a frame: bytes, a contiguous buffer or a ``Frame``. With ``SNDMORE`` more frames of the message follow.

        The engine has copied the data when this returns; a tracker is done at once, but for that of a tracked ``Frame``.
        """
        if type(data) is not bytes:
            data = _sendable(data, copy, track)
        if flags and int(flags) & _SNDMORE:
            self._handle.send_part(bytes(data))
        else:
            self._handle.send((data,), flags)
        if copy:
            return None
        return _tracker(data, track, self.copy_threshold)

    def send_multipart(
        self, msg_parts: Sequence[Any], flags: int = 0, copy: bool = True, track: bool = False, **kwargs: Any
    ) -> MessageTracker | None:
        """Sends a message of several frames. All are checked before anything is sent."""
        parts = _listed(msg_parts)
        for index, part in enumerate(parts):
            if type(part) is not bytes:
                try:
                    _sendable(part, copy, track)
                except TypeError:
                    shown = repr(part)
                    shown = shown if len(shown) <= 50 else f"{shown[:50]}..."
                    raise TypeError(f"Frame {index} ({shown}) does not support the buffer interface.") from None
        if flags and int(flags) & _SNDMORE:
            for part in parts:
                self._handle.send_part(bytes(part))
        else:
            self._handle.send(tuple(parts), flags)
        if copy:
            return None
        return _tracker(parts[-1], track, self.copy_threshold)

    def send_string(
        self, u: str, flags: int = 0, copy: bool = True, encoding: str = "utf-8", **kwargs: Any
    ) -> MessageTracker | None:
        """Sends text as a frame."""
        if not isinstance(u, str):
            raise TypeError("str objects only")
        return self.send(u.encode(encoding), flags=flags, copy=copy, **kwargs)

    send_unicode = send_string

    def send_pyobj(self, obj: Any, flags: int = 0, protocol: int = DEFAULT_PROTOCOL, **kwargs: Any) -> MessageTracker | None:
        """Sends any object, pickled."""
        return self.send(pickle.dumps(obj, protocol), flags=flags, **kwargs)

    def send_json(self, obj: Any, flags: int = 0, **kwargs: Any) -> MessageTracker | None:
        """Sends an object as JSON. Other keywords are those of ``json.dumps``."""
        send_kwargs = {key: kwargs.pop(key) for key in ("routing_id", "group") if key in kwargs}
        return self.send(jsonapi.dumps(obj, **kwargs), flags=flags, **send_kwargs)

    def send_serialized(
        self, msg: T, serialize: Callable[[T], Sequence[Any]], flags: int = 0, copy: bool = True, **kwargs: Any
    ) -> MessageTracker | None:
        """Sends the frames that ``serialize`` makes of a message."""
        return self.send_multipart(serialize(msg), flags=flags, copy=copy, **kwargs)

    # ------------------------------------------------------------------ receiving

    @overload
    def recv(self, flags: int = 0, copy: Literal[True] = True, track: bool = False) -> bytes: ...

    @overload
    def recv(self, flags: int = 0, *, copy: Literal[False], track: bool = False) -> Frame: ...

    @overload
    def recv(self, flags: int, copy: Literal[False], track: bool = False) -> Frame: ...

    @overload
    def recv(self, flags: int = 0, copy: bool = True, track: bool = False) -> bytes | Frame: ...

    def recv(self, flags: int = 0, copy: bool = True, track: bool = False) -> bytes | Frame:
        """The next frame: bytes, or with ``copy=False`` a ``Frame``."""
        handle = self._handle
        if handle.rest:
            part = handle.part(flags, copy)
        else:
            message = handle.message(flags, copy)
            part = message[0]
            if len(message) > 1:
                handle.keep(message)
        if copy:
            return part if type(part) is bytes else bytes(part)
        return Frame._received(part, bool(handle.rest), track)

    @overload
    def recv_multipart(self, flags: int = 0, copy: Literal[True] = True, track: bool = False) -> list[bytes]: ...

    @overload
    def recv_multipart(self, flags: int = 0, *, copy: Literal[False], track: bool = False) -> list[Frame]: ...

    @overload
    def recv_multipart(self, flags: int, copy: Literal[False], track: bool = False) -> list[Frame]: ...

    @overload
    def recv_multipart(self, flags: int = 0, copy: bool = True, track: bool = False) -> list[bytes] | list[Frame]: ...

    def recv_multipart(self, flags: int = 0, copy: bool = True, track: bool = False) -> list[bytes] | list[Frame]:
        """All frames of the next message, or the rest of the current one."""
        parts = self._handle.parts_left(flags, copy)
        if copy:
            return [part if type(part) is bytes else bytes(part) for part in parts]
        last = len(parts) - 1
        return [Frame._received(part, index < last, track) for index, part in enumerate(parts)]

    def recv_into(self, buffer: Any, /, *, nbytes: int = 0, flags: int = 0) -> int:
        """The next frame into a buffer, cut to ``nbytes`` or to what fits. Returns the frame's full size."""
        target = _writable(buffer, nbytes)
        part = self._handle.part(flags, False)
        kept = min(len(target), len(part))
        target[:kept] = part[:kept]
        return len(part)

    def _deserialize(self, recvd: Any, load: Callable[[Any], Any]) -> Any:
        """What ``load`` makes of what was received. Asynchronous sockets make a future of it."""
        return load(recvd)

    def recv_string(self, flags: int = 0, encoding: str = "utf-8") -> str:
        """The next frame as text."""
        text: str = self._deserialize(self.recv(flags=flags), lambda received: received.decode(encoding))
        return text

    recv_unicode = recv_string

    def recv_pyobj(self, flags: int = 0) -> Any:
        """The next frame, unpickled. Never do this with what strangers send."""
        return self._deserialize(self.recv(flags), pickle.loads)

    def recv_json(self, flags: int = 0, **kwargs: Any) -> Any:
        """The next frame, read as JSON. Other keywords are those of ``json.loads``."""
        return self._deserialize(self.recv(flags), lambda received: jsonapi.loads(received, **kwargs))

    def recv_serialized(self, deserialize: Callable[[list[Any]], T], flags: int = 0, copy: bool = True) -> T:
        """What ``deserialize`` makes of the frames of the next message."""
        made: T = self._deserialize(self.recv_multipart(flags=flags, copy=copy), deserialize)
        return made

    # ------------------------------------------------------------------ monitors

    def get_monitor_socket(self: Self_, events: int | None = None, addr: str | None = None) -> Self_:
        """A socket from which the events of this one's connections are received: ``zmq.utils.monitor`` reads them.

        It gives the same socket until ``disable_monitor``.
        """
        if self._monitor_socket is not None and not self._monitor_socket.closed:
            known: Self_ = self._monitor_socket
            return known
        monitor = self._handle.start_monitor(int(Event.ALL) if events is None else events)
        handle = MonitorHandle(self._handle.context, monitor)
        made = self._monitor_socket = self.__class__(shadow=handle.address)
        made._context = self._context
        return made

    def monitor(self, addr: str | bytes | None, events: int = Event.ALL) -> None:
        """With ``None``, ends the monitor. Oncue has no PAIR socket that could read from an address of a monitor."""
        if addr is not None:
            raise ZMQError(
                Errno.EPROTONOSUPPORT, "Oncue has no PAIR sockets: get_monitor_socket() returns one that tells the events"
            )
        self._handle.stop_monitor()

    def disable_monitor(self) -> None:
        """Ends what ``get_monitor_socket`` began."""
        self._monitor_socket = None
        self.monitor(None, 0)

    # ------------------------------------------------------------------ other types' methods

    def join(self, group: str | bytes) -> None:
        """Of DISH sockets only."""
        raise ZMQError(Errno.EINVAL, "join is for DISH sockets, which Oncue does not have")

    def leave(self, group: str | bytes) -> None:
        """Of DISH sockets only."""
        raise ZMQError(Errno.EINVAL, "leave is for DISH sockets, which Oncue does not have")


def _found(address: int) -> SocketHandle:
    handle = SocketHandle.sockets.find(address)
    if handle is None:
        raise ZMQError(Errno.ENOTSOCK, f"{address:#x} is not the address of a socket of oncue.zmq")
    return handle


def _shown(addr: str | bytes) -> str:
    return addr.decode() if isinstance(addr, bytes) else addr


def _listed(msg_parts: Sequence[Any]) -> Sequence[Any]:
    if type(msg_parts) not in (list, tuple) and not isinstance(msg_parts, Sequence):
        raise TypeError(f"a message must be a sequence of frames, not {type(msg_parts).__name__}")
    if not msg_parts:
        raise IndexError("a message has at least one frame")
    return msg_parts


def _sendable(data: Any, copy: bool, track: bool) -> Any:
    """The same object, if it can be sent."""
    if isinstance(data, bytes):
        return data
    if isinstance(data, Frame):
        if track and not copy and data.tracker is None:
            raise ValueError("Not a tracked message")
        return data
    if isinstance(data, str):
        raise TypeError("unicode not allowed, use send_string")
    try:
        view = memoryview(data)
    except TypeError:
        raise TypeError(f"a bytes-like object is required, not {type(data).__name__!r}") from None
    if not view.contiguous:
        if copy:
            raise ValueError("ndarray is not contiguous")
        raise BufferError("the buffer is not contiguous")
    return data


def _tracker(data: Any, track: bool, threshold: int) -> MessageTracker | None:
    """What ``send(copy=False)`` returns."""
    if isinstance(data, Frame):
        return data.tracker if data.tracker is not None else None
    return _FINISHED_TRACKER if track or memoryview(data).nbytes < threshold else None


def _writable(buffer: Any, nbytes: int) -> memoryview:
    view = memoryview(buffer)
    if not view.contiguous or view.readonly:
        raise BufferError("the buffer is not contiguous" if not view.contiguous else "the buffer is read-only")
    if nbytes < 0:
        raise ValueError(f"{nbytes=} must be non-negative")
    if nbytes > view.nbytes:
        raise ValueError(f"{nbytes=} too big for buffer of size {view.nbytes}")
    view = view.cast("B") if view.nbytes else memoryview(bytearray())
    return view[: nbytes or view.nbytes]


SyncSocket = Socket

__all__ = ["DEFAULT_PROTOCOL", "Socket", "SyncSocket"]
