"""Keys of CURVE: pairs for X25519 (RFC 7748), in Z85.

Oncue's sockets do not speak CURVE; keys are made here so that tools which make them work.
"""

from __future__ import annotations

import secrets

from ..utils import z85

_PRIME = 2**255 - 19
_A24 = 121665
_KEY_BYTES = 32
_BASE_POINT = 9


def curve_keypair() -> tuple[bytes, bytes]:
    """A new public key and its secret key, each as 40 characters of Z85."""
    secret = secrets.token_bytes(_KEY_BYTES)
    return z85.encode(_public(secret)), z85.encode(secret)


def curve_public(secret_key: bytes | str) -> bytes:
    """The public key of a secret key, both in Z85."""
    text = secret_key.encode() if isinstance(secret_key, str) else secret_key
    if len(text) != 40:
        raise ValueError("secret key must be a 40 byte z85 encoded string")
    return z85.encode(_public(z85.decode(text)))


def _public(secret: bytes) -> bytes:
    clamped = int.from_bytes(secret, "little")
    clamped &= ~7 & ((1 << 255) - 1)
    clamped |= 1 << 254
    return _multiply(clamped, _BASE_POINT).to_bytes(_KEY_BYTES, "little")


def _multiply(scalar: int, u: int) -> int:
    """The u-coordinate of a multiple of a point: Montgomery's ladder."""
    x2, z2, x3, z3, swapped = 1, 0, u, 1, 0
    for bit in range(254, -1, -1):
        now = scalar >> bit & 1
        if swapped ^ now:
            x2, x3, z2, z3 = x3, x2, z3, z2
        swapped = now
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        da, cb, aa, bb = d * a % _PRIME, c * b % _PRIME, a * a % _PRIME, b * b % _PRIME
        x3 = (da + cb) ** 2 % _PRIME
        z3 = u * (da - cb) ** 2 % _PRIME
        x2 = aa * bb % _PRIME
        z2 = (aa - bb) * (aa + _A24 * (aa - bb)) % _PRIME
    if swapped:
        x2, z2 = x3, z3
    return x2 * pow(z2, _PRIME - 2, _PRIME) % _PRIME
