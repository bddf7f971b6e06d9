"""The plugin of pytest that tells ``run.py`` what each test did, and that substitutes types of sockets.

Most tests of pyzmq use PUSH and PULL, or a PAIR, as "any two sockets that are connected". For them PUSH stands for PUB, PULL
for a SUB that has subscribed to everything, and PAIR for PUB and SUB by turns. A publisher drops what nobody has subscribed
to, so a connection gets time to be made. Tests that need two ways, or an answer, cannot be had that way and are not in the
groups.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import time
from typing import Any

import pytest
import zmq

# Where the outcomes go, a line of JSON each.
REPORT = os.environ.get("PYZMQ_TESTS_REPORT")
SUBSTITUTE = os.environ.get("PYZMQ_TESTS_SUBSTITUTE") == "1"

SETTLE_SECONDS = 0.15
REFUSED = {zmq.REQ, zmq.REP, zmq.DEALER, zmq.ROUTER, zmq.STREAM}
# Modules of pyzmq that make sockets for themselves: handlers of authentication, monitors.
OWN = ("zmq.auth", "zmq.sugar.socket")

_pair = itertools.cycle([zmq.PUB, zmq.SUB])


def _substitute() -> None:
    make = zmq.Context.socket
    connect = zmq.Socket.connect
    init = zmq.Socket.__init__

    def socket(self: Any, socket_type: int, *args: Any, **kwargs: Any) -> Any:
        if sys._getframe(1).f_globals["__name__"].startswith(OWN):
            return make(self, socket_type, *args, **kwargs)
        if socket_type in REFUSED:
            raise zmq.ZMQError(zmq.EINVAL)
        wanted = {zmq.PUSH: zmq.PUB, zmq.PULL: zmq.SUB}.get(socket_type, socket_type)
        if socket_type == zmq.PAIR:
            wanted = next(_pair)
        made = make(self, wanted, *args, **kwargs)
        if socket_type != zmq.SUB and wanted == zmq.SUB:
            made.setsockopt(zmq.SUBSCRIBE, b"")
        return made

    def begin(self: Any, context: Any = None, socket_type: int = -1, *args: Any, **kwargs: Any) -> None:
        # A test that makes a socket itself, without a context's method, only looks at the object.
        by_test = not sys._getframe(1).f_globals["__name__"].startswith(("zmq.", "oncue."))
        init(self, context, zmq.SUB if by_test and socket_type in REFUSED else socket_type, *args, **kwargs)

    def settled(self: Any, addr: Any) -> Any:
        attached = connect(self, addr)
        time.sleep(SETTLE_SECONDS)
        return attached

    zmq.Context.socket = socket  # type: ignore[method-assign]
    zmq.Socket.__init__ = begin  # type: ignore[method-assign]
    zmq.Socket.connect = settled  # type: ignore[method-assign]


if SUBSTITUTE:
    _substitute()


@pytest.fixture(autouse=True)
def _first_of_a_pair() -> None:
    """Each test begins with a PUB."""
    global _pair
    _pair = itertools.cycle([zmq.PUB, zmq.SUB])


def _tell(**line: Any) -> None:
    if REPORT:
        with open(REPORT, "a", encoding="utf8") as report:
            report.write(json.dumps(line) + "\n")


def pytest_runtest_logstart(nodeid: str, location: Any) -> None:
    """A test begins: if nothing follows, it was that one that hung or crashed."""
    _tell(id=nodeid.rpartition("/")[2], outcome="begun")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """A part of a test is done: one failed part is a failed test."""
    if report.outcome != "passed" or report.when == "call":
        text = "" if report.outcome == "passed" else str(report.longrepr)
        _tell(id=report.nodeid.rpartition("/")[2], outcome=report.outcome, text=text[-2000:])
