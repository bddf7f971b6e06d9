"""Functions of the module that have no object."""

from __future__ import annotations

import ctypes
from typing import Any

from ..backend.proxy import proxy, proxy_steerable
from ..constants import DeviceType

# What Oncue has of what libzmq can be asked for.
_CAPABILITIES = frozenset({"curve", "ipc"})


def has(capability: str) -> bool:
    """Whether there is a capability, by libzmq's name for it: "curve" and "ipc", and none of "gssapi", "pgm", ..."""
    return capability in _CAPABILITIES


def device(device_type: DeviceType | int, frontend: Any, backend: Any) -> None:
    """As ``proxy``, by its former name."""
    proxy(frontend, backend)


def zmq_errno() -> int:
    """The system's last error number. Exceptions carry theirs themselves."""
    return ctypes.get_errno()


def get_includes() -> list[str]:
    """The folders of C headers: none, Oncue has no C interface."""
    return []


def get_library_dirs() -> list[str]:
    """The folders of libzmq: none, Oncue does not use it."""
    return []


__all__ = ["device", "get_includes", "get_library_dirs", "has", "proxy", "proxy_steerable", "zmq_errno"]
