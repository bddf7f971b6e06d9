"""Runs pyzmq's own tests against ``oncue.zmq``, unmodified, from pyzmq's source distribution.

    python run.py CACHE_FOLDER            # the tests of groups.json against oncue.zmq
    python run.py CACHE_FOLDER --real     # the same against pyzmq, to check this harness
    python run.py CACHE_FOLDER -k WORDS   # only ids that contain WORDS

The interpreter needs oncue, pytest, pytest-asyncio, tornado and numpy; ``--real`` needs pyzmq. The source distribution is
fetched by pip once, and kept in the folder. Each module runs in a process of its own; where one hangs or crashes, its tests
run in a process each. docs/PYZMQ.md lists the tests that do not pass, with the reason: a test that fails and is not listed
there, a listed test that passes, and too few that pass are errors. The tests wait for fixed times here and there, so one
that fails and is not listed is tried a second time, by itself.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

PYZMQ = "27.3.0"
# What docs/PYZMQ.md promises to pass at least.
PROMISED = 259

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[3]
DOC = ROOT / "docs" / "PYZMQ.md"

#: Listed, and not even tried: it makes a message of more than 2 GiB, and its failure takes 10 GB of memory.
NOT_RUN = {"test_socket.py::TestSocket::test_large_send"}

MODULE_SECONDS = 20
TEST_SECONDS = 25
_ROW = re.compile(r"^\|\s*`(test_\w+\.py::[^`]+)`")


def sources(cache: Path) -> Path:
    """pyzmq's source distribution, fetched once."""
    cache.mkdir(parents=True, exist_ok=True)
    folder = cache / f"pyzmq-{PYZMQ}"
    if not folder.exists():
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", "pyzmq"]
        subprocess.run([*command, "--dest", str(cache), f"pyzmq=={PYZMQ}"], check=True)
        with tarfile.open(cache / f"pyzmq-{PYZMQ}.tar.gz") as archive:
            archive.extractall(cache, filter="data") if sys.version_info >= (3, 12) else archive.extractall(cache)
    return folder / "tests"


def refusals() -> set[str]:
    """The tests that docs/PYZMQ.md lists as not passing."""
    return {row[1] for line in DOC.read_text("utf8").splitlines() if (row := _ROW.match(line))}


def run_tests(tests: Path, ids: list[str], substitute: bool, real: bool, seconds: float) -> dict[str, tuple[str, str]]:
    """Runs tests in one process. Returns the outcome and the text of those that began."""
    with tempfile.TemporaryDirectory(prefix="oncue-pyzmq-") as folder:
        report = Path(folder, "report")
        report.touch()
        path = [str(HERE), *([] if real else [str(HERE / "stand_in")])]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(path),
            "PYZMQ_TESTS_REPORT": str(report),
            "PYZMQ_TESTS_SUBSTITUTE": str(int(substitute)),
        }
        # It breaks the tests' fixtures.
        environment.pop("ZMQ_TEST_TIMEOUT", None)
        command = [sys.executable, "-m", "pytest", "-p", "plugin", "-p", "no:cacheprovider", "-q"]
        process = subprocess.Popen(
            [*command, "-o", "addopts=--import-mode=importlib", *ids],
            cwd=tests,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            output = process.communicate(timeout=seconds)[0].decode("utf8", "replace")
            ended = f"the process ended with {process.returncode}"
        except subprocess.TimeoutExpired:
            # With the processes that its tests have started.
            os.killpg(process.pid, signal.SIGKILL)
            output = process.communicate()[0].decode("utf8", "replace")
            ended = "it hung"
        outcomes: dict[str, tuple[str, str]] = {}
        for line in report.read_text("utf8").splitlines():
            told = json.loads(line)
            name, outcome = told["id"], told["outcome"]
            if outcome == "begun":
                outcomes.setdefault(name, ("unfinished", ended))
            elif outcomes.get(name, ("", ""))[0] not in ("failed", "skipped"):
                outcomes[name] = (outcome, told["text"])
        if not outcomes:
            outcomes = dict.fromkeys(ids, ("failed", output[-2000:]))
        return outcomes


def run_module(
    tests: Path, ids: list[str], listed: set[str], substitute: bool, real: bool
) -> dict[str, tuple[str, str]]:
    """Runs the tests of one module in a process, and those that did not pass and are not listed in a process each."""
    tried = [name for name in ids if real or name not in NOT_RUN]
    outcomes = run_tests(tests, tried, substitute, real, MODULE_SECONDS + 2 * len(ids))
    for name in ids:
        if outcomes.get(name, ("unfinished", ""))[0] != "passed" and name not in listed:
            outcomes[name] = run_tests(tests, [name], substitute, real, TEST_SECONDS).get(name, ("failed", "not found"))
    return {name: outcomes.get(name, ("failed", "it did not run")) for name in ids}


def main() -> int:
    """Runs, prints a table, and returns the exit code."""
    parser = argparse.ArgumentParser(description="Runs pyzmq's own tests against oncue.zmq.")
    parser.add_argument("cache", type=Path, help="a folder for pyzmq's source distribution")
    parser.add_argument("--real", action="store_true", help="run against pyzmq itself")
    parser.add_argument("-k", default="", metavar="WORDS", help="only ids that contain WORDS")
    parser.add_argument("-v", action="store_true", help="print why each test failed")
    arguments = parser.parse_args()
    started = time.monotonic()
    tests = sources(arguments.cache)
    groups: dict[str, list[str]] = json.loads((HERE / "groups.json").read_text("utf8"))
    outcomes: dict[str, tuple[str, str]] = {}
    listed = set() if arguments.real else refusals()
    print(f"{'group':14} {'module':22} {'passed':>6} {'failed':>6}")
    for group, all_ids in groups.items():
        modules: dict[str, list[str]] = {}
        for name in all_ids:
            if arguments.k in name:
                modules.setdefault(name.partition("::")[0], []).append(name)
        for module, ids in modules.items():
            found = run_module(tests, ids, listed, group == "substituted", arguments.real)
            passed = sum(outcome == "passed" for outcome, _ in found.values())
            print(f"{group:14} {module:22} {passed:6} {len(ids) - passed:6}", flush=True)
            outcomes.update(found)
    failed = {name: why for name, why in outcomes.items() if why[0] != "passed"}
    listed &= set(outcomes)
    for name, (outcome, text) in failed.items():
        if arguments.v or name not in listed:
            print(f"\n{outcome}{'' if name in listed else ', and not listed'}: {name}\n{text}")
    for name in sorted(listed - set(failed)):
        print(f"passed, and listed as failing: {name}")
    for name in failed:
        print(f"{'does not pass, as listed' if name in listed else 'FAILED'}: {name}")
    passed = len(outcomes) - len(failed)
    enough = bool(arguments.k) or passed >= PROMISED
    if not enough:
        print(f"fewer than {PROMISED} pass, which docs/PYZMQ.md promises")
    # Those that are listed are no failures of this run.
    unlisted = len(set(failed) - listed)
    took = time.monotonic() - started
    print(f"{passed} passed, {unlisted} failed, {len(failed) - unlisted} skipped in {took:.0f}s")
    return int(set(failed) != listed or not enough)


if __name__ == "__main__":
    sys.exit(main())
