"""Files of CURVE certificates, in the format that pyzmq and czmq use (ZPL, RFC 4)."""

from __future__ import annotations

import os
import re
from datetime import datetime
from pathlib import Path

from ..backend.curve import curve_keypair

_PUBLIC_HEAD = """#   **** Written on {now} by oncue.zmq ****
#   A public CURVE certificate of ZeroMQ.
#   Give it to the peers over a channel that they trust, or let them check its content.

"""
_SECRET_HEAD = """#   **** Written on {now} by oncue.zmq ****
#   A SECRET CURVE certificate of ZeroMQ.
#   Nobody else may read this file.

"""
_KEY = re.compile(rb'^\s*(public-key|secret-key)\s*=\s*"([^"]*)"\s*$')


def create_certificates(
    key_dir: str | os.PathLike[str], name: str, metadata: dict[str, str] | None = None
) -> tuple[str, str]:
    """Writes a new pair of keys into a folder: ``NAME.key`` and ``NAME.key_secret``. Returns the two paths."""
    public, secret = curve_keypair()
    public_file = Path(key_dir, f"{name}.key")
    secret_file = Path(key_dir, f"{name}.key_secret")
    lines = ["metadata", *(f"    {key} = {value}" for key, value in (metadata or {}).items()), "curve"]
    lines.append(f'    public-key = "{public.decode()}"')
    now = datetime.now()
    public_file.write_text(_PUBLIC_HEAD.format(now=now) + "\n".join(lines) + "\n", "utf8")
    lines.append(f'    secret-key = "{secret.decode()}"')
    secret_file.touch(0o600)
    secret_file.write_text(_SECRET_HEAD.format(now=now) + "\n".join(lines) + "\n", "utf8")
    return str(public_file), str(secret_file)


def load_certificate(filename: str | os.PathLike[str]) -> tuple[bytes, bytes | None]:
    """The public key of a certificate, and its secret key if the file has it."""
    path = Path(filename)
    if not path.exists():
        raise OSError(f"Invalid certificate file: {filename}")
    found = (_KEY.match(line) for line in path.read_bytes().splitlines())
    keys: dict[bytes, bytes] = {match[1]: match[2] for match in found if match is not None}
    if b"public-key" not in keys:
        raise ValueError(f"No public key found in {filename}")
    return keys[b"public-key"], keys.get(b"secret-key")


def load_certificates(directory: str | os.PathLike[str] = ".") -> dict[bytes, bool]:
    """The public keys of all certificates in a folder."""
    if not os.path.isdir(directory):
        raise OSError(f"Invalid certificate directory: {directory}")
    return {load_certificate(path)[0]: True for path in Path(directory).glob("*.key")}


__all__ = ["create_certificates", "load_certificate", "load_certificates"]
