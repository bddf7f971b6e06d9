"""Contexts."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from threading import Lock
from types import GenericAlias
from typing import Any, TypeVar, overload
from weakref import WeakSet

from ..backend.context import ContextHandle
from ..constants import ContextOption, Errno, SocketOption
from ..error import ContextTerminated, ZMQError
from ..utils.interop import cast_int_addr
from .attrsettr import AttributeSetter
from .socket import Socket

Self_ = TypeVar("Self_", bound="Context")
OtherT = TypeVar("OtherT")


class Context(AttributeSetter):
    """What sockets belong to: the threads of the engine, and the options that new sockets get."""

    sockopts: dict[int, Any]
    _instance: Any = None
    _instance_lock = Lock()
    _instance_pid: int | None = None
    _shadow: bool = False
    _shadow_obj: Any = None
    _handle: ContextHandle
    _sockets: WeakSet[Socket]
    _socket_class: type[Socket] = Socket
    _repr_cls = "zmq.Context"
    _option_names = frozenset((*ContextOption.__members__, *SocketOption.__members__))

    def __init__(self, io_threads: int | Context = 1, shadow: Context | int = 0) -> None:
        self.sockopts = {}
        self._sockets = WeakSet()
        if isinstance(io_threads, Context):
            shadow, io_threads = io_threads, 1
        if shadow:
            self._shadow = True
            self._shadow_obj = shadow if isinstance(shadow, Context) else None
            found = ContextHandle.contexts.find(cast_int_addr(shadow))
            if found is None:
                raise ZMQError(Errno.EFAULT, "that is not the address of a context of oncue.zmq")
            self._handle = found
        else:
            self._handle = ContextHandle(io_threads)

    # pyzmq's annotations name the type of the sockets.
    __class_getitem__: Any = classmethod(GenericAlias)

    # ------------------------------------------------------------------ identity and life

    @classmethod
    def shadow(cls: type[Self_], address: int | Context) -> Self_:
        """A second object for a context, given as an object or as its address (``underlying``)."""
        return cls(shadow=address)

    @classmethod
    def shadow_pyczmq(cls: type[Self_], ctx: Any) -> Self_:
        """Not in Oncue: a context of czmq is libzmq's."""
        raise ZMQError(Errno.ENOTSUP, "a context of czmq is libzmq's: use pyzmq for it")

    def __copy__(self: Self_, memo: Any = None) -> Self_:
        return self.__class__(shadow=self)

    __deepcopy__ = __copy__

    def __reduce_ex__(self, protocol: Any) -> str | tuple[Any, ...]:
        raise TypeError(f"cannot pickle {type(self).__name__!r} object")

    def __del__(self, _is_finalizing: Callable[[], bool] = sys.is_finalizing) -> None:
        handle = self.__dict__.get("_handle")
        if handle is None or self._shadow or handle.terminated or handle.is_foreign or _is_finalizing():
            return
        if len(self._sockets):
            warnings.warn(f"Unclosed context {self}", ResourceWarning, stacklevel=2, source=self)
        handle.abandon()

    def __enter__(self: Self_) -> Self_:
        return self

    def __exit__(self, *raised: object) -> None:
        for socket in list(self._sockets):
            if not socket.closed:
                warnings.warn(
                    f"Destroying context with unclosed socket {socket}, close explicitly.", ResourceWarning, stacklevel=2
                )
        self.destroy()

    def __repr__(self) -> str:
        count = len(self._sockets)
        sockets = f"{count} socket{'s' if count > 1 else ''}" if count else ""
        closed = " closed" if self.closed else ""
        return f"<{self._repr_cls}({sockets}) at {hex(id(self))}{closed}>"

    @property
    def underlying(self) -> int:
        """The address of the context, for ``shadow``. It is not a pointer: libzmq cannot use it."""
        return self._handle.address

    @property
    def closed(self) -> bool:
        """Whether ``term`` is done."""
        return self._handle.terminated

    @classmethod
    def instance(cls: type[Self_], io_threads: int = 1) -> Self_:
        """The context of the process: made by the first call, and anew after its end and in a fork."""
        current = cls._instance
        if current is None or cls._instance_pid != os.getpid() or current.closed:
            with cls._instance_lock:
                current = cls._instance
                if current is None or cls._instance_pid != os.getpid() or current.closed:
                    current = cls._instance = cls(io_threads=io_threads)
                    cls._instance_pid = os.getpid()
        return current  # type: ignore[no-any-return]

    def term(self) -> None:
        """Ends the context: waits until its sockets are closed, and until what they have queued is sent.

        Every operation of its sockets raises ``ContextTerminated`` meanwhile. What is queued is sent within their linger.
        """
        self._handle.term()

    def destroy(self, linger: int | None = None) -> None:
        """Closes all sockets of this context, then ends it."""
        if self.closed:
            return
        for socket in list(self._sockets):
            if not socket.closed:
                socket.close(linger)
        self._sockets.clear()
        self.term()

    # ------------------------------------------------------------------ sockets

    def _add_socket(self, socket: Socket) -> None:
        self._sockets.add(socket)

    def _rm_socket(self, socket: Socket) -> None:
        self._sockets.discard(socket)

    @overload
    def socket(self, socket_type: int, socket_class: Callable[..., OtherT], **kwargs: Any) -> OtherT: ...

    @overload
    def socket(self, socket_type: int, socket_class: None = None, **kwargs: Any) -> Socket: ...

    def socket(self, socket_type: int, socket_class: Callable[..., Any] | None = None, **kwargs: Any) -> Any:
        """Makes a socket, with the options that were set at this context. Keywords go to its class."""
        if self._handle.terminated:
            raise ZMQError(Errno.EFAULT if self._shadow else Errno.ENOTSUP)
        make = self._socket_class if socket_class is None else socket_class
        try:
            socket = make(self, socket_type, **kwargs)
        except ContextTerminated as error:
            raise ZMQError(error.errno) from None
        for option, value in self.sockopts.items():
            # It may be an option of other types of sockets only.
            with suppress(ZMQError):
                socket.setsockopt(option, value)
        self._add_socket(socket)
        return socket

    # ------------------------------------------------------------------ options

    def set(self, option: int, optval: int) -> None:
        """Sets an option of the context."""
        self._handle.set(option, optval)

    def get(self, option: int) -> int:
        """The value of an option of the context."""
        return self._handle.get(option)

    def setsockopt(self, opt: int, value: Any) -> None:
        """Sets an option of all sockets that are made later."""
        self.sockopts[opt] = value

    def getsockopt(self, opt: int) -> Any:
        """What ``setsockopt`` has set. Raises ``KeyError`` if nothing."""
        return self.sockopts[opt]

    def _set_attr_opt(self, name: str, opt: int, value: Any) -> None:
        if name.upper() in ContextOption.__members__:
            self.set(opt, value)
        elif name.upper() in SocketOption.__members__:
            self.sockopts[opt] = value
        else:
            raise AttributeError(f"No such context or socket option: {name}")

    def _get_attr_opt(self, name: str, opt: int) -> Any:
        if name.upper() in ContextOption.__members__:
            return self.get(opt)
        if opt not in self.sockopts:
            raise AttributeError(name)
        return self.sockopts[opt]


SyncContext = Context

__all__ = ["Context", "SyncContext"]
