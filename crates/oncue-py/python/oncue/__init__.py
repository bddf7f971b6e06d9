"""Publish/subscribe in which a value is produced only while somebody subscribes to it.

``OnDemand`` produces values on demand; ``Pub``, ``Sub``, ``XPub`` and ``XSub`` are ZeroMQ's sockets, wire-compatible with
libzmq; ``oncue.zmq`` has pyzmq's names for them.
"""

from __future__ import annotations

import atexit as _atexit

from . import _oncue
from ._errors import (
    ClosedError,
    Error,
    FullError,
    IoError,
    MisuseError,
    PeerError,
    Stopped,
    TimeoutError,
)
from ._oncue import ConnectionEvents, DemandWatch, Engine, PeerKey, Proxy, Socket, SubscriptionWatch
from ._records import (
    Confirmed,
    ConnectionEvent,
    Missed,
    Passed,
    Peer,
    PeerStatus,
    ProxyStats,
    PublisherStats,
    RefusedPeer,
    Repeated,
    Requested,
    SocketStats,
    Subscribed,
    TopicState,
    Unsubscribed,
    Unwanted,
    Wanted,
    Withdrawn,
)
from ._sockets import Pub, Sub, XPub, XSub

__version__ = _oncue.__version__

__all__ = [name for name in dir() if not name.startswith("_") and name != "annotations"]

_atexit.register(_oncue.at_exit)
