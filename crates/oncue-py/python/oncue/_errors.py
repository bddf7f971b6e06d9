"""The exceptions of the package. Each says whose fault it is, and in its text which thing and what to do."""

from __future__ import annotations

import builtins


class Error(Exception):
    """What all errors of the package have in common."""


class MisuseError(Error, ValueError):
    """The caller's: a bad endpoint, an unknown one, an operation that the state of the socket does not allow."""


class PeerError(Error):
    """The peer's: it broke the protocol, or refused us."""


class IoError(Error):
    """The system's: a port in use, a missing directory, no descriptors left.

    ``errno`` is the system's number, if it has one.
    """

    errno: int | None

    def __init__(self, text: str, errno: int | None = None) -> None:
        super().__init__(text)
        self.errno = errno

    def __reduce__(self) -> tuple[type[IoError], tuple[str, int | None]]:
        return type(self), (str(self), self.errno)


class FullError(Error):
    """There is no room now, and nothing was sent: only with ``on_full="refuse"``."""


class ClosedError(Error):
    """The socket was closed, or its engine."""


class TimeoutError(Error, builtins.TimeoutError):
    """Nothing came within the time limit."""


class Stopped(Error):
    """The feed has stopped: nobody wants its topic any more. A producer that lets it pass ends in good order."""
