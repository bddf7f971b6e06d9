"""What stands between pyzmq's names and the engine: handles of contexts and sockets, and functions without an object."""

from __future__ import annotations

from ..error import strerror
from .context import ContextHandle as Context
from .curve import curve_keypair, curve_public
from .poll import zmq_poll
from .proxy import proxy, proxy_steerable
from .socket import SocketHandle as Socket

__all__ = ["Context", "Socket", "curve_keypair", "curve_public", "proxy", "proxy_steerable", "strerror", "zmq_poll"]
