"""Addresses of contexts and sockets: numbers that name them within this process, as pyzmq's pointers do."""

from __future__ import annotations

import itertools
import weakref
from typing import Generic, TypeVar

T = TypeVar("T")

_numbers = itertools.count(1)


class Registry(Generic[T]):
    """Finds what an address names, as long as it exists."""

    def __init__(self) -> None:
        self._named: weakref.WeakValueDictionary[int, T] = weakref.WeakValueDictionary()

    def add(self, thing: T) -> int:
        """Names a thing. Returns its address, which is not used again."""
        # Multiples of 64 look like addresses, and are never mistaken for the type of a socket or a number of I/O threads.
        address = next(_numbers) << 6
        self._named[address] = thing
        return address

    def all(self) -> list[T]:
        """All things that exist."""
        return list(self._named.values())

    def find(self, address: int) -> T | None:
        """What has this address."""
        return self._named.get(address)
