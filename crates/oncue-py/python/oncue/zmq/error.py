"""The exceptions of ``oncue.zmq``, which carry error numbers as pyzmq's do."""

from __future__ import annotations

import os
from errno import EINTR

from .constants import Errno

_OWN_TEXTS = {
    int(Errno.EFSM): "Operation cannot be accomplished in current state",
    int(Errno.ENOCOMPATPROTO): "The protocol is not compatible with the socket type",
    int(Errno.ETERM): "Context was terminated",
    int(Errno.EMTHREAD): "No thread available",
}


def strerror(errno: int) -> str:
    """The text of an error number, those of ZeroMQ included."""
    return _OWN_TEXTS.get(errno) or os.strerror(errno)


class ZMQBaseError(Exception):
    """What all exceptions of this module have in common."""


class ZMQError(ZMQBaseError):
    """An operation failed: ``errno`` says why as a number, ``strerror`` in words."""

    errno: int | None = None
    strerror: str

    def __init__(self, errno: int | None = None, msg: str | None = None) -> None:
        if errno is None:
            self.strerror = msg if msg is not None else "Unknown error"
            return
        self.errno = int(errno)
        self.strerror = msg if msg is not None else strerror(errno)

    def __str__(self) -> str:
        return self.strerror

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __reduce__(self) -> tuple[type[ZMQError], tuple[int | None, str]]:
        return type(self), (self.errno, self.strerror)


class ZMQBindError(ZMQBaseError):
    """``bind_to_random_port`` found no free port."""


class ZMQVersionError(NotImplementedError):
    """A feature needs a later version of libzmq, or a part of it that Oncue does not have."""


class NotDone(ZMQBaseError):
    """A message is still in use when the time limit of ``MessageTracker.wait`` has passed."""


class ContextTerminated(ZMQError):
    """The socket's context is being terminated."""

    def __init__(self, errno: int | None = None, msg: str | None = None) -> None:
        super().__init__(Errno.ETERM, msg)
        self.errno = Errno.ETERM


class Again(ZMQError):
    """The operation would wait, or its time limit has passed."""

    def __init__(self, errno: int | None = None, msg: str | None = None) -> None:
        super().__init__(Errno.EAGAIN, msg)
        self.errno = Errno.EAGAIN


class InterruptedSystemCall(ZMQError, InterruptedError):  # type: ignore[misc]
    """A signal interrupted the operation. Oncue repeats such operations itself and does not raise this."""

    def __init__(self, errno: int | None = None, msg: str | None = None) -> None:
        super().__init__(EINTR, msg)


class DraftFDWarning(RuntimeWarning):
    """pyzmq warns with it of sockets of libzmq's draft interface. Oncue does not have them."""


__all__ = [
    "Again",
    "ContextTerminated",
    "DraftFDWarning",
    "InterruptedSystemCall",
    "NotDone",
    "ZMQBaseError",
    "ZMQBindError",
    "ZMQError",
    "ZMQVersionError",
    "strerror",
]
