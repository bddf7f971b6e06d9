"""Publish/subscribe in which a value is produced only while somebody subscribes to it.

``OnDemand`` produces values on demand; ``Pub``, ``Sub``, ``XPub`` and ``XSub`` are ZeroMQ's sockets, wire-compatible with
libzmq; ``oncue.zmq`` has pyzmq's names for them.
"""

from __future__ import annotations

import atexit as _atexit

from . import _oncue, curve  # noqa: F401

# Called last, after all routes have stopped: the functions that are registered later are called before.
_atexit.register(_oncue.at_exit)

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
from ._on_demand import DEFER, OnDemand
from ._oncue import (
    ConnectionEvents,
    CurveClient,
    CurveServer,
    DemandWatch,
    Engine,
    Feed,
    PeerKey,
    PlainClient,
    PlainServer,
    Proxy,
    Security,
    Socket,
    SubscriptionWatch,
    hash_password,
)
from ._records import (
    ClientRequest,
    Confirmed,
    ConnectionEvent,
    Done,
    FeedCounts,
    Missed,
    OnDemandStats,
    Passed,
    Peer,
    PeerStatus,
    ProxyStats,
    PublisherStats,
    RefusedPeer,
    Repeated,
    Requested,
    RouteStats,
    SocketStats,
    Subscribed,
    SubscribeRequest,
    TopicState,
    TopicStats,
    Unsubscribed,
    Unwanted,
    User,
    UsersChanged,
    Wanted,
    Withdrawn,
)
from ._sockets import Pub, Sub, XPub, XSub

__version__ = _oncue.__version__

__all__ = [
    "ClientRequest",
    "ClosedError",
    "Confirmed",
    "ConnectionEvent",
    "ConnectionEvents",
    "CurveClient",
    "CurveServer",
    "DEFER",
    "DemandWatch",
    "Done",
    "Engine",
    "Error",
    "Feed",
    "FeedCounts",
    "FullError",
    "IoError",
    "Missed",
    "MisuseError",
    "OnDemand",
    "OnDemandStats",
    "Passed",
    "Peer",
    "PeerError",
    "PeerKey",
    "PeerStatus",
    "PlainClient",
    "PlainServer",
    "Proxy",
    "ProxyStats",
    "Pub",
    "PublisherStats",
    "RefusedPeer",
    "Repeated",
    "Requested",
    "RouteStats",
    "Security",
    "Socket",
    "SocketStats",
    "Stopped",
    "Sub",
    "SubscribeRequest",
    "Subscribed",
    "SubscriptionWatch",
    "TimeoutError",
    "TopicState",
    "TopicStats",
    "Unsubscribed",
    "Unwanted",
    "User",
    "UsersChanged",
    "Wanted",
    "Withdrawn",
    "XPub",
    "XSub",
    "hash_password",
]
