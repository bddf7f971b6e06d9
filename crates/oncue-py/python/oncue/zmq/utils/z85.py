"""Z85 (ZeroMQ RFC 32): 4 bytes as 5 printable characters."""

from __future__ import annotations

import struct

Z85CHARS = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
Z85MAP = {character: value for value, character in enumerate(Z85CHARS)}

_BASE = len(Z85CHARS)


def encode(rawbytes: bytes) -> bytes:
    """Bytes, a multiple of 4, in Z85."""
    if len(rawbytes) % 4:
        raise ValueError(f"length must be a multiple of 4, not {len(rawbytes)}")
    encoded = bytearray()
    for (number,) in struct.iter_unpack(">I", rawbytes):
        digits = [number // _BASE**place % _BASE for place in range(4, -1, -1)]
        encoded += bytes(Z85CHARS[digit] for digit in digits)
    return bytes(encoded)


def decode(z85bytes: bytes | str) -> bytes:
    """The bytes that Z85, a multiple of 5 characters, stands for."""
    try:
        text = z85bytes.encode("ascii") if isinstance(z85bytes, str) else bytes(z85bytes)
    except UnicodeEncodeError:
        raise ValueError("Z85 consists of ASCII characters") from None
    if len(text) % 5:
        raise ValueError(f"length must be a multiple of 5, not {len(text)}")
    decoded = bytearray()
    for start in range(0, len(text), 5):
        number = 0
        for character in text[start : start + 5]:
            if character not in Z85MAP:
                raise ValueError(f"{chr(character)!r} is not a character of Z85")
            number = number * _BASE + Z85MAP[character]
        if number >> 32:
            raise ValueError(f"{text[start : start + 5]!r} stands for more than 4 bytes")
        decoded += struct.pack(">I", number)
    return bytes(decoded)


__all__ = ["Z85CHARS", "Z85MAP", "decode", "encode"]
