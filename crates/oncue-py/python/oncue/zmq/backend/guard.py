"""A PUB that accepts subscribers by their address, as zmq.auth says: libzmq's ZAP for the mechanism NULL."""

from __future__ import annotations

from threading import Thread
from typing import Any

from ... import _errors, _oncue
from ..._log import clients_failed
from ..._records import Requested
from .context import ContextHandle


def guarded(context: ContextHandle, domain: bytes, options: dict[str, Any]) -> _oncue.XPub:
    """The engine's socket for such a PUB: each subscription waits until its peer's address was looked at."""
    made = _oncue.XPub(engine=context.engine(), **{**options, "manual": True, "discard_messages": True})
    Thread(target=_decide, args=(made, context, domain), name="oncue.zmq.auth", daemon=True).start()
    return made


def _decide(made: _oncue.XPub, context: ContextHandle, domain: bytes) -> None:
    while True:
        try:
            event: Any = made.event()
        except _errors.ClosedError:
            return
        if not isinstance(event, Requested):
            continue
        if _is_let_in(context, domain, event.peer.address):
            made.admit(event.peer.key, event.prefix)
        else:
            made.reject(event.peer.key, event.prefix, "this address is not accepted")


def _is_let_in(context: ContextHandle, domain: bytes, address: str) -> bool:
    authenticator = context.authenticator
    if authenticator is None:
        return True
    try:
        return authenticator.answer(domain, host(address), "NULL", []) is not None
    except Exception as error:
        clients_failed(address, error)
        return False


def host(address: str) -> str:
    """The IP address of a peer, without transport and port; nothing for peers of this machine that have none."""
    transport, separator, rest = address.rpartition("://")
    if separator and transport != "tcp":
        return ""
    return rest.rpartition(":")[0].strip("[]") if ":" in rest else rest
