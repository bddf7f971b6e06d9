"""pyzmq's names for publish/subscribe, on Oncue's engine: ``import oncue.zmq as zmq``.

PUB, SUB, XPUB and XSUB, with contexts, options, pollers, asyncio, monitors and proxies. Other types of sockets are pyzmq's;
both can be used and polled together. docs/PYZMQ.md says what differs.
"""

from __future__ import annotations

from . import backend, constants, error, sugar, utils  # noqa: F401
from .backend import curve_keypair, curve_public, strerror, zmq_poll
from .backend.address import IPC_PATH_MAX_LEN
from .constants import *  # noqa: F403
from .error import (
    Again,
    ContextTerminated,
    DraftFDWarning,
    InterruptedSystemCall,
    NotDone,
    ZMQBaseError,
    ZMQBindError,
    ZMQError,
    ZMQVersionError,
)
from .sugar import *  # noqa: F403

# libzmq's draft interface.
DRAFT_API = False
PYZMQ_DRAFT_API = False

__all__ = [
    "Again",
    "ContextTerminated",
    "DRAFT_API",
    "DraftFDWarning",
    "IPC_PATH_MAX_LEN",
    "InterruptedSystemCall",
    "NotDone",
    "PYZMQ_DRAFT_API",
    "ZMQBaseError",
    "ZMQBindError",
    "ZMQError",
    "ZMQVersionError",
    "curve_keypair",
    "curve_public",
    "strerror",
    "zmq_poll",
    *constants.__all__,
    *(name for name in sugar.__all__ if name != "get_library_dirs"),
]
