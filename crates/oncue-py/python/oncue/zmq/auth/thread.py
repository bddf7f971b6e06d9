"""The authenticator for programs with threads."""

from __future__ import annotations

from .base import Authenticator


class ThreadAuthenticator(Authenticator):
    """Decides on the threads of the sockets: it needs none of its own."""

    _started: bool = False

    def start(self) -> None:
        """From now on it decides."""
        super().start()
        self._started = True

    def stop(self) -> None:
        """It decides no more."""
        super().stop()
        self._started = False

    def is_alive(self) -> bool:
        """Whether it decides."""
        return self._started


__all__ = ["ThreadAuthenticator"]
