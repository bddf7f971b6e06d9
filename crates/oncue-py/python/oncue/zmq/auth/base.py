"""What all authenticators have in common."""

from __future__ import annotations

import asyncio
import hmac
import inspect
import logging
import os
from collections.abc import Coroutine
from typing import Any

from ..constants import Errno
from ..error import ZMQError
from ..sugar.context import Context
from ..utils import z85
from .certs import load_certificates

CURVE_ALLOW_ANY = "*"

_NOBODY = "anonymous"


class Authenticator:
    """Decides which peers are let in: of sockets with PLAIN or CURVE as the server, and of a PUB with ``ZAP_DOMAIN``.

    Between ``start`` and ``stop`` it holds for all sockets of its context, which ask it when a peer comes. Nothing is configured
    at first: peers without PLAIN and CURVE are accepted, others are refused.
    """

    context: Context
    encoding: str
    log: Any
    allow_any: bool
    #: By domain: user names and passwords; keys that are let in; objects that decide.
    passwords: dict[str, dict[str, str]]
    certs: dict[str, dict[bytes, bool]]
    credentials_providers: dict[str, Any]

    def __init__(self, context: Context | None = None, encoding: str = "utf-8", log: Any = None) -> None:
        self.context = context or Context.instance()
        self.encoding = encoding
        self.log = log or logging.getLogger("zmq.auth")
        self.allow_any = False
        self.passwords = {}
        self.certs = {}
        self.credentials_providers = {}
        self._allowed: set[str] = set()
        self._denied: set[str] = set()

    def start(self) -> None:
        """From now on it decides. Raises ``ZMQError`` with ``EADDRINUSE`` if another one does."""
        handle = self.context._handle
        if handle.authenticator not in (None, self):
            raise ZMQError(Errno.EADDRINUSE, "the context has an authenticator")
        handle.authenticator = self

    def stop(self) -> None:
        """It decides no more. Then CURVE lets in everybody, and PLAIN nobody."""
        if self.context._handle.authenticator is self:
            self.context._handle.authenticator = None

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

    def configure_plain(self, domain: str = "*", passwords: dict[str, str] | None = None) -> None:
        """Lets in these users, with their passwords, in a domain. A socket without a domain has the domain ``*``."""
        if passwords:
            self.passwords[domain] = passwords
        self.log.debug("Configure plain: %s", domain)

    def configure_curve(self, domain: str = "*", location: str | os.PathLike[str] = ".") -> None:
        """Lets in the clients whose certificates are in a folder, in a domain; or all, with ``CURVE_ALLOW_ANY``.

        The folder is read by this call, not later.
        """
        self.log.debug("Configure curve: %s[%s]", domain, location)
        self.allow_any = location == CURVE_ALLOW_ANY
        if self.allow_any:
            return
        try:
            self.certs[domain] = load_certificates(location)
        except Exception as error:  # as in pyzmq: nobody of the folder is let in
            self.log.error("Failed to load CURVE certs from %s: %s", location, error)

    def configure_curve_callback(self, domain: str = "*", credentials_provider: Any = None) -> None:
        """Lets in those clients for whom ``credentials_provider.callback(domain, key)`` is true; it may be a coroutine."""
        self.allow_any = False
        if credentials_provider is None:
            self.log.error("None credentials_provider provided for domain:%s", domain)
        else:
            self.credentials_providers[domain] = credentials_provider

    def configure_gssapi(self, domain: str = "*", location: str | None = None) -> None:
        """Not in Oncue, which has no GSSAPI."""
        raise ZMQError(Errno.EINVAL, "Oncue has NULL, PLAIN and CURVE, not GSSAPI; use pyzmq for it")

    def curve_user_id(self, client_public_key: bytes) -> str:
        """The name of the user with this key, of 32 bytes: the text of the key. To be overridden."""
        return z85.encode(client_public_key).decode("ascii")

    def answer(self, domain: bytes, address: str, mechanism: str, credentials: list[bytes]) -> str | None:
        """Who a peer is that is let in; None: it is refused. Sockets call it on threads of their own."""
        why = self._of_address(address)
        user = _NOBODY
        # For those without a domain.
        name = domain.decode(self.encoding, "replace") or "*"
        if why is None and mechanism == "PLAIN":
            user, password = (each.decode(self.encoding, "replace") for each in credentials)
            why = self._of_password(name, user, password)
        elif why is None and mechanism == "CURVE":
            why = self._of_key(name, z85.encode(credentials[0]))
            if why is None:
                user = self.curve_user_id(credentials[0])
        if why is not None:
            self.log.debug("DENIED (%s) domain=%s address=%s: %s", mechanism, name, address, why)
            return None
        self.log.debug("ALLOWED (%s) domain=%s address=%s user=%s", mechanism, name, address, user)
        return user

    def _of_address(self, address: str) -> str | None:
        """Why an address is refused."""
        if self._allowed:
            return None if address in self._allowed else "Address not allowed"
        return "Address denied" if address in self._denied else None

    def _of_password(self, domain: str, user: str, password: str) -> str | None:
        if domain not in self.passwords:
            return "Invalid domain" if self.passwords else "No passwords defined"
        known = self.passwords[domain].get(user)
        if known is None:
            return "Invalid username"
        same = hmac.compare_digest(known.encode("utf-8", "replace"), password.encode("utf-8", "replace"))
        return None if same else "Invalid password"

    def _of_key(self, domain: str, key: bytes) -> str | None:
        if self.allow_any:
            return None
        if self.credentials_providers:
            if domain not in self.credentials_providers:
                return "Unknown domain"
            provider = self.credentials_providers[domain]
            return None if self._run(_ask(provider, domain, key)) else "Unknown key"
        if domain not in self.certs:
            return "Unknown domain"
        return None if self.certs[domain].get(key) else "Unknown key"

    def _run(self, asked: Coroutine[Any, Any, bool]) -> bool:
        """Has a coroutine run where the user's functions are called."""
        return asyncio.run(asked)


async def _ask(provider: Any, domain: str, key: bytes) -> bool:
    answer = provider.callback(domain, key)
    return bool(await answer if inspect.isawaitable(answer) else answer)


# The longest that a function of the user's is waited for: until then the client has given up.
_ANSWER_SECONDS = 30.0


def run_on(loop: asyncio.AbstractEventLoop, asked: Coroutine[Any, Any, bool]) -> bool:
    """Has a coroutine run on the loop of another thread, and waits for what it returns."""
    try:
        future = asyncio.run_coroutine_threadsafe(asked, loop)
    except RuntimeError:
        # The loop is closed.
        asked.close()
        raise
    return future.result(_ANSWER_SECONDS)


__all__ = ["CURVE_ALLOW_ANY", "Authenticator"]
