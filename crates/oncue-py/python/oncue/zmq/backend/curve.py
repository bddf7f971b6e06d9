"""Keys of CURVE, in Z85."""

from __future__ import annotations

from ... import _errors, _oncue
from ..utils import z85

_KEY_BYTES, _KEY_CHARS = 32, 40


def curve_keypair() -> tuple[bytes, bytes]:
    """A new public key and its secret key, each as 40 characters of Z85."""
    pair = _oncue.generate()
    return pair.public.encode(), pair.secret.encode()


def curve_public(secret_key: bytes | str) -> bytes:
    """The public key of a secret key, both in Z85."""
    text = secret_key.encode() if isinstance(secret_key, str) else secret_key
    if len(text) != _KEY_CHARS:
        raise ValueError("secret key must be a 40 byte z85 encoded string")
    try:
        return _oncue.KeyPair(text).public.encode()
    except _errors.MisuseError as error:
        raise ValueError(str(error)) from None


def raw_key(value: bytes) -> bytes:
    """The 32 bytes of a key, given so or as 40 characters of Z85, perhaps with a zero behind them as in C."""
    if len(value) == _KEY_BYTES:
        return value
    text = value[:_KEY_CHARS]
    if len(text) != _KEY_CHARS or value[_KEY_CHARS:] not in (b"", b"\0"):
        raise ValueError("a key has 32 bytes, or 40 characters of Z85")
    return z85.decode(text)


def is_key(value: bytes) -> bool:
    """Whether an option may be this key."""
    try:
        raw_key(value)
    except ValueError:
        return False
    return True
