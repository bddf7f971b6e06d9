"""Sockets for Tornado. The modules here need the package ``tornado``."""

from __future__ import annotations

from tornado.ioloop import IOLoop

__all__ = ["IOLoop"]
