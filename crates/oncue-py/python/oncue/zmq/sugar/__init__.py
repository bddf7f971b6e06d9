"""Contexts, sockets, frames and pollers as programs use them."""

from __future__ import annotations

from .context import Context, SyncContext
from .frame import COPY_THRESHOLD, Frame, Message
from .functions import device, get_includes, get_library_dirs, has, proxy, proxy_steerable, zmq_errno
from .poll import Poller, select
from .socket import Socket, SyncSocket
from .stopwatch import Stopwatch
from .tracker import _FINISHED_TRACKER, MessageTracker
from .version import (
    __revision__,
    __version__,
    pyzmq_version,
    pyzmq_version_info,
    zmq_version,
    zmq_version_info,
)

__all__ = [
    "COPY_THRESHOLD",
    "Context",
    "Frame",
    "Message",
    "MessageTracker",
    "Poller",
    "Socket",
    "Stopwatch",
    "SyncContext",
    "SyncSocket",
    "_FINISHED_TRACKER",
    "__revision__",
    "__version__",
    "device",
    "get_includes",
    "get_library_dirs",
    "has",
    "proxy",
    "proxy_steerable",
    "pyzmq_version",
    "pyzmq_version_info",
    "select",
    "zmq_errno",
    "zmq_version",
    "zmq_version_info",
]
