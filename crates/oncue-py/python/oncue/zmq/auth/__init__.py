"""Who may connect: by address, by password (PLAIN) and by key (CURVE); and files of CURVE certificates.

An authenticator is attached to a context, whose sockets ask it. No message of ZAP is sent.
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
