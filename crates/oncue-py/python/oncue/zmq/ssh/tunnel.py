"""Tunnels through ssh, by the names that pyzmq has. Oncue makes none: run ``ssh -N -L`` beside the program."""

from __future__ import annotations

from typing import Any

from ..constants import Errno
from ..error import ZMQError


def _refuse() -> ZMQError:
    return ZMQError(Errno.ENOTSUP, "Oncue makes no ssh tunnels: run `ssh -N -L PORT:HOST:PORT SERVER`, and connect to it")


def tunnel_connection(socket: Any, addr: str, server: str, *args: Any, **kwargs: Any) -> None:
    """Would connect a socket through a tunnel."""
    raise _refuse()


def open_tunnel(addr: str, server: str, *args: Any, **kwargs: Any) -> None:
    """Would open a tunnel."""
    raise _refuse()


def openssh_tunnel(lport: int, rport: int, server: str, *args: Any, **kwargs: Any) -> None:
    """Would open a tunnel with the program ``ssh``."""
    raise _refuse()


def paramiko_tunnel(lport: int, rport: int, server: str, *args: Any, **kwargs: Any) -> None:
    """Would open a tunnel with the package ``paramiko``."""
    raise _refuse()


ssh_tunnel = openssh_tunnel


def try_passwordless_ssh(server: str, *args: Any, **kwargs: Any) -> bool:
    """Whether a tunnel would need no password."""
    raise _refuse()


__all__ = [
    "open_tunnel",
    "openssh_tunnel",
    "paramiko_tunnel",
    "ssh_tunnel",
    "try_passwordless_ssh",
    "tunnel_connection",
]
