"""The versions that ``oncue.zmq`` stands for."""

from __future__ import annotations

# The version of pyzmq, and that of libzmq in its wheels, whose interface and behaviour this is measured against. Programs
# ask for them to know what they may use.
VERSION_MAJOR = 27
VERSION_MINOR = 3
VERSION_PATCH = 0
VERSION_EXTRA = ""
_LIBZMQ = (4, 3, 5)

__version__ = f"{VERSION_MAJOR}.{VERSION_MINOR}.{VERSION_PATCH}{VERSION_EXTRA}"
version_info: tuple[int, int, int] = (VERSION_MAJOR, VERSION_MINOR, VERSION_PATCH)
# pyzmq says here of which commit it was built.
__revision__ = ""


def pyzmq_version() -> str:
    """The version of pyzmq whose interface this is, as text."""
    return __version__


def pyzmq_version_info() -> tuple[int, int, int]:
    """The same as numbers."""
    return version_info


def zmq_version() -> str:
    """The version of libzmq whose behaviour this is, as text."""
    return ".".join(map(str, _LIBZMQ))


def zmq_version_info() -> tuple[int, int, int]:
    """The same as numbers."""
    return _LIBZMQ


__all__ = ["__revision__", "__version__", "pyzmq_version", "pyzmq_version_info", "zmq_version", "zmq_version_info"]
