"""Keys and certificates of CURVE.

A certificate is a file that pyzmq, czmq and ``oncue keygen`` write, too: ``NAME.key`` has the public key, for the other side, and
``NAME.key_secret`` both keys, for the owner.
"""

from __future__ import annotations

from ._oncue import Certificate, KeyPair, generate

__all__ = ["Certificate", "KeyPair", "generate"]
