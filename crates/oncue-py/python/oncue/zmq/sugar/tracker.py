"""Tells when the memory of sent messages is free to be changed."""

from __future__ import annotations

import time
from threading import Event
from typing import Protocol

from ..error import NotDone


class _Tracked(Protocol):
    @property
    def tracker(self) -> MessageTracker | None: ...


class MessageTracker:
    """Whether Oncue is done with some messages: given as frames, events and other trackers."""

    events: set[Event]
    peers: set[MessageTracker]

    def __init__(self, *towatch: MessageTracker | Event | _Tracked) -> None:
        self.events = set()
        self.peers = set()
        for watched in towatch:
            if isinstance(watched, Event):
                self.events.add(watched)
            elif isinstance(watched, MessageTracker):
                self.peers.add(watched)
            elif not hasattr(watched, "tracker"):
                raise TypeError(f"Require Events or Message Frames, not {type(watched)}")
            elif watched.tracker is None:
                raise ValueError("Not a tracked message")
            else:
                self.peers.add(watched.tracker)

    @property
    def done(self) -> bool:
        """Whether the memory of all of them is free."""
        return all(event.is_set() for event in self.events) and all(peer.done for peer in self.peers)

    def wait(self, timeout: float | None = -1) -> None:
        """Waits until it is, for at most ``timeout`` seconds; a negative number means no limit.

        Raises ``NotDone`` after that.
        """
        deadline = None if timeout is None or timeout < 0 else time.monotonic() + timeout
        for event in self.events:
            if not event.wait(_left(deadline)):
                raise NotDone
        for peer in self.peers:
            peer.wait(_left(deadline))


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - time.monotonic())


_FINISHED_TRACKER = MessageTracker()

__all__ = ["_FINISHED_TRACKER", "MessageTracker"]
