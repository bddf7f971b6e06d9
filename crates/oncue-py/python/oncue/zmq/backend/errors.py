"""The engine's errors as those of pyzmq."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from ... import _errors
from ..constants import Errno
from ..error import ZMQError, strerror


def engine_error(error: _errors.Error, fallback: int = errno.EIO) -> ZMQError:
    """The ``ZMQError`` for an error of the engine that is not about waiting or closing."""
    if isinstance(error, _errors.MisuseError):
        return ZMQError(Errno.EINVAL, str(error))
    if isinstance(error, _errors.IoError):
        number = error.errno or fallback
        return ZMQError(number, f"{strerror(number)}: {error}")
    return ZMQError(fallback, str(error))


@contextmanager
def engine_errors(address: str | None = None, fallback: int = errno.EIO) -> Iterator[None]:
    """Raises what the engine raises as ``ZMQError``, with the address that it is about."""
    try:
        yield
    except _errors.ClosedError:
        raise ZMQError(Errno.ENOTSOCK) from None
    except _errors.Error as error:
        raised = engine_error(error, fallback)
        if address is not None:
            raised.strerror += f" (addr={address!r})"
        raise raised from None
