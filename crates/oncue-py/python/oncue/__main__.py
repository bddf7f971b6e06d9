"""``python -m oncue``: the command ``oncue`` of this package."""

from __future__ import annotations

import os
import sys
from importlib.metadata import PackageNotFoundError, files


def command() -> str:
    """The path of the command that was installed with this package."""
    try:
        installed = files("oncue") or []
    except PackageNotFoundError:
        installed = []
    for file in installed:
        if file.name == "oncue" and file.parent.name == "bin":
            return str(file.locate())
    raise FileNotFoundError("the command oncue was not installed with this package; install it with pip")


def main() -> None:
    try:
        path = command()
    except FileNotFoundError as error:
        sys.exit(str(error))
    os.execv(path, ["oncue", *sys.argv[1:]])


if __name__ == "__main__":
    main()
