"""JSON as bytes, for ``send_json`` and ``recv_json``."""

from __future__ import annotations

import json
from typing import Any

jsonmod = json


def dumps(o: Any, **kwargs: Any) -> bytes:
    """An object as JSON, in UTF-8. The keywords are those of ``json.dumps``."""
    return json.dumps(o, **kwargs).encode("utf8")


def loads(s: bytes | str, **kwargs: Any) -> Any:
    """The object that JSON stands for. The keywords are those of ``json.loads``."""
    return json.loads(s if isinstance(s, str) else s.decode("utf8"), **kwargs)


__all__ = ["dumps", "jsonmod", "loads"]
