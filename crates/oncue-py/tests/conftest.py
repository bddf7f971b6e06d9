"""What the tests have in common. All traffic stays on this machine."""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

import oncue

#: The most that anything may take, in seconds. It is not reached when all is well.
LIMIT = float(__import__("os").environ.get("ONCUE_TEST_LIMIT", "20"))
#: After this time a test hangs: the stacks of all threads are written, and the run ends.
HANGS = 40.0


@pytest.fixture(autouse=True)
def _no_test_hangs():
    faulthandler.dump_traceback_later(HANGS, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


def until(condition, limit=LIMIT):
    """Waits until the condition holds, and returns what it has returned."""
    end = time.monotonic() + limit
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.005)


def run(coroutine):
    """Runs a coroutine on a loop of its own, within the limit."""

    async def limited():
        return await asyncio.wait_for(coroutine, LIMIT)

    return asyncio.run(limited())


class Ended:
    """What a program has written, and how it has ended."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    def well(self):
        """Asserts that it has ended in good order, and returns its lines."""
        assert (self.code, self.err) == (0, ""), f"exit {self.code}\n{self.out}\n{self.err}"
        return self.out.split("\n")[:-1]


class Program:
    """A program in a process of its own."""

    def __init__(self, text, *arguments):
        path = str(Path(oncue.__file__).parents[1])
        here = str(Path(__file__).parent)
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([path, here]), "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-X",
                "faulthandler",
                "-W",
                "ignore:This process:DeprecationWarning",
                "-c",
                textwrap.dedent(text),
                *map(str, arguments),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            text=True,
        )

    def line(self):
        """The next line that it writes."""
        return self.process.stdout.readline().rstrip("\n")

    def signal(self, number):
        self.process.send_signal(number)

    def ended(self, limit=LIMIT):
        """Waits for its end."""
        try:
            out, err = self.process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            # Python writes its stacks at that.
            self.process.send_signal(6)
            out, err = self.process.communicate()
            raise AssertionError(f"the program hangs\n{out}\n{err}") from None
        return Ended(self.process.returncode, out, err)


@pytest.fixture
def program():
    """Starts programs, and sees to their end."""
    started = []

    def start(text, *arguments):
        started.append(Program(text, *arguments))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            each.process.kill()
        each.process.communicate()


@pytest.fixture
def sub():
    """Makes subscribers: of an endpoint, to prefixes."""
    made = []

    def make(endpoint, *prefixes, **options):
        made.append(oncue.Sub(**options))
        made[-1].connect(endpoint)
        for prefix in prefixes:
            made[-1].subscribe(prefix)
        return made[-1]

    yield make
    for each in made:
        each.close(0)


@pytest.fixture
def pair(sub):
    """A publisher, and a subscriber to everything whose subscription is in force."""
    pub = oncue.Pub()
    subscriber = sub(pub.bind("tcp://127.0.0.1:0"))
    assert subscriber.subscribe_wait("", timeout=LIMIT).in_force == 1
    yield pub, subscriber
    pub.close(0)


@pytest.fixture
def on():
    """Routes that can be started, and are stopped at the end."""
    routes = oncue.OnDemand("tcp://127.0.0.1:0")
    yield routes
    routes.stop()


@pytest.fixture
def unraisable(monkeypatch):
    """The texts of the exceptions that nobody could catch."""
    texts = []
    monkeypatch.setattr(sys, "unraisablehook", lambda told: texts.append(str(told.exc_value)))
    return texts


@pytest.fixture
def logged(caplog):
    """The texts that the package has logged."""
    caplog.set_level(logging.INFO, "oncue")
    return lambda: [record.getMessage() for record in caplog.records if record.name == "oncue"]
