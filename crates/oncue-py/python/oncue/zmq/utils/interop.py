"""Pointers of other bindings."""

from __future__ import annotations

from typing import Any


def cast_int_addr(n: Any) -> int:
    """An address as an integer: of an integer, or of an object whose ``underlying`` is one.

    Oncue's addresses name sockets and contexts within this process; they are not pointers, and libzmq cannot use them.
    """
    if isinstance(n, int):
        return n
    address = getattr(n, "underlying", None)
    if isinstance(address, int):
        return address
    raise ValueError(f"Cannot cast {n!r} to an address")


__all__ = ["cast_int_addr"]
