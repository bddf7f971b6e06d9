"""The mechanism of a socket: what its options come to, and who is let in, as libzmq has it.

In libzmq a server asks a handler by the protocol ZAP (RFC 27). Here it asks the authenticator of its context, at the time at
which a client comes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ... import _errors, _oncue
from ..._records import ClientRequest, User
from ..constants import Errno, SecurityMechanism, SocketOption, SocketType
from ..error import ZMQError
from .context import ContextHandle
from .curve import raw_key
from .guard import host

_SERVERS = {
    SocketOption.PLAIN_SERVER: SecurityMechanism.PLAIN,
    SocketOption.CURVE_SERVER: SecurityMechanism.CURVE,
}
# An option that makes a socket a client makes it a server no more.
_CLIENTS = {
    SocketOption.PLAIN_USERNAME: SecurityMechanism.PLAIN,
    SocketOption.PLAIN_PASSWORD: SecurityMechanism.PLAIN,
    SocketOption.CURVE_SERVERKEY: SecurityMechanism.CURVE,
}
_KEYS = frozenset({SocketOption.CURVE_PUBLICKEY, SocketOption.CURVE_SECRETKEY})

#: The status by which libzmq's handlers refuse.
_REFUSED = "the authenticator refuses it"


@dataclass(frozen=True)
class Choice:
    """Which mechanism the options have chosen so far, and whether this side is the server."""

    mechanism: SecurityMechanism = SecurityMechanism.NULL
    is_server: bool = False

    def after(self, option: SocketOption, value: Any) -> Choice:
        """The choice after an option was set: the last one decides."""
        if option in _SERVERS:
            return Choice(_SERVERS[option] if value else SecurityMechanism.NULL, bool(value))
        if option in _CLIENTS:
            return Choice(_CLIENTS[option])
        if option in _KEYS:
            return Choice(SecurityMechanism.CURVE, self.is_server)
        return self

    def value(self, option: SocketOption) -> int | None:
        """The value of an option that follows from the choice. None: of another one."""
        if option is SocketOption.MECHANISM:
            return int(self.mechanism)
        if option in _SERVERS:
            return int(self.is_server and self.mechanism is _SERVERS[option])
        return None

    def made(
        self, socket_type: SocketType, context: ContextHandle, values: Mapping[SocketOption, Any]
    ) -> _oncue.Security | None:
        """What the engine is told. Raises ``ZMQError`` with ``EINVAL`` if something is missing."""
        domain = values.get(SocketOption.ZAP_DOMAIN, b"")
        enforced = bool(domain and values.get(SocketOption.ZAP_ENFORCE_DOMAIN))
        try:
            if self.mechanism is SecurityMechanism.PLAIN:
                if self.is_server:
                    return _oncue.PlainServer(users=_door(context, domain, False))
                user = values.get(SocketOption.PLAIN_USERNAME, b"")
                return _oncue.PlainClient(user, values.get(SocketOption.PLAIN_PASSWORD, b""))
            if self.mechanism is SecurityMechanism.CURVE:
                secret = _key(values, SocketOption.CURVE_SECRETKEY)
                if self.is_server:
                    return _oncue.CurveServer(_oncue.KeyPair(secret), clients=_door(context, domain, not enforced))
                public = _key(values, SocketOption.CURVE_PUBLICKEY)
                return _oncue.CurveClient(_oncue.KeyPair(secret, public), _key(values, SocketOption.CURVE_SERVERKEY))
        except _errors.MisuseError as error:
            raise ZMQError(Errno.EINVAL, str(error)) from None
        if domain and socket_type is not SocketType.PUB:
            raise ZMQError(
                Errno.EINVAL,
                f"ZAP_DOMAIN of a {socket_type.name} needs PLAIN or CURVE: it cannot look at a peer's address before",
            )
        return None


def _key(values: Mapping[SocketOption, Any], option: SocketOption) -> bytes:
    if option not in values:
        raise ZMQError(Errno.EINVAL, f"CURVE needs the option {option.name}")
    return raw_key(values[option])


def _door(context: ContextHandle, domain: bytes, opens_alone: bool) -> Any:
    """The function that decides about clients. Without an authenticator, all are let in or none."""

    def decide(request: ClientRequest) -> bool | str | User:
        authenticator = context.authenticator
        if authenticator is None:
            return opens_alone or "there is no authenticator in the context"
        mechanism = request.mechanism
        if request.key is not None:
            credentials = [raw_key(request.key.encode())]
        else:
            assert request.user is not None and request.password is not None
            credentials = [request.user.encode("utf-8", "surrogateescape"), request.password]
        user = authenticator.answer(domain, host(request.address), mechanism, credentials)
        return _REFUSED if user is None else User(user)

    return decide
