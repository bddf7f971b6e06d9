"""Who may connect: rules by address for PUB sockets, and files of CURVE certificates.

Oncue has the security mechanism NULL only, so there is nothing to decide by password or key.
"""

from __future__ import annotations

from . import certs
from .base import CURVE_ALLOW_ANY, Authenticator
from .certs import create_certificates, load_certificate, load_certificates

__all__ = [
    "CURVE_ALLOW_ANY",
    "Authenticator",
    "certs",
    "create_certificates",
    "load_certificate",
    "load_certificates",
]
