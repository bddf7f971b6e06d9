"""The classic program of XPUB, as it stands in the examples."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).resolve().parents[3] / "examples" / "classic.py"


def test_the_classic_program_runs_whole() -> None:
    ran = subprocess.run([sys.executable, str(PROGRAM)], capture_output=True, text=True, timeout=60, check=True)
    assert not ran.stderr
    lines = ran.stdout.splitlines()
    first = [line.removeprefix("subscriber 1: ") for line in lines if line.startswith("subscriber 1: ")]
    second = [line.removeprefix("subscriber 2: ") for line in lines if line.startswith("subscriber 2: ")]
    assert len(first) == 11 and first[-1] == "leaves"
    assert len(second) == 21 and second[-1] == "leaves"
    assert all(re.fullmatch(r"[ab] \d+", line) for line in first[:-1])
    assert all(re.fullmatch(r"[bc] \d+", line) for line in second[:-1])
    # What is wanted in the end: a goes with the first subscriber, b and c with the second.
    told = [line for line in lines if line.startswith("publisher: ")]
    assert "publisher: wanted now: b c" in told
    assert told[-1] == "publisher: wanted now: nothing"
