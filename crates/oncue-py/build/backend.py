"""Builds the package with maturin, and puts the command `oncue` into it.

maturin packs either an extension or a command. The extension is built by it; the command is built here before, and
handed over as a script of the wheel, so that `pip install` puts both in place.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

import maturin
from maturin import get_requires_for_build_wheel

__all__ = [
    "UnsupportedOperation",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_wheel",
]

ROOT = Path(__file__).resolve().parents[3]
SCRIPTS = ROOT / "crates" / "oncue-py" / "oncue.data" / "scripts"

# A free-threaded interpreter has no stable interface, for which the extension is built by default.
if sysconfig.get_config_var("Py_GIL_DISABLED"):
    given = os.environ.get("MATURIN_PEP517_ARGS", "")
    os.environ["MATURIN_PEP517_ARGS"] = f"--no-default-features {given}".rstrip()


def build_command() -> None:
    """Builds the command, and puts it where maturin looks for scripts."""
    cargo = os.environ.get("CARGO", "cargo")
    words = [cargo, "build", "--release", "--package", "oncue-cli", "--features", "full"]
    words += ["--message-format", "json-render-diagnostics"]
    built = subprocess.run(words, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    messages = [json.loads(line) for line in built.stdout.splitlines() if line.startswith("{")]
    programs = [message["executable"] for message in messages if message.get("executable")]
    shutil.copy2(programs[-1], SCRIPTS / "oncue")
    subprocess.run(["strip", SCRIPTS / "oncue"], check=False)


def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):  # type: ignore[no-untyped-def]
    """PEP 517."""
    # maturin wants the directory to exist already here.
    SCRIPTS.mkdir(parents=True, exist_ok=True)
    return maturin.prepare_metadata_for_build_wheel(metadata_directory, config_settings)


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):  # type: ignore[no-untyped-def]
    """PEP 517."""
    SCRIPTS.mkdir(parents=True, exist_ok=True)
    build_command()
    return maturin.build_wheel(wheel_directory, config_settings, metadata_directory)


class UnsupportedOperation(Exception):
    """What this backend does not do (PEP 517)."""


def build_sdist(sdist_directory, config_settings=None):  # type: ignore[no-untyped-def]
    """PEP 517: there is none yet."""
    raise UnsupportedOperation("there is no source distribution of oncue; install it from a checkout, by pip install .")
