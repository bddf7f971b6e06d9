"""What all authenticators have in common."""

from __future__ import annotations

import logging
import os
from typing import Any

from ..constants import Errno
from ..error import ZMQError
from ..sugar.context import Context

CURVE_ALLOW_ANY = "*"


class Authenticator:
    """Decides by address which subscribers a PUB socket with ``ZAP_DOMAIN`` accepts.

    Between ``start`` and ``stop`` it holds for all sockets of its context. Without a rule everybody is accepted.
    """

    context: Context
    encoding: str
    log: Any

    def __init__(self, context: Context | None = None, encoding: str = "utf-8", log: Any = None) -> None:
        self.context = context or Context.instance()
        self.encoding = encoding
        self.log = log or logging.getLogger("zmq.auth")
        self._allowed: set[str] = set()
        self._denied: set[str] = set()

    def start(self) -> None:
        """From now on it decides."""
        self.context._handle.permits = self.permits

    def stop(self) -> None:
        """It decides no more: everybody is accepted."""
        self.context._handle.permits = None

    def allow(self, *addresses: str) -> None:
        """Accepts these addresses, and no others."""
        if self._denied:
            raise ValueError("Only use allow or deny, not both")
        self.log.debug("Allowing %s", ",".join(addresses))
        self._allowed.update(addresses)

    def deny(self, *addresses: str) -> None:
        """Accepts all but these addresses."""
        if self._allowed:
            raise ValueError("Only use a allow or deny, not both")
        self.log.debug("Denying %s", ",".join(addresses))
        self._denied.update(addresses)

    def permits(self, address: str) -> bool:
        """Whether a peer of this address is accepted."""
        permitted = address in self._allowed if self._allowed else address not in self._denied
        self.log.debug("%s: %s", address, "accepted" if permitted else "refused")
        return permitted

    def configure_plain(self, domain: str = "*", passwords: dict[str, str] | None = None) -> None:
        """Not in Oncue, which has no PLAIN."""
        raise _without("PLAIN")

    def configure_curve(self, domain: str = "*", location: str | os.PathLike[str] = ".") -> None:
        """Not in Oncue, which has no CURVE."""
        raise _without("CURVE")

    def configure_curve_callback(self, domain: str = "*", credentials_provider: Any = None) -> None:
        """Not in Oncue, which has no CURVE."""
        raise _without("CURVE")

    def configure_gssapi(self, domain: str = "*", location: str | None = None) -> None:
        """Not in Oncue, which has no GSSAPI."""
        raise _without("GSSAPI")


def _without(mechanism: str) -> ZMQError:
    return ZMQError(Errno.EINVAL, f"Oncue has the security mechanism NULL only, not {mechanism}; use pyzmq for it")


__all__ = ["CURVE_ALLOW_ANY", "Authenticator"]
